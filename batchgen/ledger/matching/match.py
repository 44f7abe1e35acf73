"""Matches the purchases of the books with the jobs of a bill, exactly and in flat memory."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from batchgen.core.records import UNANSWERED
from batchgen.core.text import stamp, usd
from batchgen.ledger.charges import Charge
from batchgen.ledger.matching.bill import BillRow
from batchgen.ledger.matching.doubts import Doubt, JudgedDoubt, Unknown, judge
from batchgen.ledger.matching.exact import exact_sum
from batchgen.ledger.period import Period
from batchgen.ledger.postings import postings

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Difference:
    """A job on which books and bill differ, or that only one of them has. USD."""

    job_id: str
    """Empty: charged by hand, without a known job."""
    books: Decimal | None
    """Net of refunds; None: the books do not have it."""
    bill: Decimal | None
    """None: the bill does not have it."""
    run: str = ""
    item_id: str = ""
    attempt: int = 0
    purchases: int = 0
    """How many purchases of the books name this job; more than one is a fault of itself."""
    accepted_at: str = ""

    @property
    def difference(self) -> Decimal:
        """What the bill has beyond the books."""
        return exact_sum(self.bill or _ZERO, -(self.books or _ZERO))


@dataclass(frozen=True, slots=True)
class Total:
    """How many jobs one side has, and their sum in USD."""

    jobs: int = 0
    net: Decimal = _ZERO

    def plus(self, net: Decimal) -> "Total":
        """Return the total with one more job."""
        return Total(self.jobs + 1, exact_sum(self.net, net))


@dataclass(frozen=True, slots=True)
class Match:
    """Books and bill beside each other; it can be read while `matched` is open."""

    books: Total
    """The purchases in the bill's period, and those outside of it that the bill has."""
    bill: Total
    left_out: int
    """Purchases outside of the bill's period, which the bill does not have."""
    doubts: tuple[JudgedDoubt, ...]
    """Oldest first."""
    agrees: bool
    """Whether no job differs, and none that costs anything is on one side only."""
    only_in_bill: Callable[[], Iterator[Difference]]
    only_in_books: Callable[[], Iterator[Difference]]
    """With those that were charged without a known job."""
    differing: Callable[[], Iterator[Difference]]


@contextmanager
def matched(
    charges: Iterable[Charge],
    bill: Iterable[BillRow],
    now: datetime,
    *,
    period: Period = Period(),  # noqa: B008 - a frozen value
    named_jobs: Callable[[Charge], str] = lambda _: "",
) -> Iterator[Match]:
    """Match purchases, each given once, with the rows of a bill.

    With a `period`, charges and refunds outside of it do not count, unless the bill has the job with all of them: the
    clocks of both sides differ. `named_jobs` returns the job that the answer to a charge in doubt named, or "". Raises
    what the two iterables raise.
    """
    # A nameless database is private, and goes to a temporary file where it grows (SQLite documentation, "In-Memory
    # Databases").
    with closing(sqlite3.connect("", isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA cache_size = -32768")
        db.create_function("plus", 2, _plus, deterministic=True)
        db.executescript(_TABLES)
        db.execute("BEGIN")
        db.executemany(_ADD_BILL, ((row.job_id, usd(row.amount)) for row in bill))
        doubts = _take_books(db, charges, period, named_jobs)
        db.execute(_COMPARE)
        db.execute(_INDEX)
        yield _match_of(db, doubts, period, now)


def _plus(one: str, other: str) -> str:
    return usd(exact_sum(Decimal(one), Decimal(other)))


def _take_books(
    db: sqlite3.Connection, charges: Iterable[Charge], period: Period, named_jobs: Callable[[Charge], str]
) -> list[Doubt]:
    doubts: list[Doubt] = []

    def purchases() -> Iterator[tuple[object, ...]]:
        for charge in charges:
            if charge.state in UNANSWERED and charge.submitted_at is not None:
                doubts.append(
                    Doubt(
                        charge.run, charge.item_id, charge.attempt, charge.digest, charge.state, charge.in_doubt,
                        charge.submitted_at, named_jobs(charge),
                    )
                )  # fmt: skip
            elif charge.job_id or charge.charged:
                when = charge.accepted_at or charge.submitted_at
                # A purchase without a job is known by what no job id is.
                job = charge.job_id or f"\0{charge.run}\0{charge.item_id}\0{charge.attempt}\0{charge.digest}"
                yield (
                    job, usd(exact_sum(charge.charged, charge.refunded)), usd(_in_period(charge, period)), charge.run,
                    charge.item_id, charge.attempt, stamp(when) if when else "", period.contains(when),
                )  # fmt: skip

    db.executemany(_ADD_BOOKS, purchases())
    return sorted(doubts, key=lambda doubt: (doubt.submitted_at, doubt.run, doubt.item_id, doubt.attempt))


def _in_period(charge: Charge, period: Period) -> Decimal:
    net = _ZERO
    for posting in postings(charge):
        if period.contains(posting.at):
            net = exact_sum(net, charge.refunded if posting.is_refund else charge.charged)
    return net


def _match_of(db: sqlite3.Connection, doubts: list[Doubt], period: Period, now: datetime) -> Match:
    books = bill = Total()
    for kind, ours, theirs in db.execute("SELECT kind, books, bill FROM compared"):
        if kind != "outside":
            books = books if ours is None else books.plus(Decimal(ours))
            bill = bill if theirs is None else bill.plus(Decimal(theirs))
    (left_out,) = db.execute("SELECT COUNT(*) FROM compared WHERE kind = 'outside'").fetchone()
    (differs,) = db.execute("SELECT EXISTS (SELECT 1 FROM compared WHERE kind IN ('bill', 'books', 'both'))").fetchone()

    def rows(kind: str) -> Callable[[], Iterator[Difference]]:
        return lambda: map(_difference, db.execute(_ROWS, (kind,)))

    return Match(
        books, bill, left_out, tuple(judge(doubts, _unknown(db, doubts), period, now)), not differs,
        only_in_bill=rows("bill"), only_in_books=rows("books"), differing=rows("both"),
    )  # fmt: skip


def _difference(row: tuple[str, str | None, str | None, str, str, int, int, str]) -> Difference:
    job, books, bill, run, item, attempt, purchases, accepted = row
    return Difference(
        job_id="" if job.startswith("\0") else job,
        books=None if books is None else Decimal(books),
        bill=None if bill is None else Decimal(bill),
        run=run,
        item_id=item,
        attempt=attempt,
        purchases=purchases,
        accepted_at=accepted,
    )


def _unknown(db: sqlite3.Connection, doubts: list[Doubt]) -> Unknown:
    named = {doubt.job_id for doubt in doubts if doubt.job_id}
    db.execute("CREATE TABLE named (job TEXT PRIMARY KEY) WITHOUT ROWID")
    # A job of no cost may be a doubt's all the same: one that failed, and was refunded.
    db.executemany("INSERT INTO named SELECT job FROM compared WHERE job = ? AND books IS NULL", ((j,) for j in named))

    def of_amount(amount: Decimal) -> tuple[int, str]:
        count, job = db.execute(_FREE_OF_AMOUNT, (usd(amount),)).fetchone()
        return int(count), job or ""

    charged, _ = db.execute(_FREE).fetchone()
    found = frozenset(job for (job,) in db.execute("SELECT job FROM named"))
    return Unknown(found, of_amount, int(charged))


# Amounts are texts as `usd` writes them, the same for the same amount. `kind` says which side has a job that differs:
# `bill`, `books` or `both`; `same`: they agree; `outside`: not in the bill, and not in its period.
_TABLES = """
CREATE TABLE bill (job TEXT PRIMARY KEY, amount TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE books (
  job TEXT PRIMARY KEY, net TEXT NOT NULL, period TEXT NOT NULL, run TEXT NOT NULL, item TEXT NOT NULL,
  attempt INTEGER NOT NULL, accepted TEXT NOT NULL, inside INTEGER NOT NULL, purchases INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE compared (
  job TEXT PRIMARY KEY, kind TEXT NOT NULL, books TEXT, bill TEXT, run TEXT NOT NULL, item TEXT NOT NULL,
  attempt INTEGER NOT NULL, purchases INTEGER NOT NULL, accepted TEXT NOT NULL
) WITHOUT ROWID;
"""
_ADD_BILL = "INSERT INTO bill VALUES (?, ?) ON CONFLICT DO UPDATE SET amount = plus(amount, excluded.amount)"
_ADD_BOOKS = """
INSERT INTO books VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET
  net = plus(net, excluded.net), period = plus(period, excluded.period), inside = inside OR excluded.inside,
  purchases = purchases + 1
"""
_COMPARE = """
INSERT INTO compared
SELECT b.job,
  CASE
    WHEN l.job IS NOT NULL THEN iif(l.amount IN (b.net, b.period) AND b.purchases = 1, 'same', 'both')
    WHEN b.period <> '0.00' THEN 'books'
    WHEN b.inside THEN 'same' ELSE 'outside'
  END,
  iif(l.amount = b.net, b.net, b.period), l.amount, b.run, b.item, b.attempt, b.purchases, b.accepted
FROM books b LEFT JOIN bill l ON l.job = b.job
UNION ALL
SELECT l.job, iif(l.amount = '0.00', 'same', 'bill'), NULL, l.amount, '', '', 0, 0, ''
FROM bill l WHERE NOT EXISTS (SELECT 1 FROM books b WHERE b.job = l.job)
"""
_INDEX = "CREATE INDEX compared_kind ON compared (kind, bill)"
_FREE = "SELECT COUNT(*), MIN(job) FROM compared WHERE kind = 'bill' AND job NOT IN (SELECT job FROM named)"
_FREE_OF_AMOUNT = (
    "SELECT COUNT(*), MIN(job) FROM compared WHERE kind = 'bill' AND bill = ? AND job NOT IN (SELECT job FROM named)"
)
_ROWS = "SELECT job, books, bill, run, item, attempt, purchases, accepted FROM compared WHERE kind = ? ORDER BY job"
