"""The simulator's books: accounts, jobs, charges, refunds. They are the judge of whether anything was paid twice.

Every change is one SQLite transaction that is committed when the method returns, so that an answer sent afterwards
never promises what a killed process would forget. `synchronous=OFF` survives a killed process, not a lost machine
(SQLite documentation, "PRAGMA synchronous").
"""

import heapq
import math
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchgen.core.errors import UsageError
from batchgen.simulator.generation import Generation

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


@dataclass(slots=True)
class Account:
    """One account. Amounts in USD; `paid` and `promo` are what was ever put in."""

    id: str
    paid: Decimal
    promo: Decimal
    charged: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)
    accepted: int = 0
    completed: int = 0
    failed: int = 0
    duplicates: int = 0

    @property
    def balance(self) -> Decimal:
        """Paid credit that is left."""
        return self.paid - self.charged + self.refunded


@dataclass(frozen=True, slots=True)
class Totals:
    """The books of one account, or of all together. Amounts in USD."""

    balance: Decimal
    promo: Decimal
    paid: Decimal
    """What was ever put in."""
    charged: Decimal
    refunded: Decimal
    """Positive; `net` is `charged - refunded`."""
    net: Decimal
    accepted: int
    completed: int
    failed: int
    in_progress: int
    duplicates: int
    """Requests that one account had accepted more than once."""

    def as_json(self) -> dict[str, str | int]:
        """Return the values with amounts as plain decimal digits."""
        return {k: format(v, "f") if isinstance(v, Decimal) else v for k, v in asdict(self).items()}


class Books:
    """Accounts and jobs. Belongs to one thread."""

    def __init__(self, path: Path | None, *, paid: Decimal, promo: Decimal) -> None:
        """Open or make the books; accounts open with `paid` and `promo` USD.

        Raises UsageError for a file that is something else, or that another simulator uses.
        """
        self._opening = (paid, promo)
        self.accounts: dict[str, Account] = {}
        self.jobs: dict[str, Generation] = {}
        self.polls: Counter[str] = Counter()
        self._acceptances: Counter[tuple[str, str]] = Counter()
        self._running: list[tuple[float, int, Generation]] = []
        try:
            self._db = _connect(path)
        except sqlite3.Error as error:
            raise UsageError(f"cannot use the simulator's state file {path}: {error}") from error
        self._load()

    def close(self) -> None:
        """Write what may be written late (how often each job was polled), and close."""
        self._db.execute("BEGIN")
        self._db.executemany("UPDATE job SET polls = ? WHERE id = ?", ((n, job) for job, n in self.polls.items()))
        self._db.execute("COMMIT")
        self._db.close()

    def account(self, account_id: str) -> Account:
        """Return an account, opened on first sight."""
        account = self.accounts.get(account_id)
        if account is None:
            account = self.accounts[account_id] = Account(account_id, *self._opening)
            self._store(account)
        return account

    def top_up(self, account: Account, paid: Decimal, promo: Decimal) -> None:
        """Put credit in."""
        account.paid += paid
        account.promo += promo
        self._store(account)

    def next_number(self) -> int:
        """Return the number of the next job."""
        return len(self.jobs) + 1

    def next_acceptance(self, account: Account, digest: str) -> int:
        """Return how many times the account will have had this request accepted, the next time included."""
        return self._acceptances[account.id, digest] + 1

    def accept(self, job: Generation) -> None:
        """Enter a job and its charge."""
        self._db.execute(
            "INSERT INTO job VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, 0)",
            (
                job.number,
                job.id,
                job.account,
                job.model,
                job.kind,
                job.body,
                job.digest,
                job.acceptance,
                str(job.cost),
                job.created_at,
                job.started_at,
                None if math.isinf(job.ends_at) else job.ends_at,
                job.expires_at,
                job.files_at,
                job.outputs,
                " ".join(sorted(job.faults)),
            ),
        )
        self._enter(job)

    def settle(self, now: float) -> None:
        """Enter the end of every job that has ended by now; a failed one is refunded (API reference, section 4)."""
        while self._running and self._running[0][0] <= now:
            job = heapq.heappop(self._running)[2]
            account = self.accounts[job.account]
            if job.status(now) == "failed":
                self._db.execute("UPDATE job SET refunded = ? WHERE number = ?", (str(job.cost), job.number))
                account.refunded += job.cost
                account.failed += 1
            else:
                account.completed += 1

    def unfinished(self) -> Iterator[Generation]:
        """Yield the jobs that the provider still works on, in the order of their ends."""
        return (job for _, _, job in sorted(self._running, key=lambda entry: entry[:2]))

    def refund_of(self, job: Generation, now: float) -> Decimal:
        """Return what was given back for a job, USD, positive."""
        return job.cost if job.status(now) == "failed" else Decimal(0)

    def totals(self, now: float, accounts: Iterable[Account] | None = None) -> Totals:
        """Return the sums over `accounts`, all where not given."""
        self.settle(now)
        chosen = list(self.accounts.values() if accounts is None else accounts)

        def money(name: str) -> Decimal:
            return sum((getattr(account, name) for account in chosen), Decimal(0))

        def count(name: str) -> int:
            return sum(getattr(account, name) for account in chosen)

        charged, refunded = money("charged"), money("refunded")
        accepted, completed, failed = count("accepted"), count("completed"), count("failed")
        return Totals(
            balance=money("balance"),
            promo=money("promo"),
            paid=money("paid"),
            charged=charged,
            refunded=refunded,
            net=charged - refunded,
            accepted=accepted,
            completed=completed,
            failed=failed,
            in_progress=accepted - completed - failed,
            duplicates=count("duplicates"),
        )

    def _enter(self, job: Generation, *, ended: bool = False) -> None:
        account = self.accounts[job.account]
        account.charged += job.cost
        account.accepted += 1
        self._acceptances[job.account, job.digest] += 1
        if self._acceptances[job.account, job.digest] == 2:
            account.duplicates += 1
        self.jobs[job.id] = job
        if not ended and not math.isinf(job.ends_at):
            heapq.heappush(self._running, (job.ends_at, job.number, job))

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
            job = _generation(row)
            self._enter(job, ended=refunded is not None)
            if polls:
                self.polls[job.id] = polls
            if refunded is not None:
                self.accounts[job.account].refunded += Decimal(refunded)
                self.accounts[job.account].failed += 1


def _generation(row: tuple[Any, ...]) -> Generation:
    ends_at = math.inf if row[11] is None else row[11]
    values = [*row[:8], Decimal(row[8]), *row[9:11], ends_at, *row[12:15], frozenset(row[15].split())]
    return Generation(*values)


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
    # Alone with the file: two simulators on the same books would each charge without the other's knowledge.
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
