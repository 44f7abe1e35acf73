"""Queries of `batchgen redo`: the items of a run that are to be bought once more, under ids of their own.

The chosen ones stand in a temporary table of the connection, so that memory does not grow with them.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from batchgen.journal.attempts import UNKNOWN_BODY


class RedoRow(NamedTuple):
    """A chosen item, as the journal has it."""

    item_id: str
    new_id: str
    model: str
    body: str
    tags: str
    """A JSON object."""
    path: str
    inputs: str
    """The outputs of other items that it needs, as JSON."""
    expect: str | None
    """The checks of what is delivered, a JSON object."""
    wanted: int
    """0: it only comes along, since a chosen item needs its output."""


class Chosen:
    """The chosen items of a journal that is open for reading."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        db.execute(_TABLE)

    def add(self, item_id: str, digest: str, *, wanted: Callable[[str, str], bool]) -> None:
        """Choose a requested item, if `wanted` says so of its id and its tags (JSON)."""
        row = self._db.execute(_FIND, (item_id, digest)).fetchone()
        if row is not None and wanted(item_id, row[2]):
            self._db.execute("INSERT OR IGNORE INTO temp.chosen VALUES (?, ?, NULL, 1)", row[:2])

    def add_sources(self) -> int:
        """Let the items come along whose outputs the chosen ones need, and those that these need; return how many."""
        before = self.count
        while self._db.execute(_ADD_SOURCES).rowcount > 0:
            pass
        return self.count - before

    @property
    def count(self) -> int:
        """How many items there are, with those that come along."""
        (count,) = self._db.execute("SELECT COUNT(*) FROM temp.chosen").fetchone()
        return int(count)

    def needing_others(self) -> Iterator[tuple[str, str]]:
        """Yield each chosen item that needs an output of an item that is not chosen, with the id of that one."""
        yield from self._db.execute(_NEEDING_OTHERS)

    def without_request(self) -> Iterator[str]:
        """Yield the ids of chosen items that are known from the receipts alone."""
        for (item_id,) in self._db.execute(_WITHOUT_REQUEST, (UNKNOWN_BODY,)):
            yield item_id

    def name(self, ids_for: Callable[[str], Iterable[str]]) -> None:
        """Give each item a new id: the first of those that `ids_for` returns for its id that no other one has."""
        last = 0
        while rows := self._db.execute(_NEXT, (last,)).fetchall():
            for last, item_id in rows:
                next(new_id for new_id in ids_for(item_id) if self._db.execute(_NAME, (new_id, last)).rowcount)

    def new_id(self, item_id: str) -> str | None:
        """Return the new id of a chosen item, else None."""
        row = self._db.execute(_NEW_ID, (item_id,)).fetchone()
        return None if row is None else str(row[0])

    def rows(self) -> Iterator[RedoRow]:
        """Yield the chosen items in the order of the manifest."""
        yield from map(RedoRow._make, self._db.execute(_ROWS))


def flagged_items(db: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Yield id and digest of requested items whose present files were flagged, or are of a format that is not known."""
    yield from db.execute(_FLAGGED)


_TABLE = """
CREATE TEMP TABLE chosen (
  key INTEGER PRIMARY KEY, position INTEGER NOT NULL, new_id TEXT UNIQUE COLLATE NOCASE, wanted INTEGER NOT NULL
)
"""
_FIND = "SELECT key, position, tags FROM item WHERE id = ? AND digest = ? AND position IS NOT NULL"
_ADD_SOURCES = """
INSERT OR IGNORE INTO temp.chosen
SELECT s.key, s.position, NULL, 0 FROM temp.chosen c JOIN dependency d ON d.dependant = c.key
JOIN item s ON s.key = d.source AND s.position IS NOT NULL
"""
_NEEDING_OTHERS = """
SELECT i.id, COALESCE(s.id, json_extract(i.inputs, '$[0][1]')) FROM temp.chosen c
JOIN dependency d ON d.dependant = c.key JOIN item i ON i.key = c.key LEFT JOIN item s ON s.key = d.source
WHERE d.source IS NULL OR d.source NOT IN (SELECT key FROM temp.chosen) ORDER BY c.position
"""
_WITHOUT_REQUEST = """
SELECT i.id FROM temp.chosen c JOIN item i ON i.key = c.key WHERE i.body = ? ORDER BY c.position
"""
_NEXT = "SELECT c.key, i.id FROM temp.chosen c JOIN item i ON i.key = c.key WHERE c.key > ? ORDER BY c.key LIMIT 4096"
_NAME = """
UPDATE temp.chosen SET new_id = ?1 WHERE key = ?2 AND NOT EXISTS (SELECT 1 FROM temp.chosen WHERE new_id = ?1)
"""
_NEW_ID = "SELECT c.new_id FROM item i JOIN temp.chosen c ON c.key = i.key WHERE i.id = ? AND i.position IS NOT NULL"
_ROWS = """
SELECT i.id, c.new_id, i.model, i.body, i.tags, i.path, i.inputs, i.expect, c.wanted
FROM temp.chosen c JOIN item i ON i.key = c.key ORDER BY c.position
"""
_FLAGGED = """
SELECT DISTINCT i.id, i.digest FROM item i CROSS JOIN attempt a ON a.item = i.key
WHERE i.position IS NOT NULL AND i.state = 'done'
  AND a.number = (SELECT MAX(b.number) FROM attempt b WHERE b.item = i.key AND b.state = 'done')
  AND (a.error_type = 'unknown_format' OR EXISTS (
    SELECT 1 FROM delivered d JOIN output o ON o.attempt = d.attempt AND o.number = d.number AND o.sha256 = d.sha256
    WHERE d.attempt = a.key AND d.flags <> ''))
ORDER BY i.position
"""
