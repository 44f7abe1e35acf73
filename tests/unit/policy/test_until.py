"""What may still be submitted when a run is to be over at a certain time."""

from datetime import UTC, datetime, timedelta

import pytest

from batchgen.policy.polling import Durations
from batchgen.policy.until import ASSUMED, Until, expected_seconds

OVER = datetime(2026, 11, 27, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([], ASSUMED),
        ([30.0], 30.0),
        ([30.0, 90.0, 60.0, 20.0], 90.0),
        ([30.0, 90.0, 60.0, 20.0, 10.0], 90.0),
        # From then on one job in ten may take longer: a single one that was stuck says little.
        ([60.0] * 18 + [61.0, 36000.0], 61.0),
        ([float(seconds) for seconds in range(100)], 90.0),
    ],
)
def test_a_job_is_expected_to_take_as_long_as_nine_in_ten(seen: list[float], expected: float) -> None:
    assert expected_seconds(Durations(seen)) == expected


@pytest.mark.parametrize(
    ("before", "allowed"), [(61.0, True), (60.0, True), (59.9, False), (0.0, False), (-1.0, False)]
)
def test_what_would_end_later_is_not_allowed(before: float, allowed: bool) -> None:
    until = Until(OVER)
    now = OVER - timedelta(seconds=before)
    assert until.seconds_left(now) == pytest.approx(before)
    assert until.allows(Durations([60.0] * 10), now) is allowed


def test_nothing_is_allowed_afterwards_however_fast_it_is() -> None:
    assert not Until(OVER).allows(Durations([0.0] * 10), OVER + timedelta(microseconds=1))
