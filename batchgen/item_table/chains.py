"""Chains: finds the items whose outputs other items need, and gives those others the digest that includes them.

Sources come before what needs them, however deep chains are, with work proportional to the references and in bounded
memory. It may be done again once a person has picked other outputs.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchgen.core.digest import digest_of, filled, output_of
from batchgen.core.records import PICKED

OutputCount = Callable[[str, str], int]
"""Returns how many pictures a request (model, body) makes; 0 if it makes no pictures."""
KeptOutputs = Callable[[str, str], tuple[int, ...]]
"""Returns the outputs of an item (id, digest) that a person has kept."""
_BATCH = 1_000
_LONGEST_RING = 20
"""Items of a circle that are named."""


@dataclass(frozen=True, slots=True)
class ChainFault:
    """Why an item cannot have an output that it needs."""

    message: str
    source: str
    """The item's `file:line`."""
    place: tuple[int, int] | None
    """Line and column of the reference in the manifest, from 0; None if the item's row makes it."""


def nothing_kept(_: str, __: str) -> tuple[int, ...]:
    """Return that no output was kept."""
    return ()


@contextmanager
def chains(database: Path) -> Iterator["Chains"]:
    """Open the chains of a complete item table; nothing changes where the block fails."""
    with closing(sqlite3.connect(database)) as db, db:
        yield Chains(db)


class Chains:
    """The chains of one item table."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def link(self, suggest: Callable[[str, Iterable[str]], str | None]) -> Iterator[ChainFault]:
        """Find the items that references name; yield a fault for each that does not exist.

        `suggest` returns which of some ids a text may have meant.
        """
        # The index of `clashes`, which ignores case, is there already.
        self._db.execute("CREATE INDEX IF NOT EXISTS item_id ON item (id COLLATE NOCASE)")
        self._db.execute("CREATE INDEX IF NOT EXISTS input_source ON input (source)")
        self._db.execute(_LINK)
        for item_id, source, *place in self._db.execute(_UNKNOWN):
            near = suggest(item_id, self._ids_like(item_id))
            hint = f"did you mean `{near}`?" if near is not None else "an `id` must be given to be referred to"
            yield ChainFault(f"there is no item `{item_id}`; {hint}", source, _place(place))

    def _ids_like(self, item_id: str) -> list[str]:
        start = item_id[:2]
        found = self._db.execute(
            "SELECT id FROM item WHERE id >= ? COLLATE NOCASE AND id < ? COLLATE NOCASE LIMIT 1000",
            (start, f"{start}\U0010ffff"),
        )
        return [known for (known,) in found]

    def wrong_outputs(self, outputs_of: OutputCount) -> Iterator[ChainFault]:
        """Yield a fault for each reference to a video, or to an output that its source does not make."""
        self._db.create_function("pictures", 2, outputs_of, deterministic=True)
        for item_id, model, output, pictures, source, *place in self._db.execute(_WRONG_OUTPUTS):
            if not pictures:
                message = f"`{item_id}` makes a video ({model}), but a picture is needed here"
            else:
                one = "1 picture" if pictures == 1 else f"{pictures} pictures"
                message = f"`{item_id}` makes {one}, so there is no output {output}"
            yield ChainFault(message, source, _place(place))

    def has_picks(self) -> bool:
        """Return whether any item needs an output that a person picks."""
        return self._db.execute("SELECT 1 FROM input WHERE output = ? LIMIT 1", (PICKED,)).fetchone() is not None

    def sources_of(self, wanted: Callable[[str, str], bool]) -> frozenset[str]:
        """Return the ids of items that those for which `wanted(id, tags as JSON)` is true need, at any remove."""
        self._db.create_function("wanted", 2, wanted, deterministic=True)
        return frozenset(item_id for (item_id,) in self._db.execute(_SOURCES))

    def number(self) -> None:
        """Write down which outputs items need, whose bodies and digests are final already."""
        self._db.execute(_NUMBER)

    def digest(self, kept: KeptOutputs) -> Iterator[ChainFault]:
        """Give every item that needs others its final body and digest; yield a fault for each circle and open choice.

        An item that a person has to pick an output for first is put into the table `waiting`, and so is what needs it.
        If there are priorities, each item gets at least that of the items that need it.
        """
        for statement in _BEGIN_DIGESTS:
            self._db.execute(statement)
        last = 0
        while batch := self._db.execute(_NEXT, (last, _BATCH)).fetchall():
            for _, position, body, inputs in batch:
                yield from self._update(position, body, json.loads(inputs), kept)
            turns = (last + 1, batch[-1][0])
            self._db.execute(_COUNT_DOWN, turns)
            self._db.execute(_NOW_READY, turns)
            last = turns[1]
        if self._db.execute("SELECT 1 FROM priority LIMIT 1").fetchone() is not None:
            self._raise_priorities()
        yield from self._circles()
        self._db.execute("DROP TABLE temp.unready")
        self._db.execute("DROP TABLE temp.ready")

    def _raise_priorities(self) -> None:
        # Backwards, dependants come before their sources: each reference is looked at once, however deep chains are.
        for ready in self._db.execute("SELECT position FROM temp.ready ORDER BY turn DESC"):
            self._db.execute(_RAISE_SOURCES, ready)

    def _update(self, position: int, body: str, inputs: list[list[Any]], kept: KeptOutputs) -> Iterator[ChainFault]:
        """Give one item its final body and digest; yield a fault for each source of which several outputs were kept."""
        places, numbered, waits = {}, [], False
        for parameter, item_id, output, digest, source_waits, source, *place in inputs:
            chosen = kept(item_id, digest) if output == PICKED else (output,)
            if len(chosen) > 1:
                yield ChainFault(_open_choice(item_id, chosen), source, _place(place))
            number = chosen[0] if chosen else PICKED
            places[parameter] = output_of(digest, number)
            numbered.append([parameter, item_id, number])
            waits = waits or number == PICKED or bool(source_waits)
        canonical = filled(body, places)
        self._db.execute(
            "UPDATE item SET body = ?, digest = ?, inputs = ? WHERE position = ?",
            (canonical, digest_of(canonical), json.dumps(numbered), position),
        )
        if waits:
            self._db.execute("INSERT INTO waiting VALUES (?)", (position,))

    def _circles(self) -> Iterator[ChainFault]:
        """Yield a fault for each circle, at the first of its items."""
        seen: set[int] = set()
        for (start,) in self._db.execute("SELECT position FROM temp.unready WHERE missing > 0 ORDER BY position"):
            way: dict[int, None] = {}
            position: int | None = start
            while position is not None and position not in seen:
                seen.add(position)
                way[position] = None
                found = self._db.execute(_UNREADY_SOURCE, (position,)).fetchone()
                position = found[0] if found else None
            if position in way:
                yield self._circle(list(way)[list(way).index(position) :])

    def _circle(self, ring: list[int]) -> ChainFault:
        ring = ring[ring.index(min(ring)) :] + ring[: ring.index(min(ring))]
        marks = ", ".join("?" * len(ring[:_LONGEST_RING]))
        ids = dict(self._db.execute(f"SELECT position, id FROM item WHERE position IN ({marks})", ring[:_LONGEST_RING]))
        names = [f"`{ids[position]}`" for position in ring[:_LONGEST_RING]]
        names += ["…"] if len(ring) > _LONGEST_RING else []
        if len(ring) == 1:
            message = f"{names[0]} needs its own output"
        else:
            message = f"a circle of items, each of which needs the next: {' → '.join([*names, names[0]])}"
        source, *place = self._db.execute(_PLACE, (ring[0],)).fetchone()
        return ChainFault(message, source, _place(place))


def _open_choice(item_id: str, outputs: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, outputs[:5]))
    return (
        f"several outputs of `{item_id}` were kept ({shown}), but one is needed here: take the others back with"
        f" `batchgen picks`, or write `${{items.{item_id}.output.{outputs[0]}}}`"
    )


def _place(columns: list[int | None]) -> tuple[int, int] | None:
    line, column = columns
    return None if line is None or column is None else (line, column)


_LINK = """
UPDATE input SET source = (SELECT s.position FROM item s WHERE s.id = item_id COLLATE NOCASE AND s.id = item_id)
"""
_UNKNOWN = """
SELECT n.item_id, i.source, n.line, n.column FROM input n JOIN item i USING (position)
WHERE n.source IS NULL ORDER BY n.position, n.parameter
"""
# What is wrong with a source itself is told already; it has no model then.
_WRONG_OUTPUTS = """
SELECT n.item_id, s.model, n.output, pictures(s.model, s.body) AS pictures, i.source, n.line, n.column
FROM input n JOIN item i USING (position) JOIN item s ON s.position = n.source
WHERE s.model <> '' AND (pictures = 0 OR n.output > pictures) ORDER BY n.position, n.parameter
"""
_RAISE_SOURCES = """
INSERT INTO priority
SELECT DISTINCT n.source, COALESCE(p.priority, 0) AS wished FROM input n LEFT JOIN priority p USING (position)
WHERE n.position = ? AND wished > COALESCE((SELECT s.priority FROM priority s WHERE s.position = n.source), 0)
ON CONFLICT (position) DO UPDATE SET priority = excluded.priority
"""
_SOURCES = """
WITH RECURSIVE needed AS (
  SELECT n.source AS position FROM input n JOIN item i USING (position) WHERE wanted(i.id, i.tags)
  UNION
  SELECT n.source FROM needed x JOIN input n ON n.position = x.position
)
SELECT s.id FROM needed JOIN item s ON s.position = needed.position WHERE NOT wanted(s.id, s.tags)
"""
_NUMBER = """
UPDATE item SET inputs = (
  SELECT json_group_array(json_array(n.parameter, n.item_id, n.output)) FROM input n
  WHERE n.position = item.position ORDER BY n.parameter
) WHERE position IN (SELECT position FROM input)
"""
# `missing` counts the sources of an item that have no digest of their own yet, `ready` lists those that can have one.
_BEGIN_DIGESTS = (
    "DELETE FROM waiting",
    "DROP TABLE IF EXISTS temp.unready",
    "DROP TABLE IF EXISTS temp.ready",
    "CREATE TEMP TABLE unready (position INTEGER PRIMARY KEY, missing INTEGER NOT NULL)",
    "CREATE TEMP TABLE ready (turn INTEGER PRIMARY KEY, position INTEGER NOT NULL)",
    """
INSERT INTO temp.unready
SELECT n.position, SUM(EXISTS (SELECT 1 FROM input m WHERE m.position = n.source)) FROM input n GROUP BY n.position
""",
    "INSERT INTO temp.ready (position) SELECT position FROM temp.unready WHERE missing = 0 ORDER BY position",
)
_NEXT = """
SELECT r.turn, r.position, i.body, (
  SELECT json_group_array(json_array(n.parameter, n.item_id, n.output, s.digest,
    EXISTS (SELECT 1 FROM waiting w WHERE w.position = n.source), i.source, n.line, n.column))
  FROM input n JOIN item s ON s.position = n.source WHERE n.position = r.position)
FROM temp.ready r JOIN item i USING (position) WHERE r.turn > ? ORDER BY r.turn LIMIT ?
"""
_COUNT_DOWN = """
UPDATE temp.unready SET missing = missing - d.inputs FROM (
  SELECT n.position AS needs, COUNT(*) AS inputs FROM temp.ready r JOIN input n ON n.source = r.position
  WHERE r.turn BETWEEN ? AND ? GROUP BY n.position
) d WHERE unready.position = d.needs
"""
_NOW_READY = """
INSERT INTO temp.ready (position)
SELECT DISTINCT n.position FROM temp.ready r JOIN input n ON n.source = r.position
JOIN temp.unready u ON u.position = n.position WHERE r.turn BETWEEN ? AND ? AND u.missing = 0 ORDER BY n.position
"""
_UNREADY_SOURCE = """
SELECT n.source FROM input n JOIN temp.unready u ON u.position = n.source
WHERE n.position = ? AND u.missing > 0 ORDER BY n.parameter LIMIT 1
"""
_PLACE = """
SELECT i.source, n.line, n.column FROM item i JOIN input n USING (position)
WHERE i.position = ? ORDER BY n.parameter LIMIT 1
"""
