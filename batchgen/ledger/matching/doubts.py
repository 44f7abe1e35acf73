"""What a bill says about items in doubt. Money is never decided by a guess: an amount that fits proves nothing."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from batchgen.core.records import State
from batchgen.ledger.period import Period

MARGIN = timedelta(hours=1)
"""How far inside the bill's period a request must lie: clocks differ, and a request may take minutes to be charged."""


def surely_covers(period: Period, moment: datetime, now: datetime) -> bool:
    """Whether a bill of a period must have what was charged at a moment: no bill covers what is to come."""
    if period.since is None or period.until is None:
        return False
    return period.since + MARGIN <= moment <= min(period.until, now) - MARGIN


@dataclass(frozen=True, slots=True)
class Doubt:
    """A purchase that may have been charged."""

    run: str
    item_id: str
    attempt: int
    digest: str
    state: State
    price: Decimal
    """USD that it was expected to cost."""
    submitted_at: datetime
    job_id: str = ""
    """The job that an answer named which could not be accepted; empty: none."""


class Verdict(StrEnum):
    """What a bill says about a doubt."""

    JOB = "job"
    """It is the job that its answer named, and the bill has that job."""
    MAYBE_JOB = "maybe_job"
    """One job that only the bill has costs what it was expected to cost, and no other doubt would cost that."""
    MAYBE_NOT_CHARGED = "maybe_not_charged"
    """The bill covers its time, and every job of the bill is known to be another's."""
    OPEN = "open"
    """Nothing."""


@dataclass(frozen=True, slots=True)
class JudgedDoubt:
    """A doubt with what the bill says about it."""

    doubt: Doubt
    verdict: Verdict
    job_id: str
    """The job, for `JOB` and `MAYBE_JOB`."""
    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The jobs that only the bill has."""

    named: frozenset[str]
    """Those that an answer of a doubt named."""
    of_amount: Callable[[Decimal], tuple[int, str]]
    """Returns how many of the others are of an amount, and the first of them."""
    charged: int
    """How many of the others cost something."""


def judge(doubts: Iterable[Doubt], unknown: Unknown, period: Period, now: datetime) -> list[JudgedDoubt]:
    """Return what the bill says about each doubt."""
    known = list(doubts)
    naming = Counter(doubt.job_id for doubt in known if doubt.job_id)
    judged = [_named(doubt, unknown, naming[doubt.job_id]) for doubt in known]
    left = Counter(doubt.price for doubt, found in zip(known, judged, strict=True) if found is None)
    return [
        found or _by_amount(doubt, unknown, left[doubt.price]) or _by_time(doubt, unknown, period, now)
        for doubt, found in zip(known, judged, strict=True)
    ]


def _named(doubt: Doubt, unknown: Unknown, naming: int) -> JudgedDoubt | None:
    if doubt.state is State.SUBMITTING:
        return JudgedDoubt(doubt, Verdict.OPEN, "", "its request is on its way, or the run that sent it was killed")
    if doubt.job_id not in unknown.named:
        return None
    if naming > 1:
        return JudgedDoubt(doubt, Verdict.OPEN, "", f"{naming} requests were answered with job {doubt.job_id}")
    return JudgedDoubt(doubt, Verdict.JOB, doubt.job_id, "the answer named this job, and the bill has it")


def _by_amount(doubt: Doubt, unknown: Unknown, alike: int) -> JudgedDoubt | None:
    jobs, first = unknown.of_amount(doubt.price)
    if not jobs:
        return None
    if jobs == 1 == alike:
        reason = "only this job costs what was expected, which proves nothing: resolve --job-id asks the API"
        return JudgedDoubt(doubt, Verdict.MAYBE_JOB, first, reason)
    reason = f"jobs of this price that only the bill has: {jobs:,}; doubts of this price: {alike:,}"
    return JudgedDoubt(doubt, Verdict.OPEN, "", reason)


def _by_time(doubt: Doubt, unknown: Unknown, period: Period, now: datetime) -> JudgedDoubt:
    if unknown.charged:
        reason = f"it may be one of the jobs that only the bill has ({unknown.charged:,}), at another price"
    elif period.since is None or period.until is None:
        reason = "no job of the bill can be it; --since and --until say whether the bill covers its time"
    elif not surely_covers(period, doubt.submitted_at, now):
        reason = "no job of the bill can be it, but it was sent less than an hour from an end of the bill's time"
        if not period.contains(doubt.submitted_at):
            reason = "it was sent outside of the bill's time"
    else:
        reason = "the bill covers its time, and each of its jobs is another's: not charged, if the bill is complete"
        return JudgedDoubt(doubt, Verdict.MAYBE_NOT_CHARGED, "", reason)
    return JudgedDoubt(doubt, Verdict.OPEN, "", reason)
