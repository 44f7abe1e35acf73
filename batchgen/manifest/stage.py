"""The expanded items in a scratch SQLite file: twins and clashes are settled by queries, in bounded memory."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from batchgen.errors import DiskError
from batchgen.files import disk_errors

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
  generated INTEGER NOT NULL DEFAULT 0  -- 1 where the manifest gave no id
)
"""

# Case is folded because file systems may fold it.
_CLASHES = """
SELECT later.{column}, later.source, earlier.{column}, earlier.source
FROM (SELECT position, {column}, source, min(position) OVER (PARTITION BY {column} COLLATE NOCASE) AS first
      FROM item) later
JOIN item earlier ON earlier.position = later.first
WHERE later.position > later.first
ORDER BY later.position
"""

_DISK = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}

Record = tuple[str, str, str, str, str, str, str, str, int]
"""id, digest, model, body, tags, path, source, estimated, generated."""


@dataclass(frozen=True, slots=True)
class Clash:
    """Two items that want the same."""

    value: str
    source: str
    earlier: str
    earlier_source: str


class Stage:
    """The staged items of one manifest."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._batch: list[Record] = []
        self.count = 0
        """Items so far."""
        self.generated = 0
        """Items so far whose id was made and not given."""

    def add(self, record: Record) -> None:
        """Stage one item behind the others."""
        self.count += 1
        self.generated += record[-1]
        self._batch.append(record)
        if len(self._batch) >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what `add` holds back."""
        self._db.executemany(
            "INSERT INTO item (id, digest, model, body, tags, path, source, estimated, generated)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            self._batch,
        )
        self._batch.clear()

    def clear(self) -> None:
        """Forget all items."""
        self._batch.clear()
        self._db.execute("DELETE FROM item")
        self.count = self.generated = 0

    def number_twins(self, path_of: Callable[[str, str, dict[str, str]], str]) -> None:
        """Give items whose id was made, and is the same as an earlier one's, `~2`, `~3`, … in order of position.

        `path_of` (id, model, tags) tells where their files go.
        """
        self._db.execute(
            "CREATE TEMP TABLE twin AS SELECT position, number FROM (SELECT position, generated, row_number()"
            " OVER (PARTITION BY id ORDER BY position) AS number FROM item WHERE generated = 1) WHERE number > 1"
        )
        found = self._db.execute(
            "SELECT position, id || '~' || number, model, tags FROM twin JOIN item USING (position) ORDER BY position"
        )
        while rows := found.fetchmany(_FETCHED):
            named = [(item_id, path_of(item_id, model, json.loads(tags)), at) for at, item_id, model, tags in rows]
            self._db.executemany("UPDATE item SET id = ?, path = ? WHERE position = ?", named)
        self._db.execute("DROP TABLE twin")

    def clashes(self, column: str) -> Iterator[Clash]:
        """Yield the items whose `id` or `path` an earlier item has, case folded."""
        self._db.execute(f"CREATE INDEX IF NOT EXISTS item_{column} ON item ({column} COLLATE NOCASE)")
        # The plain question first: it reads the index alone, and nearly always says no.
        if self._db.execute(
            f"SELECT 1 FROM item GROUP BY {column} COLLATE NOCASE HAVING count(*) > 1 LIMIT 1"  # noqa: S608 - our names
        ).fetchone():
            for clash in self._db.execute(_CLASHES.format(column=column)):
                yield Clash(*clash)


@contextmanager
def open_stage(database: Path) -> Iterator[Stage]:
    """Make a fresh stage in the file `database`, and close it at the end. A crash leaves nothing of worth.

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
        db.execute("BEGIN")
        yield Stage(db)
        db.execute("COMMIT")


@contextmanager
def _sqlite_errors(database: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in _DISK:
            raise DiskError(f"cannot write {database}: {error}") from error
        raise
