"""What a session needs from the program around it: somebody who hears its events, answers its questions and may stop
it, and what it may use of the process. A command line is one such program; a script, a viewer or an engine are others.
"""

from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal

from batchgen.core.descriptors import current_limit
from batchgen.plan import Plan
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
class Started:
    """The event loop runs: from here on a stop is heard at once. Told within the loop, in the session's thread."""


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


@dataclass(frozen=True, slots=True)
class Ended:
    """The event loop has ended, however it did. Follows each `Started`; ledger and summary are written next."""


SNAPSHOT_EVERY = 0.25
"""Seconds between two snapshots."""

Event = Notice | Adopted | Planned | Started | Snapshot | Ended
Listener = Callable[[Event], None]
"""Hears events, in the session's thread and in order. It must be quick: nothing is bought or polled meanwhile. What it
raises ends the session."""


def ignore(_: Event) -> None:
    """Hear nothing."""


# ---- stopping -------------------------------------------------------------------------------------------------------


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
    loop_factory: Callable[[], AbstractEventLoop] | None = None
    """Makes the event loop; None takes Python's own."""
