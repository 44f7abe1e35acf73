"""What an export keeps while it works: in a nameless database, so that memory does not grow with the outputs.

It is private, and goes to a temporary file where it grows (SQLite documentation, "In-Memory Databases").
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from batchgen.core.errors import DiskError
from batchgen.export.metadata import NULLABLE, folder_of
from batchgen.export.state import Exported, as_row

FORMER, PRESENT, LEFT = range(3)
"""States of a file: written by an earlier export, in this one, left as it is since it cannot be replaced."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output that is to be in the export."""

    name: str
    """Below the export's folder."""
    source: str
    """Relative to the run folder."""
    bytes: int
    sha256: str
    """As bought."""
    purchase: str
    number: int
    metadata: dict[str, Any]


@dataclass(frozen=True, slots=True)
class SheetRow:
    """What the purchase of an item's files cost."""

    item_id: str
    model: str
    files: tuple[str, ...]
    net: Decimal
    """USD: what was charged, less what came back."""
    tags: dict[str, str]


class Scratch:
    """The outputs that are wanted, the files that an earlier export wrote, and what the outputs cost."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """Called by `scratch`."""
        self._db = db
        db.executescript(_TABLES)
        self._typed: set[tuple[str, str]] = set()

    def want(self, wanted: Wanted) -> bool:
        """Add an output; return False where another one has its name."""
        folder = folder_of(wanted.name)
        filled = {(folder, name) for name in NULLABLE if wanted.metadata[name] is not None}
        later = filled <= self._typed
        self._typed |= filled
        row = (
            wanted.name, folder, later, wanted.source, wanted.bytes, wanted.sha256, wanted.purchase, wanted.number,
            json.dumps(wanted.metadata),
        )  # fmt: skip
        return self._db.execute(_WANT, row).rowcount == 1

    def wanted(self) -> Iterator[tuple[str, Wanted]]:
        """Yield the outputs with their folders, folder by folder.

        The first ones of a folder have a value in each column of the metadata that has any there, so that readers who
        take the types from the first rows find them.
        """
        for folder, name, source, size, sha256, purchase, number, metadata in self._db.execute(_WANTED):
            yield folder, Wanted(name, source, size, sha256, purchase, number, json.loads(metadata))

    def count(self) -> int:
        """Return how many outputs are wanted."""
        return int(self._db.execute("SELECT COUNT(*) FROM wanted").fetchone()[0])

    def remember(self, files: Iterable[Exported]) -> None:
        """Take over what an earlier export wrote."""
        self._db.executemany(f"INSERT OR REPLACE INTO known VALUES ({_MARKS}, {FORMER})", map(as_row, files))

    def known(self, name: str) -> Exported | None:
        """Return the file of that name that was written before or just now; None if there is none."""
        row = self._db.execute(f"SELECT {_COLUMNS} FROM known WHERE name = ?", (name,)).fetchone()
        return None if row is None else Exported(*row)

    def settle(self, file: Exported) -> None:
        """Record that a file is in the export."""
        self._db.execute(f"INSERT OR REPLACE INTO known VALUES ({_MARKS}, {PRESENT})", as_row(file))

    def keep(self, name: str) -> None:
        """Record that a file of an earlier export is not as it should be, and stays as it is."""
        self._db.execute("UPDATE known SET state = ? WHERE name = ?", (LEFT, name))

    def drop(self, name: str) -> None:
        """Forget a file that is not there any more."""
        self._db.execute("DELETE FROM known WHERE name = ?", (name,))

    def files(self, *states: int) -> Iterator[Exported]:
        """Yield the files in one of these states, by name."""
        wanted = json.dumps(states)
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM known WHERE {_IN_STATE} ORDER BY name", (wanted,))
        return (Exported(*row) for row in rows)

    def charge(self, row: SheetRow, purchase: str) -> None:
        """Add an output to what its purchase cost."""
        self._db.execute(
            "INSERT INTO cost VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (purchase) DO UPDATE SET files = files || ';' || excluded.files",
            (purchase, row.item_id, row.model, ";".join(row.files), str(row.net), json.dumps(row.tags)),
        )

    def tag_names(self) -> list[str]:
        """Return the names of all tags of the items, sorted."""
        names = self._db.execute("SELECT DISTINCT t.key FROM cost, json_each(cost.tags) t ORDER BY 1")
        return [name for (name,) in names]

    def costs(self) -> Iterator[SheetRow]:
        """Yield what each item cost, by item id."""
        return self._costs("ORDER BY item_id, purchase")

    def costs_by_model(self) -> Iterator[SheetRow]:
        """Yield the same by model."""
        return self._costs("ORDER BY model, item_id, purchase")

    def costs_by_tag(self, tag: str) -> Iterator[SheetRow]:
        """Yield the same by the value of a tag; items without it come first."""
        return self._costs("ORDER BY (SELECT t.value FROM json_each(cost.tags) t WHERE t.key = ?), item_id", tag)

    def _costs(self, order: str, *values: str) -> Iterator[SheetRow]:
        rows = self._db.execute(f"SELECT item_id, model, files, net, tags FROM cost {order}", values)
        for item_id, model, files, net, tags in rows:
            yield SheetRow(item_id, model, tuple(files.split(";")), Decimal(net), json.loads(tags))


@contextmanager
def scratch() -> Iterator[Scratch]:
    """Give an empty one. Raises DiskError where there is no room for temporary files."""
    with closing(sqlite3.connect("", isolation_level=None)) as db:
        try:
            yield Scratch(db)
        except sqlite3.OperationalError as error:
            raise DiskError(f"cannot write temporary files: {error}") from error


_COLUMNS = "name, sha256, bytes, mtime_ns, recipe, bought_sha256, unmarked, purchase, number"
"""In the order of `Exported`."""
_MARKS = "?, ?, ?, ?, ?, ?, ?, ?, ?"
_IN_STATE = "state IN (SELECT value FROM json_each(?))"
_TABLES = f"""
CREATE TABLE wanted (
  key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, folder TEXT NOT NULL, later INTEGER NOT NULL,
  source TEXT NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL, purchase TEXT NOT NULL, number INTEGER NOT NULL,
  metadata TEXT NOT NULL
);
CREATE INDEX wanted_order ON wanted (folder, later);
CREATE TABLE known ({_COLUMNS}, state INTEGER NOT NULL, PRIMARY KEY (name)) WITHOUT ROWID;
CREATE TABLE cost (
  purchase TEXT PRIMARY KEY, item_id TEXT NOT NULL, model TEXT NOT NULL, files TEXT NOT NULL, net TEXT NOT NULL,
  tags TEXT NOT NULL
) WITHOUT ROWID;
BEGIN;
"""
_WANT = """
INSERT OR IGNORE INTO wanted (name, folder, later, source, bytes, sha256, purchase, number, metadata)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_WANTED = """
SELECT folder, name, source, bytes, sha256, purchase, number, metadata FROM wanted ORDER BY folder, later, key
"""
