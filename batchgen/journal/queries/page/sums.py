"""Sums over a journal for a page: how much of what there is, what it cost, and when. Any connection will do.

All of them are grouped by SQL, so that a million items cost time and no memory.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from batchgen.core.records import UNSETTLED


class ItemGroup(NamedTuple):
    """Items of one model, with the same tags, in one state."""

    model: str
    tags: str
    """A JSON object."""
    state: str
    items: int


class CostGroup(NamedTuple):
    """Attempts of items of one model with the same tags that cost the same; money is decimal text."""

    model: str
    tags: str
    state: str
    reserved: str
    charged: str | None
    refunded: str | None
    attempts: int


class OutputGroup(NamedTuple):
    """Outputs on disk, of items of one model with the same tags."""

    model: str
    tags: str
    outputs: int
    bytes: int


class Extent(NamedTuple):
    """When things happened, in milliseconds since 1970; None: never."""

    first: int | None
    last: int | None


class Step(NamedTuple):
    """What happened in one stretch of time."""

    place: int
    """Of the stretch, from 0."""
    amount: str
    """Decimal text, USD."""
    attempts: int


class WaitGroup(NamedTuple):
    """Items of one price that wait until an output of `source` is picked."""

    source: str
    key: int
    estimated: str
    items: int


def extent(db: sqlite3.Connection) -> Extent:
    """Return when the first request was sent and when the last thing happened."""
    first, last = db.execute(
        "SELECT MIN(submitted_at), MAX(MAX(submitted_at), MAX(COALESCE(accepted_at, 0)),"
        " MAX(COALESCE(completed_at, 0)), MAX(COALESCE(refunded_at, 0))) FROM attempt"
    ).fetchone()
    return Extent(first, last)


def item_groups(db: sqlite3.Connection) -> Iterator[ItemGroup]:
    """Yield the items that a page shows, grouped."""
    return map(ItemGroup._make, db.execute(_ITEMS))


def cost_groups(db: sqlite3.Connection) -> Iterator[CostGroup]:
    """Yield all attempts, grouped."""
    return map(CostGroup._make, db.execute(_COSTS))


def output_groups(db: sqlite3.Connection) -> Iterator[OutputGroup]:
    """Yield the outputs that were not moved aside, grouped."""
    return map(OutputGroup._make, db.execute(_OUTPUTS))


def pending_by_price(db: sqlite3.Connection) -> Iterator[tuple[str, int]]:
    """Yield the price (decimal text, USD) of requested items that nothing was sent for, and how many there are."""
    yield from db.execute(
        "SELECT estimated, COUNT(*) FROM item WHERE state = 'pending' AND position IS NOT NULL GROUP BY 1"
    )


def charges_over_time(db: sqlite3.Connection, start: int, stretch: int) -> Iterator[Step]:
    """Yield what was charged in each stretch of `stretch` milliseconds from `start` on, by amount."""
    return map(Step._make, db.execute(_CHARGES, (start, stretch)))


def refunds_over_time(db: sqlite3.Connection, start: int, stretch: int) -> Iterator[Step]:
    """Yield what was refunded in each stretch; amounts are positive."""
    return map(Step._make, db.execute(_REFUNDS, (start, stretch)))


def flights_over_time(db: sqlite3.Connection, start: int, stretch: int) -> Iterator[tuple[int, int]]:
    """Yield by how much the number of jobs at the provider rose or fell in a stretch; up to twice for each stretch."""
    yield from db.execute(_FLIGHTS, {"start": start, "stretch": stretch})


def waits_over_time(db: sqlite3.Connection, start: int, stretch: int) -> Iterator[tuple[int, int, int]]:
    """Yield stretch, for how long jobs that ended in it waited, in milliseconds, and how many, by stretch and length.

    They waited from acceptance to the end, less the time for which the provider worked on them, where it says so.
    """
    yield from db.execute(_WAITS, (start, stretch))


def durations(db: sqlite3.Connection) -> Iterator[tuple[str, int, int]]:
    """Yield model, how long jobs took that brought something, in milliseconds, and how many, by model and length."""
    yield from db.execute(_DURATIONS)


def still_waiting(db: sqlite3.Connection, chosen: Sequence[int]) -> Iterator[tuple[str, int]]:
    """Yield the price of items (decimal text, USD) that wait for a pick of an item not among `chosen`, and how many."""
    yield from db.execute(_STILL_WAITING, (json.dumps(list(chosen)),))


def waiting_for_picks(db: sqlite3.Connection) -> Iterator[WaitGroup]:
    """Yield the items that wait for a pick, by the item whose output is to be picked and by their price."""
    return map(WaitGroup._make, db.execute(_WAITING))


_COSTS = """
SELECT i.model, i.tags, a.state, a.reserved, a.charged, a.refunded, COUNT(*)
FROM attempt a CROSS JOIN item i ON i.key = a.item GROUP BY 1, 2, 3, 4, 5, 6
"""
_ITEMS = f"""
SELECT model, tags, state, COUNT(*) FROM item WHERE position IS NOT NULL OR state IN {UNSETTLED.sql} GROUP BY 1, 2, 3
"""
_OUTPUTS = """
SELECT i.model, i.tags, COUNT(*), COALESCE(SUM(o.bytes), 0)
FROM output o CROSS JOIN attempt a ON a.key = o.attempt CROSS JOIN item i ON i.key = a.item
WHERE o.path >= 'files/' AND o.path < 'files0' GROUP BY 1, 2
"""
_CHARGES = """
SELECT MAX(0, (COALESCE(accepted_at, submitted_at) - ?) / ?) AS place, charged, COUNT(*) FROM attempt
WHERE charged IS NOT NULL GROUP BY 1, 2 ORDER BY 1
"""
_REFUNDS = """
SELECT MAX(0, (COALESCE(refunded_at, completed_at, submitted_at) - ?) / ?) AS place, refunded, COUNT(*) FROM attempt
WHERE refunded IS NOT NULL GROUP BY 1, 2 ORDER BY 1
"""
# A job ends by the provider's clock, and may seem to have ended before it was accepted here: it then lasted no time.
_FLIGHTS = """
SELECT MAX(0, (accepted_at - :start) / :stretch) AS place, COUNT(*) FROM attempt
WHERE accepted_at IS NOT NULL GROUP BY 1
UNION ALL
SELECT MAX(0, (MAX(completed_at, accepted_at) - :start) / :stretch), -COUNT(*) FROM attempt
WHERE accepted_at IS NOT NULL AND completed_at IS NOT NULL GROUP BY 1
ORDER BY 1
"""
# Lengths of time to a tenth of a second, of long ones to ten seconds: so they are few, however many jobs there are.
_ROUNDED = "CASE WHEN {0} < 1000000 THEN ({0} + 50) / 100 * 100 ELSE ({0} + 5000) / 10000 * 10000 END"
_WAITED = "MAX(0, took_ms - COALESCE(inference_ms, 0))"
_WAITS = f"""
SELECT MAX(0, (completed_at - ?) / ?), {_ROUNDED.format(_WAITED)}, COUNT(*) FROM attempt
WHERE completed_at IS NOT NULL AND took_ms IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2
"""
_DURATIONS = f"""
SELECT i.model, {_ROUNDED.format("a.took_ms")}, COUNT(*) FROM attempt a CROSS JOIN item i ON i.key = a.item
WHERE a.took_ms IS NOT NULL AND a.state = 'done' GROUP BY 1, 2 ORDER BY 1, 2
"""
_STILL_WAITING = """
SELECT estimated, COUNT(*) FROM (
  SELECT DISTINCT i.key, i.estimated FROM dependency d CROSS JOIN item i ON i.key = d.dependant
  WHERE d.output = 0 AND i.state = 'pending' AND i.position IS NOT NULL
    AND (d.source IS NULL OR d.source NOT IN (SELECT value FROM json_each(?)))
) GROUP BY 1
"""
_WAITING = """
SELECT s.id, s.key, i.estimated, COUNT(*) FROM dependency d CROSS JOIN item i ON i.key = d.dependant
CROSS JOIN item s ON s.key = d.source
WHERE d.output = 0 AND i.state = 'pending' AND i.position IS NOT NULL GROUP BY 1, 2, 3 ORDER BY COUNT(*) DESC, 1
"""
