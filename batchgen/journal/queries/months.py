"""What a run folder has spent in a span of time, for limits that runs share. Any connection will do."""

import json
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from batchgen.core.records import UNANSWERED, State
from batchgen.journal.schema import milliseconds, moment


class SpentGroup(NamedTuple):
    """Attempts of one span of time that have the same tags and cost the same, USD."""

    tags: dict[str, str]
    charged: Decimal
    """The highest price that was named for each; 0 where it was refunded."""
    in_doubt: Decimal
    """What each may have been charged."""
    attempts: int


class OpenJob(NamedTuple):
    """A job that was accepted and has not ended."""

    item: int
    """By its key."""
    item_id: str
    attempt: int
    submitted_at: datetime
    tags: dict[str, str]
    price_key: str
    """Of its price, if no answer has confirmed that; else empty."""


def run_id(db: sqlite3.Connection) -> str:
    """Return the random name of a run folder, which only its copies share."""
    (found,) = db.execute("SELECT run_id FROM vouched").fetchone()
    return str(found)


def spent_between(db: sqlite3.Connection, start: datetime, end: datetime) -> Iterator[SpentGroup]:
    """Yield what was bought by requests that left from `start` on and before `end`."""
    for tags, state, reserved, charged, refunded, surplus, count in db.execute(
        "SELECT i.tags, a.state, a.reserved, a.charged, a.refunded, a.surplus, COUNT(*)"
        " FROM attempt a JOIN item i ON i.key = a.item WHERE a.submitted_at >= ? AND a.submitted_at < ?"
        " GROUP BY 1, 2, 3, 4, 5, 6",
        (milliseconds(start), milliseconds(end)),
    ):
        paid = Decimal(charged) + Decimal(surplus) if charged is not None and refunded is None else Decimal(0)
        yield SpentGroup(json.loads(tags), paid, Decimal(reserved) if state in UNANSWERED else Decimal(0), count)


def open_jobs(db: sqlite3.Connection) -> Iterator[OpenJob]:
    """Yield the jobs that the provider works on."""
    for item, item_id, number, submitted_at, tags, price_key in db.execute(
        "SELECT i.key, i.id, a.number, a.submitted_at, i.tags, iif(a.confirmed, '', a.price_key) FROM item i"
        " JOIN attempt a ON a.item = i.key AND a.state = i.state WHERE i.state = ?",
        (State.PROCESSING,),
    ):
        yield OpenJob(item, item_id, number, moment(submitted_at), json.loads(tags), price_key)
