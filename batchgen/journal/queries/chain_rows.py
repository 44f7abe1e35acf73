"""How the items of chains stand, for those who check it. Works on any connection."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from batchgen.core.records import Input, State


@dataclass(frozen=True, slots=True)
class ChainRow:
    """One requested item."""

    id: str
    digest: str
    state: State
    reason: str | None
    inputs: tuple[Input, ...]
    attempts: int
    """How many purchases of it are on record."""
    latest_job: str | None
    """The job of its latest purchase."""
    job_id: str | None
    """The job that made the outputs that it has now."""
    outputs: frozenset[int]
    """The numbers of these outputs."""


def chain_rows(db: sqlite3.Connection) -> Iterator[ChainRow]:
    """Yield the requested items, in their order."""
    return map(_row, db.execute(f"{_ROWS} ORDER BY i.position"))


def chain_row(db: sqlite3.Connection, item_id: str) -> ChainRow | None:
    """Return the requested item with an id."""
    row = db.execute(f"{_ROWS} AND i.id = ?", (item_id,)).fetchone()
    return None if row is None else _row(row)


def _row(row: tuple[str, str, str, str | None, str, int, str | None, str | None, str | None]) -> ChainRow:
    id_, digest, state, reason, inputs, attempts, latest, job_id, outputs = row
    return ChainRow(
        id_, digest, State(state), reason, tuple(Input(*i) for i in json.loads(inputs)), attempts, latest, job_id,
        frozenset(json.loads(outputs or "[]")),
    )  # fmt: skip


_ROWS = """
SELECT i.id, i.digest, i.state, i.reason, i.inputs, (SELECT COUNT(*) FROM attempt a WHERE a.item = i.key),
  (SELECT a.job_id FROM attempt a WHERE a.item = i.key ORDER BY a.number DESC LIMIT 1), m.job_id,
  (SELECT json_group_array(o.number) FROM output o WHERE o.attempt = m.key AND (o.url <> '' OR o.path IS NOT NULL))
FROM item i LEFT JOIN attempt m ON m.item = i.key
  AND m.number = (SELECT MAX(b.number) FROM attempt b WHERE b.item = i.key AND b.state = 'done')
WHERE i.position IS NOT NULL
"""
