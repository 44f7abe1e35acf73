"""Leaving items out of an item table that were bought elsewhere."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path


class BoughtElsewhere:
    """Purchases that other books show, and the items that are left out for them."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._books = 0
        db.execute("CREATE INDEX IF NOT EXISTS item_digest ON item (digest)")
        db.execute(_BOUGHT)

    def add(self, purchases: Iterable[tuple[str, str]]) -> bool:
        """Take in the purchases (id, digest) of one book; return whether any item asks for one of them."""
        self._books += 1
        rows = ((self._books, *purchase) for purchase in purchases)
        self._db.executemany("INSERT OR IGNORE INTO temp.bought VALUES (?, ?, ?)", rows)
        return self._db.execute(_ASKED_FOR, (self._books,)).fetchone() is not None

    def leave_out(self) -> int:
        """Move the items that were bought to `SKIPPED`, and return how many they are.

        A purchase counts for the item of the same id and request; otherwise (items may have been renamed) for the first
        one left with the same request that is not a wanted second purchase.
        """
        self._db.execute(_SAME)
        self._db.execute(_SAME_REQUEST)
        return self._db.execute("DELETE FROM item WHERE (id, digest) IN (SELECT id, digest FROM skipped)").rowcount


@contextmanager
def bought_elsewhere(database: Path) -> Iterator[BoughtElsewhere]:
    """Open an item table to leave out what was bought elsewhere; nothing changes where the block fails."""
    with closing(sqlite3.connect(database)) as db, db:
        yield BoughtElsewhere(db)


_BOUGHT = """
CREATE TEMP TABLE bought (books INTEGER, id TEXT, digest TEXT, PRIMARY KEY (digest, id, books)) WITHOUT ROWID
"""
_ASKED_FOR = """
SELECT 1 FROM temp.bought b WHERE books = ? AND EXISTS (SELECT 1 FROM item WHERE digest = b.digest) LIMIT 1
"""
_SAME = """
INSERT OR IGNORE INTO skipped
SELECT s.id, s.digest FROM item s JOIN temp.bought b ON b.digest = s.digest AND b.id = s.id
"""
_SAME_REQUEST = """
INSERT INTO skipped
SELECT s.id, s.digest FROM (
  SELECT n.id, n.digest, row_number() OVER (PARTITION BY n.digest ORDER BY n.id) AS turn
  FROM item n WHERE n.digest IN (SELECT digest FROM temp.bought)
    AND NOT EXISTS (SELECT 1 FROM skipped k WHERE k.id = n.id AND k.digest = n.digest)
    AND NOT EXISTS (SELECT 1 FROM redo d WHERE d.position = n.position)
) s JOIN (
  SELECT o.digest, row_number() OVER (PARTITION BY o.digest ORDER BY o.id) AS turn
  FROM (SELECT DISTINCT id, digest FROM temp.bought) o
  WHERE NOT EXISTS (SELECT 1 FROM skipped k WHERE k.id = o.id AND k.digest = o.digest)
) o ON o.digest = s.digest AND o.turn = s.turn
"""
