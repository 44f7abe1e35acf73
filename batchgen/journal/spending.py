"""The money in a journal: the sum over all attempts, and what was learned of prices. Any connection will do."""

import sqlite3
from decimal import Decimal

from batchgen.core.costs import CostSum, cost_of
from batchgen.journal.attempts import Spend
from batchgen.policy.budget import Prices


def spend_of(db: sqlite3.Connection) -> Spend:
    """Return what a run folder has cost. Prices are few, so the sum goes over attempts that cost the same."""
    total, surplus = CostSum(), Decimal(0)
    # The estimate is left out: it has no part in the sum, and grouping by it would take a fifth of the time.
    for more, state, reserved, charged, refunded, count in db.execute(
        "SELECT surplus, state, reserved, charged, refunded, COUNT(*) FROM attempt GROUP BY 1, 2, 3, 4, 5"
    ):
        total.add(cost_of(state, "0", reserved, charged, refunded), count)
        surplus += Decimal(more) * count if refunded is None else 0
    return Spend(total.charged, -total.refunded, total.in_doubt, surplus)


def prices_of(db: sqlite3.Connection) -> Prices:
    """Return what the answers so far say about the provider's prices."""
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
