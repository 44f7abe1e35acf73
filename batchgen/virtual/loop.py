"""An event loop in virtual time: when nothing is ready, the clock jumps to the next timer instead of waiting.

asyncio asks its selector to wait for input until the next timer is due. Here there is no input, so the selector moves
the clock on by just that long and returns at once. Hundreds of hours pass in seconds, in the same order every time.
"""

import asyncio
import math
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

_T = TypeVar("_T")
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
MOST_TURNS = 10_000
"""The most turns of the loop within one simulated second; with more, it counts as spinning."""


class DeadlockError(Exception):
    """Nothing is ready and no timer runs: in real time, this would hang forever."""


class SpinningError(Exception):
    """The loop keeps turning while hardly any time passes."""


class VirtualClock:
    """Seconds that pass only when a loop has nothing to do; the time continues from loop to loop."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.longest_jump = 0.0
        """The longest time in which nothing at all happened, in seconds."""

    def utc_now(self) -> datetime:
        """Return the current virtual time in UTC; the clock starts with the year 2026."""
        return self.at(self.seconds)

    def at(self, seconds: float) -> datetime:
        """Return a time of this clock as a moment in UTC."""
        return _EPOCH + timedelta(seconds=seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass while no loop runs."""
        self.seconds += seconds


class _Leap(selectors.SelectSelector):
    """A selector that never waits."""

    def __init__(self, clock: VirtualClock, most_turns: int) -> None:
        super().__init__()
        self._clock = clock
        self._most_turns = most_turns
        self._second = -1
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return nothing, at once, after `timeout` virtual seconds."""
        clock = self._clock
        if timeout is None:
            raise DeadlockError(f"nothing is ready and no timer runs, after {clock.seconds:.3f} s")
        if timeout > 0:
            # Rounded up, so that a timer is never looked at before its time.
            clock.seconds = math.nextafter(clock.seconds + timeout, math.inf)
            clock.longest_jump = max(clock.longest_jump, timeout)
        second = int(clock.seconds)
        self._turns = self._turns + 1 if second == self._second else 0
        self._second = second
        if self._turns > self._most_turns:
            raise SpinningError(f"{self._turns} turns of the loop within one second, after {clock.seconds:.3f} s")
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on a virtual clock, for one thread and no input: sockets and threads are never heard."""

    def __init__(self, clock: VirtualClock, *, most_turns: int = MOST_TURNS) -> None:
        self._clock = clock
        super().__init__(_Leap(clock, most_turns))

    def time(self) -> float:
        """Return virtual seconds."""
        return self._clock.seconds

    def abandon(self) -> None:
        """Drop everything in progress, as the death of a process would, and close.

        Every coroutine is closed where it is; nothing that it would do next happens.
        """
        # Oldest first, by the numbers in their names: the same seed must make the same run.
        for task in sorted(asyncio.all_tasks(self), key=lambda task: (len(task.get_name()), task.get_name())):
            # What asyncio's own gather() sets where nobody will ever wait for a task.
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001
            coroutine = task.get_coro()
            assert coroutine is not None  # noqa: S101 - for the type checker: only eager tasks have none
            coroutine.close()
        self.close()


def run_virtual(main: Coroutine[Any, Any, _T], clock: VirtualClock) -> _T:
    """Run a coroutine to its end in virtual time and return its result.

    Raises what it raises, DeadlockError, and SpinningError.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(main)
