"""An item table divided among shards: an item that needs outputs of others goes where the first of them goes."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from batchgen.item_table.chains import ChainFault

NumberOf = Callable[[str], int]
"""Returns the shard of an item's id."""


class Sharding:
    """The shards of the items of one complete table."""

    def __init__(self, db: sqlite3.Connection, number_of: NumberOf) -> None:
        self._db = db
        db.create_function("shard_number", 1, number_of, deterministic=True)

    def assign(self) -> Iterator[ChainFault]:
        """Find out where items go that need others; yield a fault for each whose sources lie in different shards.

        Before any item is left out: a source that was bought elsewhere still says where the others go.
        """
        for statement in _ASSIGN:
            self._db.execute(statement)
        for item_id, source, own, other, needed, *place in self._db.execute(_TORN):
            line, column = place
            yield ChainFault(
                f"`{item_id}` needs outputs from different shards: it goes with its first source to shard {own}, but"
                f" `{needed}` is in shard {other}; a shard cannot wait for another one, so run such items without"
                " --shard, or let them have one source",
                source,
                None if line is None or column is None else (line, column),
            )

    def keep(self, index: int) -> int:
        """Leave out the items of all other shards, which are listed in `OTHER_SHARDS` from then on.

        Returns how many of the items that were left out before, as bought elsewhere, would be this shard's.
        """
        for statement in (_LIST_OTHERS, _DROP_SKIPPED):
            self._db.execute(statement, (index,))
        for statement in _DROP:
            self._db.execute(statement)
        (skipped,) = self._db.execute("SELECT COUNT(*) FROM skipped").fetchone()
        return int(skipped)


@contextmanager
def sharding(database: Path, number_of: NumberOf) -> Iterator[Sharding]:
    """Open a complete item table to divide it; nothing changes where the block fails."""
    with closing(sqlite3.connect(database)) as db, db:
        yield Sharding(db, number_of)


def others_have(database: Path, wanted: Callable[[str, str], bool]) -> bool:
    """Return whether `wanted(id, tags as JSON)` is true of any item that other shards buy."""
    with closing(sqlite3.connect(database)) as db:
        db.create_function("wanted", 2, wanted, deterministic=True)
        return db.execute("SELECT 1 FROM other_shard WHERE wanted(id, tags) LIMIT 1").fetchone() is not None


# An item that needs none is its own root. Parameters are compared as text: `image` < `images/0` < `images/1`.
_ASSIGN = (
    "CREATE TABLE root (position INTEGER PRIMARY KEY, id TEXT NOT NULL, shard INTEGER NOT NULL)",
    """
INSERT INTO root
WITH RECURSIVE rooted AS (
  SELECT DISTINCT source AS position, source AS root FROM input WHERE source NOT IN (SELECT position FROM input)
  UNION ALL
  SELECT n.position, r.root FROM rooted r JOIN input n ON n.source = r.position
  WHERE n.parameter = (SELECT MIN(m.parameter) FROM input m WHERE m.position = n.position)
)
SELECT x.position, i.id, shard_number(r.id) FROM rooted x
JOIN item i ON i.position = x.position JOIN item r ON r.position = x.root
""",
    "CREATE INDEX root_id ON root (id)",
)
_TORN = """
SELECT i.id, i.source, o.shard, s.shard, n.item_id, n.line, n.column FROM input n
JOIN item i ON i.position = n.position JOIN root o ON o.position = n.position JOIN root s ON s.position = n.source
WHERE o.shard <> s.shard GROUP BY n.position ORDER BY n.position
"""
_LIST_OTHERS = """
INSERT INTO other_shard
SELECT i.id, i.digest, i.tags FROM item i LEFT JOIN root r USING (position)
WHERE COALESCE(r.shard, shard_number(i.id)) <> ?
"""
_DROP_SKIPPED = """
DELETE FROM skipped
WHERE COALESCE((SELECT r.shard FROM root r WHERE r.id = skipped.id), shard_number(id)) <> ?
"""
_DROP = (
    "CREATE INDEX other_identity ON other_shard (id, digest)",
    "DELETE FROM item WHERE (id, digest) IN (SELECT id, digest FROM other_shard)",
    "DELETE FROM input WHERE position NOT IN (SELECT position FROM item)",
)
