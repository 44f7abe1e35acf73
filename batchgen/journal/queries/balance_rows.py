"""Queries of `ledger --check`: the journal beside the receipts, and beside rows of a ledger.

What the receipts say stands in a temporary table of the connection, so that memory does not grow with the purchases.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from batchgen.core.records import State
from batchgen.receipts.reading import PlacedLine

_Content = dict[str, Any]


class OnlyReceipts(NamedTuple):
    """A purchase that the receipts have, and the journal does not."""

    line: int
    item_id: str
    number: int
    job_id: str | None
    fresh: int
    """Whether they say something of it that the journal does not vouch for."""


class OnlyJournal(NamedTuple):
    """A purchase that the journal has, and the receipts do not."""

    item_id: str
    number: int
    job_id: str | None
    fresh: int
    cancelled: int
    """Whether the receipts say that it was never charged."""


class Purchase(NamedTuple):
    """What one of the two says of a purchase; None: it does not say."""

    item_id: str
    number: int
    model: str | None
    price: str | None
    job_id: str | None
    charged: str | None
    refunded: str | None
    state: str | None


class Differing(NamedTuple):
    """A purchase of which the two do not say the same."""

    line: int
    fresh: int
    journal: Purchase
    receipts: Purchase


class ReceiptsBeside:
    """What the receipts say about each purchase, beside a journal that is open for reading."""

    def __init__(self, db: sqlite3.Connection, vouched: int) -> None:
        """`vouched`: the number of bytes of the receipts that the journal vouches for."""
        self._db = db
        self._vouched = vouched
        db.execute(_TABLE)
        db.execute(_INDEX)
        self._kinds: dict[str, Callable[[str, _Content, PlacedLine], None]] = {
            "intent": self._intent,
            "accepted": self._accepted,
            "void": self._gone,
            "settled": self._settled,
            "ended": self._ended,
            "reopened": self._reopened,
            "renamed": self._renamed,
        }

    def take(self, line: PlacedLine) -> None:
        """Take over what one line says."""
        if line.kind not in self._kinds:
            return
        purchase = line.content[line.kind]
        self._kinds[line.kind](purchase, line.content, line)
        if line.start >= self._vouched:
            self._db.execute("UPDATE temp.receipt SET fresh = 1 WHERE purchase = ?", (purchase,))

    def _intent(self, purchase: str, said: _Content, line: PlacedLine) -> None:
        self._db.execute(
            "INSERT OR IGNORE INTO temp.receipt (purchase, line, item, digest, attempt, model, price)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (purchase, line.number, *(said[name] for name in ("item", "digest", "attempt", "model", "price"))),
        )

    def _accepted(self, purchase: str, said: _Content, line: PlacedLine) -> None:
        job, charged = said["job"], said["charged"]
        changed = self._db.execute(
            "UPDATE temp.receipt SET job = ?, charged = ? WHERE purchase = ? AND (job IS NULL OR job = ?)",
            (job, charged, purchase, job),
        )
        if not changed.rowcount:
            # A second acceptance, or one whose intent cannot be read, is a purchase of its own, as in `Replay`.
            known = self._db.execute("SELECT 1 FROM temp.receipt WHERE purchase = ?", (purchase,)).fetchone()
            name = hashlib.sha256(job.encode()).hexdigest()[:20] if known else purchase
            self._db.execute(
                "INSERT OR IGNORE INTO temp.receipt (purchase, line, item, attempt, job, charged, fresh)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (name, line.number, said["item"], said["attempt"], job, charged, line.start >= self._vouched),
            )

    def _gone(self, purchase: str, said: _Content, line: PlacedLine) -> None:
        del said, line
        self._db.execute("UPDATE temp.receipt SET gone = 1 WHERE purchase = ? AND job IS NULL", (purchase,))

    def _settled(self, purchase: str, said: _Content, line: PlacedLine) -> None:
        if said["how"] == "not_charged":
            self._gone(purchase, said, line)
        else:
            self._set(purchase, state=State.LOST, charged=said.get("charged", "0"))

    def _ended(self, purchase: str, said: _Content, line: PlacedLine) -> None:
        del line
        money = {name: said[name] for name in ("charged", "refunded") if name in said}
        self._set(purchase, state=said["state"], **money)

    def _reopened(self, purchase: str, said: _Content, line: PlacedLine) -> None:
        del said, line
        self._set(purchase, state=None)

    def _renamed(self, purchase: str, said: _Content, line: PlacedLine) -> None:
        del line
        self._set(purchase, item=said["item"], attempt=said["attempt"])

    def _set(self, purchase: str, **columns: object) -> None:
        assignments = ", ".join(f"{name} = ?" for name in columns)
        self._db.execute(f"UPDATE temp.receipt SET {assignments} WHERE purchase = ?", (*columns.values(), purchase))

    def only_receipts(self) -> Iterator[OnlyReceipts]:
        """Yield the purchases that the journal lacks, by line."""
        return map(OnlyReceipts._make, self._db.execute(_ONLY_RECEIPTS))

    def only_journal(self) -> Iterator[OnlyJournal]:
        """Yield the purchases that the receipts lack, oldest first."""
        return map(OnlyJournal._make, self._db.execute(_ONLY_JOURNAL))

    def differing(self) -> Iterator[Differing]:
        """Yield the purchases of which the two may not say the same, by line."""
        for line, fresh, *both in self._db.execute(_BOTH):
            yield Differing(line, fresh, Purchase(*both[:8]), Purchase(*both[8:]))


def attempt_count(db: sqlite3.Connection) -> int:
    """Return how many attempts there are."""
    (count,) = db.execute("SELECT COUNT(*) FROM attempt").fetchone()
    return int(count)


def has_job(db: sqlite3.Connection, job_id: str) -> bool:
    """Return whether any attempt has this job."""
    return db.execute("SELECT 1 FROM attempt WHERE job_id = ?", (job_id,)).fetchone() is not None


def has_jobless_loss(db: sqlite3.Connection, digest: str) -> bool:
    """Return whether an item with this digest was charged for a job that nobody knows."""
    return db.execute(_JOBLESS, (digest,)).fetchone() is not None


_TABLE = """
CREATE TEMP TABLE receipt (
  purchase TEXT PRIMARY KEY, line INTEGER, item TEXT, digest TEXT, attempt INTEGER, model TEXT, price TEXT, job TEXT,
  charged TEXT, refunded TEXT, state TEXT, fresh INTEGER NOT NULL DEFAULT 0, gone INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID
"""
_INDEX = "CREATE INDEX temp.receipt_job ON receipt (job) WHERE job IS NOT NULL"
# A job that the answers to two orders named belongs to one of them; what became of the other one is in doubt.
_ONLY_RECEIPTS = """
SELECT r.line, r.item, r.attempt, r.job, r.fresh FROM temp.receipt r
WHERE NOT r.gone AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.purchase = r.purchase)
  AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.job_id = r.job) ORDER BY r.line
"""
_ONLY_JOURNAL = """
SELECT i.id, a.number, a.job_id, COALESCE(r.fresh, 0), r.purchase IS NOT NULL
FROM attempt a JOIN item i ON i.key = a.item
LEFT JOIN temp.receipt r ON r.purchase = a.purchase
WHERE (r.purchase IS NULL OR r.gone) AND NOT EXISTS (SELECT 1 FROM temp.receipt o WHERE o.job = a.job_id)
ORDER BY a.key
"""
_BOTH = """
SELECT r.line, r.fresh, i.id, a.number, i.model, a.estimated, a.job_id, a.charged, a.refunded, a.state,
  r.item, r.attempt, r.model, r.price,
  CASE WHEN a.job_id IS NULL AND EXISTS (SELECT 1 FROM attempt o WHERE o.job_id = r.job) THEN NULL ELSE r.job END,
  r.charged, r.refunded, r.state
FROM temp.receipt r JOIN attempt a ON a.purchase = r.purchase JOIN item i ON i.key = a.item
WHERE NOT r.gone AND (
  r.item <> i.id OR r.attempt <> a.number OR r.model <> i.model OR r.price <> a.estimated OR r.job IS NOT a.job_id
  OR (r.state IS NOT NULL AND (r.state <> a.state OR r.charged IS NOT a.charged OR r.refunded IS NOT a.refunded))
)
ORDER BY r.line
"""
_JOBLESS = (
    "SELECT 1 FROM item i JOIN attempt a ON a.item = i.key WHERE i.digest = ? AND a.state = 'lost' AND a.job_id IS NULL"
)
