"""The state of a run, read while another process may be writing it."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from batchgen.core.records import UNSETTLED, State
from batchgen.journal.attempts import UNKNOWN_BODY
from batchgen.journal.schema import moment


@dataclass(frozen=True, slots=True)
class Doubt:
    """A submission that may have been charged, with what helps to find it in the provider's billing."""

    item_id: str
    number: int
    digest: str
    model: str
    reserved: Decimal
    """USD that it was expected to cost, and counts as."""
    submitted_at: datetime
    reason: str


def counts_of(db: sqlite3.Connection) -> dict[State, int]:
    """Return how many items are in each state: the requested ones, and unsettled ones that no longer are."""
    rows = db.execute(
        f"SELECT state, COUNT(*) FROM item WHERE position IS NOT NULL OR state IN {UNSETTLED.sql} GROUP BY state"
    )
    return {State(state): count for state, count in rows}


def purchased_counts_of(db: sqlite3.Connection) -> dict[State, int]:
    """Return how many items are in each state, whether requested or not; pending ones are left out."""
    rows = db.execute("SELECT state, COUNT(*) FROM item WHERE state <> 'pending' GROUP BY state")
    return {State(state): count for state, count in rows}


def without_request(db: sqlite3.Connection) -> int:
    """Return how many items are known from the receipts alone, without their request."""
    (number,) = db.execute("SELECT COUNT(*) FROM item WHERE body = ?", (UNKNOWN_BODY,)).fetchone()
    return int(number)


def fewer_outputs_of(db: sqlite3.Connection, wanted: str = "true") -> int:
    """Return how many requested items are done with fewer outputs than ordered; `wanted` is SQL about the item `i`."""
    (count,) = db.execute(
        "SELECT COUNT(*) FROM attempt a JOIN item i ON i.key = a.item AND i.attempts = a.number"
        " WHERE a.error_type = 'fewer_outputs' AND a.state = 'done' AND i.state = 'done' AND i.position IS NOT NULL"
        f" AND {wanted}"
    ).fetchone()
    return int(count)


def doubts(db: sqlite3.Connection) -> Iterator[Doubt]:
    """Yield what is in doubt, oldest first."""
    for row in db.execute(
        "SELECT i.id, a.number, i.digest, i.model, a.reserved, a.submitted_at, a.error_message FROM item i"
        " JOIN attempt a ON a.item = i.key AND a.state = 'in_doubt' WHERE i.state = 'in_doubt' ORDER BY a.submitted_at"
    ):
        yield Doubt(row[0], row[1], row[2], row[3], Decimal(row[4]), moment(row[5]), row[6] or "")
