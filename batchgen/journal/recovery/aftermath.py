"""What follows for items and files once receipts were replayed: see `batchgen.journal.recovery.replay`.

Its temporary tables: `touched` items, `finished` attempts, and the files that were `kept` of them.
"""

import hashlib
import sqlite3
from collections.abc import Callable
from functools import cache
from pathlib import Path

from batchgen.core.records import UNSETTLED
from batchgen.store import OutputStore, store_of


def touch(db: sqlite3.Connection, item: int) -> None:
    """Note that an attempt of this item has changed."""
    db.execute("INSERT OR IGNORE INTO temp.touched VALUES (?)", (item,))


def settle_files(db: sqlite3.Connection, is_there: Callable[[str, int, str], bool]) -> None:
    """Make attempts done whose files are all on disk, without asking the provider."""
    whole = db.execute(
        "SELECT f.attempt, a.item FROM temp.finished f JOIN attempt a ON a.key = f.attempt"
        " WHERE a.state = 'processing' AND f.outputs > 0"
        " AND f.outputs = (SELECT COUNT(*) FROM temp.kept k WHERE k.attempt = f.attempt)"
    ).fetchall()
    for attempt, item in whole:
        files = db.execute(
            "SELECT number, path, bytes, sha256 FROM temp.kept WHERE attempt = ? ORDER BY number", (attempt,)
        ).fetchall()
        if all(is_there(path, size, sha256) for _, path, size, sha256 in files):
            db.executemany(
                "INSERT INTO output (attempt, number, url, path, bytes, sha256) VALUES (?, ?, '', ?, ?, ?)"
                # The outputs of a job that was lost once may be known.
                " ON CONFLICT DO UPDATE SET path = excluded.path, bytes = excluded.bytes, sha256 = excluded.sha256",
                [(attempt, *file) for file in files],
            )
            db.execute("UPDATE attempt SET state = 'done' WHERE key = ?", (attempt,))
            touch(db, item)


def follow_files(db: sqlite3.Connection, is_there: Callable[[str, int, str], bool]) -> None:
    """Take over where files are now that were moved, or downloaded again, since the journal knew of them."""
    elsewhere = db.execute(
        "SELECT k.path, k.bytes, k.sha256, k.attempt, k.number FROM temp.kept k"
        " JOIN output o ON o.attempt = k.attempt AND o.number = k.number"
        " WHERE o.path IS NOT NULL AND (o.path, o.sha256) <> (k.path, k.sha256)"
    ).fetchall()
    for path, size, sha256, attempt, number in elsewhere:
        if is_there(path, size, sha256):
            db.execute(
                "UPDATE output SET path = ?, bytes = ?, sha256 = ? WHERE attempt = ? AND number = ?",
                (path, size, sha256, attempt, number),
            )
            db.execute("DELETE FROM move WHERE attempt = ? AND number = ?", (attempt, number))


def split_live_purchases(db: sqlite3.Connection, item: int) -> None:
    """Give each of several unsettled purchases of one item an item of its own, so that all are collected."""
    live = db.execute(
        f"SELECT key, purchase FROM attempt WHERE item = ? AND state IN {UNSETTLED.sql} ORDER BY number DESC",
        (item,),
    ).fetchall()
    for key, purchase in live[1:]:
        (copy,) = db.execute(
            "INSERT INTO item (id, digest, model, body, tags, path, source, estimated, inputs, expect, variables,"
            " state, attempts)"
            " SELECT id, digest || '~' || ?2, model, body, tags, path || '~' || ?2, source, estimated, inputs,"
            " expect, variables, (SELECT state FROM attempt WHERE key = ?3), attempts FROM item WHERE key = ?1"
            # The item of a purchase that was split off before, and that an older journal does not know.
            " ON CONFLICT (id, digest) DO UPDATE SET state = excluded.state RETURNING key",
            (item, purchase[-8:], key),
        ).fetchone()
        db.execute("UPDATE attempt SET item = ? WHERE key = ?", (copy, key))


def derive_state(db: sqlite3.Connection, item: int) -> None:
    """Set the state of an item to that of its unsettled attempt, or else of its latest one."""
    db.execute(
        "UPDATE item SET state = COALESCE((SELECT state FROM attempt WHERE item = ?1"
        f" ORDER BY state IN {UNSETTLED.sql} DESC, number DESC LIMIT 1), 'pending') WHERE key = ?1",
        (item,),
    )


def is_stored(db: sqlite3.Connection, folder: Path) -> Callable[[str, int, str], bool]:
    """Return a function that says whether an output of the run folder has this length and SHA-256."""

    @cache
    def store() -> OutputStore:  # what the receipts say of its place is taken over by the time of the first question
        return store_of(folder, dict(db.execute("SELECT name, value FROM meta")))

    def check(path: str, size: int, sha256: str) -> bool:
        known = store().known(path)
        if known is None or known.bytes != size:
            return False  # a missing file is downloaded again
        if known.sha256 is not None:
            return known.sha256 == sha256
        try:
            with store().open(path) as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == sha256
        except OSError:
            return False

    return check
