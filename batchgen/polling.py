"""When to ask how a job stands: silent until its model can be done, then at the provider's rate, slower when late.

The provider asks for polls every 2 to 5 s (API reference, section 4).
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

_WINDOW = 500
"""Durations remembered for each model: enough for a 1 % quantile, few enough to follow a provider that changes."""
_ENOUGH = 5
_UNLEARNED_TIMEOUT = 7200.0
_SHORTEST_TIMEOUT = 1800.0


@dataclass(frozen=True, slots=True)
class Learned:
    """What is known of a model's durations, seconds. None where too few jobs were seen."""

    earliest: float | None = None
    """The 1 % quantile."""
    median: float | None = None
    latest: float | None = None
    """The 99 % quantile."""


class Durations:
    """A sliding window over one model's durations that answers with quantiles."""

    def __init__(self, seen: Iterable[float] = ()) -> None:
        self._order: deque[float] = deque()
        self._sorted: list[float] = []
        for seconds in seen:
            self.add(seconds)

    def add(self, seconds: float) -> None:
        """A job took this long."""
        self._order.append(seconds)
        insort(self._sorted, seconds)
        if len(self._order) > _WINDOW:
            del self._sorted[bisect_left(self._sorted, self._order.popleft())]

    def learned(self) -> Learned:
        """Return the quantiles, or nothing while fewer than five jobs were seen."""
        count = len(self._sorted)
        if count < _ENOUGH:
            return Learned()
        return Learned(self._sorted[count // 100], self._sorted[count // 2], self._sorted[(count * 99) // 100])


def first_poll(learned: Learned, poll_min: float) -> float:
    """Return the age in seconds at which a job is asked for first."""
    return max(poll_min, learned.earliest) if learned.earliest is not None else poll_min


def next_poll(learned: Learned, age: float, poll_min: float, poll_max: float) -> float:
    """Return seconds until the next poll of a job of this age.

    While most jobs of the model are still expected to finish, `poll_min`; beyond, a fortieth of the age, so that
    waiting for a late job costs few polls and adds at most 2.5 % to it.
    """
    if learned.latest is not None and age <= learned.latest:
        return poll_min
    return min(poll_max, max(poll_min, age / 40))


def timeout_of(learned: Learned, job_timeout: float | None) -> float:
    """Return the age in seconds beyond which a job is parked: far beyond all that its model was seen to take."""
    if job_timeout is not None:
        return job_timeout
    if learned.latest is None:
        return _UNLEARNED_TIMEOUT
    return max(_SHORTEST_TIMEOUT, 10 * learned.latest)
