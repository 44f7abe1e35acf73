"""What a run came to, as Python sees it: the attributes of `summary.json`."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchgen.core.text import plural, usd
from batchgen.library.html import table
from batchgen.session.summary import Summary, format_summary, summary_json
from batchgen.standing.failures import Cause, Repair
from batchgen.standing.next_steps import Step


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The end of one invocation: items as asked for in it, money (USD) since the run folder began."""

    run: str
    folder: Path
    items: int
    done: int
    failed: int
    rejected: int
    lost: int
    in_doubt: int
    skipped: int
    in_flight: int
    pending: int
    charged_usd: Decimal
    refunded_usd: Decimal
    """Negative or 0."""
    net_usd: Decimal
    in_doubt_usd: Decimal
    drifted: int
    """Charges that differ from the catalogue price."""
    drift_usd: Decimal
    missing_files: int
    fewer_outputs: int
    flagged: int
    """Items with flagged files."""
    flags: Mapping[str, int]
    """How many of them have each flag."""
    unjudged_files: int
    """Files that `batchgen check` has yet to judge."""
    simulated: bool
    stopped_because: str | None
    exit_code: int
    """That of `batchgen run`: 0 when everything asked for is on disk."""
    failures: tuple[Cause, ...]
    """Why items did not succeed, the most items first."""
    other_failures: int
    """Items of further causes."""
    repair: Repair | None
    """The command that buys failed items again."""
    repair_lost: Repair | None
    """The command that buys lost items again: you pay twice."""
    next: tuple[Step, ...]
    """What to do next, the most urgent first."""
    text: str
    """The table that `batchgen run` prints."""

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        counts = ("done", "failed", "rejected", "lost", "in_doubt", "skipped", "in_flight", "pending")
        rows = [(name.replace("_", " "), f"{count:,}") for name in counts if (count := getattr(self, name))]
        rows += [("net", f"${usd(self.net_usd)}"), ("folder", str(self.folder))]
        if self.stopped_because is not None:
            rows.append(("stopped", self.stopped_because))
        mark = ", simulated: pretend money" if self.simulated else ""
        return table(f"{self.run}: {plural(self.items, 'item')}{mark}", rows)


def summary_of(summary: Summary) -> RunSummary:
    """Return a session's summary for Python."""
    shown = summary_json(summary)
    known = {field.name for field in fields(RunSummary)}
    values: dict[str, Any] = {name: value for name, value in shown.items() if name in known}
    values |= {name: Decimal(value) for name, value in values.items() if name.endswith("_usd")}
    causes = summary.failures_by_cause
    values |= {"failures": causes.causes, "repair": causes.repair, "repair_lost": causes.lost, "next": summary.steps}
    return RunSummary(folder=summary.folder, text=format_summary(summary), **values)
