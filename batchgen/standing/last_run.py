"""How a run stands between its invocations: when the last one began and ended, and why it stopped.

A run notes it in the journal, so that whoever looks later (`status`, the report, the viewer) can say it, also of a run
that was killed.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from batchgen.core.text import printable, stamp, usd

_FACT = "last_run"
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class LastRun:
    """The last invocation of `run` or `collect` in a run folder, or the one that goes on."""

    began_at: datetime | None = None
    """None: there was none yet, or one of an older version."""
    ended_at: datetime | None = None
    """None: it goes on, or was killed."""
    stopped_because: str | None = None
    """The word in the summary; None: it finished, or has not ended."""
    detail: str = ""
    """Why it stopped, a sentence."""
    exit_code: int | None = None
    max_cost: Decimal | None = None
    """Its cap for all that the run folder ever costs, USD; None: it had none."""
    budget: Decimal | None = None
    """Its cap for itself, USD."""
    spent_before: Decimal = Decimal(0)
    """What the run folder had cost when it began, USD."""

    @property
    def began_only(self) -> bool:
        """Whether it has begun and not ended: where it does not run, it was killed."""
        return self.began_at is not None and self.ended_at is None


def last_run_of(facts: Mapping[str, str]) -> LastRun:
    """Return what a journal has noted; nothing where an older version wrote it, or a later one in another form."""
    try:
        values = json.loads(facts.get(_FACT, "{}"))
        return LastRun(
            began_at=_time(values.get("began_at")),
            ended_at=_time(values.get("ended_at")),
            stopped_because=values.get("stopped_because"),
            detail=str(values.get("detail", "")),
            exit_code=values.get("exit_code"),
            max_cost=_amount(values.get("max_cost")),
            budget=_amount(values.get("budget")),
            spent_before=Decimal(values.get("spent_before", "0")),
        )
    except (ValueError, TypeError, ArithmeticError, AttributeError):
        return LastRun()


def last_run_fact(last: LastRun) -> dict[str, str]:
    """Return what a journal has to note."""
    values = {
        "began_at": None if last.began_at is None else stamp(last.began_at),
        "ended_at": None if last.ended_at is None else stamp(last.ended_at),
        "stopped_because": last.stopped_because,
        "detail": printable(last.detail, _LONGEST),
        "exit_code": last.exit_code,
        "max_cost": None if last.max_cost is None else usd(last.max_cost),
        "budget": None if last.budget is None else usd(last.budget),
        "spent_before": usd(last.spent_before),
    }
    return {_FACT: json.dumps(values)}


def why_it_ended(last: LastRun, *, running: bool) -> str:
    """Return why the last invocation ended early, a sentence; empty where it did not, or nothing is known."""
    if running or last.began_at is None:
        return ""
    if last.ended_at is None:
        return "Stopped from outside (killed, or a crash); nothing that was recorded is lost"
    return f"Stopped: {_reason(last)}" if last.stopped_because else ""


def last_run_text(last: LastRun, *, running: bool) -> str:
    """Return one sentence about how the last invocation ended; empty while it runs, and where nothing is known."""
    if running or last.began_at is None:
        return ""
    if last.ended_at is None:
        return (
            f"the last run began at {stamp(last.began_at)} and was stopped from outside (killed, or a crash);"
            " nothing that was recorded is lost"
        )
    if last.stopped_because is None:
        return f"the last run finished at {stamp(last.ended_at)}"
    return f"the last run stopped at {stamp(last.ended_at)}: {_reason(last)}"


def _reason(last: LastRun) -> str:
    return last.detail or (last.stopped_because or "").replace("_", " ")


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
