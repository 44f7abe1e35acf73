"""Taking a lease, keeping it, and knowing at any moment whether it is still held.

Nothing here compares the clocks of two machines. A follower takes a lease over when its record has not changed for
`TAKEN_OVER` seconds of the follower's own clock. The holder counts from before each heartbeat by its own, and stops
`MARGIN` seconds before a follower can begin. Both write by compare-and-swap, so that a heartbeat and a take-over never
both succeed.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from batchgen.core.clock import utc_now
from batchgen.core.errors import RunFolderError
from batchgen.core.text import stamp
from batchgen.lease.port import LeasePlace
from batchgen.lease.process import ProcessName
from batchgen.lease.record import LeaseRecord

TAKEN_OVER = 30.0
"""Seconds without a heartbeat after which a lease is taken over."""
MARGIN = 6.0
"""Seconds by which a holder stops earlier than that: for a request that is just leaving, and clocks that run apart."""
BEAT_EVERY = 4.0
"""Seconds between two heartbeats."""
_LOOK_EVERY = 1.0


class LeaseLostError(RunFolderError):
    """Another process has taken the lease over."""


def _awake() -> float:
    # Unlike the monotonic clock of Linux, this one goes on while the machine sleeps (clock_gettime(2)).
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks of this machine: seconds that only go forward, and the time of day."""

    seconds: Callable[[], float] = _awake
    utc_now: Callable[[], datetime] = utc_now


@dataclass(frozen=True, slots=True)
class _Moment:
    seconds: float
    utc: datetime

    @classmethod
    def of(cls, clocks: Clocks) -> "_Moment":
        return cls(clocks.seconds(), clocks.utc_now())

    def since(self, earlier: "_Moment") -> float:
        """Return the seconds since then, by the clock that shows more: a virtual machine that was paused may hear of
        that by one of them alone. A time of day that was set back shows nothing."""
        return max(self.seconds - earlier.seconds, (self.utc - earlier.utc).total_seconds())


class HeldLease:
    """A lease that this process has taken. One thread renews it, and others ask whether it holds."""

    def __init__(
        self, place: LeasePlace, name: str, record: LeaseRecord, version: str, *, at: _Moment, clocks: Clocks
    ) -> None:
        self.place = place
        self.name = name
        self.record = record
        self._version = version
        self._renewed = at
        self._clocks = clocks
        self._writing = threading.Lock()
        self.lost = False
        """Whether another process has taken it over."""

    def holds(self) -> bool:
        """Whether no other process can have taken it over until now. Waits for nothing."""
        return not self.lost and _Moment.of(self._clocks).since(self._renewed) < TAKEN_OVER - MARGIN

    def renew(self) -> None:
        """Write a heartbeat. Raises LeaseLostError, DiskError, StoreError."""
        self._write(lambda record: replace(record, beat=record.beat + 1))

    def note_receipts(self) -> None:
        """Note that the copy of the receipts of this generation is complete. Raises as `renew`."""
        self._write(lambda record: replace(record, beat=record.beat + 1, receipts=record.generation))

    def release(self) -> None:
        """Let it go: the next process need not wait. Raises as `renew`."""
        self._write(lambda record: replace(record, beat=record.beat + 1, released=True))

    def _write(self, change: Callable[[LeaseRecord], LeaseRecord]) -> None:
        with self._writing:
            if self.lost:
                raise LeaseLostError(self._lost_to())
            begun = _Moment.of(self._clocks)
            record = change(self.record)
            version = self.place.replace(self.name, record.encoded(), self._version)
            if version is None and self._wrote_last():
                record = change(self.record)
                version = self.place.replace(self.name, record.encoded(), self._version)
            if version is None:
                self.lost = True
                raise LeaseLostError(self._lost_to())
            self.record, self._version, self._renewed = record, version, begun

    def _wrote_last(self) -> bool:
        """Whether the newest version is of this process after all: one that seemed to fail. Go on from it then."""
        found = self.place.read(self.name)
        if found is None:
            return False
        record = LeaseRecord.decoded(found.content, self.name)
        if (record.generation, record.holder) != (self.record.generation, self.record.holder):
            return False
        self.record, self._version = record, found.version
        return True

    def _lost_to(self) -> str:
        found = self.place.read(self.name)
        who = "" if found is None else f" ({LeaseRecord.decoded(found.content, self.name).who})"
        return f"another process{who} has taken over the lease {self.name} in {self.place}"


def take(
    place: LeasePlace, name: str, holder: ProcessName, *,
    tell: Callable[[str], None], wait: Callable[[float], None], clocks: Clocks | None = None,
) -> HeldLease:  # fmt: skip
    """Take a lease: at once where it is new, released, or its holder died on this host, else once it is silent.

    `tell` hears a sentence before it waits; `wait` waits for so many seconds, or raises. Raises RunFolderError where
    its holder is alive; DiskError, StoreError.
    """
    clocks = clocks or Clocks()
    begun = _Moment.of(clocks)
    record = LeaseRecord(1, holder, stamp(begun.utc))
    version = place.create(name, record.encoded())
    if version is not None:
        return HeldLease(place, name, record, version, at=begun, clocks=clocks)
    before, version = _read(place, name)
    seen = clocks.seconds()
    if not (before.released or before.holder.is_dead()):
        tell(
            f"the lease {name} in {place} is held by {before.who}; it is taken over if no heartbeat comes for"
            f" {TAKEN_OVER:.0f} s"
        )
        while clocks.seconds() - seen < TAKEN_OVER:
            wait(_LOOK_EVERY)
            now, now_version = _read(place, name)
            if now.released:
                before, version = now, now_version
                break
            if now_version != version:
                raise _in_use(now, name, place)
    begun = _Moment.of(clocks)
    record = LeaseRecord(before.generation + 1, holder, stamp(begun.utc), receipts=before.receipts)
    taken = place.replace(name, record.encoded(), version)
    if taken is None:
        raise _in_use(_read(place, name)[0], name, place)
    return HeldLease(place, name, record, taken, at=begun, clocks=clocks)


def _read(place: LeasePlace, name: str) -> tuple[LeaseRecord, str]:
    found = place.read(name)
    if found is None:
        raise RunFolderError(f"the lease {name} in {place} was deleted; restore it, since it says what was bought")
    return LeaseRecord.decoded(found.content, f"{name} in {place}"), found.version


def _in_use(record: LeaseRecord, name: str, place: LeasePlace) -> RunFolderError:
    return RunFolderError(
        f"the lease {name} in {place} is in use by another batchgen ({record.who}); wait for it, or stop it with Ctrl-C"
    )
