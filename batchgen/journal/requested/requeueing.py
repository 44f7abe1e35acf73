"""Requeueing: items that have ended become pending again, to be retried or bought again by one invocation.

A requeued item is pending, and its latest attempt says what state it had. What an invocation leaves unbought is put
back by the next one, unless that has the same `--again`: then it continues, and requeues nothing else.
"""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from batchgen.core.records import State
from batchgen.journal.chains import has_expired

_FACT = "again"


@dataclass(frozen=True, slots=True)
class BuyAgain:
    """Which finished items are to be bought again."""

    globs: tuple[str, ...] = ()

    def wanted(self, item_id: str) -> bool:
        """Whether it names an item."""
        return bool(self.globs) and any(fnmatchcase(item_id, glob) for glob in self.globs)

    @property
    def words(self) -> str:
        """The patterns as text, to compare invocations."""
        return json.dumps(sorted(self.globs))


NOTHING_BOUGHT_AGAIN = BuyAgain()


def state_before(item: str) -> str:
    """Return the SQL for the state a requeued item had (done, lost, failed, rejected); NULL for other items."""
    return (
        f"CASE WHEN {item}.state = 'pending' AND {item}.attempts > 0 THEN"
        f" (SELECT a.state FROM attempt a WHERE a.item = {item}.key ORDER BY a.number DESC LIMIT 1) END"
    )


def continues(db: sqlite3.Connection, again: BuyAgain) -> bool:
    """Whether an earlier invocation had the same `--again` and left some of its items unbought."""
    if (
        not again.globs
        or (again.words,) not in db.execute("SELECT value FROM meta WHERE name = ?", (_FACT,)).fetchall()
    ):
        return False
    db.create_function("again", 1, again.wanted, deterministic=True)
    left = db.execute(f"SELECT 1 FROM item i WHERE {state_before('i')} = 'done' AND again(i.id) LIMIT 1").fetchone()
    return left is not None


def put_back_others(db: sqlite3.Connection, retry: Sequence[State], again: BuyAgain, *, expired_sources: bool) -> None:
    """Put requeued items back into their state, except those that are requested now too; inside a transaction."""
    db.create_function("again", 1, again.wanted, deterministic=True)
    before, marks = state_before("item"), ", ".join("?" * len(retry))
    db.execute(
        f"UPDATE item SET state = {before} WHERE {before} IS NOT NULL"
        f" AND NOT ({before} IN ({marks}) OR ({before} = 'done' AND (again(id) OR (? AND {has_expired('item')}))))",
        (*retry, expired_sources),
    )


def remember_words(db: sqlite3.Connection, again: BuyAgain) -> None:
    """Note with which `--again` finished items were requeued; inside a transaction."""
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_FACT, again.words))
