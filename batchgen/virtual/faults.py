"""What can go wrong between a run and the provider: at random rates, and for certain during scripted episodes."""

import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    """One way for things to go wrong."""

    NOT_SENT = "not sent"
    """A submission finds no connection."""
    ANSWER_LOST = "answer lost"
    """The job exists and costs money, and its answer never arrives."""
    UNREADABLE = "unreadable answer"
    """A 2xx without an id; accepted or not."""
    SERVER_ERROR = "server error"
    """A 5xx that promises nothing; not accepted."""
    BUSY = "busy"
    """502 generation_unavailable."""
    RATE_LIMITED = "rate limited"
    """429 with Retry-After."""
    REJECTED = "rejected"
    UNAUTHORIZED = "unauthorized"
    """401, for submissions, polls and files."""
    NO_BALANCE = "no balance"
    BARE_ANSWER = "bare answer"
    """Accepted, but the answer holds an id and nothing else."""

    SAME_ID = "same id"
    """Accepted, and the answer names another job of the account; strikes once there is one that was asked for."""
    FOREIGN_ANSWER = "foreign answer"
    """Accepted, and the answer describes somebody else's job."""

    COST_MISSING = "cost missing"
    """The answer to a submission names no price; polls do."""
    COST_LOW = "cost low"
    """The answer to a submission names half of the price; polls name all of it."""
    DRIFT = "price drift"
    """The provider charges a tenth more than the tables say."""
    JOB_FAILS = "job fails"
    """Failed and refunded."""
    JOB_SLOW = "job slow"
    """Takes a hundred times as long."""
    JOB_STUCK = "job stuck"
    """Never ends."""
    JOB_FORGOTTEN = "job forgotten"
    """From some moment on the provider does not know it any more."""
    NO_OUTPUTS = "no outputs"
    """Completed, and nothing to show for it."""
    OUTPUTS_LATE = "outputs late"
    """Completed at first without outputs, and with them soon after."""
    OUTPUTS_ONE_BY_ONE = "outputs one by one"
    """Completed at first with the first of its outputs, and with all of them half a minute later."""
    FEWER_OUTPUTS = "fewer outputs"
    """One output of several is never listed."""
    FIRST_OUTPUT_MISSING = "first output missing"
    """The first of several outputs has no address, ever."""
    MORE_OUTPUTS = "more outputs"
    """One more than ordered."""

    POLL_FAILS = "poll fails"
    """A poll is answered with a 5xx."""
    POLL_UNREACHED = "poll unreached"
    POLL_LIMITED = "poll limited"
    """429 with Retry-After."""
    POLL_UNKNOWN = "poll unknown"
    """404 for a job that exists."""

    FILE_LATE = "file late"
    """404 for some seconds after completion."""
    FILE_TRUNCATED = "file truncated"
    """Fewer bytes than announced."""
    FILE_BROKEN = "file broken"
    """The connection breaks."""
    FILE_WRONG = "file wrong"
    """A page of HTML, with a 200."""
    FILE_LIMITED = "file limited"
    """429 with Retry-After."""
    FILE_FOREIGN = "file foreign"
    """Whole, of a format that is not known."""
    FILE_GONE = "file gone"
    """410 for good."""


AT_SUBMISSION = (
    Fault.NOT_SENT, Fault.ANSWER_LOST, Fault.UNREADABLE, Fault.SERVER_ERROR, Fault.BUSY, Fault.RATE_LIMITED,
    Fault.REJECTED, Fault.UNAUTHORIZED, Fault.NO_BALANCE, Fault.BARE_ANSWER, Fault.SAME_ID,
    Fault.FOREIGN_ANSWER,
)  # fmt: skip
AT_JOB = (
    Fault.JOB_FAILS, Fault.JOB_SLOW, Fault.JOB_STUCK, Fault.JOB_FORGOTTEN, Fault.NO_OUTPUTS, Fault.OUTPUTS_LATE,
    Fault.OUTPUTS_ONE_BY_ONE, Fault.FEWER_OUTPUTS, Fault.FIRST_OUTPUT_MISSING, Fault.MORE_OUTPUTS,
)  # fmt: skip
AT_POLL = (Fault.POLL_FAILS, Fault.POLL_UNREACHED, Fault.POLL_LIMITED, Fault.POLL_UNKNOWN, Fault.UNAUTHORIZED)
AT_FILE = (Fault.FILE_TRUNCATED, Fault.FILE_BROKEN, Fault.FILE_WRONG, Fault.FILE_LIMITED, Fault.UNAUTHORIZED)
AT_FIRST_LOOK = (Fault.FILE_LATE, Fault.FILE_GONE, Fault.FILE_FOREIGN)
"""Decided once for a file."""

OUTAGE = (Fault.NOT_SENT, Fault.POLL_UNREACHED, Fault.FILE_BROKEN)
"""No connection to anything."""


@dataclass(frozen=True, slots=True)
class Episode:
    """A fault that strikes every time between two moments of the virtual clock (seconds)."""

    start: float
    end: float
    fault: Fault
    subject: str = ""
    """Where given, only what contains this text is struck: a body, a job's id, an output's address."""


def episodes(start: float, end: float, faults: Iterable[Fault]) -> tuple[Episode, ...]:
    """Return one episode for each fault."""
    return tuple(Episode(start, end, fault) for fault in faults)


@dataclass(frozen=True, slots=True)
class Faults:
    """Which faults strike, and how often."""

    rates: Mapping[Fault, float] = field(default_factory=dict)
    """Probabilities."""
    script: tuple[Episode, ...] = ()


class Fate:
    """Decides which fault strikes, and keeps count."""

    def __init__(self, faults: Faults, draws: random.Random) -> None:
        self.faults = faults
        self._draws = draws
        self.struck: Counter[Fault] = Counter()

    def pick(self, candidates: Iterable[Fault], now: float, subject: str) -> Fault | None:
        """Return the first of the candidates that strikes now, or None."""
        if self.faults.rates or self.faults.script:
            for fault in candidates:
                if self.strikes(fault, now, subject):
                    return fault
        return None

    def strikes(self, fault: Fault, now: float, subject: str) -> bool:
        """Whether this fault strikes now."""
        scripted = any(e.fault is fault and e.start <= now < e.end and e.subject in subject for e in self.faults.script)
        rate = self.faults.rates.get(fault, 0.0)
        hit = scripted or (rate > 0 and self._draws.random() < rate)
        self.struck[fault] += hit
        return hit
