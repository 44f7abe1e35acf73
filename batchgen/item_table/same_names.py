"""Items that want the same id or the same path: made ids get a number, given ones are clashes."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_FETCHED = 1_000


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


def number_same_ids(db: sqlite3.Connection, path_of: Callable[[str, str, dict[str, str]], str]) -> None:
    """Give items whose id was made, and is the same as an earlier one's, `~2`, `~3`, … in the order of the manifest.

    Where `repeat` made a copy of the very same request with that name, the item counts as one more of that name
    (`~2~2`). So the names of equal items, taken together, only ever grow by new ones. `path_of` (id, model, tags)
    returns where their files go.
    """
    db.execute(_NUMBERED)
    if db.execute("SELECT 1 FROM numbered LIMIT 1").fetchone():
        db.execute(_COPIES)
        db.execute(_BESIDE_COPIES)
        found = db.execute(
            "SELECT position, name, model, tags FROM numbered JOIN item USING (position) ORDER BY position"
        )
        while rows := found.fetchmany(_FETCHED):
            named = [(item_id, path_of(item_id, model, json.loads(tags)), at) for at, item_id, model, tags in rows]
            db.executemany("UPDATE item SET id = ?, path = ? WHERE position = ?", named)
        db.execute("DROP TABLE copy")
    db.execute("DROP TABLE numbered")


def clashes(db: sqlite3.Connection, column: str) -> Iterator[Clash]:
    """Yield the items whose `id` or `path` (`column`) an earlier item has, ignoring case."""
    db.execute(f"CREATE INDEX IF NOT EXISTS item_{column} ON item ({column} COLLATE NOCASE)")
    # The plain question first: it reads the index alone, and the answer is nearly always no.
    if db.execute(
        f"SELECT 1 FROM item WHERE {column} <> '' GROUP BY {column} COLLATE NOCASE HAVING count(*) > 1 LIMIT 1"
    ).fetchone():
        for clash in db.execute(_CLASHES.format(column=column)):
            yield Clash(*clash)


_NUMBERED = """
CREATE TEMP TABLE numbered AS
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
UPDATE numbered SET name = numbered.name || '~' || (copy.items + 1)
FROM copy WHERE copy.id = numbered.name AND copy.digest = numbered.digest AND copy.other = numbered.digest
"""

# Case is ignored because file systems may ignore it.
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
