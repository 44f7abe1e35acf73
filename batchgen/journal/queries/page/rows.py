"""The rows of tiles, and of one item with all its attempts, as a page shows them.

Money is decimal text, times are milliseconds since 1970.
"""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from batchgen.core.records import UNSETTLED
from batchgen.journal.attempts import is_last
from batchgen.journal.chains import is_stale


class TileRow(NamedTuple):
    """An output on disk, or (`number` 0) an item without one."""

    key: int
    item_id: str
    digest: str
    state: str
    model: str
    body: str
    tags: str
    """A JSON object."""
    reason: str | None
    number: int
    outputs: int
    """How many outputs the purchase has on disk."""
    path: str | None
    """Relative to the run folder."""
    bytes: int | None
    sha256: str | None
    width: int | None
    height: int | None
    duration_ms: int | None
    frame_rate: str | None
    codec: str | None
    sound: int | None
    flags: str | None
    """Separated by `;`."""
    error_type: str | None
    error_message: str | None
    attempt_state: str | None
    """None, like what follows: nothing was ever sent for it."""
    estimated: str | None
    reserved: str | None
    charged: str | None
    refunded: str | None
    """Positive."""


class ItemRow(NamedTuple):
    """An item."""

    key: int
    item_id: str
    digest: str
    state: str
    model: str
    body: str
    tags: str
    reason: str | None
    source: str
    estimated: str
    inputs: str
    """The outputs of other items that it needs, as JSON."""
    sent: str | None
    """Those that its last attempt was sent with, as JSON; None: there was none."""
    stale: int
    """Whether it was made with an output that its source has since made again."""


class AttemptRow(NamedTuple):
    """A purchase of an item."""

    number: int
    state: str
    estimated: str
    reserved: str
    charged: str | None
    refunded: str | None
    """Positive."""
    job_id: str | None
    submitted_at: int
    accepted_at: int | None
    completed_at: int | None
    refunded_at: int | None
    expires_at: int | None
    took_ms: int | None
    inference_ms: int | None
    polls: int
    error_type: str | None
    error_message: str | None


class InputRow(NamedTuple):
    """An output of another item that an item needs."""

    parameter: str
    source: int | None
    """The other item's key; None: it is not in this run folder."""
    item_id: str | None
    output: int
    """0: the one that a person picks."""


class ItemRows(NamedTuple):
    """All rows about one item."""

    item: ItemRow
    attempts: Sequence[AttemptRow]
    """The first one first."""
    outputs: Sequence[TileRow]
    """Those on disk."""
    inputs: Sequence[InputRow]
    users: Sequence[tuple[str, int]]
    """Id and key of items that need an output of this one."""


def every_tile(db: sqlite3.Connection) -> Iterator[TileRow]:
    """Yield all tiles in the order of the manifest; it sorts them on disk, so that memory stays flat."""
    return map(TileRow._make, db.execute(f"SELECT {_TILE} WHERE {_SHOWN} ORDER BY {_ORDER}"))


def tile_rows(db: sqlite3.Connection, ranks: Sequence[int]) -> Iterator[TileRow]:
    """Yield the tiles of these ranks of a `TileIndex` on this connection, in their order."""
    return map(TileRow._make, db.execute(_TILES_OF_RANKS, (json.dumps(list(ranks)),)))


def pickable_rows(db: sqlite3.Connection, ranks: Sequence[int]) -> Iterator[tuple[str, str, int, str, str]]:
    """Yield those tiles of these ranks that can be picked: item id, digest, number of the output, path, SHA-256."""
    yield from db.execute(_PICKABLE_OF_RANKS, (json.dumps(list(ranks)),))


def item_rows(db: sqlite3.Connection, keys: Sequence[int], most_users: int) -> Iterator[ItemRows]:
    """Yield all rows about each of the items with these keys, in their order; of one that is not there, nothing.

    They are looked up together, and held in memory. `most_users`: how many users of an item are named.
    """
    chosen = json.dumps(list(keys))
    items = {row[0]: ItemRow._make(row) for row in db.execute(_ITEMS, (chosen,))}
    attempts, outputs, inputs, users = (
        _by_item(db.execute(query, (chosen, *more)), make)
        for query, make, more in (
            (_ATTEMPTS, AttemptRow._make, ()),
            (_OUTPUTS, TileRow._make, ()),
            (_INPUTS, InputRow._make, ()),
            (_USERS, tuple, (most_users,)),
        )
    )
    for key in keys:
        if key in items:
            yield ItemRows(items[key], attempts[key], outputs[key], inputs[key], users[key])


def _by_item(rows: Iterable[Sequence[Any]], make: Callable[[Sequence[Any]], Any]) -> defaultdict[int, list[Any]]:
    """Return rows by the item that their first column names, without that."""
    found: defaultdict[int, list[Any]] = defaultdict(list)
    for item, *row in rows:
        found[item].append(make(row))
    return found


_SHOWN = f"(i.position IS NOT NULL OR i.state IN {UNSETTLED.sql})"
_ORDER = "i.position IS NULL, i.position, i.key, o.number"
_TILE_COLUMNS = """
  (SELECT COUNT(*) FROM output c WHERE c.attempt = a.key AND c.path IS NOT NULL),
  o.path, o.bytes, o.sha256, d.width, d.height, d.duration_ms, d.frame_rate, d.codec, d.sound, d.flags,
  a.error_type, a.error_message, a.state, a.estimated, a.reserved, a.charged, a.refunded
"""
_DELIVERED = "LEFT JOIN delivered d ON d.attempt = o.attempt AND d.number = o.number AND d.sha256 = o.sha256"
_TILE = f"""
i.key, i.id, i.digest, i.state, i.model, i.body, i.tags, i.reason, COALESCE(o.number, 0), {_TILE_COLUMNS}
FROM item i
LEFT JOIN attempt a ON a.item = i.key AND a.number =
  (SELECT MAX(b.number) FROM attempt b WHERE b.item = i.key AND (i.state <> 'done' OR b.state = 'done'))
LEFT JOIN output o ON o.attempt = a.key AND o.path IS NOT NULL
{_DELIVERED}
"""
_TILES_OF_RANKS = f"""
SELECT i.key, i.id, i.digest, i.state, i.model, i.body, i.tags, i.reason, t.number, {_TILE_COLUMNS}
FROM json_each(?) r CROSS JOIN page.tile t ON t.rank = r.value CROSS JOIN item i ON i.key = t.item
LEFT JOIN attempt a ON a.key = t.attempt
LEFT JOIN output o ON o.attempt = t.attempt AND o.number = t.number AND o.path IS NOT NULL
{_DELIVERED}
"""
_PICKABLE_OF_RANKS = """
SELECT i.id, i.digest, o.number, o.path, o.sha256
FROM json_each(?) r CROSS JOIN page.tile t ON t.rank = r.value CROSS JOIN item i ON i.key = t.item
CROSS JOIN output o ON o.attempt = t.attempt AND o.number = t.number
WHERE i.state = 'done' AND i.position IS NOT NULL AND o.path IS NOT NULL
"""
_CHOSEN = "(SELECT value FROM json_each(?))"
_ITEMS = f"""
SELECT i.key, i.id, i.digest, i.state, i.model, i.body, i.tags, i.reason, i.source, i.estimated, i.inputs, a.inputs,
  COALESCE(a.state = 'done' AND {is_stale("a", "i")}, 0)
FROM item i LEFT JOIN attempt a ON a.item = i.key AND {is_last("a", "i")} WHERE i.key IN {_CHOSEN}
"""
_ATTEMPTS = f"""
SELECT item, number, state, estimated, reserved, charged, refunded, job_id, submitted_at, accepted_at, completed_at,
  refunded_at, expires_at, took_ms, inference_ms, polls, error_type, error_message
FROM attempt WHERE item IN {_CHOSEN} ORDER BY item, number
"""
_OUTPUTS = f"SELECT i.key, {_TILE} WHERE i.key IN {_CHOSEN} AND o.number > 0 ORDER BY i.key, o.number"
_INPUTS = f"""
SELECT d.dependant, d.parameter, d.source, s.id, d.output FROM dependency d LEFT JOIN item s ON s.key = d.source
WHERE d.dependant IN {_CHOSEN} ORDER BY d.dependant, d.parameter
"""
_USERS = f"""
SELECT source, id, key FROM (
  SELECT d.source, i.id, i.key, ROW_NUMBER() OVER (PARTITION BY d.source ORDER BY i.position) AS place
  FROM dependency d JOIN item i ON i.key = d.dependant WHERE d.source IN {_CHOSEN} GROUP BY d.source, i.key)
WHERE place <= ? ORDER BY source, place
"""
