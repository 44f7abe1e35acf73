"""A span of time, with the days and months of a time zone; read from what people write."""

import difflib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from batchgen.core.errors import UsageError
from batchgen.core.text import printable

_TIME = re.compile(
    r"(?P<month>\d{4}-\d\d)(?P<day>-\d\d)?(?(day)(?:[T ](?P<time>\d\d:\d\d(?::\d\d)?)(?P<offset>Z|[+-]\d\d:\d\d)?)?)",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Period:
    """All times from `since` on and before `until`; None: no bound. Days and months are those of `zone`."""

    since: datetime | None = None
    until: datetime | None = None
    zone: tzinfo = UTC

    @property
    def bounded(self) -> bool:
        """Whether it leaves anything out."""
        return self.since is not None or self.until is not None

    def contains(self, at: datetime | None) -> bool:
        """Whether a time belongs to it; None is a time that is not known, and belongs to no bounded period."""
        if at is None:
            return not self.bounded
        return (self.since is None or self.since <= at) and (self.until is None or at < self.until)

    def day(self, at: datetime | None) -> str | None:
        """Return the day of a time, as `2026-01-31`; None where it is not known."""
        return None if at is None else at.astimezone(self.zone).isoformat()[:10]

    def month(self, at: datetime | None) -> str | None:
        """Return the month of a time, as `2026-01`; None where it is not known."""
        return None if at is None else at.astimezone(self.zone).isoformat()[:7]

    def month_around(self, at: datetime) -> "Period":
        """Return the month that a time is in. Raises UsageError where the calendar ends."""
        local = at.astimezone(self.zone)
        year, month = local.year + local.month // 12, local.month % 12 + 1
        try:
            since, until = (
                datetime(y, m, 1, tzinfo=self.zone).astimezone(UTC)
                for y, m in ((local.year, local.month), (year, month))
            )
        except (OverflowError, ValueError) as error:
            raise UsageError(f"the month of {local.date()} is out of range") from error
        return Period(since, until, self.zone)


def read_period(since: str | None, until: str | None, zone: str) -> Period:
    """Return the period that `--since`, `--until` and `--tz` mean. Raises UsageError."""
    named = _zone_named(zone)

    def bound(option: str, text: str | None) -> datetime | None:
        try:
            return None if text is None else _moment_of(text, named)
        except ValueError as error:
            raise UsageError(f"{option}: {error}") from error

    period = Period(bound("--since", since), bound("--until", until), named)
    if period.since is not None and period.until is not None and period.since >= period.until:
        raise UsageError(f"--until {until} must be later than --since {since}: the time that it names is not included")
    return period


def _zone_named(name: str) -> tzinfo:
    """Return the time zone of an IANA name. Raises UsageError, with a suggestion where a name is near."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        near = difflib.get_close_matches(name, available_timezones(), n=2)
        suggestion = f" (did you mean {' or '.join(near)}?)" if near else "; expected one such as Europe/Berlin"
        raise UsageError(f"{printable(name, 60)!r} is not a time zone{suggestion}") from error


def _moment_of(text: str, zone: tzinfo) -> datetime:
    """Return when a month, a day or a time begins, in UTC: `2026-11`, `2026-11-03`, `2026-11-03T18:00`, in `zone`.

    A time may name its own offset (`Z`, `+01:00`). Of a time that a change of clocks brings twice, the first is meant.
    Raises ValueError.
    """
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{printable(text, 60)!r} is not a date or time such as 2026-11, 2026-11-03, 2026-11-03T18:00")
    day, time, offset = found["day"] or "-01", found["time"] or "00:00", found["offset"] or ""
    try:
        moment = datetime.fromisoformat(f"{found['month']}{day}T{time}{offset}")
    except ValueError as error:
        raise ValueError(f"{text!r} is not a date or time: {error}") from error
    try:
        return (moment if offset else moment.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text} is out of range") from error
