"""Buying anew what has ended: opened by one invocation, for that invocation.

An item that was opened is pending, and its latest attempt says how it stood. What an invocation leaves unbought is
closed again by the next one, unless that is asked in the same words: then it goes on, and opens nothing else.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from batchgen.core.records import State

_FACT = "again"


@dataclass(frozen=True, slots=True)
class Again:
    """Which good items are to be bought anew."""

    globs: tuple[str, ...] = ()

    def wanted(self, item_id: str) -> bool:
        """Whether an item is meant."""
        return any(fnmatchcase(item_id, glob) for glob in self.globs)

    @property
    def words(self) -> str:
        """What was asked for, to be recognised."""
        return json.dumps(sorted(self.globs))


NOTHING_AGAIN = Again()


def opened(item: str) -> str:
    """Return the SQL for how an opened item stood (done, lost, failed, rejected), and NULL for one that was not."""
    return (
        f"CASE WHEN {item}.state = 'pending' AND {item}.attempts > 0 THEN"
        f" (SELECT a.state FROM attempt a WHERE a.item = {item}.key ORDER BY a.number DESC LIMIT 1) END"
    )


def continues(db: sqlite3.Connection, again: Again) -> bool:
    """Whether an earlier invocation opened items in the same words and left some of them unbought."""
    if (
        not again.globs
        or (again.words,) not in db.execute("SELECT value FROM meta WHERE name = ?", (_FACT,)).fetchall()
    ):
        return False
    db.create_function("again", 1, again.wanted, deterministic=True)
    left = db.execute(f"SELECT 1 FROM item i WHERE {opened('i')} = 'done' AND again(i.id) LIMIT 1").fetchone()
    return left is not None


def close_others(db: sqlite3.Connection, retry: Sequence[State], again: Again) -> None:
    """Let opened items stand as they stood, but those that are asked for now as well; inside a transaction."""
    db.create_function("again", 1, again.wanted, deterministic=True)
    stood, marks = opened("item"), ", ".join("?" * len(retry))
    db.execute(
        f"UPDATE item SET state = {stood} WHERE {stood} IS NOT NULL"
        f" AND NOT ({stood} IN ({marks}) OR ({stood} = 'done' AND again(id)))",
        retry,
    )


def remember(db: sqlite3.Connection, again: Again) -> None:
    """Note in which words good items were opened; inside a transaction."""
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_FACT, again.words))
