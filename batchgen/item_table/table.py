"""Writing an item table: the items of one manifest, expanded, in a scratch SQLite file and in bounded memory."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path

from batchgen.core.costs import parsed, times, total
from batchgen.core.errors import DiskError
from batchgen.core.files import disk_errors
from batchgen.core.records import Item
from batchgen.item_table.chains import Chains
from batchgen.item_table.same_names import Clash, clashes, number_same_ids

_BATCH = 2_000
_CACHE_KIB = 2_048
_DISK = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}

_TABLES = (
    """
CREATE TABLE item (
  position  INTEGER PRIMARY KEY,  -- from 1, in the order of the manifest
  id        TEXT NOT NULL,
  digest    TEXT NOT NULL,
  model     TEXT NOT NULL,
  body      TEXT NOT NULL,
  tags      TEXT NOT NULL,  -- JSON object, sorted
  path      TEXT NOT NULL,
  source    TEXT NOT NULL,  -- file:line
  estimated TEXT,           -- plain decimal, USD; NULL: the price is unknown
  inputs    TEXT NOT NULL DEFAULT '[]',
  expect    TEXT,           -- the checks of what is delivered, a JSON object; NULL: none
  variables TEXT,           -- of the matrix and the row, as far as they are used, a JSON object; NULL: none
  generated INTEGER NOT NULL DEFAULT 0  -- 1: the manifest gave no id; 2: nor does it for a copy made by `repeat`
)
""",
    # The values of the matrix that an item is made by. Most have none, and do not pay for those that have.
    "CREATE TABLE combination (position INTEGER PRIMARY KEY, variables TEXT NOT NULL)",
    # Items that are left out, since other books show them as bought.
    "CREATE TABLE skipped (id TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (id, digest)) WITHOUT ROWID",
    # Items that other shards buy.
    "CREATE TABLE other_shard (id TEXT NOT NULL, digest TEXT NOT NULL, tags TEXT NOT NULL)",
    # Items that are wanted second purchases, with the run and the item that they repeat.
    "CREATE TABLE redo (position INTEGER PRIMARY KEY, run TEXT NOT NULL, item TEXT NOT NULL)",
    # The entries that make several items, or may: their first and last one. Others are an entry of their own.
    "CREATE TABLE entry (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, key TEXT NOT NULL)",
    # Items that are bought earlier or later than their place in the manifest says; the others have priority 0.
    "CREATE TABLE priority (position INTEGER PRIMARY KEY, priority INTEGER NOT NULL)",
    # Outputs of other items (`source`, a position) that items need. `line` and `column`, from 0: where that is written.
    """
CREATE TABLE input (
  position  INTEGER NOT NULL,
  parameter TEXT NOT NULL,     -- `image`, or `images/0` in a list
  item_id   TEXT NOT NULL,
  output    INTEGER NOT NULL,  -- from 1; 0: the one that a person picks
  source    INTEGER,           -- NULL: there is no such item
  line      INTEGER,           -- NULL: the row says what is needed
  column    INTEGER,
  PRIMARY KEY (position, parameter)
) WITHOUT ROWID
""",
    # Items that a person has to pick an output for first, or that need such items.
    "CREATE TABLE waiting (position INTEGER PRIMARY KEY)",
    # Local pictures that items need: the path, the file's size and time when it was read, and what it was then.
    """
CREATE TABLE picture (
  path TEXT PRIMARY KEY, state TEXT NOT NULL, sha256 TEXT NOT NULL, extension TEXT NOT NULL
) WITHOUT ROWID
""",
    "CREATE INDEX picture_sha256 ON picture (sha256)",
)

Record = tuple[str, str, str, str, str, str, str, str | None, str | None, str | None, int]
"""id, digest, model, body, tags, path, source, estimated, expect, variables, generated."""


class ItemTable:
    """The items of one manifest, while they are written."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._batch: list[Record] = []
        self._combinations: list[tuple[int, str]] = []
        self._redos: list[tuple[int, str, str]] = []
        self._priorities: list[tuple[int, int]] = []
        self._inputs: list[tuple[int, str, str, int, int | None, int | None]] = []
        self.count = 0
        """Items so far."""
        self.generated = 0
        """Items so far whose id was made and not given."""
        self.inputs = 0
        """Outputs of other items that items so far need."""
        self.pictures = False
        """Whether items need local pictures."""

    def add(self, record: Record, combination: str = "", redo_of: tuple[str, str] | None = None) -> None:
        """Add one item behind the others; `combination` are the values of the matrix that it is made by, for messages.

        `redo_of` are run and item that it is a wanted second purchase of.
        """
        self.count += 1
        self.generated += record[-1]
        self._batch.append(record)
        if combination:
            self._combinations.append((self.count, combination))
        if redo_of is not None:
            self._redos.append((self.count, *redo_of))
        if len(self._batch) >= _BATCH:
            self.flush()

    def add_entry(self, key: str, first: int) -> None:
        """Add that the items from `first` on, up to the one added last, come from one entry of the manifest.

        The key stays the same wherever the entry stands.
        """
        if self.count >= first:
            self._db.execute("INSERT INTO entry VALUES (?, ?, ?)", (first, self.count, key))

    def set_priority(self, priority: int) -> None:
        """Let the item that was added last be bought earlier (above 0) or later (below 0) than others."""
        self._priorities.append((self.count, priority))

    def add_input(self, parameter: str, item_id: str, output: int, place: tuple[int, int] | None) -> None:
        """Add that the item added last needs another item's output as a parameter; see `batchgen.item_table.chains`.

        `place` is line and column, from 0, of the reference; None if the item's row makes it.
        """
        line, column = place or (None, None)
        self.inputs += 1
        self._inputs.append((self.count, parameter, item_id, output, line, column))

    def add_picture(self, path: str, state: str, sha256: str, extension: str) -> None:
        """Add a local picture that items need, as its file was found: `state` is its size and time."""
        self._db.execute("INSERT OR REPLACE INTO picture VALUES (?, ?, ?, ?)", (path, state, sha256, extension))
        self.pictures = True

    def picture(self, path: str, state: str) -> tuple[str, str] | None:
        """Return SHA-256 and extension of a picture whose file was read in this state; None if it was not."""
        found = self._db.execute("SELECT sha256, extension FROM picture WHERE path = ? AND state = ?", (path, state))
        row: tuple[str, str] | None = found.fetchone()
        return row

    def add_faulty(self, item_id: str, source: str, combination: str) -> None:
        """Add an item with a fault: only its id counts, since another item may have it too."""
        self.add((item_id, "", "", "", "{}", "", source, "0", None, None, 0), combination)

    def flush(self) -> None:
        """Write what `add` holds back."""
        self._db.executemany(
            "INSERT INTO item (id, digest, model, body, tags, path, source, estimated, expect, variables,"
            " generated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            self._batch,
        )
        self._batch.clear()
        self._db.executemany("INSERT INTO combination VALUES (?, ?)", self._combinations)
        self._combinations.clear()
        self._db.executemany("INSERT INTO redo VALUES (?, ?, ?)", self._redos)
        self._redos.clear()
        self._db.executemany(
            "INSERT INTO input (position, parameter, item_id, output, line, column) VALUES (?, ?, ?, ?, ?, ?)",
            self._inputs,
        )
        self._inputs.clear()
        self._db.executemany("INSERT INTO priority VALUES (?, ?)", self._priorities)
        self._priorities.clear()

    def clear(self) -> None:
        """Forget all items."""
        self._batch.clear()
        self._combinations.clear()
        self._redos.clear()
        self._inputs.clear()
        self._priorities.clear()
        for table in ("item", "combination", "redo", "input", "priority", "entry"):
            self._db.execute(f"DELETE FROM {table}")
        self.count = self.generated = self.inputs = 0

    def number_same_ids(self, path_of: Callable[[str, str, dict[str, str]], str]) -> None:
        """Give made ids that are the same a number each, see `batchgen.item_table.same_names`."""
        number_same_ids(self._db, path_of)

    def chains(self) -> Chains:
        """Return the chains of the items, once all have been added and flushed."""
        return Chains(self._db)

    def clashes(self, column: str) -> Iterator[Clash]:
        """Yield the items whose `id` or `path` an earlier item has, ignoring case."""
        return clashes(self._db, column)


@contextmanager
def open_item_table(database: Path) -> Iterator[ItemTable]:
    """Make a new item table in the file `database`, and close it at the end. A crash leaves nothing of worth.

    Raises DiskError where the disk is full or cannot be written.
    """
    with disk_errors(database):
        database.unlink(missing_ok=True)
    with _sqlite_errors(database), closing(sqlite3.connect(database, isolation_level=None)) as db:
        for pragma in (
            "journal_mode = OFF",
            "synchronous = OFF",
            "locking_mode = EXCLUSIVE",
            f"cache_size = -{_CACHE_KIB}",
        ):
            db.execute(f"PRAGMA {pragma}")
        for statement in _TABLES:
            db.execute(statement)
        db.execute("BEGIN")
        yield ItemTable(db)
        db.execute("COMMIT")


def write_items(database: Path, items: Iterable[Item]) -> None:
    """Make a new item table in the file `database` of items that are complete already. Raises DiskError."""
    with open_item_table(database) as table:
        for i in items:
            tags = json.dumps(dict(i.tags))
            table.add((i.id, i.digest, i.model, i.body, tags, i.path, i.source, str(i.estimated), i.expect, None, 0))
            for needed in i.inputs:
                table.add_input(needed.parameter, needed.item_id, needed.output, None)
        table.flush()
        for _ in table.chains().link(lambda *_: None):
            pass  # a source that is not among the items was left out
        table.chains().number()


def estimated_cost(database: Path) -> Decimal | None:
    """Return what all items would cost by the catalogue, USD; None if the price of one is unknown."""
    with closing(sqlite3.connect(database)) as db:
        groups = db.execute("SELECT estimated, count(*) FROM item GROUP BY estimated")
        return total(times(parsed(amount), count) for amount, count in groups)


@contextmanager
def _sqlite_errors(database: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in _DISK:
            raise DiskError(f"cannot write {database}: {error}") from error
        raise
