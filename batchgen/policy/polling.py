"""When to poll a job: first when a job like it may have ended, then more often the more jobs are about to end.

The provider asks for polls every 2 to 5 s (docs/api.md).
"""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterable, Iterator

_WINDOW = 500
"""Durations to remember for each model: enough for a 1 % quantile, few enough to follow a provider that changes."""
_ENOUGH = 5
_SHARE = 2
"""Percent of the jobs still processing that may end between two polls. Measured (`benchmarks/polling.py`, 60 s jobs):
1 saves fewer polls, 3 makes the delay a tenth longer than a poll every 2 s does."""
_MOST_KEYS = 1000
"""Far more than manifests have, and a bound for a model whose price is unknown: its seeds are among what may set it."""
_UNLEARNED_TIMEOUT = 7200.0
_SHORTEST_TIMEOUT = 1800.0


class Durations:
    """The latest durations of jobs that are alike, in seconds."""

    def __init__(self, seen: Iterable[float] = ()) -> None:
        self._order: deque[float] = deque()
        self._sorted: list[float] = []
        for seconds in seen:
            self.add(seconds)

    def add(self, seconds: float) -> None:
        """Add the duration of a job."""
        self._order.append(seconds)
        insort(self._sorted, seconds)
        if len(self._order) > _WINDOW:
            del self._sorted[bisect_left(self._sorted, self._order.popleft())]

    def quantile(self, percent: int) -> float | None:
        """Return the quantile of the durations, in seconds; None before five jobs were seen."""
        return self._sorted[len(self._sorted) * percent // 100] if self.enough else None

    @property
    def enough(self) -> bool:
        """Whether enough jobs were seen to tell when others may end."""
        return len(self._sorted) >= _ENOUGH

    @property
    def longest(self) -> float | None:
        """The longest of the durations, in seconds; None before the first."""
        return self._sorted[-1] if self._sorted else None

    def next_end(self, age: float) -> float | None:
        """Return the age in seconds at which 2 % of the jobs that took longer than `age` had ended.

        None if too little is known: fewer than five jobs were seen, or at most one in a hundred took as long.
        """
        count = len(self._sorted)
        ended = bisect_right(self._sorted, age)
        left = count - ended
        if not self.enough or left <= count // 100:
            return None
        return self._sorted[ended + left * _SHARE // 100]


class LearnedDurations:
    """How long jobs took, by their price key (`batchgen.catalog.price_key`), and by model where too little is known.

    What sets the price sets the work as well: a clip of 2 s and one of 15 s are not alike.
    """

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, Durations]] = {}
        """By model and price key; without a key, those of all jobs of the model."""

    def add(self, model: str, price_key: str, seconds: float) -> None:
        """Add the duration of a job; the price key is empty for one of an older journal."""
        seen = self._seen.setdefault(model, {"": Durations()})
        for key in {"", price_key}:
            if key in seen or len(seen) < _MOST_KEYS:
                seen.setdefault(key, Durations()).add(seconds)

    def of(self, model: str, price_key: str) -> Durations:
        """Return the durations by which a job of a model with this price key is judged; empty if none are known."""
        seen = self._seen.get(model, {})
        own = seen.get(price_key, _NONE)
        return own if own.enough else seen.get("", _NONE)

    def all_of(self, model: str) -> Iterator[Durations]:
        """Yield all that `of` may return for the jobs of a model."""
        seen = self._seen.get(model, {})
        yield seen.get("", _NONE)
        yield from (own for own in seen.values() if own.enough)


_NONE = Durations()


def first_poll(durations: Durations, poll_min: float) -> float:
    """Return the age in seconds at which to poll a job first: when one in a hundred may have ended."""
    return max(poll_min, durations.quantile(1) or 0.0)


def next_poll(durations: Durations, age: float, poll_min: float, poll_max: float) -> float:
    """Return the seconds from a poll at this age to the next: until some jobs of that age may have ended.

    If too little is known, a fortieth of the age: a slow job costs few polls, and is noticed at most 2.5 % late.
    """
    end = durations.next_end(age)
    return min(poll_max, max(poll_min, age / 40 if end is None else end - age))


def timeout_of(durations: Durations, job_timeout: float | None) -> float:
    """Return the age in seconds beyond which a job is parked: far longer than jobs like it usually take."""
    if job_timeout is not None:
        return job_timeout
    latest = durations.quantile(99)
    return _UNLEARNED_TIMEOUT if latest is None else max(_SHORTEST_TIMEOUT, 10 * latest)
