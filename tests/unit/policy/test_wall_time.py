"""Times as people write them, and the moments that they mean."""

import time as process_time
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.policy.wall_time import WallTime, shown

BERLIN = ZoneInfo("Europe/Berlin")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def moment(text: str, now: str, zone: ZoneInfo | None = BERLIN) -> datetime | None:
    """When it is `text` next after `now`, which is in UTC."""
    return WallTime.parse(text).after(utc(now), zone)


@pytest.mark.parametrize(
    ("text", "now", "means"),
    [
        ("07:00", "2026-11-26T21:00", "2026-11-27T06:00"),
        ("7:00", "2026-11-26T21:00", "2026-11-27T06:00"),
        ("07:00", "2026-11-27T05:59:59", "2026-11-27T06:00"),
        ("07:00", "2026-11-27T06:00", "2026-11-28T06:00"),  # just now: the next one
        ("07:00:30", "2026-11-27T06:00", "2026-11-27T06:00:30"),
        ("00:00", "2026-11-26T22:59", "2026-11-26T23:00"),
        ("23:30", "2026-11-26T23:10", "2026-11-27T22:30"),  # it is ten past midnight there
        ("07:00+05:30", "2026-11-26T21:00", "2026-11-27T01:30"),
        ("07:00Z", "2026-11-26T21:00", "2026-11-27T07:00"),
        ("2026-11-27T07:00", "2026-11-26T21:00", "2026-11-27T06:00"),
        ("2026-11-27 07:00", "2026-11-26T21:00", "2026-11-27T06:00"),
        ("2026-11-27T07:00-08:00", "2026-11-26T21:00", "2026-11-27T15:00"),
        ("2026-11-27T07:00Z", "2026-11-26T21:00", "2026-11-27T07:00"),
        ("2026-11-27T07:00", "2026-11-27T06:00", None),
        ("2025-11-27T07:00", "2026-11-26T21:00", None),
    ],
)
def test_a_time_means_the_next_one_and_a_date_means_that_day(text: str, now: str, means: str | None) -> None:
    assert moment(text, now) == (None if means is None else utc(means))


@pytest.mark.parametrize(
    ("text", "now", "means"),
    [
        # On 2026-10-25 at 01:00 UTC the clocks of Berlin go from 03:00 back to 02:00: 02:30 comes twice.
        ("02:30", "2026-10-24T22:00", "2026-10-25T00:30"),
        ("02:30", "2026-10-25T00:45", "2026-10-25T01:30"),
        ("02:30", "2026-10-25T01:45", "2026-10-26T01:30"),
        ("2026-10-25T02:30", "2026-10-24T22:00", "2026-10-25T00:30"),
        ("2026-10-25T02:30", "2026-10-25T00:45", "2026-10-25T01:30"),
        ("2026-10-25T02:30+01:00", "2026-10-24T22:00", "2026-10-25T01:30"),
        # That night is an hour longer.
        ("07:00", "2026-10-24T20:00", "2026-10-25T06:00"),
        # On 2026-03-29 at 01:00 UTC they go from 02:00 to 03:00: 02:30 is left out, and would have been 01:30 UTC.
        ("02:30", "2026-03-28T22:00", "2026-03-29T01:30"),
        ("02:30", "2026-03-29T01:30", "2026-03-30T00:30"),
        ("2026-03-29T02:30", "2026-03-28T22:00", "2026-03-29T01:30"),
        # That night is an hour shorter.
        ("07:00", "2026-03-28T21:00", "2026-03-29T05:00"),
    ],
)
def test_the_nights_on_which_clocks_are_set(text: str, now: str, means: str) -> None:
    assert moment(text, now) == utc(means)


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    process_time.tzset()
    yield
    monkeypatch.undo()
    process_time.tzset()


@pytest.mark.usefixtures("in_berlin")
@pytest.mark.parametrize(
    ("text", "now"),
    [
        (text, now)
        for text in ("07:00", "02:30", "2026-10-25T02:30", "2026-03-29T02:30")
        for now in ("2026-03-28T22:00", "2026-03-29T01:30", "2026-10-24T22:00", "2026-10-25T00:45", "2026-10-25T01:45")
    ],
)
def test_the_machines_own_zone_is_taken_where_none_is_named(text: str, now: str) -> None:
    assert moment(text, now, None) == moment(text, now)


@pytest.mark.usefixtures("in_berlin")
def test_a_moment_is_shown_with_its_zone() -> None:
    assert shown(utc("2026-11-27T06:00")) == "2026-11-27 07:00 CET"
    assert shown(utc("2026-07-01T05:00")) == "2026-07-01 07:00 CEST"
    assert shown(utc("2026-11-27T06:00"), ZoneInfo("America/New_York")) == "2026-11-27 01:00 EST"


@pytest.mark.parametrize(
    "text",
    [
        "", "7", "7am", "25:00", "07:60", "07:00 CET", "2026-11-27", "2026-11-31T07:00", "27.11.2026 07:00", "0700",
        "tomorrow", "07:00+25:00", "٠٧:٠٠", "2026-11-27T07:00:00.5", "-07:00", "24:00",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(must be a time such as|is not a time: )"):
        WallTime.parse(text)


@given(st.times(), st.integers(0, 20 * 365 * 86400))
def test_the_next_time_of_day_is_within_a_day_and_shows_that_time(clock: time, seconds: int) -> None:
    text, now = f"{clock:%H:%M}", utc("2020-01-01T00:00") + timedelta(seconds=seconds)
    found = WallTime.parse(text).after(now, BERLIN)
    assert found is not None
    assert 0 < (found - now).total_seconds() <= 25 * 3600
    local = found.astimezone(BERLIN)
    assert f"{local:%H:%M}" == text or (local.month == 3 and local.day >= 25)
