"""What may still be submitted when a run is to be over at a certain time (`--until`)."""

from dataclasses import dataclass
from datetime import datetime

from batchgen.policy.polling import Durations

ASSUMED = 600.0
"""Seconds that a job is expected to take while no job of its model has been seen to end: ten minutes."""
_PERCENT = 90
"""Of the jobs of a model, so many in a hundred took at most as long as one is expected to take."""


def expected_seconds(durations: Durations | None) -> float:
    """Return how long a job is expected to take: as nine in ten of its model did; of fewer than five, as the longest.

    `ASSUMED` seconds before the first one has ended.
    """
    if durations is None:
        return ASSUMED
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

    def allows(self, durations: Durations | None, now: datetime) -> bool:
        """Return whether a job of the model with these durations would have ended by then."""
        return expected_seconds(durations) <= self.seconds_left(now)
