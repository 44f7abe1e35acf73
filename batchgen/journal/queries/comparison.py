"""Compares what a manifest requests with what the journal says was bought: read-only, also during a run."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from batchgen.core.records import BOUGHT, State
from batchgen.item_table import REQUESTED, attach
from batchgen.journal.binding import is_embedded, is_simulated
from batchgen.journal.database import open_for_reading, refuse_leftovers, sqlite_errors
from batchgen.journal.queries.report_rows import facts_of
from batchgen.journal.renames import NOTHING_RENAMED, Renames, find_renames, found_renames
from batchgen.journal.requeueing import NOTHING_BOUGHT_AGAIN, BuyAgain, continues, state_before


@dataclass(frozen=True, slots=True)
class Group:
    """A number of requested items in the same situation."""

    state: State
    edited: bool
    """Another request was bought under the same id before, and this one is to be bought too."""
    model: str
    estimated: Decimal
    """USD for one item."""
    items: int
    again: bool = False
    """Already on disk, and to be bought again."""
    renamed: bool = False
    """Already bought under another id; see `batchgen.journal.renames`."""


@dataclass(frozen=True, slots=True)
class TagGroup:
    """A number of items with the same value of a tag that would be bought at the same price."""

    name: str
    value: str
    estimated: Decimal
    items: int


class Comparison:
    """The items of a manifest beside a journal (None: a folder that does not exist yet)."""

    def __init__(self, db: sqlite3.Connection, *, journal: bool) -> None:
        self._db = db
        self._journal = journal

    def groups(self, again: BuyAgain = NOTHING_BOUGHT_AGAIN) -> list[Group]:
        """Return the items grouped by situation; `again` says which finished ones are to be bought again."""
        self._db.create_function("again", 1, again.wanted, deterministic=True)
        # If an earlier invocation of the same words left some of them unbought, only these are bought.
        left = "requeued = 'done' AND " if self._journal and continues(self._db, again) else ""
        rows = self._db.execute(
            f"WITH {self._standing} SELECT state, state = 'pending' AND edited, {left} state = 'done' AND again(id),"
            " renamed, model, estimated, COUNT(*) FROM standing WHERE wanted(id, tags) GROUP BY 1, 2, 3, 4, 5, 6"
        )
        return [
            Group(State(state), bool(edited), model, Decimal(estimated), items, bool(bought_again), bool(renamed))
            for state, edited, bought_again, renamed, model, estimated, items in rows
        ]

    def tags(self) -> list[TagGroup]:
        """Return what would be bought by tag."""
        rows = self._db.execute(
            f"WITH {self._standing} SELECT t.key, t.value, i.estimated, COUNT(*) FROM standing i, json_each(i.tags) t"
            " WHERE wanted(i.id, i.tags) AND i.state = 'pending' AND NOT i.renamed GROUP BY 1, 2, 3"
        )
        return [TagGroup(row[0], row[1], Decimal(row[2]), row[3]) for row in rows]

    def renames(self) -> Renames:
        """Return what was already bought under ids that are gone from the manifest, or now have another request."""
        return found_renames(self._db) if self._journal else NOTHING_RENAMED

    def simulated(self) -> bool:
        """Return whether what was bought so far was bought with simulated money."""
        return self._journal and is_simulated(facts_of(self._db))

    def edited_ids(self, most: int) -> list[str]:
        """Return the first ids that were bought before with another request."""
        rows = self._db.execute(
            f"WITH {self._standing} SELECT id FROM standing WHERE wanted(id, tags) AND state = 'pending' AND edited"
            " ORDER BY position LIMIT ?",
            (most,),
        )
        return [row[0] for row in rows]

    def unlisted(self) -> int:
        """Return how many items were bought, or may have been, that the manifest requests under no id."""
        if not self._journal:
            return 0
        (count,) = self._db.execute(
            "SELECT COUNT(*) FROM temp.unlisted WHERE key NOT IN (SELECT item FROM temp.rename)"
        ).fetchone()
        return int(count)

    @property
    def _standing(self) -> str:
        return _STANDING if self._journal else _NEW


_EDITED = (
    # The attempts say so, not the item: one that was bought and then requeued is pending.
    "EXISTS (SELECT 1 FROM item o JOIN attempt a ON a.item = o.key WHERE o.id = s.id AND o.digest <> s.digest"
    f" AND a.state IN {BOUGHT.sql})"
)
# An item that was requeued and not bought counts with its state before: each invocation has to request it again.
_STANDING = f"""
standing AS (
  SELECT s.id, s.tags, s.model, s.estimated, s.position, COALESCE({state_before("j")}, j.state, 'pending') AS state,
    {state_before("j")} AS requeued, s.position IN (SELECT position FROM temp.rename) AS renamed,
    {_EDITED} AND s.position NOT IN (SELECT position FROM temp.rename) AS edited
  FROM {REQUESTED} s LEFT JOIN item j ON j.id = s.id AND j.digest = s.digest
)
"""
_NEW = f"""
standing AS (
  SELECT id, tags, model, estimated, position, 'pending' AS state, NULL AS requeued, 0 AS renamed, 0 AS edited
  FROM {REQUESTED}
)
"""


@contextmanager
def compare(
    table: Path, journal: Path, wanted: Callable[[str, str], bool], *, with_renames: bool = True
) -> Iterator[Comparison]:
    """Open the items of a manifest beside the journal at `journal`, which may not exist; only `wanted` items count.

    Without `with_renames`, what was bought under another id is new like anything else. Raises RunFolderError for a
    damaged journal.
    """
    exists = journal.exists()
    if not exists:
        refuse_leftovers(journal.parent)
    with sqlite_errors(journal), closing(open_for_reading(journal) if exists else sqlite3.connect(":memory:")) as db:
        if db.in_transaction:
            db.execute("COMMIT")
        attach(db, table, read_only=exists)
        db.create_function("wanted", 2, wanted, deterministic=True)
        if exists:
            find_renames(db, real=with_renames and not is_embedded(facts_of(db)))
        yield Comparison(db, journal=exists)
