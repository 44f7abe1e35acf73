"""The item table: what a manifest asks for, expanded, in a scratch SQLite file and in bounded memory.

The manifest's loader writes it; the journal and what compares manifests with other books read it, attached to their own
database. Whoever names it in SQL takes the names from here.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from batchgen.core.errors import DiskError
from batchgen.core.files import disk_errors
from batchgen.core.records import Item

_SCHEMA = "requested"
"""The name under which the item table is attached to another database."""
REQUESTED = f"{_SCHEMA}.item"
"""The items: position (from 1), id, digest, model, body, tags, path, source, estimated, inputs, generated."""
SKIPPED = f"{_SCHEMA}.skipped"
"""Id and digest of the items that were left out because other books show them as bought."""
REDO = f"{_SCHEMA}.redo"
"""Position of the items that are wanted second purchases, with the run and the item that they repeat."""
TO_BUY = f"{_SCHEMA}.to_buy"
"""Digest and estimated cost of the items that a run would buy; see `make_to_buy`."""

_BATCH = 2_000
_CACHE_KIB = 2_048
_FETCHED = 1_000

_TABLE = """
CREATE TABLE item (
  position  INTEGER PRIMARY KEY,
  id        TEXT NOT NULL,
  digest    TEXT NOT NULL,
  model     TEXT NOT NULL,
  body      TEXT NOT NULL,
  tags      TEXT NOT NULL,  -- JSON object, sorted
  path      TEXT NOT NULL,
  source    TEXT NOT NULL,  -- file:line
  estimated TEXT NOT NULL,  -- plain decimal
  inputs    TEXT NOT NULL DEFAULT '[]',
  generated INTEGER NOT NULL DEFAULT 0  -- where the manifest gave no id: 1, of a copy 2
)
"""
# Most items have no matrix, and are not to pay for those that have one.
_MATRIX_TABLE = "CREATE TABLE combination (position INTEGER PRIMARY KEY, variables TEXT NOT NULL)"

# Case is folded because file systems may fold it.
_CLASHES = """
SELECT later.{column}, later.source, ifnull(second.variables, ''), later.generated,
  earlier.{column}, earlier.source, ifnull(first.variables, '')
FROM (SELECT position, {column}, source, generated, min(position) OVER (PARTITION BY {column} COLLATE NOCASE) AS first
      FROM item WHERE {column} <> '') later
JOIN item earlier ON earlier.position = later.first
LEFT JOIN combination first ON first.position = earlier.position
LEFT JOIN combination second ON second.position = later.position
WHERE later.position > later.first
ORDER BY later.position
"""

_OTHER_TABLES = (
    # What is left out because another run has bought it; and the items that are wanted second purchases.
    "CREATE TABLE skipped (id TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (id, digest)) WITHOUT ROWID",
    "CREATE TABLE redo (position INTEGER PRIMARY KEY, run TEXT NOT NULL, item TEXT NOT NULL)",
)

_DISK = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}

_TWINS = """
CREATE TEMP TABLE twin AS
SELECT position, id || '~' || number AS name, digest
FROM (SELECT position, id, digest, row_number() OVER (PARTITION BY id ORDER BY position) AS number
      FROM item WHERE generated > 0)
WHERE number > 1
"""
_COPIES = """
CREATE TEMP TABLE copy AS
SELECT id, min(digest) AS digest, max(digest) AS other, count(*) AS items FROM item WHERE generated = 2 GROUP BY id
"""
_BESIDE_COPIES = """
UPDATE twin SET name = twin.name || '~' || (copy.items + 1)
FROM copy WHERE copy.id = twin.name AND copy.digest = twin.digest AND copy.other = twin.digest
"""

Record = tuple[str, str, str, str, str, str, str, str, int]
"""id, digest, model, body, tags, path, source, estimated, generated."""


@dataclass(frozen=True, slots=True)
class Clash:
    """Two items that want the same."""

    value: str
    source: str
    variables: str
    """The values of the matrix that the later one is made by; empty where it has no matrix."""
    generated: int
    """Whether the id of the later one was made and not given."""
    earlier: str
    earlier_source: str
    earlier_variables: str


class ItemTable:
    """The items of one manifest, while they are written."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._batch: list[Record] = []
        self._combinations: list[tuple[int, str]] = []
        self._redos: list[tuple[int, str, str]] = []
        self.count = 0
        """Items so far."""
        self.generated = 0
        """Items so far whose id was made and not given."""

    def add(self, record: Record, variables: str = "", redo_of: tuple[str, str] | None = None) -> None:
        """Add one item behind the others; `variables` are the values of the matrix that it is made by.

        `redo_of` are run and item that it is a wanted second purchase of.
        """
        self.count += 1
        self.generated += record[-1]
        self._batch.append(record)
        if variables:
            self._combinations.append((self.count, variables))
        if redo_of is not None:
            self._redos.append((self.count, *redo_of))
        if len(self._batch) >= _BATCH:
            self.flush()

    def claim(self, item_id: str, source: str, variables: str) -> None:
        """Add an item with a fault: nothing but its id counts, since it may be that of another one too."""
        self.add((item_id, "", "", "", "{}", "", source, "0", 0), variables)

    def flush(self) -> None:
        """Write what `add` holds back."""
        self._db.executemany(
            "INSERT INTO item (id, digest, model, body, tags, path, source, estimated, generated)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            self._batch,
        )
        self._batch.clear()
        self._db.executemany("INSERT INTO combination VALUES (?, ?)", self._combinations)
        self._combinations.clear()
        self._db.executemany("INSERT INTO redo VALUES (?, ?, ?)", self._redos)
        self._redos.clear()

    def clear(self) -> None:
        """Forget all items."""
        self._batch.clear()
        self._combinations.clear()
        self._redos.clear()
        for table in ("item", "combination", "redo"):
            self._db.execute(f"DELETE FROM {table}")
        self.count = self.generated = 0

    def number_twins(self, path_of: Callable[[str, str, dict[str, str]], str]) -> None:
        """Give items whose id was made, and is the same as an earlier one's, `~2`, `~3`, … in order of position.

        Where `repeat` made a copy of the very same request with that name, the twin counts as one more item of that
        name (`~2~2`): so the names of equal items, taken together, only ever grow by new ones. `path_of` (id, model,
        tags) tells where their files go.
        """
        self._db.execute(_TWINS)
        if self._db.execute("SELECT 1 FROM twin LIMIT 1").fetchone():
            self._db.execute(_COPIES)
            self._db.execute(_BESIDE_COPIES)
            self._rename_twins(path_of)
            self._db.execute("DROP TABLE copy")
        self._db.execute("DROP TABLE twin")

    def _rename_twins(self, path_of: Callable[[str, str, dict[str, str]], str]) -> None:
        query = "SELECT position, name, model, tags FROM twin JOIN item USING (position) ORDER BY position"
        found = self._db.execute(query)
        while rows := found.fetchmany(_FETCHED):
            named = [(item_id, path_of(item_id, model, json.loads(tags)), at) for at, item_id, model, tags in rows]
            self._db.executemany("UPDATE item SET id = ?, path = ? WHERE position = ?", named)

    def clashes(self, column: str) -> Iterator[Clash]:
        """Yield the items whose `id` or `path` an earlier item has, case folded."""
        self._db.execute(f"CREATE INDEX IF NOT EXISTS item_{column} ON item ({column} COLLATE NOCASE)")
        # The plain question first: it reads the index alone, and nearly always says no.
        if self._db.execute(
            f"SELECT 1 FROM item WHERE {column} <> '' GROUP BY {column} COLLATE NOCASE HAVING count(*) > 1 LIMIT 1"
        ).fetchone():
            for clash in self._db.execute(_CLASHES.format(column=column)):
                yield Clash(*clash)


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
        db.execute(_TABLE)
        for statement in (_MATRIX_TABLE, *_OTHER_TABLES):
            db.execute(statement)
        db.execute("BEGIN")
        yield ItemTable(db)
        db.execute("COMMIT")


def write_items(database: Path, items: Iterable[Item]) -> None:
    """Make a new item table in the file `database` of items that are complete already. Raises DiskError."""
    with open_item_table(database) as table:
        for i in items:
            tags = json.dumps(dict(i.tags))
            table.add((i.id, i.digest, i.model, i.body, tags, i.path, i.source, str(i.estimated), 0))
        table.flush()


def attach(db: sqlite3.Connection, database: Path, *, read_only: bool = False) -> None:
    """Attach an item table to another database, for the names `REQUESTED`, `SKIPPED`, …

    `read_only` takes a connection that was opened with `uri=True`.
    """
    db.execute(f"ATTACH ? AS {_SCHEMA}", (f"{database.absolute().as_uri()}?mode=ro" if read_only else str(database),))


@contextmanager
def attached(db: sqlite3.Connection, database: Path) -> Iterator[None]:
    """Attach an item table for as long as the block lasts."""
    attach(db, database)
    try:
        yield
    finally:
        db.execute(f"DETACH {_SCHEMA}")


def index_identities(db: sqlite3.Connection) -> None:
    """See to it that items of an attached table are found by id and digest, however many there are."""
    db.execute(f"CREATE UNIQUE INDEX IF NOT EXISTS {_SCHEMA}.item_identity ON item (id, digest)")


def make_to_buy(db: sqlite3.Connection, condition: str) -> None:
    """Make the table `TO_BUY` of an attached item table, of the items `s` that fit a condition in SQL.

    Wanted second purchases are left out. `turn` counts the items of one digest.
    """
    db.execute(f"DROP TABLE IF EXISTS {TO_BUY}")
    db.execute(
        f"CREATE TABLE {TO_BUY} AS SELECT s.digest, s.estimated,"
        f" row_number() OVER (PARTITION BY s.digest ORDER BY s.id) AS turn FROM {REQUESTED} s"
        f" WHERE {condition} AND s.position NOT IN (SELECT position FROM {REDO})"
    )
    db.execute(f"CREATE INDEX {_SCHEMA}.to_buy_digest ON to_buy (digest)")


def index_items(database: Path) -> None:
    """Prepare a complete item table for being compared with journals, which look each of their purchases up."""
    with closing(sqlite3.connect(":memory:")) as db, db:
        attach(db, database)
        index_identities(db)


def estimated_cost(database: Path) -> Decimal:
    """Return what all items would cost by the catalogue, USD."""
    with closing(sqlite3.connect(database)) as db:
        groups = db.execute("SELECT estimated, count(*) FROM item GROUP BY estimated")
        return sum((Decimal(amount) * count for amount, count in groups), Decimal(0))


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

        A purchase stands for the item of the same id and request; else, as where items were renamed, for the first one
        of the same request that is left and is not a wanted second purchase.
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


@contextmanager
def _sqlite_errors(database: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in _DISK:
            raise DiskError(f"cannot write {database}: {error}") from error
        raise
