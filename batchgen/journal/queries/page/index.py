"""An index of the tiles of a run: one for each output on disk, and one for each item that has none.

A journal is made for those who write it; to page through a million tiles from any place, in the order of the manifest
and by several conditions, takes an order that is stored. It lies in a temporary database of SQLite's, which goes with
the connection, and follows the journal by looking at what can have changed.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from batchgen.core.records import DOUBTFUL, UNSETTLED, UNSUCCESSFUL, State, StateSet
from batchgen.journal.queries.page.filters import ANY, PICKS, Filter
from batchgen.journal.queries.page.words import Words

PickedTile = tuple[str, str, int, str, int, int]
"""Item id, digest, output, SHA-256, what was said (see `PICKS`), rating."""
_SCHEMA = "page"
_COUNTS_KEPT = 64
_MOVING = StateSet({*UNSETTLED, State.SKIPPED})
"""An item in such a state may be in another one soon, without a new attempt."""
_FOR_A_PERSON = StateSet({*UNSUCCESSFUL, *DOUBTFUL})
"""Somebody has to look at an item in such a state."""


class TileSums(NamedTuple):
    """What an index of tiles says of a run as a whole."""

    flags: list[tuple[str, int]]
    """The flags that outputs have together, separated by `;`, and how many outputs."""
    picked: dict[str, int]
    """How many outputs were kept, rejected, and neither."""
    chosen: list[int]
    """The keys of the items of which exactly one output is kept: what others wait for is chosen."""


class TileIndex:
    """The index over a connection that reads a journal, outside of a transaction; one thread at a time."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """Make the index; the time grows with the items, the memory does not."""
        self._db = db
        self._counts: dict[Filter, int] = {}
        self._sums: TileSums | None = None
        db.execute(f"ATTACH '' AS {_SCHEMA}")
        db.execute(f"PRAGMA {_SCHEMA}.journal_mode = OFF")
        for statement in _TABLES.split(";"):
            db.execute(statement)
        self._words = Words(db)
        self.rebuild()

    def rebuild(self) -> None:
        """Make it anew."""
        with snapshot(self._db):
            for name in _INDEXES:
                self._db.execute(f"DROP INDEX IF EXISTS page.{name}")
            for name in ("tile", "unjudged"):
                self._db.execute(f"DELETE FROM page.{name}")
            self._words.forget()
            self._put("")
            self._db.execute(f"INSERT INTO page.unjudged {_UNJUDGED}")
            for name, definition in _INDEXES.items():  # one by one as rows come takes twice as long
                self._db.execute(f"CREATE INDEX page.{name} ON tile {definition}")
            self._note_place()

    def moved(self) -> list[int]:
        """Bring it up to date with a run that goes on; return the keys of the items that may have changed, sorted."""
        with snapshot(self._db):
            keys = [key for (key,) in self._db.execute(_MOVED, (self._last_attempt,))]
            if keys:
                chosen = json.dumps(keys)
                self._db.execute(f"DELETE FROM page.tile WHERE item IN {_CHOSEN}", (chosen,))
                self._db.execute(f"DELETE FROM page.unjudged WHERE item IN {_CHOSEN}", (chosen,))
                self._put(f"AND i.key IN {_CHOSEN}", chosen)
                self._db.execute(f"INSERT INTO page.unjudged {_UNJUDGED_OF}", (chosen,))
            self._note_place()
        return sorted(keys)

    def collect_words(self, most: int) -> bool:
        """Collect the words of up to so many items, which a search needs; return whether there may be others left."""
        return self._words.collect(most)

    @property
    def began(self) -> bool:
        """Whether an attempt has begun since the index was made or brought up to date."""
        return self._newest() > self._last_attempt

    def pick(self, picks: Iterable[PickedTile], *, anew: bool) -> None:
        """Let these picks count, in their order; `anew`: and no others."""
        self._forget_counts()
        with snapshot(self._db):
            if anew:
                self._db.execute("DELETE FROM page.pick")
                self._db.execute("UPDATE page.tile SET pick = 0, rating = 0 WHERE pick <> 0 OR rating <> 0")
            self._db.execute("DELETE FROM page.new_pick")
            self._db.executemany("INSERT OR REPLACE INTO page.new_pick VALUES (?, ?, ?, ?, ?, ?)", picks)
            self._db.execute("INSERT OR REPLACE INTO page.pick SELECT * FROM page.new_pick")
            self._db.execute(_PICK)

    def count(self, where: Filter) -> int:
        """Return how many tiles fit."""
        count = self._counts.get(where)
        if count is None:
            tiles, values = self._that_fit(where)
            (count,) = self._db.execute(f"SELECT COUNT(*) {tiles}", values).fetchone()
            if len(self._counts) >= _COUNTS_KEPT:
                self._counts.clear()
            self._counts[where] = count
        return int(count)

    def page(self, where: Filter, offset: int, limit: int) -> list[int]:
        """Return the ranks of a part of the tiles that fit, in order."""
        tiles, values = self._that_fit(where)
        found = self._db.execute(f"SELECT rank {tiles} ORDER BY rank LIMIT ? OFFSET ?", (*values, limit, offset))
        return [rank for (rank,) in found]

    def ranks_of(self, item: int) -> list[int]:
        """Return the ranks of an item's tiles, by the item's key, in order."""
        found = self._db.execute("SELECT rank FROM page.tile WHERE item = ? ORDER BY rank", (item,))
        return [rank for (rank,) in found]

    def offset_of(self, where: Filter, item: int) -> int | None:
        """Return how many tiles that fit come before the first one of an item; None: none of the item's tiles fits."""
        tiles, values = self._that_fit(where)
        of_item = "rank IN (SELECT rank FROM page.tile WHERE item = ?)"
        (rank,) = self._db.execute(f"SELECT MIN(rank) {tiles} AND {of_item}", (*values, item)).fetchone()
        if rank is None:
            return None
        (before,) = self._db.execute(f"SELECT COUNT(*) {tiles} AND rank < ?", (*values, rank)).fetchone()
        return int(before)

    def ranks(self, where: Filter) -> Iterator[int]:
        """Yield the ranks of all tiles that fit, in order, a thousand at a time; others may be added meanwhile."""
        last = -1
        while True:
            tiles, values = self._that_fit(where)  # somebody may have searched for other words meanwhile
            query = f"SELECT rank {tiles} AND rank > ? ORDER BY rank LIMIT 1000"
            found = [rank for (rank,) in self._db.execute(query, (*values, last))]
            if not found:
                return
            yield from found
            last = found[-1]

    def sums(self) -> TileSums:
        """Return what it says of the run as a whole; counted once, until something changes."""
        if self._sums is None:
            self._sums = TileSums(self._db.execute(_FLAGS).fetchall(), self._picked(), self._chosen())
        return self._sums

    def notable(self, most: int, drawn: Callable[[str], bool]) -> Iterator[int]:
        """Yield the ranks of all tiles of notable items, in order; they are chosen at the beginning.

        Notable are up to `most` items that did not succeed, are in doubt, flagged or picked, and those whose id is
        `drawn`.
        """
        self._db.create_function("drawn", 1, drawn, deterministic=True)
        self._db.execute("DELETE FROM page.notable")
        self._db.execute(f"INSERT INTO page.notable {_NOTABLE}", (most,))
        yield from (rank for (rank,) in self._db.execute(_TILES_OF_NOTABLE))

    def _picked(self) -> dict[str, int]:
        counted = ", ".join(f"TOTAL(pick = {number} AND number > 0)" for number in range(len(PICKS)))
        return dict(zip(PICKS, map(int, self._db.execute(f"SELECT {counted} FROM page.tile").fetchone()), strict=True))

    def _chosen(self) -> list[int]:
        found = self._db.execute(
            "SELECT item FROM page.tile WHERE (pick <> 0 OR rating <> 0) AND pick = ? AND number > 0"
            " GROUP BY item HAVING COUNT(*) = 1",
            (PICKS.index("keep"),),
        )
        return [item for (item,) in found]

    def _that_fit(self, where: Filter) -> tuple[str, list[object]]:
        """Return the tiles that fit, in SQL from FROM on, to which conditions can be added; and the values in it."""
        source = "page.tile t"
        parts: list[str] = []
        values: list[object] = []
        for column, chosen in (
            ("state", where.states),
            ("model", self._models(where.models) if where.models else ()),
            ("pick", tuple(map(PICKS.index, where.picks))),
            ("rating", where.ratings),
        ):
            if chosen:
                parts.append(f"t.{column} IN ({', '.join('?' * len(chosen))})")
                values += chosen
        if where.flags:
            wanted = ["1 = 1" if flag == ANY else "instr(';' || t.flags || ';', ?)" for flag in where.flags]
            values += [f";{flag};" for flag in where.flags if flag != ANY]
            parts.append(f"t.flags <> '' AND ({' OR '.join(wanted)})")
        if where.tags:
            wanted = ["EXISTS (SELECT 1 FROM json_each(g.name) j WHERE j.key = ? AND j.atom = ?)"] * len(where.tags)
            values += [part for tag in where.tags for part in tag.partition("=")[::2]]
            parts.append(f"t.tags IN (SELECT id FROM page.tags g WHERE {' OR '.join(wanted)})")
        if words := where.text.casefold().split():
            self._words.find(words)
            source = "page.found CROSS JOIN page.tile t USING (rank)"
        return f"FROM {source} WHERE {' AND '.join(parts) or '1 = 1'}", values

    def _models(self, names: Iterable[str]) -> tuple[int, ...]:
        """Return the numbers that stand for models; one that stands for none, if there is no such model."""
        found = self._db.execute(f"SELECT id FROM page.model WHERE name IN {_CHOSEN}", (json.dumps(list(names)),))
        return tuple(number for (number,) in found) or (0,)

    def _put(self, condition: str, *values: str) -> None:
        self._forget_counts()
        self._words.tiles_changed()
        for name, column in (("model", "model"), ("tags", "tags")):
            self._db.execute(
                f"INSERT OR IGNORE INTO page.{name} (name) SELECT DISTINCT i.{column} FROM item i"
                f" WHERE {_SHOWN} {condition}",
                values,
            )
        self._db.execute(f"INSERT OR REPLACE INTO page.tile {_TILES} {condition}", values)

    def _forget_counts(self) -> None:
        self._counts.clear()
        self._sums = None

    def _note_place(self) -> None:
        # Within the snapshot: an attempt that begins right after it is to be seen by the next look.
        self._last_attempt = self._newest()

    def _newest(self) -> int:
        (key,) = self._db.execute("SELECT COALESCE(MAX(key), 0) FROM attempt").fetchone()
        return int(key)


@contextmanager
def snapshot(db: sqlite3.Connection) -> Iterator[None]:
    """Let all that is read within the block be of one moment; also within such a block."""
    if db.in_transaction:
        yield
        return
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("COMMIT")


_TABLES = """
CREATE TABLE page.model (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE page.tags (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE page.unjudged (
  item    INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  number  INTEGER NOT NULL,
  PRIMARY KEY (item, attempt, number)
) WITHOUT ROWID;
CREATE TABLE page.notable (item INTEGER PRIMARY KEY);
CREATE TABLE page.pick (
  id      TEXT NOT NULL,
  digest  TEXT NOT NULL,
  number  INTEGER NOT NULL,
  sha256  TEXT NOT NULL,
  pick    INTEGER NOT NULL,
  rating  INTEGER NOT NULL,
  PRIMARY KEY (id, digest, number)
) WITHOUT ROWID;
CREATE TABLE page.new_pick (
  id      TEXT NOT NULL,
  digest  TEXT NOT NULL,
  number  INTEGER NOT NULL,
  sha256  TEXT NOT NULL,
  pick    INTEGER NOT NULL,
  rating  INTEGER NOT NULL,
  PRIMARY KEY (id, digest, number)
) WITHOUT ROWID;
CREATE TABLE page.tile (
  rank    INTEGER PRIMARY KEY,
  item    INTEGER NOT NULL,
  attempt INTEGER,
  number  INTEGER NOT NULL,
  state   TEXT NOT NULL,
  model   INTEGER NOT NULL,
  tags    INTEGER NOT NULL,
  flags   TEXT NOT NULL,
  pick    INTEGER NOT NULL DEFAULT 0,
  rating  INTEGER NOT NULL DEFAULT 0
)
"""
_INDEXES = {
    "tile_item": "(item)",
    "tile_moving": f"(item) WHERE state IN {_MOVING.sql}",
    "tile_picked": "(rank) WHERE pick <> 0 OR rating <> 0",
}
_CHOSEN = "(SELECT value FROM json_each(?))"
_SHOWN = f"(i.position IS NOT NULL OR i.state IN {UNSETTLED.sql})"
# The order of the manifest, then what it no longer asks for; ten bits for the number of the output.
_RANK = "((COALESCE(i.position, (1 << 40) + i.key) << 10) + {number})"
_LAST = (
    "a.number = (SELECT MAX(b.number) FROM attempt b WHERE b.item = i.key AND (i.state <> 'done' OR b.state = 'done'))"
)
_PICKABLE = "i.state = 'done' AND i.position IS NOT NULL"
_TILES = f"""
  (rank, item, attempt, number, state, model, tags, flags, pick, rating)
SELECT {_RANK.format(number="COALESCE(o.number, 0)")}, i.key, a.key, COALESCE(o.number, 0), i.state, m.id, g.id,
  COALESCE(d.flags, ''), COALESCE(p.pick, 0), COALESCE(p.rating, 0)
FROM item i JOIN page.model m ON m.name = i.model JOIN page.tags g ON g.name = i.tags
LEFT JOIN attempt a ON a.item = i.key AND {_LAST}
LEFT JOIN output o ON o.attempt = a.key AND o.path IS NOT NULL
LEFT JOIN delivered d ON d.attempt = o.attempt AND d.number = o.number AND d.sha256 = o.sha256
LEFT JOIN page.pick p ON p.id = i.id AND p.digest = i.digest AND p.number = o.number AND p.sha256 = o.sha256
  AND {_PICKABLE}
WHERE {_SHOWN}
"""
# Files may stay unjudged for good, where what decodes them is not installed: so only those that no longer are count.
_UNJUDGED = """
SELECT a.item, d.attempt, d.number FROM delivered d INDEXED BY delivered_unjudged
CROSS JOIN attempt a ON a.key = d.attempt WHERE d.judged = 0
"""
_UNJUDGED_OF = f"""
SELECT a.item, d.attempt, d.number FROM attempt a CROSS JOIN delivered d ON d.attempt = a.key
WHERE a.item IN {_CHOSEN} AND d.judged = 0
"""
_MOVED = f"""
SELECT item FROM attempt WHERE key > ?
UNION SELECT t.item FROM page.tile t INDEXED BY tile_moving CROSS JOIN item i ON i.key = t.item
  WHERE t.state IN {_MOVING.sql} AND (i.state <> t.state OR i.state = 'ready')
UNION SELECT i.key FROM item i WHERE i.state IN {UNSETTLED.sql}
  AND NOT EXISTS (SELECT 1 FROM page.tile t WHERE t.item = i.key AND t.state = i.state)
UNION SELECT i.key FROM item i WHERE i.state = 'skipped' AND i.position IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM page.tile t WHERE t.item = i.key AND t.state = i.state)
UNION SELECT u.item FROM page.unjudged u WHERE NOT EXISTS
  (SELECT 1 FROM delivered d WHERE d.attempt = u.attempt AND d.number = u.number AND d.judged = 0)
"""
# A pick of another file than the present one takes back what was said before, and says nothing itself.
_PICK = f"""
WITH said AS MATERIALIZED (
  SELECT {_RANK.format(number="o.number")} AS place, iif(p.sha256 = o.sha256, p.pick, 0) AS pick,
    iif(p.sha256 = o.sha256, p.rating, 0) AS rating
  FROM page.new_pick p CROSS JOIN item i ON i.id = p.id AND i.digest = p.digest AND {_PICKABLE}
  CROSS JOIN attempt a ON a.item = i.key AND {_LAST} CROSS JOIN output o ON o.attempt = a.key AND o.number = p.number)
UPDATE page.tile SET pick = said.pick, rating = said.rating FROM said WHERE tile.rank = said.place
"""
_FLAGS = "SELECT flags, COUNT(*) FROM page.tile WHERE flags <> '' GROUP BY 1"
_NOTABLE = f"""
SELECT item FROM (
  SELECT item FROM page.tile
  WHERE state IN {_FOR_A_PERSON.sql} OR flags <> '' OR pick <> 0 OR rating <> 0
  GROUP BY item ORDER BY MIN(rank) LIMIT ?)
UNION SELECT t.item FROM page.tile t CROSS JOIN item i ON i.key = t.item WHERE drawn(i.id)
"""
_TILES_OF_NOTABLE = "SELECT t.rank FROM page.notable n CROSS JOIN page.tile t ON t.item = n.item ORDER BY t.rank"
