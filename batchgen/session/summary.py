"""What a run came to: `summary.json`, and the same for people."""

import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchgen.core.files import staged_text
from batchgen.core.records import BOUGHT, LIVE, UNSUCCESSFUL, State
from batchgen.core.text import plural, printable, usd
from batchgen.journal import money_mark
from batchgen.ledger import CostReport, LedgerTotals
from batchgen.policy.stopping import Stop

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
    costs: CostReport
    """By model, with `run` and `collect`'s own rows only."""
    stop: Stop | None
    detail: str
    failures: int
    """Items that failed in this invocation, including those no longer in the manifest."""
    missing: int
    """Files that were bought and are not on disk as they were."""
    fewer: int
    """Items that are done with fewer outputs than were ordered."""
    exit_code: int
    simulated: bool = False
    """Whether it is pretend money."""
    advice: str | None = None
    """One sentence where another concurrency would have been better."""
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
        "simulated": summary.simulated,
        "stopped_because": summary.stop.word if summary.stop else None,
        "exit_code": summary.exit_code,
    }


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
    if summary.costs.groups:
        lines += ["", f"  {'model':<32} {'rows':>8} {'net':>12}"]
        lines += [
            f"  {model or '':<32} {sums.rows:>8,} {'$' + usd(sums.charged + sums.refunded):>12}"
            for model, sums in summary.costs.groups
        ]
    lines += ["", f"files    {summary.folder / 'files'}", f"ledger   {summary.folder / 'ledger.csv'}"]
    if summary.clock is not None:
        lines += ["", f"note: {summary.clock}"]
    if summary.stop is not None:
        lines += ["", f"stopped: {printable(summary.detail, 2000)}"]
    return "\n".join([*lines, *_next_steps(summary)])


def _dollars(amount: str) -> str:
    return f"-${amount[1:]}" if amount.startswith("-") else f"${amount}"


def _next_steps(summary: Summary) -> list[str]:
    counts = summary.counts
    steps = []
    if summary.missing:
        steps.append(f"{plural(summary.missing, 'file')} missing or damaged: run `batchgen verify --refetch`")
    if summary.fewer:
        steps.append(
            f"{plural(summary.fewer, 'item')} delivered fewer outputs than ordered (`fewer_outputs` in the ledger):"
            " `batchgen verify --refetch` asks the provider for the rest once more"
        )
    if summary.failures and not any(counts.get(state) for state in UNSUCCESSFUL):
        steps.append("some items no longer in the manifest failed; see the ledger")
    if summary.stop is not None and (summary.in_flight or counts.get(State.PENDING)):
        first = "with a higher max_cost " if summary.stop is Stop.MAX_COST else ""
        steps.append(f"run the same command {first}to continue; nothing is bought twice")
    if bad := [state for state in UNSUCCESSFUL.ordered if state not in BOUGHT and counts.get(state)]:
        steps.append(f"failed and rejected items were not charged: `--retry {','.join(bad)}` retries them")
    if counts.get(State.LOST):
        steps.append(
            "lost items were paid for: every `run` and `collect --lost` asks the provider for them once more, at no"
            " cost; `--retry lost --yes` buys lost items again: you pay twice"
        )
    if counts.get(State.IN_DOUBT):
        steps.append("items in doubt may have been charged: look them up (`batchgen status`), then `batchgen resolve`")
    told = [f"next: {step}" for step in steps] + ([f"tip: {summary.advice}"] if summary.advice else [])
    return ["", *told] if told else []
