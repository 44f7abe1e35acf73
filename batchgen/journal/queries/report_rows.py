"""Queries of those who read a journal while a run writes it: ledger, cost reports, `verify`. Any connection will do.

Each query streams in the order of an index, so that a million rows need no memory.
"""

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from batchgen.core.records import StoredFile
from batchgen.journal.attempts import is_last
from batchgen.journal.chains import is_stale


class LedgerRow(NamedTuple):
    """One attempt, or (`number` 0) an item that is skipped. Money is decimal text, times are milliseconds since 1970.

    A tuple, since a frozen dataclass of this width costs more to build than the query costs to run.
    """

    item_id: str
    number: int
    digest: str
    state: str
    model: str
    body: str
    estimated: str
    reserved: str
    charged: str | None
    refunded: str | None
    """Positive."""
    surplus: str
    job_id: str | None
    account: str | None
    submitted_at: int | None
    accepted_at: int | None
    completed_at: int | None
    refunded_at: int | None
    inference_ms: int | None
    polls: int | None
    files: str | None
    """Relative to the run folder, in the order of the outputs, separated by `;`; None: no file on disk."""
    bytes: int | None
    sha256: str | None
    error_type: str | None
    error_message: str | None
    expires_at: int | None
    source: str
    catalog_version: str | None
    tags: str
    """A JSON object."""
    inputs: str
    """The outputs of other items that it needs, as JSON."""
    stale: int
    """Whether it was made with an output that its source has since made again."""
    flags: str | None
    """The flags of its files, separated by `;`, once for each file; None: no file has one."""


class ChargeRow(NamedTuple):
    """What a cost report needs of an attempt or a skipped item; see `LedgerRow`."""

    item_id: str
    number: int
    digest: str
    state: str
    model: str
    estimated: str
    reserved: str
    charged: str | None
    refunded: str | None
    submitted_at: int | None
    accepted_at: int | None
    completed_at: int | None
    refunded_at: int | None
    tags: str
    job_id: str | None
    account: str | None
    error_type: str | None
    outputs: int
    """How many files were delivered."""
    stale: int
    flags: str | None


class FileRow(NamedTuple):
    """A file that the journal says is on disk."""

    attempt: int
    """The attempt's key."""
    item_id: str
    digest: str
    model: str
    job_id: str | None
    file: StoredFile


def facts_of(db: sqlite3.Connection) -> dict[str, str]:
    """Return what the folder is bound to, as `Journal.facts` does."""
    return dict(db.execute("SELECT name, value FROM meta"))


def tag_names(db: sqlite3.Connection) -> list[str]:
    """Return the names of all tags of the items that have a ledger row, sorted."""
    return [name for (name,) in db.execute(_TAG_NAMES)]


def ledger_rows(db: sqlite3.Connection) -> Iterator[LedgerRow]:
    """Yield the rows of the ledger by item id (in byte order) and attempt number; skipped items come as number 0."""
    return map(LedgerRow._make, db.execute(_LEDGER))


def charge_rows(db: sqlite3.Connection) -> Iterator[ChargeRow]:
    """Yield the same rows as `ledger_rows`, narrow and in no order."""
    return map(ChargeRow._make, db.execute(_CHARGES))


def file_rows(db: sqlite3.Connection) -> Iterator[FileRow]:
    """Yield every file that is on disk according to the journal, by path."""
    for attempt, item_id, digest, model, job_id, number, path, size, sha256 in db.execute(_FILES):
        yield FileRow(attempt, item_id, digest, model, job_id, StoredFile(number, path, size, sha256))


def pickable_outputs(db: sqlite3.Connection) -> Iterator[tuple[str, str, int, str, str]]:
    """Yield the outputs on disk of requested items as they were made last: item id, digest, number, path, SHA-256."""
    yield from db.execute(f"SELECT {_OUTPUT} {_PICKABLE} ORDER BY i.id, i.digest, o.number")


def pickable_outputs_of(db: sqlite3.Connection, item_id: str) -> Iterator[tuple[str, str, int, str, str]]:
    """Yield the same of one item."""
    yield from db.execute(f"SELECT {_OUTPUT} {_PICKABLE} AND i.id = ? ORDER BY o.number", (item_id,))


def pickable_attempts_of(db: sqlite3.Connection, item_id: str) -> Iterator[tuple[int, tuple[str, str, int, str, str]]]:
    """Yield the same outputs, each after the number of the attempt that delivered it."""
    query = f"SELECT a.number, {_OUTPUT} {_PICKABLE} AND i.id = ? ORDER BY o.number"
    for attempt, *output in db.execute(query, (item_id,)):
        yield attempt, (output[0], output[1], output[2], output[3], output[4])


def lacking_files(db: sqlite3.Connection) -> Iterator[FileRow]:
    """Yield the outputs that were ordered and never came, for purchases that are done, by attempt.

    Their paths end in `.*`, since only the bytes could tell an extension.
    """
    for attempt, item_id, digest, model, job_id, number, path in db.execute(_LACKING):
        yield FileRow(attempt, item_id, digest, model, job_id, StoredFile(number, f"{path}@{number}.*", 0, ""))


def present_files(db: sqlite3.Connection) -> Iterator[tuple[str, int]]:
    """Yield path and length of every file below `files/`: what was not moved aside."""
    yield from db.execute("SELECT path, bytes FROM output WHERE path >= 'files/' AND path < 'files0'")


def file_count(db: sqlite3.Connection) -> int:
    """Return how many rows `file_rows` yields."""
    (count,) = db.execute("SELECT COUNT(*) FROM output WHERE path IS NOT NULL").fetchone()
    return int(count)


def bytes_per_job(db: sqlite3.Connection, most: int = 200) -> float:
    """Return how many bytes the outputs of a job came to, over the latest `most` jobs; 0 before the first one."""
    (average,) = db.execute(
        "SELECT AVG(total) FROM (SELECT SUM(bytes) AS total FROM output WHERE path IS NOT NULL"
        " GROUP BY attempt ORDER BY attempt DESC LIMIT ?)",
        (most,),
    ).fetchone()
    return float(average or 0)


def bytes_by_model(db: sqlite3.Connection, most: int = 2_000) -> dict[str, float]:
    """Return how many bytes the outputs of a job came to on average, by model, over the latest `most` jobs."""
    rows = db.execute(
        "SELECT i.model, AVG(t.total) FROM (SELECT o.attempt, SUM(o.bytes) AS total FROM output o"
        " WHERE o.path IS NOT NULL GROUP BY o.attempt ORDER BY o.attempt DESC LIMIT ?) t"
        " JOIN attempt a ON a.key = t.attempt JOIN item i ON i.key = a.item GROUP BY 1",
        (most,),
    )
    return {model: float(average) for model, average in rows}


def knows_file(db: sqlite3.Connection, path: str) -> bool:
    """Return whether the journal has a file at `path`, relative to the run folder."""
    # A name on disk may not be UTF-8; it is looked up by its bytes, and not found.
    name = path.encode(errors="surrogateescape")
    return db.execute("SELECT 1 FROM output WHERE path = CAST(? AS TEXT)", (name,)).fetchone() is not None


def replace_file(db: sqlite3.Connection, attempt: int, file: StoredFile) -> None:
    """Record that an output was downloaded after its purchase had ended; inside a transaction of the caller.

    When the last missing output comes, the purchase is no longer marked as incomplete.
    """
    db.execute(
        "UPDATE output SET path = ?, bytes = ?, sha256 = ? WHERE attempt = ? AND number = ?",
        (file.path, file.bytes, file.sha256, attempt, file.output),
    )
    db.execute(
        "UPDATE attempt SET error_type = NULL, error_message = NULL WHERE key = ? AND error_type = 'fewer_outputs'"
        " AND NOT EXISTS (SELECT 1 FROM output o WHERE o.attempt = attempt.key AND o.path IS NULL)",
        (attempt,),
    )


def _outputs(aggregate: str) -> str:
    # group_concat takes its rows in the order of the subquery (SQLite documentation, "Built-in Aggregate Functions").
    return (
        f"(SELECT {aggregate} FROM (SELECT path, bytes, sha256 FROM output"
        " WHERE attempt = a.key AND path IS NOT NULL ORDER BY number))"
    )


_FLAGS = (
    "(SELECT group_concat(flags, ';') FROM (SELECT d.flags FROM delivered d"
    " JOIN output o USING (attempt, number, sha256) WHERE d.attempt = a.key AND d.flags <> '' ORDER BY d.number))"
)
_STALE = f"a.state = 'done' AND i.position IS NOT NULL AND {is_last('a', 'i')} AND {is_stale('a', 'i')}"
_LEDGER = f"""
SELECT i.id, a.number, i.digest, a.state, i.model, i.body, a.estimated, a.reserved, a.charged, a.refunded,
  a.surplus, a.job_id, a.account,
  a.submitted_at, a.accepted_at, a.completed_at, a.refunded_at, a.inference_ms, a.polls,
  {_outputs("group_concat(path, ';')")}, {_outputs("SUM(bytes)")}, {_outputs("group_concat(sha256, ';')")},
  a.error_type, a.error_message, a.expires_at, i.source, a.catalog_version, i.tags, i.inputs,
  {_STALE}, {_FLAGS}
FROM item i CROSS JOIN attempt a ON a.item = i.key
UNION ALL
SELECT i.id, 0, i.digest, i.state, i.model, i.body, i.estimated, '0', NULL, NULL, '0', NULL, NULL, NULL, NULL,
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, i.reason, NULL, i.source, NULL, i.tags, i.inputs, 0, NULL
FROM item i WHERE i.state = 'skipped' AND i.position IS NOT NULL
ORDER BY 1, 2, 3
"""
_CHARGES = f"""
SELECT i.id, a.number, i.digest, a.state, i.model, a.estimated, a.reserved, a.charged, a.refunded, a.submitted_at,
  a.accepted_at, a.completed_at, a.refunded_at, i.tags, a.job_id, a.account, a.error_type,
  {_outputs("COUNT(*)")}, {_STALE}, {_FLAGS}
FROM attempt a JOIN item i ON i.key = a.item
UNION ALL
SELECT id, 0, digest, state, model, estimated, '0', NULL, NULL, NULL, NULL, NULL, NULL, tags, NULL, NULL, NULL, 0, 0,
  NULL
FROM item WHERE state = 'skipped' AND position IS NOT NULL
"""
_TAG_NAMES = """
SELECT DISTINCT t.key FROM item i, json_each(i.tags) t
WHERE (i.state = 'skipped' AND i.position IS NOT NULL) OR EXISTS (SELECT 1 FROM attempt a WHERE a.item = i.key)
ORDER BY 1
"""
_LACKING = """
SELECT a.key, i.id, i.digest, i.model, a.job_id, o.number,
  CASE WHEN EXISTS
    (SELECT 1 FROM output p WHERE p.attempt = a.key AND p.path >= 'superseded/' AND p.path < 'superseded0')
  THEN 'superseded/' ELSE 'files/' END || i.path
FROM attempt a CROSS JOIN output o ON o.attempt = a.key CROSS JOIN item i ON i.key = a.item
WHERE a.error_type = 'fewer_outputs' AND a.state = 'done' AND o.path IS NULL ORDER BY a.key, o.number
"""
_OUTPUT = "i.id, i.digest, o.number, o.path, o.sha256"
_PICKABLE = """
FROM item i CROSS JOIN attempt a ON a.item = i.key CROSS JOIN output o ON o.attempt = a.key
WHERE i.position IS NOT NULL AND i.state = 'done' AND o.path IS NOT NULL
  AND a.number = (SELECT MAX(b.number) FROM attempt b WHERE b.item = i.key AND b.state = 'done')
"""
_FILES = """
SELECT o.attempt, i.id, i.digest, i.model, a.job_id, o.number, o.path, o.bytes, o.sha256
FROM output o CROSS JOIN attempt a ON a.key = o.attempt CROSS JOIN item i ON i.key = a.item
WHERE o.path IS NOT NULL ORDER BY o.path
"""
