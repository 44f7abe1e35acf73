"""What a run came to: `summary.json`, and the same for people."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchgen.core.files import staged_text
from batchgen.core.records import LIVE, State
from batchgen.core.text import plural, printable, usd
from batchgen.journal import money_mark
from batchgen.journal.queries.judged import NOTHING_FLAGGED, Flagged
from batchgen.ledger import LedgerTotals
from batchgen.policy.budget import Money
from batchgen.policy.stopping import Stop
from batchgen.session.judging.flags import flagged_json, format_flagged
from batchgen.standing.failures import NO_FAILURES, Failures, failures_json, format_failures
from batchgen.standing.next_steps import Step, format_steps, steps_json
from batchgen.store import Address

SUMMARY_NAME = "summary.json"
FORMAT_VERSION = 1
SHOWN_STATES = (State.DONE, State.FAILED, State.REJECTED, State.LOST, State.IN_DOUBT, State.SKIPPED)


@dataclass(frozen=True, slots=True)
class Summary:
    """The end of one invocation: items as asked for in it, money since the run folder began."""

    run: str
    folder: Path
    counts: dict[State, int]
    totals: LedgerTotals
    stop: Stop | None
    detail: str
    failures: int
    """Items that failed in this invocation, including those no longer in the manifest."""
    missing: int
    """Files that were bought and are not on disk as they were."""
    fewer: int
    """Items that are done with fewer outputs than were ordered."""
    exit_code: int
    failures_by_cause: Failures = NO_FAILURES
    flagged: Flagged = NOTHING_FLAGGED
    """What was found about delivered files."""
    simulated: bool = False
    """Whether it is pretend money."""
    advice: str | None = None
    """One sentence where another concurrency would have been better."""
    report: Path | str | None = None
    """Where the report is, or why there is none; None: none was wanted."""
    source_expired: int = 0
    """Items that stay pending, since the provider no longer has a file that they need."""
    steps: tuple[Step, ...] = ()
    outputs: Address | None = None
    """Where the files are in an object store; None: in the folder."""
    """What to do next."""
    clock: str | None = None
    """One sentence where this computer's clock and the API's do not agree."""

    @property
    def in_flight(self) -> int:
        """Items at the provider, or done there and not on disk."""
        return sum(self.counts.get(state, 0) for state in LIVE)


def summary_json(summary: Summary) -> dict[str, Any]:
    """Return the summary in the shape of `summary.json` and `run --json`."""
    counts, totals = summary.counts, summary.totals
    return {
        "format_version": FORMAT_VERSION,
        "run": summary.run,
        "items": sum(counts.values()),
        **{state.value: counts.get(state, 0) for state in SHOWN_STATES},
        "in_flight": summary.in_flight,
        "pending": counts.get(State.PENDING, 0),
        "charged_usd": usd(totals.charged),
        "refunded_usd": usd(totals.refunded),
        "net_usd": usd(totals.charged + totals.refunded),
        "in_doubt_usd": usd(totals.in_doubt),
        "drifted": totals.drifted,
        "drift_usd": usd(totals.drift),
        "missing_files": summary.missing,
        "fewer_outputs": summary.fewer,
        **flagged_json(summary.flagged),
        "simulated": summary.simulated,
        **failures_json(summary.failures_by_cause),
        "next": steps_json(summary.steps),
        "stopped_because": summary.stop.word if summary.stop else None,
        "exit_code": summary.exit_code,
    }


FIGURES = (
    "format_version", "run", "items", *(state.value for state in SHOWN_STATES), "in_flight", "pending", "charged_usd",
    "refunded_usd", "net_usd", "in_doubt_usd", "drifted", "drift_usd", "missing_files", "fewer_outputs", "flagged",
    "unjudged_files", "simulated",
    "stopped_because", "exit_code",
)  # fmt: skip
"""What of `summary.json` is figures and fixed words: it tells nothing of prompts, ids, paths, or what servers said."""


def figures_of(summary: Summary) -> dict[str, Any]:
    """Return the figures of a run that has ended."""
    shown = summary_json(summary)
    return {name: shown[name] for name in FIGURES}


def figures_now(
    name: str | None, counts: Mapping[State, int] | None = None, life: Money | None = None, *, simulated: bool = False
) -> dict[str, Any]:
    """Return the figures of a run that goes on, or of one that never began; what is not known is None."""
    figures: dict[str, Any] = dict.fromkeys(FIGURES)
    figures |= {"format_version": FORMAT_VERSION, "run": name, "simulated": simulated}
    if counts is not None:
        figures |= {"items": sum(counts.values()), "in_flight": sum(counts.get(state, 0) for state in LIVE)}
        figures |= {state.value: counts.get(state, 0) for state in (*SHOWN_STATES, State.PENDING)}
    if life is not None:
        figures |= {
            "charged_usd": usd(life.charged),
            "refunded_usd": usd(-life.refunded),
            "net_usd": usd(life.charged - life.refunded),
            "in_doubt_usd": usd(life.in_doubt),
        }
    return figures


def write_summary(summary: Summary) -> None:
    """Write `summary.json` into the run folder. Raises DiskError."""
    with staged_text(summary.folder / SUMMARY_NAME) as out:
        out.write(json.dumps(summary_json(summary), indent=2) + "\n")


def format_summary(summary: Summary) -> str:
    """Return the summary for people: items by state, money, models, where the files are, what to do next."""
    shown = summary_json(summary)
    words = [*(state.value for state in SHOWN_STATES), "in_flight", "pending"]
    lines = [f"{summary.run}: {plural(shown['items'], 'item')}{money_mark(simulated=summary.simulated)}"]
    lines += [f"  {word.replace('_', ' '):<10} {shown[word]:>10,}" for word in words if shown[word] or word == "done"]
    lines.append("")
    for word in ("charged", "refunded", "net", "in_doubt"):
        if word in ("charged", "net") or Decimal(shown[f"{word}_usd"]):
            lines.append(f"  {word.replace('_', ' '):<10} {_dollars(shown[f'{word}_usd']):>10}")
    if summary.totals.drifted:
        lines.append(
            f"  {plural(summary.totals.drifted, 'charge')} {'differs' if summary.totals.drifted == 1 else 'differ'}"
            " from the catalogue price,"
            f" ${usd(summary.totals.drift)} in all"
        )
    if unknown := summary.totals.flagged.get("unknown_format"):
        lines.append(
            f"  {plural(unknown, 'item')} with files in an unknown format, kept unchanged: check them"
            " (`unknown_format` in the ledger)"
        )
    if found := format_flagged(summary.flagged):
        lines.append(f"  {found}")
    if summary.totals.by_model:
        lines += ["", f"  {'model':<32} {'rows':>8} {'net':>12}"]
        lines += [
            f"  {model:<32} {sums.rows:>8,} {'$' + usd(sums.net):>12}"
            for model, sums in sorted(summary.totals.by_model.items())
        ]
    if causes := format_failures(summary.failures_by_cause):
        lines += ["", *causes]
    lines += ["", f"files    {summary.outputs or summary.folder}/files", f"ledger   {summary.folder / 'ledger.csv'}"]
    if summary.report is not None:
        lines.append(f"report   {summary.report}")
    if summary.clock is not None:
        lines += ["", f"note: {summary.clock}"]
    if summary.stop is not None:
        lines += ["", f"stopped: {printable(summary.detail, 2000)}"]
    told = format_steps(summary.steps) + ([f"tip: {summary.advice}"] if summary.advice else [])
    return "\n".join([*lines, *(["", *told] if told else [])])


def _dollars(amount: str) -> str:
    return f"-${amount[1:]}" if amount.startswith("-") else f"${amount}"
