"""What a manifest asks for, beside what the journal says was bought: read-only, also while a run goes on."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from batchgen.journal.schema import open_for_reading, refuse_leftovers, sqlite_errors
from batchgen.records import State


@dataclass(frozen=True, slots=True)
class Group:
    """So many asked-for items that stand alike."""

    state: State
    edited: bool
    """Another request was bought under the same id before, and this one is to be bought as well."""
    model: str
    estimated: Decimal
    """USD for one item."""
    items: int
    again: bool = False
    """On disk already, and to be bought anew all the same."""


@dataclass(frozen=True, slots=True)
class TagGroup:
    """So many items with one value of a tag that would be bought, at one price each."""

    name: str
    value: str
    estimated: Decimal
    items: int


class Comparison:
    """A staged manifest beside a journal (None: a folder that does not exist yet)."""

    def __init__(self, db: sqlite3.Connection, *, journal: bool) -> None:
        self._db = db
        self._journal = journal

    def groups(self, again: Callable[[str], bool] = lambda _: False) -> list[Group]:
        """Return how the items stand, those that are alike counted together; `again` marks good ones to buy anew."""
        self._db.create_function("again", 1, again, deterministic=True)
        rows = self._db.execute(
            f"SELECT {_STANDING if self._journal else _NEW}, s.model, s.estimated, COUNT(*) FROM stage.item s"
            f" {_JOIN if self._journal else ''} WHERE wanted(s.id, s.tags) GROUP BY 1, 2, 3, 4, 5"
        )
        return [
            Group(State(state), bool(edited), model, Decimal(estimated), items, bool(anew))
            for state, edited, anew, model, estimated, items in rows
        ]

    def tags(self) -> list[TagGroup]:
        """Return what would be bought by tag."""
        rows = self._db.execute(
            f"SELECT t.key, t.value, s.estimated, COUNT(*) FROM stage.item s {_JOIN if self._journal else ''},"
            f" json_each(s.tags) t WHERE wanted(s.id, s.tags)"
            f" {_UNBOUGHT if self._journal else ''} GROUP BY 1, 2, 3"
        )
        return [TagGroup(row[0], row[1], Decimal(row[2]), row[3]) for row in rows]

    def edited_ids(self, most: int) -> list[str]:
        """Return the first ids that were bought before with another request."""
        if not self._journal:
            return []
        rows = self._db.execute(
            f"SELECT s.id FROM stage.item s {_JOIN} WHERE wanted(s.id, s.tags) {_UNBOUGHT} AND {_EDITED}"
            " ORDER BY s.position LIMIT ?",
            (most,),
        )
        return [row[0] for row in rows]


_JOIN = "LEFT JOIN item j ON j.id = s.id AND j.digest = s.digest"
_UNBOUGHT = "AND (j.key IS NULL OR j.state = 'pending')"
_EDITED = (
    # Attempts and not items say so: one that was bought and then reopened is pending.
    "EXISTS (SELECT 1 FROM item o JOIN attempt a ON a.item = o.key WHERE o.id = s.id AND o.digest <> s.digest"
    " AND a.state IN ('submitting', 'processing', 'ready', 'done', 'in_doubt', 'lost'))"
)
_STANDING = (
    f"COALESCE(j.state, 'pending'), (j.key IS NULL OR j.state = 'pending') AND {_EDITED},"
    " COALESCE(j.state = 'done' AND again(s.id), 0)"
)
_NEW = "'pending', 0, 0"


@contextmanager
def compare(stage: Path, journal: Path, wanted: Callable[[str, str], bool]) -> Iterator[Comparison]:
    """Open a staged manifest beside the journal at `journal`, which may not exist, seeing only the `wanted` items.

    Raises RunFolderError for a damaged journal.
    """
    exists = journal.exists()
    if not exists:
        refuse_leftovers(journal.parent)
    with sqlite_errors(journal), closing(open_for_reading(journal) if exists else sqlite3.connect(":memory:")) as db:
        if db.in_transaction:
            db.execute("COMMIT")
        db.execute("ATTACH ? AS stage", (f"{stage.absolute().as_uri()}?mode=ro" if exists else str(stage),))
        db.create_function("wanted", 2, wanted, deterministic=True)
        yield Comparison(db, journal=exists)
