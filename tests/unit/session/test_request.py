"""When a run begins and when it is to be over."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from batchgen.catalog import load_catalog
from batchgen.core.errors import UsageError
from batchgen.policy.wall_time import WallTime
from batchgen.session.request import Hours, RunRequest

NOW = datetime(2026, 11, 26, 18, tzinfo=UTC)


def hours(start_at: str | None, until: str | None) -> Hours:
    request = RunRequest(
        Path("job.yaml"),
        {},
        load_catalog(),
        start_at=None if start_at is None else WallTime.parse(start_at),
        until=None if until is None else WallTime.parse(until),
    )
    return request.hours(NOW)


@pytest.mark.parametrize(
    ("start_at", "until", "start", "over"),
    [
        (None, None, None, None),
        (None, "07:00Z", None, "2026-11-27T07:00"),
        ("22:00Z", None, "2026-11-26T22:00", None),
        ("22:00Z", "07:00Z", "2026-11-26T22:00", "2026-11-27T07:00"),
        ("22:00Z", "21:00Z", "2026-11-26T22:00", "2026-11-27T21:00"),  # counts from the start
        ("2026-11-28T22:00Z", "07:00Z", "2026-11-28T22:00", "2026-11-29T07:00"),
        ("2026-11-28T22:00Z", "2026-11-30T07:00Z", "2026-11-28T22:00", "2026-11-30T07:00"),
    ],
)
def test_the_end_counts_from_the_start(
    start_at: str | None, until: str | None, start: str | None, over: str | None
) -> None:
    def moment(text: str | None) -> datetime | None:
        return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC)

    assert hours(start_at, until) == Hours(moment(start), moment(over))


@pytest.mark.parametrize(
    ("start_at", "until", "message"),
    [
        ("2026-11-26T17:00Z", None, "--start-at 2026-11-26T17:00Z has passed; leave it out to start at once"),
        (None, "2026-11-26T18:00Z", "--until 2026-11-26T18:00Z has passed"),
        ("22:00Z", "2026-11-26T21:00Z", "--until 2026-11-26T21:00Z is not after --start-at"),
    ],
)
def test_a_time_that_has_passed_is_refused(start_at: str | None, until: str | None, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        hours(start_at, until)
    assert str(caught.value) == message
