"""`batchgen status`."""

import json
import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchgen.cli.options import run_argument
from batchgen.cli.output import say

if TYPE_CHECKING:
    from batchgen.core.records import State
    from batchgen.journal import Spend
    from batchgen.journal.queries.judged import Flagged
    from batchgen.journal.queries.run_status import Doubt, Waiting
    from batchgen.standing.failures import Failures
    from batchgen.standing.last_run import LastRun
    from batchgen.standing.next_steps import Step

_SHOWN = 20
"""How many items in doubt are listed one by one."""


@dataclass(frozen=True, slots=True)
class _Standing:
    run: str
    folder: Path
    owner: str | None
    """The end of a sentence that names the process that runs it; None: it is not running."""
    simulated: bool
    """Whether it is pretend money."""
    counts: "dict[State, int]"
    spend: "Spend"
    doubts: "list[Doubt]"
    fewer: int
    """Items that are done, but with fewer outputs than ordered."""
    flagged: "Flagged"
    waiting: "Waiting"
    failures: "Failures"
    last: "LastRun"
    steps: "tuple[Step, ...]"
    """What to do next."""
    merged_into: Path | None
    """The run folder that goes on with its items, if it was merged."""


@click.command("status")
@run_argument
@click.option("--output", metavar="DIR", help="The output folder (BATCHGEN_OUTPUT).")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(run: str, output: str | None, as_json: bool) -> None:  # noqa: FBT001 - click passes options by name
    """Show the state of a run, even while it is running.

    RUN names a run: its folder, its manifest, or its name within the output folder. Items in doubt are listed with the
    time (UTC) and digest of their requests, so that you can find them in the provider's billing.
    """
    from batchgen.manifest import read_name
    from batchgen.session.locate import find_run

    standing = _read(find_run(run, output, os.environ, read_name))
    if as_json:
        click.echo(json.dumps(_as_json(standing), indent=2))
    else:
        say(_as_text(standing))


def _read(folder: Path) -> _Standing:
    from batchgen.journal import FILE_NAME, is_simulated, open_for_reading, spend_of, sqlite_errors
    from batchgen.journal.lock import owner
    from batchgen.journal.merging.marks import merged_into
    from batchgen.journal.queries.judged import flagged_of
    from batchgen.journal.queries.report_rows import facts_of
    from batchgen.journal.queries.run_status import chosen_sources, counts_of, doubts, fewer_outputs_of, waiting_items
    from batchgen.session.picking import kept_outputs
    from batchgen.standing.commands import continuing, reaching
    from batchgen.standing.failures import failures_of
    from batchgen.standing.last_run import last_run_of
    from batchgen.standing.next_steps import Situation, next_steps

    path, into = folder / FILE_NAME, merged_into(folder)
    with closing(open_for_reading(path)) as db, sqlite_errors(path):
        facts = facts_of(db)
        running, last = owner(folder), last_run_of(facts)
        waiting = waiting_items(db, chosen_sources(db, kept_outputs(folder)))
        counts, fewer, flagged = counts_of(db), fewer_outputs_of(db), flagged_of(db)
        situation = Situation(
            folder=folder,
            command=continuing(facts, stopped_because=last.stopped_because),
            reach=reaching(facts),
            counts=counts,
            stopped_because=last.stopped_because,
            killed=last.began_only,
            running=running is not None,
            waiting=waiting.for_pick,
            kept_until=waiting.kept_until,
            source_expired=waiting.source_expired,
            fewer=fewer,
            unjudged=flagged.unjudged,
        )
        return _Standing(
            run=facts.get("run", folder.name),
            folder=folder,
            owner=running,
            simulated=is_simulated(facts),
            counts=counts,
            spend=spend_of(db),
            doubts=list(doubts(db)),
            fewer=fewer,
            flagged=flagged,
            waiting=waiting,
            failures=failures_of(db, facts),
            last=last,
            steps=next_steps(situation) if into is None else (),
            merged_into=into,
        )


def _as_json(standing: _Standing) -> dict[str, object]:
    from batchgen.core.records import State
    from batchgen.core.text import stamp, usd
    from batchgen.session.judging.flags import flagged_json
    from batchgen.standing.failures import failures_json
    from batchgen.standing.next_steps import steps_json

    spend = standing.spend
    return {
        "format_version": 1,
        "run": standing.run,
        "simulated": standing.simulated,
        "running": standing.owner is not None,
        "items": sum(standing.counts.values()),
        **{state.value: standing.counts.get(state, 0) for state in State},
        "charged_usd": usd(spend.charged),
        "refunded_usd": usd(-spend.refunded),
        "net_usd": usd(spend.charged - spend.refunded),
        "in_doubt_usd": usd(spend.in_doubt),
        "fewer_outputs": standing.fewer,
        **flagged_json(standing.flagged),
        "waiting": standing.waiting.for_pick,
        "sources_kept_until": stamp(standing.waiting.kept_until) if standing.waiting.kept_until else None,
        "source_expired": standing.waiting.source_expired,
        **failures_json(standing.failures),
        "merged_into": None if standing.merged_into is None else str(standing.merged_into),
        "last_run": _last_run_json(standing.last, running=standing.owner is not None),
        "next": steps_json(standing.steps),
        "doubts": [
            {
                "item_id": doubt.item_id,
                "attempt": doubt.number,
                "request_digest": doubt.digest,
                "submitted_at": stamp(doubt.submitted_at),
                "in_doubt_usd": usd(doubt.reserved),
                "reason": doubt.reason,
            }
            for doubt in standing.doubts
        ],
    }


def _last_run_json(last: "LastRun", *, running: bool) -> dict[str, object] | None:
    from batchgen.core.text import stamp
    from batchgen.standing.last_run import last_run_text

    if last.began_at is None:
        return None
    return {
        "began_at": stamp(last.began_at),
        "ended_at": stamp(last.ended_at) if last.ended_at else None,
        "stopped_because": last.stopped_because,
        "text": last_run_text(last, running=running),
        "exit_code": last.exit_code,
    }


def _as_text(standing: _Standing) -> str:
    from batchgen.core.records import State
    from batchgen.core.text import plural, printable, stamp, usd
    from batchgen.journal import money_mark
    from batchgen.session.judging.flags import format_flagged
    from batchgen.standing.failures import format_failures
    from batchgen.standing.last_run import last_run_text
    from batchgen.standing.next_steps import format_steps

    counts, spend, open_doubts = standing.counts, standing.spend, standing.doubts
    running = "not running" if standing.owner is None else f"running{standing.owner}"
    mark = money_mark(simulated=standing.simulated)
    lines = [f"{standing.run}: {plural(sum(counts.values()), 'item')}, {running}{mark}"]
    lines += [f"  {state.value.replace('_', ' '):<10} {counts[state]:>10,}" for state in State if counts.get(state)]
    lines += ["", f"  net {'$' + usd(spend.charged - spend.refunded):>17}"]
    if spend.in_doubt:
        lines.append(f"  in doubt {'$' + usd(spend.in_doubt):>12}")
    if found := format_flagged(standing.flagged):
        lines += ["", found]
    if causes := format_failures(standing.failures):
        lines += ["", *causes]
    if open_doubts:
        lines += ["", f"{plural(len(open_doubts), 'item')} in doubt (UTC, attempt, digest, reserved, reason):"]
        lines += [
            f"  {stamp(doubt.submitted_at)}  {doubt.item_id} #{doubt.number}  {doubt.digest[:16]}"
            f"  ${usd(doubt.reserved)}  {printable(doubt.reason, 160)}"
            for doubt in open_doubts[:_SHOWN]
        ]
        if len(open_doubts) > _SHOWN:
            lines.append(f"  and {len(open_doubts) - _SHOWN:,} more: `--json` lists all")
    if ended := last_run_text(standing.last, running=standing.owner is not None):
        lines += ["", printable(ended, 2000)]
    if standing.merged_into is not None:
        lines += ["", f"merged into {printable(str(standing.merged_into), 300)}, which goes on with it"]
    steps = format_steps(standing.steps)
    return "\n".join([*lines, "", f"folder   {standing.folder}", *(["", *steps] if steps else [])])
