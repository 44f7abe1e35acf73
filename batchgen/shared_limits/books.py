"""The shared books: a small SQLite database in the output folder, in which all its runs claim money before they buy.

It can be rebuilt from the run folders: a run's next start, or that of another run, counts its journal anew.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from batchgen.core.errors import DiskError, RunFolderError
from batchgen.core.files import disk_errors
from batchgen.policy.budget_port import CapReached, NotYet
from batchgen.shared_limits.amounts import amount_of, units
from batchgen.shared_limits.limits import SharedLimits
from batchgen.shared_limits.orders import Answer, Changes, Claim, Crossed, Spent, Sums

DATABASE_NAME = ".batchgen.sqlite3"
"""In the output folder; no run can have this name."""
_VERSION = 1
_PATIENCE = 30.0
"""Seconds that another run may take to write."""
_ALIVE_MS = 30_000
"""For how long a run counts as running after it was heard of last."""
_JOINED_MS = 1
"""In the place of that for a run that takes part and was not heard of yet."""
_WAITING_MS = 2_000
_FOR_A_PRICE, _FOR_A_PLACE = 1.0, 0.5
"""Seconds after which to ask again."""
_TABLES = """
CREATE TABLE run (
  id            TEXT PRIMARY KEY,
  name          TEXT NOT NULL,
  folder        TEXT NOT NULL,
  counted       TEXT NOT NULL,              -- what its records looked like when they were counted last
  alive_until   INTEGER NOT NULL DEFAULT 0, -- milliseconds since 1970, 0 where it does not take part
  waiting_until INTEGER NOT NULL DEFAULT 0  -- while it waits for a place at the provider
) WITHOUT ROWID;
-- Billionths of a dollar, by month and budget, where '' is the budget for everything.
CREATE TABLE spent (
  month    TEXT NOT NULL,
  scope    TEXT NOT NULL,
  run      TEXT NOT NULL,
  charged  INTEGER NOT NULL,
  in_doubt INTEGER NOT NULL,
  reserved INTEGER NOT NULL,
  PRIMARY KEY (month, scope, run)
) WITHOUT ROWID;
-- Purchases on their way: reserved in `spent`, or accepted and not yet ended.
CREATE TABLE claim (
  run       TEXT NOT NULL,
  item      INTEGER NOT NULL,
  item_id   TEXT NOT NULL,
  attempt   INTEGER NOT NULL,
  month     TEXT NOT NULL,
  amount    INTEGER NOT NULL,
  price_key TEXT NOT NULL,     -- '': its price is confirmed
  place     INTEGER NOT NULL,  -- 1: it takes a place at the provider
  PRIMARY KEY (run, item)
) WITHOUT ROWID;
-- What an answer to any run has confirmed last, in billionths of a dollar.
CREATE TABLE price (price_key TEXT PRIMARY KEY, amount INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE warned (
  month TEXT NOT NULL, scope TEXT NOT NULL, percent TEXT NOT NULL, PRIMARY KEY (month, scope, percent)
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class KnownRun:
    """A run as the books know it."""

    id: str
    name: str
    folder: str
    counted: str
    """What its records looked like when they were counted last."""
    takes_part: bool = False
    """Whether it counts for itself: it began to, and has not ended, unless it was killed."""


@contextmanager
def open_books(output: Path) -> Iterator["SharedBooks"]:
    """Open the shared books of an output folder; make them if there are none. Raises DiskError, RunFolderError."""
    path = output / DATABASE_NAME
    with disk_errors(path):
        output.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    with (
        book_errors(path),
        closing(sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)) as db,
    ):
        db.execute("PRAGMA journal_mode = WAL")
        # What is claimed has to outlast a loss of power, as the intent that follows it does.
        db.execute("PRAGMA synchronous = FULL")
        db.execute("BEGIN IMMEDIATE")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise RunFolderError(f"{path} was written by a newer batchgen: update batchgen")
        if not version:
            for statement in _TABLES.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {_VERSION}")
        db.execute("COMMIT")
        yield SharedBooks(db, path)


@contextmanager
def book_errors(path: Path) -> Iterator[None]:
    """Translate what SQLite raises while the block runs. Raises DiskError, RunFolderError."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise DiskError(f"cannot use {path}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise RunFolderError(
            f"{path} cannot be read ({error}): delete it; the next run makes it again from the run folders"
        ) from error


class SharedBooks:
    """See the module. One thread at a time uses it; `path` is where it is."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._db = db
        self.path = path
        self._warned: set[tuple[str, str, str]] = set()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what the block does, or none of it. Raises DiskError, RunFolderError."""
        with book_errors(self.path):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    # ---- while runs buy ----

    def serve(
        self, run: str, limits: SharedLimits, now_ms: int, changes: Changes, claims: Sequence[Claim]
    ) -> list[Answer]:
        """Note what has changed, and answer the claims, in one commit. Raises DiskError, RunFolderError."""
        with self.transaction():
            self._db.execute("UPDATE run SET alive_until = ? WHERE id = ?", (now_ms + _ALIVE_MS, run))
            self._apply(run, changes)
            serving = _Serving(self, run, limits, now_ms)
            answers = [serving.answer(claim) for claim in claims]
            self._apply(run, serving.changes)
        return answers

    def _apply(self, run: str, changes: Changes) -> None:
        self._db.executemany(
            "INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " charged = charged + excluded.charged, in_doubt = in_doubt + excluded.in_doubt,"
            " reserved = reserved + excluded.reserved",
            [(*place, run, sums.charged, sums.in_doubt, sums.reserved) for place, sums in changes.spent.items()],
        )
        for statement, items in (
            ("DELETE FROM claim WHERE run = ? AND item = ?", changes.freed),
            ("UPDATE claim SET place = 0, price_key = '' WHERE run = ? AND item = ?", changes.parked),
            ("UPDATE claim SET price_key = '' WHERE run = ? AND item = ?", changes.confirmed),
        ):
            self._db.executemany(statement, [(run, item) for item in items])

        self._db.executemany("INSERT OR REPLACE INTO price VALUES (?, ?)", changes.prices.items())

    def price_of(self, price_key: str) -> int:
        """Return the price that an answer to any run has confirmed last, in billionths of a dollar; 0 if none has."""
        row = self._db.execute("SELECT amount FROM price WHERE price_key = ?", (price_key,)).fetchone()
        return int(row[0]) if row else 0

    def committed(self, month: str, scope: str) -> int:
        """Return what counts against a budget, of all runs, in billionths of a dollar."""
        return self.sums(month, scope).committed

    def sums(self, month: str, scope: str) -> Sums:
        """Return what all runs have spent in a month against a budget."""
        row = self._db.execute(
            "SELECT COALESCE(SUM(charged), 0), COALESCE(SUM(in_doubt), 0), COALESCE(SUM(reserved), 0) FROM spent"
            " WHERE month = ? AND scope = ?",
            (month, scope),
        ).fetchone()
        return Sums(*row)

    def add_claim(self, run: str, claim: Claim, *, place: bool = True) -> None:
        """Note a claim, inside a transaction; its money is noted apart."""
        self._db.execute(
            "INSERT OR REPLACE INTO claim VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                run, claim.item, claim.purchase.item_id, claim.purchase.attempt, claim.month, claim.amount,
                claim.price_key, place,
            ),
        )  # fmt: skip

    def places(self, run: str, now_ms: int) -> tuple[int, int]:
        """Return how many places at the provider runs take that are running: all of them, and this one."""
        row = self._db.execute(
            "SELECT COUNT(*), COALESCE(SUM(c.run = ?), 0) FROM claim c JOIN run r ON r.id = c.run"
            " WHERE c.place AND (c.run = ? OR r.alive_until > ?)",
            (run, run, now_ms),
        ).fetchone()
        return row[0], row[1]

    def rivals(self, run: str, now_ms: int) -> tuple[int, int]:
        """Return how many other runs are running, and how many of these wait for a place."""
        row = self._db.execute(
            "SELECT COUNT(*), COALESCE(SUM(waiting_until > ?), 0) FROM run WHERE id <> ? AND alive_until > ?",
            (now_ms, run, now_ms),
        ).fetchone()
        return row[0], row[1]

    def others_confirm_a_price(self, run: str, now_ms: int) -> bool:
        """Return whether another run that is running has a purchase on its way whose price is not confirmed."""
        row = self._db.execute(
            "SELECT 1 FROM claim c JOIN run r ON r.id = c.run WHERE c.price_key <> '' AND c.run <> ?"
            " AND r.alive_until > ? LIMIT 1",
            (run, now_ms),
        ).fetchone()
        return row is not None

    def wait_for_a_place(self, run: str, until_ms: int) -> None:
        """Note that a run waits for a place at the provider; 0: no longer."""
        self._db.execute("UPDATE run SET waiting_until = ? WHERE id = ?", (until_ms, run))

    def warn_once(self, month: str, scope: str, percent: Decimal) -> bool:
        """Note that a budget has passed a percentage; return whether that is new."""
        warning = (month, scope, str(percent))
        if warning in self._warned:
            return False
        self._warned.add(warning)
        return bool(self._db.execute("INSERT OR IGNORE INTO warned VALUES (?, ?, ?)", warning).rowcount)

    # ---- counting journals ----

    def runs(self) -> list[KnownRun]:
        """Return all runs, by name."""
        return list(map(_known, self._db.execute(f"{_RUNS} ORDER BY name, folder")))

    def run_in(self, folder: str) -> KnownRun | None:
        """Return the run of a folder."""
        row = self._db.execute(f"{_RUNS} WHERE folder = ?", (folder,)).fetchone()
        return None if row is None else _known(row)

    def replace(self, run: KnownRun, months: Sequence[str], spent: Spent, claims: Iterable[Claim]) -> None:
        """Put what a run's journal says in the place of what is noted for these months and of all its claims.

        Inside a transaction. A run that takes part does so until `leave`, or until it is replaced by another run.
        """
        db = self._db
        db.execute(
            "INSERT INTO run (id, name, folder, counted, alive_until) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " name = excluded.name, folder = excluded.folder, counted = excluded.counted,"
            " alive_until = excluded.alive_until",
            (run.id, run.name, run.folder, run.counted, _JOINED_MS * run.takes_part),
        )
        db.execute("DELETE FROM claim WHERE run = ?", (run.id,))
        db.executemany("DELETE FROM spent WHERE run = ? AND month = ?", [(run.id, month) for month in months])
        self._apply(run.id, Changes(spent))
        for claim in claims:
            self.add_claim(run.id, claim)

    def leave(self, run: str) -> None:
        """Note that a run does not run any longer, inside a transaction."""
        self._db.execute("UPDATE run SET alive_until = 0, waiting_until = 0 WHERE id = ?", (run,))

    def spent_of(self, run: str, month: str) -> Sums:
        """Return what one run has spent in a month."""
        row = self._db.execute(
            "SELECT charged, in_doubt, reserved FROM spent WHERE month = ? AND scope = '' AND run = ?", (month, run)
        ).fetchone()
        return Sums(*row) if row else Sums()

    def forget(self, run: str) -> None:
        """Count a run no longer, inside a transaction."""
        for statement in (
            "DELETE FROM claim WHERE run = ?",
            "DELETE FROM spent WHERE run = ?",
            "DELETE FROM run WHERE id = ?",
        ):
            self._db.execute(statement, (run,))


_RUNS = "SELECT id, name, folder, counted, alive_until FROM run"


def _known(row: tuple[str, str, str, str, int]) -> KnownRun:
    return KnownRun(*row[:4], takes_part=bool(row[4]))


class _Serving:
    """Answers the claims of one commit, each with those before it counted."""

    def __init__(self, books: SharedBooks, run: str, limits: SharedLimits, now_ms: int) -> None:
        self._books, self._run, self._limits, self._now_ms = books, run, limits, now_ms
        self._budgets = {scope: units(limit) for scope, limit in limits.budgets().items()}
        self._committed: dict[tuple[str, str], int] = {}
        self._places: tuple[int, int] | None = None
        self.changes = Changes()

    def answer(self, claim: Claim) -> Answer:
        """Return what comes of a claim, and note it where it is granted."""
        if claim.price_key and self._books.others_confirm_a_price(self._run, self._now_ms):
            return Answer(NotYet(_FOR_A_PRICE, everything=False))
        if (refusal := self._no_place()) is not None:
            return Answer(refusal)
        if claim.price_key:
            claim = replace(claim, amount=max(claim.amount, self._books.price_of(claim.price_key)))
        crossed: list[Crossed] = []
        for scope in claim.scopes:
            if (limit := self._budgets.get(scope)) is None:
                continue
            committed = self._committed_of(claim.month, scope)
            if committed + claim.amount > limit:
                # What is left is too little: the budget is as good as spent.
                crossed += self._crossed(claim.month, scope, limit, limit, committed)
                cap = CapReached("month", amount_of(limit), amount_of(committed), scope)
                return Answer(cap, 0, tuple(crossed), self._left(claim.month))
        for scope in claim.scopes:
            if (limit := self._budgets.get(scope)) is not None:
                committed = self._committed_of(claim.month, scope) + claim.amount
                self._committed[claim.month, scope] = committed
                crossed += self._crossed(claim.month, scope, limit, committed, committed)
        self._take_place()
        self.changes.add(claim.month, claim.scopes, reserved=claim.amount)
        self._books.add_claim(self._run, claim)
        return Answer(None, claim.amount, tuple(crossed), self._left(claim.month))

    def _committed_of(self, month: str, scope: str) -> int:
        if (month, scope) not in self._committed:
            self._committed[month, scope] = self._books.committed(month, scope)
        return self._committed[month, scope]

    def _left(self, month: str) -> int | None:
        return None if "" not in self._budgets else max(0, self._budgets[""] - self._committed_of(month, ""))

    def _crossed(self, month: str, scope: str, limit: int, reached: int, committed: int) -> list[Crossed]:
        return [
            Crossed(month, scope, format(percent, "f"), committed, limit)
            for percent in self._limits.warn
            if reached * 100 >= limit * percent and self._books.warn_once(month, scope, percent)
        ]

    def _no_place(self) -> NotYet | None:
        """Return why no place is free; where places are scarce, each run that wants some has an equal share."""
        most = self._limits.concurrency
        if most is None:
            return None
        if self._places is None:
            self._places = self._books.places(self._run, self._now_ms)
        taken, own = self._places
        running, waiting = self._books.rivals(self._run, self._now_ms)
        if taken < most and not (waiting and own >= max(1, most // (running + 1))):
            return None
        self._books.wait_for_a_place(self._run, self._now_ms + _WAITING_MS)
        return NotYet(_FOR_A_PLACE, everything=True)

    def _take_place(self) -> None:
        if self._places is not None:
            taken, own = self._places
            self._places = (taken + 1, own + 1)
            self._books.wait_for_a_place(self._run, 0)
