"""What the journal of another run folder has bought of the items that are to be bought here, by their requests."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from batchgen.core.costs import parsed, times, total
from batchgen.core.records import BOUGHT
from batchgen.item_table import OTHER_SHARDS, SKIPPED, TO_BUY, attach, make_to_buy
from batchgen.journal.database import open_for_reading, sqlite_errors

SAMPLE = 64
"""How many digests stand for all purchases of a run: the smallest ones, which nearly always show a large overlap."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """Items that would be bought here and that other books show as bought."""

    items: int
    cost: Decimal | None
    """What they would cost here, USD; None if it is unknown."""


@dataclass(frozen=True, slots=True)
class PurchaseHistory:
    """How much a run folder has bought. It only ever shrinks if the folder was replaced by an older copy."""

    run_id: str
    receipts: int
    """Bytes that the journal vouches for."""
    purchases: int
    """Attempts that were charged, refunded ones included."""
    sample: tuple[str, ...]
    """The smallest digests of what was bought, all of them where they are fewer than `SAMPLE`."""


def purchase_history(db: sqlite3.Connection) -> PurchaseHistory:
    """Return how much the run folder of a journal has bought."""
    run_id, receipts = db.execute("SELECT run_id, bytes FROM vouched").fetchone()
    (purchases,) = db.execute("SELECT COUNT(*) FROM attempt WHERE charged IS NOT NULL").fetchone()
    sample = db.execute(
        f"SELECT DISTINCT digest FROM item WHERE state IN {BOUGHT.sql} ORDER BY 1 LIMIT {SAMPLE}"
    ).fetchall()
    return PurchaseHistory(run_id, receipts, purchases, tuple(digest for (digest,) in sample))


def mark_to_buy(table: Path, journal: Path | None, wanted: Callable[[str, str], bool]) -> int:
    """Make the table `TO_BUY`: what is requested and was never bought in `journal`, without second purchases.

    Returns how many items were left out that `journal` does not know as bought.
    """
    with closing(sqlite3.connect(":memory:", uri=True)) as db:
        attach(db, table)
        db.create_function("wanted", 2, wanted, deterministic=True)
        never = bought = ""
        if journal is not None:
            db.execute("ATTACH ? AS own", (f"{journal.absolute().as_uri()}?mode=ro",))
            # Not by `attempts`: numbers stay used of requests that were taken back, since they were not charged.
            bought = (
                "EXISTS (SELECT 1 FROM own.item j JOIN own.attempt a ON a.item = j.key"
                " WHERE j.id = s.id AND j.digest = s.digest AND a.state <> 'rejected')"
            )
            never = f" AND NOT {bought}"
        with db:
            make_to_buy(db, f"wanted(s.id, s.tags){never}")
        known = f" WHERE NOT {bought}" if bought else ""
        (unknown,) = db.execute(f"SELECT COUNT(*) FROM {SKIPPED} s{known}").fetchone()
        return int(unknown)


def overlap_with_sample(table: Path, sample: tuple[str, ...]) -> Overlap:
    """Return how many of these digests are in `TO_BUY`, each once."""
    with closing(sqlite3.connect(":memory:")) as db:
        attach(db, table)
        marks = ", ".join("?" * len(sample))
        rows = db.execute(
            f"SELECT estimated, COUNT(*) FROM {TO_BUY} WHERE turn = 1 AND digest IN ({marks}) GROUP BY 1", sample
        )
        return _summed(rows)


def overlap_with_journal(table: Path, journal: Path) -> Overlap:
    """Return what of `TO_BUY` a journal shows as bought, one purchase for one item. Raises RunFolderError."""
    with closing(open_for_reading(journal)) as db, sqlite_errors(journal):
        if db.in_transaction:
            db.execute("COMMIT")
        attach(db, table, read_only=True)
        # The keys first: an index has them beside the digests, so that no body of the other items is read.
        return _summed(
            db.execute(
                "WITH hit AS MATERIALIZED"
                f" (SELECT key FROM main.item WHERE digest IN (SELECT digest FROM {TO_BUY})),"
                " there AS (SELECT i.digest, COUNT(*) AS items FROM hit h JOIN main.item i ON i.key = h.key"
                f" WHERE i.state IN {BOUGHT.sql}"
                # What another shard's item has bought is that item's.
                f" AND NOT EXISTS (SELECT 1 FROM {OTHER_SHARDS} o WHERE o.id = i.id AND o.digest = i.digest)"
                " GROUP BY 1)"
                f" SELECT t.estimated, COUNT(*) FROM {TO_BUY} t JOIN there b ON b.digest = t.digest"
                " AND t.turn <= b.items GROUP BY 1"
            )
        )


def _summed(rows: sqlite3.Cursor) -> Overlap:
    counted = rows.fetchall()
    return Overlap(sum(count for _, count in counted), total(times(parsed(price), count) for price, count in counted))
