"""When to pause submissions, when to stop, and with which exit code: decisions from the answers so far."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from typing import Literal

from batchgen.core.records import INCOMPLETE, State

START_TIMEOUT = 30.0
"""Seconds after which the run stops if the API was never reached."""
_PROBE_CAP = 60.0
_FIRST_PROBE = 1.0
_DOUBTS_BEFORE_PAUSE = 3


_PRECEDENCE = (130, 5, 3)
"""Exit codes of a run that stopped: if several apply, the first of these."""


class Stop(Enum):
    """Why a run stops early: the word in the summary, the exit code, and whether paid work is finished first."""

    INTERRUPTED = ("interrupted", 130, False)
    KEY = ("key", 5, False)
    UNREACHABLE = ("outage", 5, False)
    """The API cannot be reached at all."""
    DISK = ("disk_full", 5, False)
    DISK_LOW = ("disk_full", 5, True)
    STORE = ("object_store", 5, False)
    """The object store of the outputs cannot be reached, or refuses them."""
    BALANCE = ("balance", 5, True)
    DOUBTS = ("in_doubt", 5, True)
    LEASE = ("lease", 5, False)
    """The lease of a shard was taken over by another process, or could not be renewed."""
    ENGINE = ("engine", 5, True)
    """The engine that places work on workers cannot be reached, or its workers cannot do it."""
    OUTAGE = ("outage", 5, True)
    """It answers, but accepts no submission or delivers no file."""
    ASSETS = ("assets", 5, True)
    """Items need local pictures that cannot be sent: they changed, or were not uploaded."""
    MAX_COST = ("max_cost", 3, True)
    BUDGET = ("budget", 3, True)
    MONTH = ("month", 3, True)
    """The month's budget, which all runs of an output folder share."""
    MAX_NEW = ("max_new", 3, True)
    MAX_FAILURES = ("max_failures", 3, True)
    MAX_FLAGGED = ("max_flagged", 3, True)
    """Too many items brought files that are not as expected."""
    UNTIL = ("until", 3, True)
    """The jobs that are left to buy would end later than the run is to be over."""
    CANARY = ("canary", 3, True)
    """An item that was bought first, for the others to learn from, did not come as it should."""
    DRAIN = ("drain", 3, True)
    WAITING_FOR_PICK = ("waiting_for_pick", 3, True)
    """Only items are left that wait until a person has picked an output."""

    def __init__(self, word: str, exit_code: int, finishes: bool) -> None:  # noqa: FBT001 - an enum's row
        self.word = word
        self.exit_code = exit_code
        self.finishes = finishes
        """Whether what is paid for is still polled and downloaded."""

    def outranks(self, other: "Stop") -> bool:
        """Return whether this reason counts before another one: by exit code, then the one that stops everything."""
        return _rank(self) < _rank(other)


def _rank(stop: Stop) -> tuple[int, bool]:
    return _PRECEDENCE.index(stop.exit_code), stop.finishes


@dataclass(frozen=True, slots=True)
class Pause:
    """Submissions are paused: one probe at a time, not before `until` (loop time, seconds)."""

    until: float


@dataclass(frozen=True, slots=True)
class ApiHealth:
    """How well the API answers submissions and polls. Changed by copy. Times are loop times in seconds."""

    ever_reached: bool = False
    out_since: float | None = None
    """Since when the API could not be reached; None while it answers."""
    unsent_since: float | None = None
    """Since when no submission got a connection, whatever polls did: polls of one slow job must not hide an outage."""
    doubt_streak: int = 0
    """Submissions in doubt, one after another, without a definite answer between them."""
    probe_at: float | None = None
    """When the next probe may leave; None while submissions are open."""
    probe_delay: float = _FIRST_PROBE
    submitted: int = 0
    """Requests of this invocation that were sent."""
    doubts: int = 0
    """Those of them that are in doubt, and their expected prices in USD."""
    doubt_usd: Decimal = Decimal(0)
    dearest: Decimal = Decimal(0)
    """The highest expected price of a request, USD."""

    def sent(self, estimated: Decimal) -> "ApiHealth":
        """A request is sent."""
        return replace(self, submitted=self.submitted + 1, dearest=max(self.dearest, estimated))

    def reached(self) -> "ApiHealth":
        """The API answered, a poll for example: an outage is over, a doubt is not."""
        if self.out_since is None and self.ever_reached:
            return self
        open_again = self.doubt_streak < _DOUBTS_BEFORE_PAUSE
        return replace(
            self,
            ever_reached=True,
            out_since=None,
            probe_at=None if open_again else self.probe_at,
            probe_delay=_FIRST_PROBE if open_again else self.probe_delay,
        )

    def definite(self) -> "ApiHealth":
        """The answer to a submission said whether it was charged: no reason to pause is left."""
        if self.ever_reached and self.troubled_since is None and not self.doubt_streak:
            return self
        return replace(
            self,
            ever_reached=True,
            out_since=None,
            unsent_since=None,
            doubt_streak=0,
            probe_at=None,
            probe_delay=_FIRST_PROBE,
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
        """A submission got no connection: nothing was sent."""
        since = now if self.unsent_since is None else self.unsent_since
        return replace(self.unreachable(now), unsent_since=since)

    def unreachable(self, now: float) -> "ApiHealth":
        """No connection could be made: nothing was sent."""
        return replace(self, out_since=now if self.out_since is None else self.out_since).paused(now)

    def failing(self, now: float) -> "ApiHealth":
        """A poll reached the API but got no usable answer: an outage, unless others are answered."""
        return replace(self, ever_reached=True, out_since=now if self.out_since is None else self.out_since)

    def paused(self, now: float) -> "ApiHealth":
        """Submissions pause; each further problem doubles the time to the next probe."""
        if self.probe_at is not None and now < self.probe_at:
            return self  # an answer to a request that was sent before the pause began
        return replace(self, probe_at=now + self.probe_delay, probe_delay=min(_PROBE_CAP, self.probe_delay * 2))

    @property
    def troubled_since(self) -> float | None:
        """Since when the API could not be reached, or not by submissions; None while it answers."""
        return min((since for since in (self.out_since, self.unsent_since) if since is not None), default=None)

    def pause(self) -> Pause | None:
        """Return the current pause, or None while submissions are open."""
        return Pause(self.probe_at) if self.probe_at is not None else None

    def paused_by(self) -> Literal["outage", "in_doubt"] | None:
        """Return what submissions are paused by; None while they are open.

        One connection that failed is no outage yet: the first probe, a second later, shows whether it is.
        """
        if self.probe_at is None:
            return None
        if self.troubled_since is None:
            return "in_doubt"
        return "outage" if self.probe_delay > 2 * _FIRST_PROBE else None

    def stops_at(self, give_up_after: float) -> float | None:
        """Return the loop time at which an outage stops the run, or None while there is none."""
        if self.troubled_since is None:
            return None
        return self.troubled_since + (give_up_after if self.ever_reached else min(START_TIMEOUT, give_up_after))

    def too_many_doubts(self, max_in_doubt: int | None, cap: Decimal | None) -> bool:
        """Return whether too many submissions of this invocation are in doubt, by count or by money."""
        if self.doubts > (max(20, self.submitted // 100) if max_in_doubt is None else max_in_doubt):
            return True
        return cap is not None and self.doubt_usd > max(cap / 10, 3 * self.dearest)


def space_needed(min_free: int, jobs: int, average: float) -> int:
    """Return how many bytes must be free on the disk before one more purchase.

    `jobs` are paid for and not yet completely on disk; `average` is how many bytes a job took so far. Twice that,
    because these may be larger, and because journal and ledger grow too; and `min_free` bytes on top.
    """
    return min_free + round(2 * jobs * average)


def exit_code(stop: Stop | None, counts: Mapping[State, int], *, failures: int = 0, missing: int = 0) -> int:
    """Return the exit code of a run that ended this way.

    `failures` are the items that failed, were rejected or lost in this invocation, including those that are not in
    `counts`; `missing` are the files that were bought and are not on disk, and the items that were delivered with
    fewer outputs than ordered.
    """
    if stop is not None:
        return stop.exit_code
    if counts.get(State.IN_DOUBT):
        return 4
    if any(counts.get(state) for state in INCOMPLETE):
        return 1
    return 1 if failures or missing else 0
