"""Time, handed in: the scheduler's own time comes from the event loop, dates come from here."""

from collections.abc import Callable
from datetime import UTC, datetime

UtcNow = Callable[[], datetime]
"""Returns the present moment as an aware datetime in UTC."""


def utc_now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)
