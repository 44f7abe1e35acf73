"""Limits that several runs share: a month's budget, and the account's concurrency. `batchgen.toml` sets them."""

from batchgen.shared_limits.books import DATABASE_NAME, KnownRun, SharedBooks, open_books
from batchgen.shared_limits.budget import SharedBudget
from batchgen.shared_limits.limits import FILE_NAME, SharedLimits, read_limits
from batchgen.shared_limits.months import Month, month_at

__all__ = [
    "DATABASE_NAME",
    "FILE_NAME",
    "KnownRun",
    "Month",
    "SharedBooks",
    "SharedBudget",
    "SharedLimits",
    "month_at",
    "open_books",
    "read_limits",
]
