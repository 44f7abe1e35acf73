"""What a journal knows of single purchases, for those who compare it with something else. All take any connection."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from batchgen.core.records import UNANSWERED


class JobRow(NamedTuple):
    """A purchase whose job is known. Money is decimal text in USD."""

    job_id: str
    account: str
    state: str
    charged: str | None
    refunded: str | None
    """Positive."""


def run_id_of(db: sqlite3.Connection) -> str:
    """Return the random name of a run folder, which tells it from like-named ones and is the same in its copies."""
    (run_id,) = db.execute("SELECT run_id FROM vouched").fetchone()
    return str(run_id)


def knows_purchase(db: sqlite3.Connection, item_id: str, digest: str, attempt: int, job_id: str) -> bool:
    """Return whether a purchase is known here that other books name by item, digest and number of the attempt.

    `job_id` is empty where they have none.
    """
    if job_id:
        # A spreadsheet may have taken its id for a number; what has this attempt already is not bought again.
        known = db.execute(
            "SELECT 1 FROM attempt WHERE job_id = ? UNION ALL SELECT 1 FROM item i JOIN attempt a ON a.item = i.key"
            " WHERE i.id = ? AND i.digest = ? AND a.number = ? AND a.job_id IS NOT NULL LIMIT 1",
            (job_id, item_id, digest, attempt),
        ).fetchone()
        return known is not None
    # An attempt that was settled as not charged is gone; its number stays used. By digest, which has no index, only
    # what has another id by now.
    for query, value in ((_USED_BY_ID, item_id), (_USED_BY_DIGEST, digest)):
        (used,) = db.execute(query, (value,)).fetchone()
        if used is not None and used >= attempt:
            return True
    return False


_USED_BY_ID = "SELECT MAX(attempts) FROM item WHERE id = ?"
_USED_BY_DIGEST = "SELECT MAX(attempts) FROM item WHERE digest = ?"


def has_pending(db: sqlite3.Connection) -> bool:
    """Return whether the manifest asks for any item that is pending."""
    query = "SELECT 1 FROM item WHERE state = 'pending' AND position IS NOT NULL LIMIT 1"
    return db.execute(query).fetchone() is not None


def files_of_pending(
    db: sqlite3.Connection, found: Iterable[tuple[str, str]], is_output: Callable[[str], bool], most: int
) -> list[tuple[str, str]]:
    """Return id and file of up to `most` pending items whose file is on disk although no purchase has delivered it.

    `found` are the files below `files/`, relative to the run folder, each with the path of the item that it would
    belong to; only those count that `is_output` agrees to. Items under whose id something was delivered are left out.
    Inside a transaction of the caller.
    """
    db.execute("CREATE TEMP TABLE found_file (path TEXT, stem TEXT, PRIMARY KEY (path, stem)) WITHOUT ROWID")
    db.executemany("INSERT OR IGNORE INTO temp.found_file VALUES (?, ?)", found)
    db.execute("DELETE FROM temp.found_file WHERE path IN (SELECT path FROM main.output WHERE path IS NOT NULL)")
    db.execute("CREATE INDEX temp.found_file_stem ON found_file (stem)")
    rows = db.execute(
        "SELECT i.id, f.path FROM main.item i CROSS JOIN temp.found_file f ON f.stem = i.path"
        " WHERE i.state = 'pending' AND i.position IS NOT NULL AND NOT EXISTS (SELECT 1 FROM main.item d"
        " JOIN main.attempt a ON a.item = d.key JOIN main.output o ON o.attempt = a.key"
        " WHERE d.id = i.id AND o.path IS NOT NULL) ORDER BY 2"
    )
    named = list(islice(((item, path) for item, path in rows if is_output(path)), most))
    rows.close()
    db.execute("DROP TABLE temp.found_file")
    return named


def job_rows(db: sqlite3.Connection) -> Iterator[JobRow]:
    """Yield the purchases whose job is known, in no order."""
    query = "SELECT job_id, account, state, charged, refunded FROM attempt WHERE job_id IS NOT NULL"
    return map(JobRow._make, db.execute(query))


def sent_inputs(db: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Yield the job of each purchase that was sent with outputs of other items, and these (`journal.chains`)."""
    yield from db.execute("SELECT job_id, inputs FROM attempt WHERE inputs <> '[]' AND job_id IS NOT NULL")


def unanswered_by_digest(db: sqlite3.Connection) -> dict[str, int]:
    """Return by digest how many purchases may have been charged, without an answer that says so."""
    return dict(
        db.execute(
            "SELECT i.digest, COUNT(*) FROM attempt a JOIN item i ON i.key = a.item"
            f" WHERE a.state IN {UNANSWERED.sql} GROUP BY i.digest"
        )
    )


def estimates(db: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Yield the body of each purchase, and what it costs by the catalogue (decimal text, USD)."""
    yield from db.execute("SELECT i.body, a.estimated FROM attempt a JOIN item i ON i.key = a.item")
