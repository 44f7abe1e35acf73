"""Queries of an export: the outputs that can be handed over, with what is known of each."""

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from batchgen.journal.chains import is_stale


class ExportRow(NamedTuple):
    """An output on disk of a requested item. Money is decimal text, times are milliseconds since 1970.

    A tuple, as `LedgerRow` is.
    """

    item_id: str
    digest: str
    model: str
    body: str
    inputs: str
    """The outputs of other items that it needs, as JSON."""
    tags: str
    """A JSON object."""
    variables: str | None
    """Those of matrix and row that it uses, a JSON object."""
    purchase: str
    """The name of the purchase in the receipts."""
    state: str
    estimated: str
    reserved: str
    charged: str | None
    refunded: str | None
    """Positive."""
    job_id: str | None
    completed_at: int | None
    error_type: str | None
    stale: int
    """Whether it was made with an output that its source has since made again."""
    number: int
    path: str
    """Relative to the run folder."""
    bytes: int
    sha256: str
    width: int | None
    height: int | None
    duration_ms: int | None
    flags: str | None
    """What was found about this file, separated by `;`; None: it was not looked at."""


def export_rows(db: sqlite3.Connection) -> Iterator[ExportRow]:
    """Yield the outputs on disk of finished requested items as they were made last, by item id, digest and number."""
    return map(ExportRow._make, db.execute(_ROWS))


def run_identity(db: sqlite3.Connection) -> str:
    """Return what only copies of the same run folder have in common."""
    (run_id,) = db.execute("SELECT run_id FROM vouched").fetchone()
    return str(run_id)


def path_of(db: sqlite3.Connection, purchase: str, number: int) -> str | None:
    """Return where an output of a purchase is now, relative to the run folder; None if it is not on disk."""
    row = db.execute(_PATH, (purchase, number)).fetchone()
    return None if row is None else row[0]


_ROWS = f"""
SELECT i.id, i.digest, i.model, i.body, i.inputs, i.tags, i.variables,
  a.purchase, a.state, a.estimated, a.reserved, a.charged, a.refunded, a.job_id, a.completed_at, a.error_type,
  {is_stale("a", "i")}, o.number, o.path, o.bytes, o.sha256, d.width, d.height, d.duration_ms, d.flags
FROM item i CROSS JOIN attempt a ON a.item = i.key CROSS JOIN output o ON o.attempt = a.key
LEFT JOIN delivered d ON d.attempt = o.attempt AND d.number = o.number AND d.sha256 = o.sha256
WHERE i.position IS NOT NULL AND i.state = 'done' AND o.path IS NOT NULL
  AND a.number = (SELECT MAX(b.number) FROM attempt b WHERE b.item = i.key AND b.state = 'done')
ORDER BY i.id, i.digest, o.number
"""
_PATH = """
SELECT o.path FROM attempt a CROSS JOIN output o ON o.attempt = a.key
WHERE a.purchase = ? AND o.number = ? AND o.path IS NOT NULL
"""
