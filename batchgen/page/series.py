"""What happened over time, for drawing: at most `POINTS` points for each line.

Money is summed as Decimal; what is returned are numbers, which are drawn and never added up.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import accumulate, groupby
from operator import itemgetter
from sqlite3 import Connection
from typing import Any

from batchgen.journal.queries.page.sums import (
    Extent,
    Step,
    charges_over_time,
    flights_over_time,
    refunds_over_time,
    waits_over_time,
)

POINTS = 500
_WAIT = "Waiting at the provider: from acceptance to the end, less the time it worked on a job"


def series_of(db: Connection, extent: Extent, cap: Decimal | None) -> dict[str, Any]:
    """Return cost against the cap, jobs at the provider, and how long jobs waited there, each with its times."""
    if extent.first is None or extent.last is None:
        return {"cost": {"t": [], "net": [], "cap": None}, "in_flight": {"t": [], "jobs": []}, "lag": _lag([], 0, 1)}
    start, stretch = extent.first, max(1, -(-(extent.last - extent.first) // (POINTS - 2)))
    last = (extent.last - start) // stretch + 1
    spent = _by_place(charges_over_time(db, start, stretch), Decimal(1))
    for place, amount in _by_place(refunds_over_time(db, start, stretch), Decimal(-1)).items():
        spent[place] += amount
    flown: defaultdict[int, int] = defaultdict(int)
    for place, change in flights_over_time(db, start, stretch):
        flown[place] += change
    paid, flying = sorted({0, last, *spent}), sorted({0, last, *flown})  # between them, nothing changes

    def times(places: Iterable[int]) -> list[float]:
        return [(start + place * stretch) / 1000 for place in places]

    return {
        "cost": {
            "t": times(paid),
            "net": [float(amount) for amount in accumulate(spent[place] for place in paid)],
            "cap": None if cap is None else float(cap),
        },
        "in_flight": {"t": times(flying), "jobs": list(accumulate(flown[place] for place in flying))},
        "lag": _lag(waits_over_time(db, start, stretch), start, stretch),
    }


def _by_place(steps: Iterable[Step], sign: Decimal) -> defaultdict[int, Decimal]:
    sums: defaultdict[int, Decimal] = defaultdict(Decimal)
    for step in steps:
        sums[step.place] += sign * Decimal(step.amount) * step.attempts
    return sums


def _lag(waits: Iterable[tuple[int, int, int]], start: int, stretch: int) -> dict[str, Any]:
    found = [(place, *_median_and_worst(rows)) for place, rows in groupby(waits, itemgetter(0))]
    return {
        "title": _WAIT,
        "t": [(start + place * stretch) / 1000 for place, _, _ in found],
        "median_s": [median / 1000 for _, median, _ in found],
        "worst_s": [worst / 1000 for _, _, worst in found],
    }


def _median_and_worst(waits: Iterable[tuple[int, int, int]]) -> tuple[int, int]:
    lengths = [(waited, jobs) for _, waited, jobs in waits]
    return quantile(lengths, 5), lengths[-1][0]


def quantile(counted: Sequence[tuple[int, int]], tenths: int) -> int:
    """Return the value that so many tenths of all values are at most; `counted` are values in order, and how many."""
    wanted = -(-sum(count for _, count in counted) * tenths // 10)
    reached = accumulate(count for _, count in counted)
    return next(value for (value, _), count in zip(counted, reached, strict=True) if count >= wanted)
