"""Cost reports: charges summed by group, exact and streamed, with nothing counted twice."""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from batchgen.core.costs import CostSum
from batchgen.core.errors import UsageError
from batchgen.core.records import State
from batchgen.core.text import stamp
from batchgen.ledger.charges import Charge

GroupKey = Callable[[Charge], str | None]
"""Returns the group of a charge; None if it belongs to none (no such tag, never sent)."""
ROW_STATES = tuple(state for state in State if state is not State.PENDING)
"""The states that a ledger's row can be in."""


@dataclass(slots=True)
class Sums(CostSum):
    """The running sums of one group."""

    states: dict[State, int] = field(default_factory=dict)

    def count(self, charge: Charge) -> None:
        """Add one charge."""
        self.add(charge)
        self.states[charge.state] = self.states.get(charge.state, 0) + 1


@dataclass(frozen=True, slots=True)
class CostReport:
    """Groups by name, the nameless one last, and their total."""

    by: str
    groups: tuple[tuple[str | None, Sums], ...]
    total: Sums
    repeated: int
    """Rows that were given more than once and counted once."""
    simulated: bool = False
    """Whether it is about simulated money, and nothing else."""
    left_out: int = 0
    """Rows of the other kind of money, simulated or real."""


def group_key(by: str) -> GroupKey:
    """Return the rule behind `--by`: model, day, month, state, run or tag:NAME. Raises UsageError."""
    name, _, tag = by.partition(":")
    if name == "tag" and tag:
        return lambda charge: charge.tags.get(tag)
    if by not in _KEYS:
        raise UsageError(f"--by {by}: choose {', '.join(_KEYS)} or tag:NAME")
    return _KEYS[by]


def cost_report(by: str, charges: Iterable[Charge], *, unique: bool = False, simulated: bool = False) -> CostReport:
    """Return the sums of `charges` by group; a charge that comes twice counts as it came first.

    Real and simulated money are never added up: only charges of one kind count, and the others are left out.

    A purchase is known by run, item, attempt and digest, and by the second it was submitted in, which tells apart two
    runs of one name in different output folders; or by its job in place of item and attempt, which a rename changes.
    `unique` says that none can come twice, as from one journal, and saves the comparing. Memory grows with the groups,
    not with the charges. Raises UsageError for an unknown `by`.
    """
    key = group_key(by)
    groups: dict[str | None, Sums] = {}
    total, given, left_out = Sums(), 0, 0

    def counted() -> Iterator[Charge]:
        nonlocal given, left_out
        for charge in charges:
            if charge.simulated == simulated:
                given += 1
                yield charge
            else:
                left_out += 1

    for charge in counted() if unique else _distinct(counted()):
        total.count(charge)
        group = key(charge)
        if group not in groups:
            groups[group] = Sums()
        groups[group].count(charge)
    ordered = sorted(groups.items(), key=lambda entry: (entry[0] is None, entry[0] or ""))
    return CostReport(by, tuple(ordered), total, given - total.rows, simulated, left_out)


def _distinct(charges: Iterable[Charge]) -> Iterator[Charge]:
    # A nameless database is private, is kept in memory while small, and goes to a temporary file beyond that (SQLite
    # documentation, "In-Memory Databases"): a set of a million purchases would be the one thing here that grows.
    with closing(sqlite3.connect("", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA cache_size = -32768")
        db.execute("CREATE TABLE seen (purchase BLOB PRIMARY KEY) WITHOUT ROWID")
        db.execute("BEGIN")
        for charge in charges:
            names = _names_of(charge)
            if not any(db.execute("SELECT 1 FROM seen WHERE purchase = ?", (name,)).fetchone() for name in names):
                yield charge
            db.executemany("INSERT OR IGNORE INTO seen VALUES (?)", ((name,) for name in names))


def _names_of(charge: Charge) -> list[bytes]:
    """Return what a purchase is known by: with an item and an attempt, and with its job, where it has one yet."""
    common = (charge.run, charge.digest, stamp(charge.submitted_at) if charge.submitted_at else "")
    names = [(*common, charge.item_id, str(charge.attempt)), *([(*common, charge.job_id)] if charge.job_id else [])]
    return [hashlib.blake2b("\0".join(name).encode(), digest_size=16).digest() for name in names]


def _when(charge: Charge) -> str | None:
    moment = charge.accepted_at or charge.submitted_at
    return stamp(moment) if moment else None


def _cut(length: int) -> GroupKey:
    def key(charge: Charge) -> str | None:
        when = _when(charge)
        return when[:length] if when else None

    return key


_KEYS: dict[str, GroupKey] = {
    "model": lambda charge: charge.model,
    "day": _cut(len("2026-01-31")),
    "month": _cut(len("2026-01")),
    "state": lambda charge: charge.state,
    "run": lambda charge: charge.run,
}
