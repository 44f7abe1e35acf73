"""What a journal says of money: sums over all attempts, and what was learned of prices. All take any connection."""

import sqlite3
from decimal import Decimal

from batchgen.journal.attempts import Spend
from batchgen.policy.budget import Prices


def spend_of(db: sqlite3.Connection) -> Spend:
    """Return the sums of a journal. Prices are few, so sums are taken over distinct prices, exactly."""

    def total(column: str, where: str = "true") -> Decimal:
        rows = db.execute(f"SELECT {column}, COUNT(*) FROM attempt WHERE {column} IS NOT NULL AND {where} GROUP BY 1")
        return sum((Decimal(price) * count for price, count in rows), Decimal(0))

    return Spend(
        total("charged"),
        total("refunded"),
        total("reserved", "state IN ('in_doubt', 'submitting')"),
        total("surplus", "refunded IS NULL"),
    )


def prices_of(db: sqlite3.Connection) -> Prices:
    """Return what the answers so far say of the provider's prices."""
    return Prices(_confirmed(db), _surcharges(db))


def _confirmed(db: sqlite3.Connection) -> dict[str, Decimal]:
    """By price key, what the latest attempt counts with whose price an answer has confirmed, USD."""
    rows = db.execute(
        "SELECT price_key, charged, surplus FROM attempt WHERE key IN (SELECT MAX(key) FROM attempt"
        " WHERE confirmed AND price_key <> '' GROUP BY price_key)"
    )
    return {key: Decimal(charged) + Decimal(surplus) for key, charged, surplus in rows}


def _surcharges(db: sqlite3.Connection) -> dict[str, Decimal]:
    """By model, the largest ratio of what counted to the estimate, where that was more than the tables say."""
    found: dict[str, Decimal] = {}
    rows = db.execute(
        "SELECT DISTINCT i.model, a.estimated, a.charged, a.surplus FROM attempt a JOIN item i ON i.key = a.item"
        " WHERE a.charged IS NOT NULL AND (a.charged <> a.estimated OR a.surplus <> '0')"
    )
    for model, estimated, charged, surplus in rows:
        if Decimal(estimated) and (ratio := (Decimal(charged) + Decimal(surplus)) / Decimal(estimated)) > 1:
            found[model] = max(ratio, found.get(model, ratio))
    return found
