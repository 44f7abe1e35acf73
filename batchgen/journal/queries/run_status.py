"""The state of a run, read while another process may be writing it."""

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from batchgen.api import Unreadable, read_job
from batchgen.core.costs import cost_of
from batchgen.core.records import UNSETTLED, State
from batchgen.journal.attempts import UNKNOWN_BODY, ItemResult, is_last
from batchgen.journal.chains import SOURCE_EXPIRED
from batchgen.journal.schema import moment
from batchgen.policy.echo import foreign


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
    job_id: str = ""
    """The job that the answer named, where it could not be accepted and did not show another request."""


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


@dataclass(frozen=True, slots=True)
class Waiting:
    """Items that stay pending for a reason of their own."""

    for_pick: int
    """Until a person has picked an output that they need."""
    kept_until: datetime | None
    """When the provider drops the first of the files that these need; None: unknown, or not made yet."""
    source_expired: int
    """Because the provider no longer has a file that they need."""


def waiting_items(db: sqlite3.Connection, chosen: Sequence[int] = ()) -> Waiting:
    """Return what requested items wait for.

    `chosen` are the keys of items of which exactly one output is kept: nobody has to pick one of theirs any more.
    """
    for_pick, until = db.execute(
        "SELECT COUNT(DISTINCT i.key), MIN(a.expires_at) FROM dependency d JOIN item i ON i.key = d.dependant"
        " LEFT JOIN attempt a ON a.item = d.source AND a.state = 'done'"
        " WHERE d.output = 0 AND i.state = 'pending' AND i.position IS NOT NULL"
        " AND (d.source IS NULL OR d.source NOT IN (SELECT value FROM json_each(?)))",
        (json.dumps(list(chosen)),),
    ).fetchone()
    (expired,) = db.execute(
        "SELECT COUNT(*) FROM item WHERE reason = ? AND state = 'pending' AND position IS NOT NULL", (SOURCE_EXPIRED,)
    ).fetchone()
    return Waiting(int(for_pick), None if until is None else moment(until), int(expired))


def chosen_sources(db: sqlite3.Connection, kept: Callable[[str, str], Sequence[int]]) -> list[int]:
    """Return the keys of the finished items that others wait for, and of which exactly one output is kept.

    `kept` returns the numbers of an item's kept outputs, by its id and digest.
    """
    return [key for key, item_id, digest in db.execute(_AWAITED) if len(kept(item_id, digest)) == 1]


def awaited_picks(db: sqlite3.Connection) -> list[tuple[str, str]]:
    """Return the finished items (id, digest) of which other items need the output that a person picks, by id."""
    return [(item_id, digest) for _, item_id, digest in db.execute(_AWAITED)]


def fewer_outputs_of(db: sqlite3.Connection, wanted: str = "true") -> int:
    """Return how many requested items are done with fewer outputs than ordered; `wanted` is SQL about the item `i`."""
    (count,) = db.execute(
        f"SELECT COUNT(*) FROM attempt a JOIN item i ON i.key = a.item AND {is_last('a', 'i')}"
        " WHERE a.error_type = 'fewer_outputs' AND a.state = 'done' AND i.state = 'done' AND i.position IS NOT NULL"
        f" AND {wanted}"
    ).fetchone()
    return int(count)


def doubts(db: sqlite3.Connection) -> Iterator[Doubt]:
    """Yield what is in doubt, oldest first."""
    for row in db.execute(
        "SELECT i.id, a.number, i.digest, i.model, a.reserved, a.submitted_at, a.error_message, a.answer, i.body"
        " FROM item i JOIN attempt a ON a.item = i.key AND a.state = 'in_doubt' WHERE i.state = 'in_doubt'"
        " ORDER BY a.submitted_at"
    ):
        price, at, reason, answer, body = row[4:]
        yield Doubt(row[0], row[1], row[2], row[3], Decimal(price), moment(at), reason or "", _named_job(answer, body))


def _named_job(answer: bytes | None, body: str) -> str:
    try:
        job = read_job(answer) if answer else None
    except Unreadable:
        return ""
    return "" if job is None or foreign(body, job.model, job.input) else job.id


def item_result(db: sqlite3.Connection, folder: Path, key: int) -> ItemResult:
    """Return how the item with a key stands, after its last attempt; `folder` is the run folder."""
    item_id, state, model, reason = db.execute(
        "SELECT id, state, model, reason FROM item WHERE key = ?", (key,)
    ).fetchone()
    row = db.execute(
        "SELECT key, state, estimated, reserved, charged, refunded, job_id, error_message FROM attempt"
        " WHERE item = ? ORDER BY number DESC LIMIT 1",
        (key,),
    ).fetchone()
    if row is None or state == State.SKIPPED:
        zero = Decimal(0)
        return ItemResult(item_id, State(state), model, (), None, zero, zero, zero, reason)
    attempt, attempt_state, estimated, reserved, charged, refunded, job_id, error = row
    cost = cost_of(attempt_state, estimated, reserved, charged, refunded)
    files = db.execute(
        "SELECT path FROM output WHERE attempt = ? AND path IS NOT NULL ORDER BY number", (attempt,)
    ).fetchall()
    return ItemResult(
        item_id, State(state), model, tuple(folder / path for (path,) in files), job_id, cost.charged, cost.refunded,
        cost.in_doubt, error,
    )  # fmt: skip


_AWAITED = """
SELECT DISTINCT s.key, s.id, s.digest
FROM dependency d JOIN item i ON i.key = d.dependant JOIN item s ON s.key = d.source
WHERE d.output = 0 AND i.state = 'pending' AND i.position IS NOT NULL AND s.state = 'done' ORDER BY s.id
"""
