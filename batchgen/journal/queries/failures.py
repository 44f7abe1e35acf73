"""What did not succeed, and why: the causes as they were recorded, and what a retry would buy."""

import sqlite3
from collections.abc import Collection, Iterator
from decimal import Decimal
from typing import NamedTuple

from batchgen.core.records import UNSUCCESSFUL, State
from batchgen.journal.attempts import is_last
from batchgen.journal.chains import DOOMED


class FailureRow(NamedTuple):
    """Requested items that ended in the same way."""

    state: str
    model: str
    error_type: str
    message: str
    estimated: str
    """What one of them would cost again, decimal USD."""
    charged: str
    """What one of them cost and did not bring, decimal USD."""
    items: int


def failure_rows(db: sqlite3.Connection) -> Iterator[FailureRow]:
    """Yield the selected items that failed, were rejected or lost, grouped by what was said of them.

    The largest groups come first. Uses the SQL function `wanted`.
    """
    return map(FailureRow._make, db.execute(_FAILURES))


def retry_cost(db: sqlite3.Connection, states: Collection[State]) -> tuple[int, Decimal]:
    """Return how many selected items a retry of these states would buy, and for how much.

    That includes the skipped ones behind them. Uses the SQL function `wanted`.
    """
    db.create_function("retried", 1, states.__contains__, deterministic=True)
    rows = db.execute(_RETRIED).fetchall()
    return sum(items for _, items in rows), sum((Decimal(price) * items for price, items in rows), Decimal(0))


_FAILURES = f"""
SELECT i.state, i.model, COALESCE(a.error_type, ''), COALESCE(a.error_message, ''), i.estimated,
  COALESCE(CASE WHEN a.refunded IS NULL THEN a.charged END, '0'), COUNT(*)
FROM item i JOIN attempt a ON a.item = i.key AND {is_last("a", "i")}
WHERE i.position IS NOT NULL AND i.state IN {UNSUCCESSFUL.sql} AND wanted(i.id, i.tags) GROUP BY 1, 2, 3, 4, 5, 6
ORDER BY COUNT(*) DESC
"""
_RETRIED = f"""
WITH RECURSIVE doomed AS (
{DOOMED}
)
SELECT i.estimated, COUNT(*) FROM item i WHERE i.position IS NOT NULL AND wanted(i.id, i.tags)
  AND (retried(i.state) OR (i.state = 'skipped' AND i.key NOT IN (SELECT key FROM doomed))) GROUP BY 1
"""
