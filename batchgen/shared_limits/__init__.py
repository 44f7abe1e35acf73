"""Limits that several runs share: a month's budget, and the account's concurrency. `batchgen.toml` sets them.

Only the limits themselves are offered here: a run that shares none loads no books.
"""

from batchgen.shared_limits.limits import FILE_NAME, SharedLimits, read_limits

__all__ = ["FILE_NAME", "SharedLimits", "read_limits"]
