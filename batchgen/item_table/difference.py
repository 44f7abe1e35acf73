"""Two item tables beside each other: what is added, gone, changed, renamed, and what each costs."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Kind(StrEnum):
    """How an item differs."""

    ADDED = "added"
    GONE = "gone"
    CHANGED = "changed"
    """Another request under the same id: a new purchase."""
    RENAMED = "renamed"
    """The same request under another id."""
    RELABELLED = "relabelled"
    """The same purchase with other tags, or other places for its files."""


@dataclass(frozen=True, slots=True)
class Side:
    """An item in one of the tables."""

    id: str
    model: str
    estimated: str | None
    """Decimal text, USD; None: unknown."""
    body: str
    inputs: str
    tags: str
    path: str


@dataclass(frozen=True, slots=True)
class Difference:
    """An item that differs; one side is None where it is added or gone."""

    kind: Kind
    before: Side | None
    after: Side | None


class Differences:
    """The differences of two item tables, found in bounded memory."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        for statement in _FIND:
            db.execute(statement)

    def __iter__(self) -> Iterator[Difference]:
        """Yield each difference by kind, then in the order of the tables."""
        for kind, query in _ROWS.items():
            for row in self._db.execute(query):
                before, after = (None if side[0] is None else Side(*side) for side in (row[:7], row[7:]))
                yield Difference(kind, before, after)

    def prices(self) -> Iterator[tuple[bool, str, str | None, int]]:
        """Yield whether it is the later table, model, price (USD; None: unknown) and how many items have it."""
        for later, schema in ((False, "main"), (True, "later")):
            rows = self._db.execute(f"SELECT model, estimated, COUNT(*) FROM {schema}.item GROUP BY 1, 2 ORDER BY 1, 2")
            for model, price, items in rows:
                yield later, model, price, items


@contextmanager
def differences(before: Path, after: Path) -> Iterator[Differences]:
    """Compare two complete item tables, which get indexes by it."""
    with closing(sqlite3.connect(before)) as db:
        db.execute("ATTACH ? AS later", (str(after),))
        yield Differences(db)


_FIND = (
    "CREATE UNIQUE INDEX IF NOT EXISTS main.item_by_identity ON item (id, digest)",
    "CREATE UNIQUE INDEX IF NOT EXISTS later.item_by_identity ON item (id, digest)",
    # What the other table does not have as it is, numbered within each request.
    """
CREATE TEMP TABLE only_before AS
SELECT b.position, b.id, row_number() OVER (PARTITION BY b.digest ORDER BY b.position) AS turn, b.digest
FROM main.item b WHERE NOT EXISTS (SELECT 1 FROM later.item a WHERE a.id = b.id AND a.digest = b.digest)
""",
    """
CREATE TEMP TABLE only_after AS
SELECT a.position, a.id, row_number() OVER (PARTITION BY a.digest ORDER BY a.position) AS turn, a.digest
FROM later.item a WHERE NOT EXISTS (SELECT 1 FROM main.item b WHERE b.id = a.id AND b.digest = a.digest)
""",
    "CREATE INDEX temp.only_after_digest ON only_after (digest, turn)",
    # As a run sees it: a request that is there under another id is renamed, also where its old id has another request.
    """
CREATE TEMP TABLE renamed AS
SELECT b.position AS before, a.position AS after
FROM only_before b JOIN only_after a ON a.digest = b.digest AND a.turn = b.turn
""",
    "DELETE FROM only_before WHERE position IN (SELECT before FROM renamed)",
    "DELETE FROM only_after WHERE position IN (SELECT after FROM renamed)",
    "CREATE UNIQUE INDEX temp.only_before_id ON only_before (id)",
    "CREATE UNIQUE INDEX temp.only_after_id ON only_after (id)",
)
_BEFORE = "b.id, b.model, b.estimated, b.body, b.inputs, b.tags, b.path"
_AFTER = "a.id, a.model, a.estimated, a.body, a.inputs, a.tags, a.path"
_NONE = "NULL, NULL, NULL, NULL, NULL, NULL, NULL"
_ROWS = {
    Kind.ADDED: f"SELECT {_NONE}, {_AFTER} FROM only_after x JOIN later.item a USING (position)"
    " WHERE x.id NOT IN (SELECT id FROM only_before) ORDER BY x.position",
    Kind.GONE: f"SELECT {_BEFORE}, {_NONE} FROM only_before x JOIN main.item b USING (position)"
    " WHERE x.id NOT IN (SELECT id FROM only_after) ORDER BY x.position",
    Kind.CHANGED: f"SELECT {_BEFORE}, {_AFTER} FROM only_after x JOIN only_before y USING (id)"
    " JOIN main.item b ON b.position = y.position JOIN later.item a ON a.position = x.position ORDER BY x.position",
    Kind.RENAMED: f"SELECT {_BEFORE}, {_AFTER} FROM renamed m JOIN main.item b ON b.position = m.before"
    " JOIN later.item a ON a.position = m.after ORDER BY m.after",
    Kind.RELABELLED: f"SELECT {_BEFORE}, {_AFTER} FROM later.item a JOIN main.item b USING (id, digest)"
    " WHERE (b.tags, b.path) IS NOT (a.tags, a.path) ORDER BY a.position",
}
