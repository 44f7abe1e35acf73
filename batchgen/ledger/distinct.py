"""Leaves out purchases that are given more than once, as by a run folder and a copy of its ledger."""

import hashlib
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing

from batchgen.core.text import stamp
from batchgen.ledger.charges import Charge

_NUMBER_LIKE = re.compile(r"[\d.,]+(E[+-]?\d+)?", re.ASCII | re.IGNORECASE)


class Distinct:
    """Yields charges, and of those of one purchase only the first.

    A purchase is known by run, digest and the second in which it was submitted, which tells apart two runs of one name
    in different output folders, and by its job; or by item and attempt, where one of two copies was written before the
    job was known. An item's id alone would not do: a rename changes it.
    """

    def __init__(self, charges: Iterable[Charge]) -> None:
        self.repeated = 0
        """How many were left out so far."""
        self._charges = charges

    def __iter__(self) -> Iterator[Charge]:
        # A nameless database is private, is kept in memory while small, and goes to a temporary file beyond that
        # (SQLite documentation, "In-Memory Databases"): a set of a million purchases would be the one thing that grows.
        with closing(sqlite3.connect("", isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = OFF")
            db.execute("PRAGMA cache_size = -8192")
            db.execute("CREATE TABLE seen (purchase BLOB PRIMARY KEY) WITHOUT ROWID")
            db.execute("BEGIN")
            for charge in self._charges:
                if _is_new(db, charge):
                    yield charge
                else:
                    self.repeated += 1


def _is_new(db: sqlite3.Connection, charge: Charge) -> bool:
    """Return whether a purchase was not seen before, and remember it."""
    common = (charge.run, charge.digest, stamp(charge.submitted_at) if charge.submitted_at else "")
    job = "" if _NUMBER_LIKE.fullmatch(charge.job_id) else charge.job_id  # a spreadsheet may have rounded it
    if job and not _add(db, _name("job", *common, job)):
        return False
    place = (*common, charge.item_id, str(charge.attempt))
    jobless, with_job = _name("jobless", *place), _name("with job", *place)
    if not job:
        return not _has(db, with_job) and _add(db, jobless)
    # The copy that knew no job was of this purchase; it is of no other one any more.
    adopted = db.execute("DELETE FROM seen WHERE purchase = ?", (jobless,)).rowcount
    _add(db, with_job)
    return not adopted


def _name(*parts: str) -> bytes:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).digest()


def _has(db: sqlite3.Connection, name: bytes) -> bool:
    return db.execute("SELECT 1 FROM seen WHERE purchase = ?", (name,)).fetchone() is not None


def _add(db: sqlite3.Connection, name: bytes) -> bool:
    """Remember a name, and return whether it is new."""
    return db.execute("INSERT OR IGNORE INTO seen VALUES (?)", (name,)).rowcount == 1
