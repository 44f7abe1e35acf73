"""What a session needs from the program around it: somebody who hears its events, answers its questions and may stop
it, and what it may use of the process. A command line is one such program; a script, a viewer or an engine are others.
"""

import time
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchgen.core.clock import UtcNow, utc_now
from batchgen.core.descriptors import current_limit
from batchgen.journal import ItemResult
from batchgen.plan import Plan
from batchgen.policy.alerts import Alert
from batchgen.session.consent import Consent, NoConsent
from batchgen.settings import Settings

# ---- events ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a person should know. The text may hold what others wrote: show it as `printable`."""

    text: str


@dataclass(frozen=True, slots=True)
class Adopted:
    """Purchases were given to items that ask for them under another id."""

    items: int


@dataclass(frozen=True, slots=True)
class Planned:
    """Everything is confirmed and listed: this is what will be bought, below the caps in `settings`."""

    name: str
    plan: Plan
    settings: Settings
    skipped_as_bought: int
    """Items left out because other records show them as bought."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing is asked of the API before this moment; a stop ends the wait at once."""

    start: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How a run stands at one moment; told every `SNAPSHOT_EVERY` seconds, and once more at the end of the loop."""

    items: int
    """What this run is to bring to an end, with what is there already."""
    done: int
    in_flight: int
    failed: int
    """Failed, rejected and lost."""
    in_doubt: int
    spent: Decimal
    """USD, net, since the run folder began."""
    left: Decimal | None
    """USD below the caps; None without a cap."""
    submitting: int = 0
    """Those in flight whose request may have left and has no answer yet."""


@dataclass(frozen=True, slots=True)
class Started:
    """The event loop runs: from here on a stop is heard at once. Told within the loop, in the session's thread."""

    folder: Path | None = None
    """The run folder."""
    look: Callable[[], Snapshot] | None = None
    """Returns how the run stands at that moment; for the session's thread alone."""


@dataclass(frozen=True, slots=True)
class Alerted:
    """Something has happened that a person should hear of while the run goes on."""

    alert: Alert
    figures: Mapping[str, Any]
    """How the run stands, under the names of `summary.json` (`batchgen.session.summary.figures_now`)."""


@dataclass(frozen=True, slots=True)
class ItemEnded:
    """An item has come to an end in this invocation; told only where the host asks for it (`Host.items`)."""

    result: ItemResult


@dataclass(frozen=True, slots=True)
class Ended:
    """The event loop has ended, however it did. Follows each `Started`; ledger and summary are written next."""


SNAPSHOT_EVERY = 0.25
"""Seconds between two snapshots."""

Event = Notice | Adopted | Planned | Waiting | Started | Snapshot | Alerted | ItemEnded | Ended
Listener = Callable[[Event], None]
"""Hears events, in the session's thread and in order. It must be quick: nothing is bought or polled meanwhile. What it
raises ends the session."""


def ignore(_: Event) -> None:
    """Hear nothing."""


# ---- stopping -------------------------------------------------------------------------------------------------------


_LOOK_EVERY = 0.2
"""Seconds between two looks at the clock and at whether to stop."""


class StopHandle:
    """Stops a session: from any thread or signal handler, while it runs or before. It stays stopped."""

    def __init__(self) -> None:
        self._soon = self._now = False
        self._hearers: list[Callable[[], None]] = []

    @property
    def stop_requested(self) -> bool:
        """Whether the session is to stop."""
        return self._soon

    @property
    def stop_now_requested(self) -> bool:
        """Whether it is not to wait for answers either."""
        return self._now

    def stop(self) -> None:
        """Stop soon: buy nothing more, let submissions under way be answered, record them, write the summary."""
        self._soon = True
        self._tell()

    def stop_now(self) -> None:
        """Stop at once, without waiting for answers: what was submitted and not answered yet is in doubt then."""
        self._soon = self._now = True
        self._tell()

    def _tell(self) -> None:
        for hear in tuple(self._hearers):
            hear()

    def wait_until(
        self, moment: datetime, *, now: UtcNow = utc_now, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Return at a moment, or as soon as the session is to stop."""
        # Looked at again and again: while the computer sleeps, `sleep` stands still and the clock does not. A lock to
        # wait for could be held by the very thread in which a signal handler stops.
        while not self._soon and (left := (moment - now()).total_seconds()) > 0:
            sleep(min(left, _LOOK_EVERY))

    @contextmanager
    def heard_by(self, hear: Callable[[], None]) -> Iterator[None]:
        """Call `hear`, in the thread that stops, for each stop while the block runs, and at first for an earlier one.

        It may be called more often than that.
        """
        # Without a lock, which a signal handler could find taken by its own thread: a stop that comes just now is seen
        # by one of the two, since each writes first and then looks.
        self._hearers.append(hear)
        try:
            if self._soon:
                hear()
            yield
        finally:
            self._hearers.remove(hear)


# ---- the program ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Host:
    """The program around a session. By default it hears nothing and confirms nothing."""

    listen: Listener = ignore
    consent: Consent = field(default_factory=NoConsent)
    stop: StopHandle = field(default_factory=StopHandle)
    descriptors: int = field(default_factory=current_limit)
    """How many file descriptors the session may count on; by default all of the process, which several would share."""
    items: bool = False
    """Whether to tell of each item that ends (`ItemEnded`)."""
    loop_factory: Callable[[], AbstractEventLoop] | None = None
    """Makes the event loop; None takes Python's own."""
