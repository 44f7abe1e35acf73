"""All that `batchgen plan` says of a prepared manifest, apart from its items: as text and as JSON."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from batchgen.core.text import usd
from batchgen.journal import FILE_NAME, open_for_reading, spend_of, sqlite_errors
from batchgen.plan import Plan, decisions, format_plan, plan_json, plan_notes
from batchgen.session.checks.disk_space import DiskSpace, disk_space
from batchgen.session.locate import is_run, simulated_name
from batchgen.session.prepare import PreparedRun
from batchgen.session.sharing import month_outlook, unused_limits

_IDS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class PlanReport:
    """A plan, with what is worth knowing about it."""

    plan: Plan
    space: DiskSpace
    notes: tuple[str, ...]
    """What somebody has to decide, and what is worth knowing, a sentence each."""
    warnings: tuple[tuple[str, str], ...]
    """Likely mistakes in the manifest: the place as `FILE:LINE:COLUMN`, and the message."""
    text: str
    """The plan for people; without the warnings."""

    def json(self) -> dict[str, Any]:
        """Return the plan in the shape of `plan --json`."""
        return plan_json(self.plan) | {
            "notes": list(self.notes),
            "warnings": [{"place": place, "message": message} for place, message in self.warnings],
            "expected_bytes": self.space.expected,
            "expected_bytes_unknown_items": self.space.unknown,
            "free_bytes": self.space.free,
        }


def plan_report(prepared: PreparedRun) -> PlanReport:
    """Return the plan of a prepared manifest. Raises RunFolderError, UsageError."""
    plan, manifest = prepared.plan(), prepared.manifest
    space = disk_space(plan, prepared.folder, prepared.outputs)
    more = list(_more_notes(prepared, plan))
    text = [format_plan(plan, manifest.left_out, manifest.unseeded), *(f"note: {note}" for note in more)]
    for crossed in _caps_crossed(prepared, plan):
        text.append(f"warning: {crossed}")
        more.append(crossed)
    if space.expected is not None and plan.to_buy:
        text.append(f"{'note' if space.suffices else 'warning'}: {space.sentence}")
        more.append(space.sentence)
    return PlanReport(
        plan=plan,
        space=space,
        notes=(*decisions(plan), *plan_notes(plan, manifest.left_out, manifest.unseeded), *more),
        warnings=tuple((w.place, w.message) for w in manifest.warnings.shown),
        text="\n".join(text),
    )


def _caps_crossed(prepared: PreparedRun, plan: Plan) -> Iterator[str]:
    """Yield, a sentence each, which caps stop a run before all of the plan is bought."""
    budget, max_cost = prepared.settings.budget, prepared.settings.max_cost
    if plan.estimated is None:
        return
    if budget is not None and plan.estimated > budget:
        yield f"that is more than the budget of ${usd(budget)}: a run stops there, and the next one continues"
    if max_cost is None:
        return
    spent, path = Decimal(0), prepared.folder / FILE_NAME
    if is_run(prepared.folder):
        with closing(open_for_reading(path)) as db, sqlite_errors(path):
            spend = spend_of(db)
        spent = spend.charged + spend.surplus + spend.in_doubt - spend.refunded
    if plan.estimated > (left := max(Decimal(0), max_cost - spent)):
        yield f"that is more than is left of max_cost (${usd(left)} of ${usd(max_cost)}): a run stops there"


def _more_notes(prepared: PreparedRun, plan: Plan) -> Iterator[str]:
    if plan.changed:
        ids = prepared.edited_ids(_IDS_SHOWN)
        yield f"changed: {', '.join([*ids, *(['…'] if plan.changed > len(ids) else [])])}"
    limit = prepared.settings.max_new
    if limit is not None and plan.to_buy > limit:
        yield f"max_new lets one run buy only {limit:,} of them"
    if not plan.simulated and not prepared.request.simulate:
        output = prepared.folder.parent
        told = month_outlook(output, plan.estimated), unused_limits(output, prepared.request.manifest)
        yield from (note for note in told if note is not None)
    # Nothing was bought with real money yet, but the run was tried with --simulate.
    tried = prepared.folder.with_name(simulated_name(prepared.name))
    if not is_run(prepared.folder) and is_run(tried):
        yield f"{tried} is a simulated run and does not count here; use `plan --simulate` to compare with it"
