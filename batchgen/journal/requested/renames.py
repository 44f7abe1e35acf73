"""Finds purchases that the manifest requests under another id, and gives them to the items that request them now.

A rename is a new or edited item whose request was bought under an id that is gone from the manifest, or now has
another request. Left alone, it would be bought again. Matching is one to one: the purchase that is furthest along
first, then the lowest id. What cost nothing (failed, rejected) is not a purchase; one in doubt is.
"""

import re
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath

from batchgen import receipts
from batchgen.core.costs import parsed, times, total
from batchgen.core.records import BOUGHT, UNBOUGHT, StoredFile
from batchgen.item_table import REDO, REQUESTED, SKIPPED
from batchgen.journal.requested.requeueing import state_before

_BATCH = 5_000
"""Purchases that one commit gives to other items; their receipts are held in memory until then."""
_WAITING = "files/.renamed-"
"""How the names of waiting files begin; no part of an item's path begins with a dot."""
_TAIL = re.compile(r"(@\d+)?(\.[A-Za-z0-9]+)?$")
"""What follows an item's path in the name of a file: the number of the output, and the extension."""


@dataclass(frozen=True, slots=True)
class Renames:
    """Purchases that would be made again under another id."""

    items: int = 0
    cost: Decimal | None = Decimal(0)
    """What buying them again would cost, USD; None if it is unknown."""
    examples: tuple[tuple[str, str], ...] = ()
    """The first of them: the id it was bought under, and the id it has now."""


NOTHING_RENAMED = Renames()


@dataclass(frozen=True, slots=True)
class Move:
    """A file that is to be moved. Paths are relative to the run folder."""

    attempt: int
    number: int
    path: str
    """Where it is according to the journal."""
    target: str

    @property
    def waiting(self) -> str:
        """Where it waits until all others have left their places, since two files may swap names."""
        return f"{_WAITING}{self.attempt}-{self.number}{PurePosixPath(self.path).suffix}"


def find_renames(db: sqlite3.Connection, *, real: bool) -> None:
    """Make the temporary tables `unlisted` and `rename` for the journal `db`, with an item table attached.

    `unlisted` holds what was bought and is no longer requested under that id; `rename` the item that each of these
    belongs to now, if there is one. With simulated money (not `real`) there is none: it is spent again without a
    question. Uses the SQL function `wanted`.
    """
    for name in ("unlisted", "rename"):
        db.execute(f"DROP TABLE IF EXISTS temp.{name}")
    db.execute(_UNLISTED)
    db.execute("CREATE TEMP TABLE rename (position INTEGER PRIMARY KEY, item INTEGER NOT NULL)")
    if real and db.execute("SELECT 1 FROM temp.unlisted LIMIT 1").fetchone():
        db.execute(_RENAMES)


def found_renames(db: sqlite3.Connection, examples: int = 3) -> Renames:
    """Return what `find_renames` has found."""
    prices = db.execute(
        f"SELECT s.estimated, COUNT(*) FROM temp.rename r JOIN {REQUESTED} s USING (position) GROUP BY 1"
    ).fetchall()
    shown = db.execute(
        f"SELECT i.id, s.id FROM temp.rename r JOIN {REQUESTED} s USING (position) JOIN item i ON i.key = r.item"
        " ORDER BY r.position LIMIT ?",
        (examples,),
    ).fetchall()
    cost = total(times(parsed(price), count) for price, count in prices)
    return Renames(sum(count for _, count in prices), cost, tuple(shown))


_UNLISTED = f"""
CREATE TEMP TABLE unlisted AS
SELECT j.key, j.id, j.digest,
  CASE COALESCE({state_before("j")}, j.state) WHEN 'done' THEN 1 WHEN 'ready' THEN 2 WHEN 'processing' THEN 3
    WHEN 'submitting' THEN 4 WHEN 'in_doubt' THEN 4 WHEN 'lost' THEN 5 END AS rank
FROM item j
WHERE (j.state IN {BOUGHT.sql}
    OR (j.state = 'pending' AND j.attempts > 0)) AND rank IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM {REQUESTED} s WHERE s.id = j.id AND s.digest = j.digest)
  AND NOT EXISTS (SELECT 1 FROM {SKIPPED} s WHERE s.id = j.id AND s.digest = j.digest)
"""
_RENAMES = f"""
INSERT INTO temp.rename (position, item)
SELECT s.position, o.key
FROM (
  SELECT n.position, n.digest, row_number() OVER (PARTITION BY n.digest ORDER BY n.id) AS turn
  FROM {REQUESTED} n LEFT JOIN item j ON j.id = n.id AND j.digest = n.digest
  WHERE n.digest IN (SELECT digest FROM temp.unlisted)
    AND COALESCE({state_before("j")}, j.state, 'pending') IN {UNBOUGHT.sql}
    AND NOT EXISTS (SELECT 1 FROM {REDO} d WHERE d.position = n.position) AND wanted(n.id, n.tags)
) s JOIN (
  SELECT u.key, u.digest, row_number() OVER (PARTITION BY u.digest ORDER BY u.rank, u.id) AS turn FROM temp.unlisted u
) o ON o.digest = s.digest AND o.turn = s.turn
"""


# ---- giving purchases to other items ------------------------------------------------------------------------------


def apply_next_renames(db: sqlite3.Connection, lines: list[receipts.Line]) -> int:
    """Give the next purchases of `rename` to their new items, inside a transaction; return how many items they are.

    `lines` gets what is to be written to the receipts. Attempts keep their numbers, or are numbered after those that
    the new id already has: (id, number) names one purchase in the ledger. The table `move` says where files go.
    """
    batch = db.execute(
        f"SELECT r.position, r.item, s.id, s.path FROM temp.rename r JOIN {REQUESTED} s USING (position)"
        " ORDER BY r.position LIMIT ?",
        (_BATCH,),
    ).fetchall()
    for position, item, new_id, path in batch:
        (offset,) = db.execute(
            # Items that keep the id count, and also those that were never bought but have used numbers up.
            "SELECT COALESCE(MAX(o.attempts), 0) FROM item o WHERE o.id = ? AND o.key <> ?"
            " AND o.key NOT IN (SELECT item FROM temp.rename)",
            (new_id, item),
        ).fetchone()
        db.execute(
            "DELETE FROM item WHERE id = ? AND digest = (SELECT digest FROM item WHERE key = ?) AND key <> ?2",
            (new_id, item),
        )
        db.execute(
            "UPDATE item SET id = ?, path = ?, attempts = attempts + ? WHERE key = ?", (new_id, path, offset, item)
        )
        # From the last one down, so that no two ever have the same number.
        attempts = db.execute(
            "SELECT key, number, purchase FROM attempt WHERE item = ? ORDER BY number DESC", (item,)
        ).fetchall()
        for attempt, number, purchase in attempts:
            db.execute("UPDATE attempt SET number = ? WHERE key = ?", (number + offset, attempt))
            lines.append(receipts.renamed(purchase, new_id, number + offset))
            plan_moves(db, attempt, path)
        db.execute("DELETE FROM temp.rename WHERE position = ?", (position,))
    return len(batch)


def plan_moves(db: sqlite3.Connection, attempt: int, path: str) -> None:
    """Note where the files of an attempt below `files/` belong now; those below `superseded/` stay."""
    outputs = db.execute(
        "SELECT number, path FROM output WHERE attempt = ? AND path >= 'files/' AND path < 'files0'", (attempt,)
    ).fetchall()
    for number, old in outputs:
        tail = _TAIL.search(PurePosixPath(old).name)
        target = f"files/{path}{tail[0] if tail else ''}"
        if target != old:
            db.execute("INSERT OR REPLACE INTO move VALUES (?, ?, ?)", (attempt, number, target))


# ---- files that are to be moved ------------------------------------------------------------------------------------


def pending_moves(db: sqlite3.Connection, *, waiting: bool, most: int) -> list[Move]:
    """Return files to be moved: those that wait under a temporary name, or those still in their old place."""
    rows = db.execute(
        "SELECT m.attempt, m.number, o.path, m.target FROM move m JOIN output o"
        f" ON o.attempt = m.attempt AND o.number = m.number WHERE (o.path GLOB '{_WAITING}*') = ? LIMIT ?",
        (waiting, most),
    )
    return [Move(*row) for row in rows]


def mark_waiting(db: sqlite3.Connection, moved: Iterable[Move]) -> None:
    """Record that these files wait, each as `Move.waiting`."""
    db.executemany(
        "UPDATE output SET path = ? WHERE attempt = ? AND number = ?", [(m.waiting, m.attempt, m.number) for m in moved]
    )


def mark_arrived(db: sqlite3.Connection, move: Move, lines: list[receipts.Line]) -> None:
    """Record that a file is where it belongs, also in the receipts."""
    db.execute("UPDATE output SET path = ? WHERE attempt = ? AND number = ?", (move.target, move.attempt, move.number))
    stored = db.execute(
        "SELECT a.purchase, o.number, o.path, o.bytes, o.sha256 FROM output o JOIN attempt a ON a.key = o.attempt"
        " WHERE o.attempt = ? AND o.number = ?",
        (move.attempt, move.number),
    ).fetchone()
    lines.append(receipts.stored(stored[0], StoredFile(*stored[1:])))
    cancel_move(db, move)


def cancel_move(db: sqlite3.Connection, move: Move) -> None:
    """Forget that a file was to be moved."""
    db.execute("DELETE FROM move WHERE attempt = ? AND number = ?", (move.attempt, move.number))
