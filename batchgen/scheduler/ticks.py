"""A queue by time, in ticks: what is due at about the same time is due together.

That is cheaper than one by one: requests and answers come in bursts, and the journal commits a burst at once. A job
that waits costs no more than its place in a list.
"""

import heapq
import math
from collections import deque
from typing import Generic, TypeVar

_T = TypeVar("_T")
TICK = 0.02
"""Seconds; short compared to the time between two polls (docs/api.md: 2 to 5)."""


class Ticks(Generic[_T]):
    """Things in the order in which they are due, never early; first in, first out within a tick."""

    def __init__(self) -> None:
        self._by_tick: dict[int, deque[_T]] = {}
        self._ticks: list[int] = []
        """A heap of the keys."""
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, thing: _T, due: float) -> None:
        """Add a thing that is due at this loop time, in seconds."""
        tick = math.ceil(due / TICK)
        if tick not in self._by_tick:
            self._by_tick[tick] = deque()
            heapq.heappush(self._ticks, tick)
        self._by_tick[tick].append(thing)
        self._count += 1

    def next(self) -> float | None:
        """Return the loop time at which the next is due, or None if the queue is empty."""
        return self._ticks[0] * TICK if self._ticks else None

    def take(self, now: float) -> _T | None:
        """Take out the first that is due by now, or return None."""
        if not self._ticks or self._ticks[0] * TICK > now:
            return None
        first = self._by_tick[self._ticks[0]]
        thing = first.popleft()
        self._count -= 1
        if not first:
            del self._by_tick[heapq.heappop(self._ticks)]
        return thing
