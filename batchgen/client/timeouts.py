"""Time limits that count only while the event loop runs.

A process that was stopped (SIGSTOP, Ctrl-Z, a machine that slept) finds, when it continues, every timer of the event
loop expired, and in its sockets the answers that came meanwhile. Such an answer must be read, since it may be paid
for; so the time during which the loop itself did not run does not count as the server's silence.
"""

import asyncio
import math
from types import TracebackType
from typing import Self

_LATE = 3
"""Beats without a check of the clock after which the loop counts as suspended, not merely busy."""


class Patience:
    """Keeps the limits of many requests with one timer. Create it inside a running event loop."""

    def __init__(self, beat: float) -> None:
        """`beat` is the time between two checks of the limits, in seconds: no limit is noticed later than that."""
        self._beat = beat
        self._loop = asyncio.get_running_loop()
        self._limits: dict[Limit, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._seen = 0.0
        """The loop time of the last check."""
        self._stood = 0.0
        """Seconds for which the loop was suspended."""

    def time(self) -> float:
        """Return a time in seconds that stops while the loop is suspended; valid while a limit is open."""
        self._look()
        return self._seen - self._stood

    def limit(self, seconds: float | None = None) -> "Limit":
        """Return a limit to wait under: of so many seconds, or without a limit until it is started."""
        return Limit(self, seconds)

    def open(self, limit: "Limit") -> None:
        """Start watching a limit."""
        self._limits[limit] = None
        if self._timer is None:
            self._seen = self._loop.time()
            self._timer = self._loop.call_later(self._beat, self._on_beat)

    def close(self, limit: "Limit") -> None:
        """Stop watching a limit."""
        del self._limits[limit]

    def stop(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_beat(self) -> None:
        # After a suspension, what is waiting in the sockets is read first.
        if not self._look():
            now = self._seen - self._stood
            for limit in [limit for limit in self._limits if limit.due <= now]:
                limit.expire()
        self._timer = self._loop.call_later(self._beat, self._on_beat) if self._limits else None

    def _look(self) -> bool:
        """Check the clock; return whether the loop was suspended since the last check."""
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
        """Give the block so much time from now on, or unlimited time (None), replacing any earlier limit."""
        if self._timeout.when() is not None:
            self._timeout.reschedule(None)
        self.due = math.inf if seconds is None else self._patience.time() + seconds

    def expire(self) -> None:
        """End the block in the next turn of the loop, unless the limit is restarted before then."""
        self.due = math.inf
        self._timeout.reschedule(asyncio.get_running_loop().time())

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._patience.open(self)
        if self._seconds is not None:
            self.due = self._patience.time() + self._seconds
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._patience.close(self)
        await self._timeout.__aexit__(kind, error, trace)
