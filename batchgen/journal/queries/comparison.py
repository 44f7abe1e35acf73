"""Compares what a manifest requests with what the journal says was bought: read-only, also during a run."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import Path

from batchgen.core.costs import parsed
from batchgen.core.records import BOUGHT, UNBOUGHT, UNSUCCESSFUL, State
from batchgen.item_table import REQUESTED, WAITING, attach
from batchgen.journal.attempts import is_last
from batchgen.journal.binding import is_embedded, is_simulated
from batchgen.journal.chains import is_stale, needed_and_expired
from batchgen.journal.database import open_for_reading, refuse_leftovers, sqlite_errors
from batchgen.journal.queries.report_rows import facts_of
from batchgen.journal.requested.renames import NOTHING_RENAMED, Renames, find_renames, found_renames
from batchgen.journal.requested.requeueing import NOTHING_BOUGHT_AGAIN, BuyAgain, continues, state_before
from batchgen.journal.requested.unreachable import find_unreachable


class Standing(StrEnum):
    """How a requested item stands where its state alone does not say it."""

    NEW = "new"
    CHANGED = "changed"
    """Another request was bought under the same id before, and this one is to be bought too."""
    RENAMED = "renamed"
    """Already bought under another id; see `batchgen.journal.requested.renames`."""
    WAITING = "waiting"
    """Not to be bought before a person has picked an output that it needs."""
    AGAIN = "again"
    """Already on disk, and to be bought again because that was asked for."""
    SOURCE_EXPIRED = "source_expired"
    """Already on disk, and to be bought again: another item needs a file of it that the provider no longer has."""


@dataclass(frozen=True, slots=True)
class Buying:
    """What a run buys besides items that are new or changed."""

    retry: frozenset[State] = frozenset()
    """Unsuccessful items in these states."""
    again: BuyAgain = NOTHING_BOUGHT_AGAIN
    """Finished items."""
    expired_sources: bool = False
    """Whether finished items are bought again that others need, and whose files the provider no longer has."""


NEW_AND_CHANGED = Buying()


@dataclass(frozen=True, slots=True)
class Group:
    """A number of requested items in the same situation."""

    state: State
    standing: str
    """A `Standing`, or else the state."""
    buys: bool
    """Whether they would be bought."""
    model: str
    estimated: Decimal | None
    """USD for one item; None if it is unknown."""
    items: int


@dataclass(frozen=True, slots=True)
class ItemStanding:
    """One requested item beside the journal."""

    id: str
    standing: str
    """A `Standing`, or else the state."""
    buys: bool
    model: str
    estimated: Decimal | None
    """USD; None if it is unknown."""
    body: str
    inputs: str
    """What it needs of others, see `batchgen.journal.chains.with_references`."""
    bought_body: str | None
    """What was bought last under its id, if it has changed."""
    bought_inputs: str | None
    bought_as: str | None
    """The id under which it was bought, if it was renamed."""


@dataclass(frozen=True, slots=True)
class TagGroup:
    """A number of items with the same value of a tag that would be bought at the same price."""

    name: str
    value: str
    estimated: Decimal | None
    items: int


class Comparison:
    """The items of a manifest beside a journal (None: a folder that does not exist yet)."""

    def __init__(self, db: sqlite3.Connection, buying: Buying, *, journal: bool) -> None:
        self._db = db
        self._journal = journal
        db.create_function("again", 1, buying.again.wanted, deterministic=True)
        db.create_function("buys_again", 0, lambda: bool(buying.again.globs), deterministic=True)
        db.create_function("retried", 1, buying.retry.__contains__, deterministic=True)
        db.create_function("expired_sources", 0, lambda: buying.expired_sources, deterministic=True)
        # If an earlier invocation of the same words left some of them unbought, only these are bought.
        left = journal and continues(db, buying.again)
        db.create_function("continued", 0, lambda: left, deterministic=True)
        find_unreachable(db, journal=journal)

    def groups(self) -> list[Group]:
        """Return the items grouped by situation."""
        rows = self._db.execute(
            f"WITH {self._standings} SELECT state, standing, buys, model, estimated, COUNT(*) FROM standings"
            " WHERE wanted(id, tags) GROUP BY 1, 2, 3, 4, 5"
        )
        return [
            Group(State(state), standing, bool(buys), model, parsed(estimated), items)
            for state, standing, buys, model, estimated, items in rows
        ]

    def items(self) -> Iterator[ItemStanding]:
        """Yield the items in the order of the manifest, in bounded memory."""
        bought = _BOUGHT_BEFORE if self._journal else "NULL, NULL, NULL"
        for item_id, standing, buys, model, estimated, *texts in self._db.execute(
            f"WITH {self._standings} SELECT t.id, t.standing, t.buys, t.model, t.estimated, r.body, r.inputs, {bought}"
            f" FROM standings t CROSS JOIN {REQUESTED} r USING (position) WHERE wanted(t.id, t.tags)"
        ):
            yield ItemStanding(item_id, standing, bool(buys), model, parsed(estimated), *texts)

    def tags(self) -> list[TagGroup]:
        """Return what would be bought by tag."""
        rows = self._db.execute(
            f"WITH {self._standings} SELECT t.key, t.value, i.estimated, COUNT(*) FROM standings i, json_each(i.tags) t"
            " WHERE wanted(i.id, i.tags) AND i.buys GROUP BY 1, 2, 3"
        )
        return [TagGroup(row[0], row[1], parsed(row[2]), row[3]) for row in rows]

    def renames(self) -> Renames:
        """Return what was already bought under ids that are gone from the manifest, or now have another request."""
        return found_renames(self._db) if self._journal else NOTHING_RENAMED

    def simulated(self) -> bool:
        """Return whether what was bought so far was bought with simulated money."""
        return self._journal and is_simulated(facts_of(self._db))

    def edited_ids(self, most: int) -> list[str]:
        """Return the first ids that were bought before with another request."""
        rows = self._db.execute(
            f"WITH {self._standings} SELECT id FROM standings WHERE wanted(id, tags) AND standing = ?"
            " ORDER BY position LIMIT ?",
            (Standing.CHANGED, most),
        )
        return [row[0] for row in rows]

    def unlisted(self) -> int:
        """Return how many items were bought, or may have been, whose ids the manifest no longer has.

        What was edited counts as changed, and what was renamed as renamed.
        """
        if not self._journal:
            return 0
        (count,) = self._db.execute(
            "SELECT COUNT(*) FROM temp.unlisted u WHERE key NOT IN (SELECT item FROM temp.rename)"
            f" AND NOT EXISTS (SELECT 1 FROM {REQUESTED} r WHERE r.id = u.id)"
        ).fetchone()
        return int(count)

    @property
    def _standings(self) -> str:
        return f"{_STANDINGS if self._journal else _NEW}, {_BUYS}"

    def stale(self) -> int:
        """Return how many finished items were made with an output that its source has since made again."""
        if not self._journal:
            return 0
        (count,) = self._db.execute(_STALE).fetchone()
        return int(count)


_LAST_BOUGHT = (
    "(SELECT o.{} FROM item o JOIN attempt a ON a.item = o.key WHERE t.standing = 'changed' AND o.id = t.id"
    f" AND o.digest <> r.digest AND a.state IN {BOUGHT.sql} ORDER BY a.key DESC LIMIT 1)"
)
_BOUGHT_BEFORE = (
    f"{_LAST_BOUGHT.format('body')}, {_LAST_BOUGHT.format('inputs')}, (SELECT o.id FROM temp.rename n"
    " JOIN item o ON o.key = n.item WHERE t.standing = 'renamed' AND n.position = t.position)"
)
_EDITED = (
    # The attempts say so, not the item: one that was bought and then requeued is pending.
    "EXISTS (SELECT 1 FROM item o JOIN attempt a ON a.item = o.key WHERE o.id = s.id AND o.digest <> s.digest"
    f" AND a.state IN {BOUGHT.sql})"
)
_WAITS = f"s.position IN (SELECT position FROM {WAITING})"
_UNREACHABLE = (
    "s.position IN (SELECT position FROM temp.unreachable WHERE NOT lost) AS unreachable,"
    " s.position IN (SELECT position FROM temp.unreachable WHERE lost) AS behind_lost"
)
# An item that was requeued and not bought counts with its state before: each invocation has to request it again.
_STANDINGS = f"""
known AS (
  SELECT s.id, s.tags, s.model, s.estimated, s.position,
    COALESCE({state_before("j")}, j.state, 'pending') AS known_state, {state_before("j")} AS requeued,
    s.position IN (SELECT position FROM temp.rename) AS renamed, {_WAITS} AS waiting,
    {_EDITED} AS edited, {_UNREACHABLE},
    CASE WHEN j.state = 'done' AND expired_sources() THEN {needed_and_expired("j")} ELSE 0 END AS expired
  FROM {REQUESTED} s LEFT JOIN item j ON j.id = s.id AND j.digest = s.digest
)
"""
_NEW = f"""
known AS (
  SELECT s.id, s.tags, s.model, s.estimated, s.position, 'pending' AS known_state, NULL AS requeued, 0 AS renamed,
    {_WAITS} AS waiting, 0 AS edited, {_UNREACHABLE}, 0 AS expired
  FROM {REQUESTED} s
)
"""
# What is not bought yet is pending or skipped by what this run is about to do, not by what the last one did. What was
# edited is asked about also behind a lost item: each run asks for that once more, and may get it. (With a LIMIT, SQLite
# works a subquery out once for each item; else it copies it into each place that uses it, hundreds of times in all.)
_BUYS = f"""
standings AS (
  SELECT *, CASE
    WHEN standing IN ('new', 'changed', 'again', 'source_expired') THEN 1
    WHEN state = 'skipped' THEN retried(state) OR (NOT unreachable AND NOT behind_lost)
    WHEN state IN {UNSUCCESSFUL.sql} THEN retried(state)
    ELSE 0 END AS buys
  FROM (
    SELECT *, CASE
      WHEN state = 'pending' AND renamed THEN 'renamed'
      WHEN state = 'pending' AND waiting THEN 'waiting'
      WHEN state = 'pending' AND edited THEN 'changed'
      WHEN state = 'pending' THEN 'new'
      WHEN state = 'done' AND buys_again() AND again(id) AND (NOT continued() OR requeued = 'done') THEN 'again'
      WHEN state = 'done' AND expired THEN 'source_expired'
      ELSE state END AS standing
    FROM (
      SELECT *, CASE
        WHEN known_state NOT IN {UNBOUGHT.sql} THEN known_state
        WHEN renamed THEN 'pending'
        WHEN unreachable THEN 'skipped'
        WHEN waiting OR edited THEN 'pending'
        ELSE known_state END AS state
      FROM known LIMIT -1
    ) LIMIT -1
  )
)
"""
_STALE = f"""
SELECT COUNT(*) FROM {REQUESTED} r JOIN item i ON i.id = r.id AND i.digest = r.digest
JOIN attempt a ON a.item = i.key AND {is_last("a", "i")}
WHERE i.state = 'done' AND i.inputs <> '[]' AND wanted(i.id, i.tags) AND {is_stale("a", "i")}
"""


@contextmanager
def compare(
    table: Path,
    journal: Path,
    wanted: Callable[[str, str], bool],
    buying: Buying = NEW_AND_CHANGED,
    *,
    with_renames: bool = True,
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
        yield Comparison(db, buying, journal=exists)
