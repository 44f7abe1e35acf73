"""Makes one journal of several: all items, purchases, outputs and what was found about them, with keys of their own.

The journals are attached one after the other, for SQLite attaches ten at most, and all work is done in SQL: memory does
not grow with them. What is made is a new file that nobody knows yet, so that nothing here needs to be durable.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from batchgen.journal.attempts import UNKNOWN_BODY
from batchgen.journal.merging.overlaps import (
    NOTE_ITEMS,
    NOTE_PURCHASES,
    TABLES,
    Overlap,
    contradictions,
    note_shared,
)
from batchgen.journal.recovery.reconcile import name_receipts
from batchgen.journal.schema import make_tables

_CACHE_KIB = 65_536


class MergedFile(NamedTuple):
    """A file of one of the journals, with its place in the merged run folder; paths are relative to the run folder."""

    path: str
    target: str
    bytes: int
    sha256: str


class Combination:
    """One journal in the making. First `add` all of the others, then look for `overlaps`, then `combine`."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._sources: list[Path] = []
        db.executescript(TABLES)

    def add(self, journal: Path, *, nameless: bool = False) -> None:
        """Take up the items of a closed journal of the present version. What is listed counts, then what came first.

        `nameless`: its purchases were given names only now, since version 1 had none.
        """
        self._sources.append(journal)
        number = len(self._sources) - 1
        with self._attached(number):
            self._db.execute(_ADD_ITEMS)
            self._db.execute(NOTE_ITEMS, (number,))
            self._db.execute(NOTE_PURCHASES, (number, nameless))

    def overlaps(self, most: int, *, jobs_are_unique: bool) -> list[Overlap]:
        """Return the first contradictions between the journals, and one beyond `most` where there are more."""
        note_shared(self._db)
        found = contradictions(self._db, jobs_are_unique=jobs_are_unique)
        return [overlap for overlap, _ in zip(found, range(most + 1), strict=False)]

    def combine(self, facts: Mapping[str, str], named: tuple[str, int] | None) -> None:
        """Take up the purchases, the oldest first. `named`: run id and generation of receipts that there are already.

        To be called once there are no overlaps.
        """
        db = self._db
        db.executescript(_CHOOSE)
        for number in range(len(self._sources)):
            with self._attached(number):
                for table, key in (("attempt", "key"), ("output", "attempt"), ("delivered", "attempt")):
                    db.execute(_take(self._columns(table), table, key), (number,))
                db.execute(_TAKE_STATES, (number,))
        self._make_positions_unique()
        self._make_paths_unique()
        db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", facts.items())
        if named is not None:
            name_receipts(db, *named)

    def files(self, number: int) -> Iterator[MergedFile]:
        """Yield the files that the journal at this place among the added ones has contributed."""
        with self._attached(number):
            rows = self._db.execute(
                "SELECT o.path, m.path, o.bytes, o.sha256 FROM temp.chosen c JOIN src.output o ON o.attempt = c.old"
                " JOIN main.output m ON m.attempt = c.new AND m.number = o.number"
                " WHERE c.source = ? AND o.path IS NOT NULL",
                (number,),
            )
            yield from map(MergedFile._make, rows)

    # ---- inside ----

    @contextmanager
    def _attached(self, number: int) -> Iterator[None]:
        self._db.execute("ATTACH ? AS src", (f"{self._sources[number].absolute().as_uri()}?immutable=1",))
        try:
            self._db.execute("BEGIN")
            yield
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._db.execute("DETACH src")

    def _columns(self, table: str) -> list[str]:
        return [name for _, name, *_ in self._db.execute(f"PRAGMA main.table_info({table})")]

    def _make_positions_unique(self) -> None:
        """Number the items anew where journals have used the same numbers: items are bought in their order."""
        twice = "SELECT 1 FROM item WHERE position IS NOT NULL GROUP BY position HAVING COUNT(*) > 1 LIMIT 1"
        if self._db.execute(twice).fetchone():
            self._db.execute(_RENUMBER)

    def _make_paths_unique(self) -> None:
        """Give files that would have the name of another one a name below `superseded/`."""
        clashes = self._db.execute(_SAME_PATHS).fetchall()
        for attempt, number, path in clashes:
            self._db.execute(
                "UPDATE output SET path = ? WHERE attempt = ? AND number = ?", (self._free_name(path), attempt, number)
            )

    def _free_name(self, path: str) -> str:
        below = PurePosixPath(*PurePosixPath(path).parts[1:])
        names = (f"superseded/{below.with_name(f'{below.stem}~{number}{below.suffix}')}" for number in count(2))
        return next(
            name for name in names if not self._db.execute("SELECT 1 FROM output WHERE path = ?", (name,)).fetchone()
        )


@contextmanager
def new_combination(path: Path) -> Iterator[Combination]:
    """Make an empty journal at `path`, which does not exist, and give what fills it while the block runs.

    The file is whole when the block ends, and not durable. SQLite's errors are the caller's to translate.
    """
    db = sqlite3.connect(path.absolute().as_uri(), uri=True, isolation_level=None)
    try:
        for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}"):
            db.execute(f"PRAGMA {setting}")
        make_tables(db)
        yield Combination(db)
    finally:
        db.close()


# ---- the statements ------------------------------------------------------------------------------------------------

_METADATA = ("tags", "path", "source", "estimated", "inputs", "expect", "variables")
_NOW_LISTED = "item.position IS NULL AND excluded.position IS NOT NULL"
_ADD_ITEMS = f"""
INSERT INTO item (id, digest, model, body, {", ".join(_METADATA)}, state, attempts, reason, position)
SELECT s.id, s.digest, s.model, s.body, {", ".join(f"s.{name}" for name in _METADATA)}, s.state, s.attempts, s.reason,
  s.position
FROM src.item s WHERE true ORDER BY s.key
ON CONFLICT (id, digest) DO UPDATE SET
  {", ".join(f"{name} = iif({_NOW_LISTED}, excluded.{name}, {name})" for name in _METADATA)},
  body = iif(body = '{UNKNOWN_BODY}', excluded.body, body), attempts = MAX(attempts, excluded.attempts),
  position = COALESCE(position, excluded.position)
"""
# Of each purchase the record that has come furthest, then the one of the first journal.
_CHOOSE = """
CREATE TEMP TABLE chosen (new INTEGER PRIMARY KEY, source INTEGER, old INTEGER, item INTEGER, number INTEGER);
INSERT INTO temp.chosen (source, old, item, number)
SELECT source, old, item, number FROM (
  SELECT *, row_number() OVER (PARTITION BY name ORDER BY progress DESC, source) AS turn FROM temp.purchase
) WHERE turn = 1 ORDER BY at, source, old;
CREATE INDEX temp.chosen_source ON chosen (source, old);
-- Of an item that several journals have, the state is where its last purchase is.
CREATE TEMP TABLE decisive (item INTEGER PRIMARY KEY, source INTEGER);
INSERT INTO temp.decisive
SELECT item, source FROM (
  SELECT item, source, row_number() OVER (PARTITION BY item ORDER BY number DESC) AS turn FROM temp.chosen
) WHERE turn = 1;
"""


def _take(columns: Sequence[str], table: str, key: str) -> str:
    """Return the SQL that takes over the rows of chosen attempts, which `key` names, under their new keys."""
    new = {key: "c.new", "item": "c.item"}
    shown = ", ".join(new.get(name, f"t.{name}") for name in columns)
    return (
        f"INSERT INTO main.{table} ({', '.join(columns)}) SELECT {shown} FROM temp.chosen c"
        f" JOIN src.{table} t ON t.{key} = c.old WHERE c.source = ? ORDER BY c.new"
    )


_TAKE_STATES = """
UPDATE main.item SET state = s.state, reason = s.reason
FROM temp.decisive d, temp.place p, src.item s
WHERE d.item = main.item.key AND d.source = ?1 AND p.source = ?1 AND p.new = d.item AND s.key = p.old
  AND (main.item.state, main.item.reason) IS NOT (s.state, s.reason)
"""
_RENUMBER = """
UPDATE item SET position = n.place FROM (
  SELECT key, row_number() OVER (ORDER BY position, key) AS place FROM item WHERE position IS NOT NULL
) n WHERE n.key = item.key
"""
_SAME_PATHS = """
SELECT attempt, number, path FROM (
  SELECT o.attempt, o.number, o.path, row_number() OVER (
    PARTITION BY o.path ORDER BY c.source, i.position IS NULL, a.number DESC, o.attempt
  ) AS turn
  FROM output o JOIN attempt a ON a.key = o.attempt JOIN item i ON i.key = a.item JOIN temp.chosen c ON c.new = a.key
  WHERE o.path IN (SELECT path FROM output WHERE path IS NOT NULL GROUP BY path HAVING COUNT(*) > 1)
) WHERE turn > 1
"""
