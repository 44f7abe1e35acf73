"""When to pause submissions, when to stop, and how a run ended: decisions on what the answers were so far."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum

from batchgen.core.records import INCOMPLETE, State

START_PATIENCE = 30.0
"""Seconds: an API that was never reached ends the run after this."""
_PROBE_CAP = 60.0
_DOUBTS_BEFORE_PAUSE = 3


class Stop(Enum):
    """Why a run ends before all is bought: the word in the summary, the exit code, and whether paid work goes on."""

    INTERRUPTED = ("interrupted", 130, False)
    KEY = ("key", 5, False)
    UNREACHABLE = ("outage", 5, False)
    """Nothing can be asked: there is no answer at all."""
    DISK = ("disk_full", 5, False)
    DISK_LOW = ("disk_full", 5, True)
    BALANCE = ("balance", 5, True)
    DOUBTS = ("in_doubt", 5, True)
    OUTAGE = ("outage", 5, True)
    """It answers, and takes nothing up or hands nothing out."""
    MAX_COST = ("max_cost", 3, True)
    BUDGET = ("budget", 3, True)
    MAX_NEW = ("max_new", 3, True)
    MAX_FAILURES = ("max_failures", 3, True)
    DRAIN = ("drain", 3, True)

    def __init__(self, word: str, exit_code: int, finishes: bool) -> None:  # noqa: FBT001 - an enum's row
        self.word = word
        self.exit_code = exit_code
        self.finishes = finishes
        """Whether what is paid for is still polled and downloaded."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Submissions pause: one probe at a time, not before `until` (loop time, seconds)."""

    until: float


@dataclass(frozen=True, slots=True)
class ApiHealth:
    """What the answers to submissions and polls say about the API, changed by copy. Times are loop times in seconds."""

    ever_reached: bool = False
    out_since: float | None = None
    """Since when nothing was reached; None while the API answers."""
    unsent_since: float | None = None
    """Since when no submission found a connection, whatever polls did: one slow job that polls well hides no outage."""
    doubt_streak: int = 0
    probe_at: float | None = None
    """When the next probe may leave; None while submissions are open."""
    probe_delay: float = 1.0
    submitted: int = 0
    """Requests of this invocation that left, or were about to."""
    doubts: int = 0
    doubt_usd: Decimal = Decimal(0)
    dearest: Decimal = Decimal(0)

    def sent(self, estimated: Decimal) -> "ApiHealth":
        """A submission starts."""
        return replace(self, submitted=self.submitted + 1, dearest=max(self.dearest, estimated))

    def reached(self) -> "ApiHealth":
        """The API answered something, a poll for example: an outage is over, a doubt is not."""
        if self.out_since is None and self.ever_reached:
            return self
        open_again = self.doubt_streak < _DOUBTS_BEFORE_PAUSE
        return replace(
            self,
            ever_reached=True,
            out_since=None,
            probe_at=None if open_again else self.probe_at,
            probe_delay=1.0 if open_again else self.probe_delay,
        )

    def definite(self) -> "ApiHealth":
        """A submission got an answer that says whether it was charged: everything is open again."""
        if self.ever_reached and self.troubled_since is None and not self.doubt_streak:
            return self
        return replace(
            self,
            ever_reached=True,
            out_since=None,
            unsent_since=None,
            doubt_streak=0,
            probe_at=None,
            probe_delay=1.0,
        )

    def unclear(self, now: float, estimated: Decimal) -> "ApiHealth":
        """A submission may have been charged."""
        after = replace(
            self,
            ever_reached=True,
            out_since=None,
            unsent_since=None,
            doubt_streak=self.doubt_streak + 1,
            doubts=self.doubts + 1,
            doubt_usd=self.doubt_usd + estimated,
        )
        return after.paused(now) if after.doubt_streak >= _DOUBTS_BEFORE_PAUSE else after

    def not_sent(self, now: float) -> "ApiHealth":
        """A submission found no connection: nothing was sent."""
        since = now if self.unsent_since is None else self.unsent_since
        return replace(self.unreachable(now), unsent_since=since)

    def unreachable(self, now: float) -> "ApiHealth":
        """No connection could be made: nothing was sent."""
        return replace(self, out_since=now if self.out_since is None else self.out_since).paused(now)

    def failing(self, now: float) -> "ApiHealth":
        """The API was reached, but a poll got no usable answer: an outage, unless others are answered."""
        return replace(self, ever_reached=True, out_since=now if self.out_since is None else self.out_since)

    def paused(self, now: float) -> "ApiHealth":
        """Submissions pause; each further trouble doubles the time to the next probe."""
        if self.probe_at is not None and now < self.probe_at:
            return self  # answers to requests that left before the pause began
        return replace(self, probe_at=now + self.probe_delay, probe_delay=min(_PROBE_CAP, self.probe_delay * 2))

    @property
    def troubled_since(self) -> float | None:
        """Since when nothing was reached, or no submission got out; None while the API answers."""
        return min((since for since in (self.out_since, self.unsent_since) if since is not None), default=None)

    def pause(self) -> Pause | None:
        """Return the pause in force, or None while submissions are open."""
        return Pause(self.probe_at) if self.probe_at is not None else None

    def gives_up_at(self, give_up_after: float) -> float | None:
        """Return the loop time at which an outage ends the run, or None while there is none."""
        if self.troubled_since is None:
            return None
        return self.troubled_since + (give_up_after if self.ever_reached else min(START_PATIENCE, give_up_after))

    def too_many_doubts(self, max_in_doubt: int | None, cap: Decimal | None) -> bool:
        """Whether submissions end for good: too many in doubt in this invocation, by count or by money."""
        if self.doubts > (max(20, self.submitted // 100) if max_in_doubt is None else max_in_doubt):
            return True
        return cap is not None and self.doubt_usd > max(cap / 10, 3 * self.dearest)


def room_needed(min_free: int, jobs: int, average: float) -> int:
    """Return the bytes that must be free on the disk for one more purchase.

    `jobs` are paid for and not yet all on disk, `average` is how many bytes a job came to so far. Twice that, since
    what is under way may be larger, and journal and ledger grow with it; beside it, `min_free` bytes.
    """
    return min_free + round(2 * jobs * average)


def exit_code(stop: Stop | None, counts: Mapping[State, int], *, failures: int = 0, missing: int = 0) -> int:
    """Return the exit code of a run that ended this way (DESIGN, "Commands").

    `failures` are items that ended badly in this invocation, also those that are not in `counts`; `missing` are
    files that were bought and are not on disk, and items that brought fewer than were ordered.
    """
    if stop is not None:
        return stop.exit_code
    if counts.get(State.IN_DOUBT):
        return 4
    if any(counts.get(state) for state in INCOMPLETE):
        return 1
    return 1 if failures or missing else 0
