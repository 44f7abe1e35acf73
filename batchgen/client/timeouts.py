"""Time limits that count only while the event loop runs.

A process that was stopped (SIGSTOP, Ctrl-Z, a machine that slept) finds, when it continues, every timer of the event
loop expired, and in its sockets the answers that came meanwhile. Such an answer must be read, since it may be paid
for; so the time during which the loop itself stood still does not count as silence of the server.
"""

import asyncio
import math
from types import TracebackType
from typing import Self

_LATE = 3
"""Beats without a look at the clock after which the loop has stood still, and not only been busy."""


class Patience:
    """Keeps the limits of many requests, with one timer for all of them. Made inside a running event loop."""

    def __init__(self, beat: float) -> None:
        """`beat` is the time between two looks at the limits, seconds: none is late by more."""
        self._beat = beat
        self._loop = asyncio.get_running_loop()
        self._limits: dict[Limit, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._seen = 0.0
        """The loop time of the last look."""
        self._stood = 0.0
        """Seconds for which the loop has stood still."""

    def time(self) -> float:
        """Return a time in seconds that stands still when the loop does; to be asked while a limit is open."""
        self._look()
        return self._seen - self._stood

    def limit(self, seconds: float | None = None) -> "Limit":
        """Return a limit to wait under: of so many seconds, or of none before it is started."""
        return Limit(self, seconds)

    def open(self, limit: "Limit") -> None:
        """Watch over a limit."""
        self._limits[limit] = None
        if self._timer is None:
            self._seen = self._loop.time()
            self._timer = self._loop.call_later(self._beat, self._on_beat)

    def close(self, limit: "Limit") -> None:
        """Watch over a limit no longer."""
        del self._limits[limit]

    def stop(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_beat(self) -> None:
        # After a standstill, what lies in the sockets is read first.
        if not self._look():
            now = self._seen - self._stood
            for limit in [limit for limit in self._limits if limit.due <= now]:
                limit.expire()
        self._timer = self._loop.call_later(self._beat, self._on_beat) if self._limits else None

    def _look(self) -> bool:
        """Look at the clock; return whether the loop has stood still since the last time."""
        now = self._loop.time()
        passed, self._seen = now - self._seen, now
        stood_still = passed > _LATE * self._beat
        if stood_still:
            self._stood += passed
        return stood_still


class Limit:
    """An asynchronous context manager that raises TimeoutError in its block when the time is over."""

    __slots__ = ("_patience", "_seconds", "_timeout", "due")

    def __init__(self, patience: Patience, seconds: float | None) -> None:
        self._patience = patience
        self._seconds = seconds
        self._timeout = asyncio.timeout(None)
        self.due = math.inf
        """By `Patience.time`."""

    def start(self, seconds: float | None) -> None:
        """From now on the block has so much time, or any (None); whatever it had before counts no longer."""
        self._timeout.reschedule(None)
        self.due = math.inf if seconds is None else self._patience.time() + seconds

    def expire(self) -> None:
        """End the block in the next turn of the loop, unless it is restarted before then."""
        self.due = math.inf
        self._timeout.reschedule(asyncio.get_running_loop().time())

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._patience.open(self)
        self.start(self._seconds)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._patience.close(self)
        await self._timeout.__aexit__(kind, error, trace)
