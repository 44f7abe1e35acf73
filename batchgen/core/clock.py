"""The clock that is passed in: durations come from the event loop, dates come from here."""

from collections.abc import Callable
from datetime import UTC, datetime

UtcNow = Callable[[], datetime]
"""Returns the current time as an aware datetime in UTC."""


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)
