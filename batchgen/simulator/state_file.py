"""The simulator's books on disk: whatever it has answered is still true after a restart.

Every change is one SQLite transaction, committed before the method returns, so that an answer sent afterwards
never promises anything that a killed process would forget. `synchronous=OFF` survives a killed process, not a lost
machine (SQLite documentation, "PRAGMA synchronous").
"""

import math
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import ExitStack, closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchgen.core.errors import DiskError, UsageError
from batchgen.core.files import disk_errors
from batchgen.provider import Account, Books, Fault, ProviderJob

_APPLICATION = 0x42475349  # "BGSI"
_VERSION = 1
_SCHEMA = """
CREATE TABLE account (id TEXT PRIMARY KEY, paid TEXT NOT NULL, promo TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE job (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, account TEXT NOT NULL, model TEXT NOT NULL, kind TEXT NOT NULL,
  body TEXT NOT NULL, digest TEXT NOT NULL, acceptance INTEGER NOT NULL, cost TEXT NOT NULL, created_at REAL NOT NULL,
  started_at REAL NOT NULL, ends_at REAL, expires_at REAL NOT NULL, files_at REAL NOT NULL, outputs INTEGER NOT NULL,
  faults TEXT NOT NULL, refunded TEXT, polls INTEGER NOT NULL DEFAULT 0
);
"""


class StateFile(Books):
    """Books that are kept in a file, or in memory if no file is given."""

    def __init__(self, path: Path | None, *, paid: Decimal, promo: Decimal) -> None:
        """Open or create the books; new accounts start with `paid` and `promo` USD.

        Raises UsageError for a file that is something else, or that another simulator uses.
        """
        super().__init__(paid=paid, promo=promo)
        try:
            self._db = _connect(path)
        except sqlite3.Error as error:
            raise UsageError(f"cannot use the simulator's state file {path}: {error}") from error
        self._load()

    def close(self) -> None:
        """Write deferred data (how often each job was polled), and close."""
        self._db.execute("BEGIN")
        self._db.executemany("UPDATE job SET polls = ? WHERE id = ?", ((n, job) for job, n in self.polls.items()))
        self._db.execute("COMMIT")
        self._db.close()

    def account(self, account_id: str) -> Account:
        known = account_id in self.accounts
        account = super().account(account_id)
        if not known:
            self._store(account)
        return account

    def top_up(self, account: Account, paid: Decimal, promo: Decimal) -> None:
        super().top_up(account, paid, promo)
        self._store(account)

    def accept(self, job: ProviderJob) -> None:
        self._db.execute(
            "INSERT INTO job VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, 0)",
            (
                job.number, job.id, job.account, job.model, job.kind, job.body, job.digest, job.acceptance,
                str(job.cost), job.created_at, job.started_at, None if math.isinf(job.ends_at) else job.ends_at,
                job.expires_at, job.listed_at, job.outputs, " ".join(sorted(job.faults)),
            ),
        )  # fmt: skip
        super().accept(job)

    def settle(self, now: float) -> list[ProviderJob]:
        refunded = super().settle(now)
        for job in refunded:
            self._db.execute("UPDATE job SET refunded = ? WHERE number = ?", (str(job.cost), job.number))
        return refunded

    def _store(self, account: Account) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO account VALUES (?, ?, ?)",
            (account.id, str(account.paid), str(account.promo)),
        )

    def _load(self) -> None:
        for account_id, paid, promo in self._db.execute("SELECT id, paid, promo FROM account"):
            self.accounts[account_id] = Account(account_id, Decimal(paid), Decimal(promo))
        for row in self._db.execute("SELECT * FROM job ORDER BY number"):
            *_, refunded, polls = row
            job = _job(row)
            self.enter(job, ended=refunded is not None)
            if polls:
                self.polls[job.id] = polls
            if refunded is not None:
                self.accounts[job.account].refunded += Decimal(refunded)
                self.accounts[job.account].failed += 1


def _job(row: tuple[Any, ...]) -> ProviderJob:
    ends_at = math.inf if row[11] is None else row[11]
    faults = frozenset(Fault(name) for name in row[15].split())
    values = [*row[:8], Decimal(row[8]), *row[9:11], ends_at, *row[12:15], faults]
    return ProviderJob(*values)


def _connect(path: Path | None) -> sqlite3.Connection:
    db = sqlite3.connect(path or ":memory:", isolation_level=None, timeout=0)
    with ExitStack() as stack:
        stack.callback(db.close)
        _prepare(db, path)
        stack.pop_all()
    return db


def _prepare(db: sqlite3.Connection, path: Path | None) -> None:
    tables = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    marks = tuple(db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    if tables and marks != (_APPLICATION, _VERSION):
        raise UsageError(f"{path} is not a state file of this simulator; give another one with --state")
    # Lock the file: two simulators on the same books would each charge without knowing of the other.
    db.execute("PRAGMA locking_mode = EXCLUSIVE")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = OFF")
    db.execute("BEGIN IMMEDIATE")
    if not tables:
        for statement in _SCHEMA.split(";"):
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {_APPLICATION}")
        db.execute(f"PRAGMA user_version = {_VERSION}")
    db.execute("COMMIT")


# ---- several made into one -------------------------------------------------------------------------------------------

_OPENING = Decimal(1_000_000)


def merge_states(made: Path, states: Iterable[Path]) -> None:
    """Write the jobs and accounts of state files that nobody uses to a new one; a state that does not exist is empty.

    Simulators that do not know of each other give equal requests one id; they are one job then. Raises DiskError.
    """
    with closing(StateFile(made, paid=_OPENING, promo=Decimal(0))):
        pass
    for state in states:
        if state.exists():
            _take(made, state)


def _take(made: Path, state: Path) -> None:
    copy = made.with_name("copied.sqlite3")  # a log beside it is folded in, and the original stays as it is
    with disk_errors(copy):
        for suffix in ("", "-wal"):
            if state.with_name(f"{state.name}{suffix}").exists():
                shutil.copyfile(f"{state}{suffix}", f"{copy}{suffix}")
    try:
        with closing(sqlite3.connect(made, isolation_level=None)) as db:
            db.execute("ATTACH ? AS other", (str(copy),))
            db.execute("BEGIN")
            db.execute("INSERT OR IGNORE INTO account SELECT * FROM other.account")
            # Numbered without a gap: the next job gets the number of all jobs and one more.
            db.execute(
                "CREATE TEMP TABLE more AS SELECT * FROM other.job WHERE id NOT IN (SELECT id FROM main.job)"
                " ORDER BY number"
            )
            db.execute("UPDATE temp.more SET number = rowid + (SELECT COUNT(*) FROM main.job)")
            db.execute("INSERT INTO job SELECT * FROM temp.more")
            db.execute("COMMIT")
    except sqlite3.Error as error:
        raise DiskError(f"cannot take over the simulator's books {state}: {error}") from error
    finally:
        for suffix in ("", "-wal", "-shm"):
            copy.with_name(f"{copy.name}{suffix}").unlink(missing_ok=True)
