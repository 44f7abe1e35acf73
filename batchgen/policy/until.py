"""What may still be submitted when a run is to be over at a certain time (`--until`)."""

from dataclasses import dataclass
from datetime import datetime

from batchgen.policy.polling import Durations

ASSUMED = 600.0
"""Seconds that a job is expected to take while no job like it has been seen to end: ten minutes."""
_PERCENT = 90
"""Of the jobs that are alike, so many in a hundred took at most as long as one is expected to take."""


def expected_seconds(durations: Durations) -> float:
    """Return how long a job is expected to take: as nine in ten like it did; of fewer than five, as the longest.

    `ASSUMED` seconds before the first one has ended.
    """
    learned = durations.quantile(_PERCENT)
    return next((seconds for seconds in (learned, durations.longest) if seconds is not None), ASSUMED)


@dataclass(frozen=True, slots=True)
class Until:
    """Nothing is submitted that would end after a moment. What is paid for is finished, however long that takes."""

    moment: datetime
    """In UTC, by the clock on the wall: a computer that slept has no more time for that."""

    def seconds_left(self, now: datetime) -> float:
        """Return the seconds until then; negative once it is over."""
        return (self.moment - now).total_seconds()

    def allows(self, durations: Durations, now: datetime) -> bool:
        """Return whether a job that takes as long as others like it would have ended by then."""
        return expected_seconds(durations) <= self.seconds_left(now)
