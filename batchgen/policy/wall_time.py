"""Times of day and dates as people write them, and the moments that they mean."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

_TIME = re.compile(
    r"(?:([0-9]{4}-[0-9]{2}-[0-9]{2})[T ])?([0-9]{1,2})(:[0-9]{2}(?::[0-9]{2})?) ?(Z|[+-][0-9]{2}:[0-9]{2})?"
)
_EXPECTED = "must be a time such as 07:00 or 2026-11-27T07:00, with or without an offset such as +01:00"


@dataclass(frozen=True, slots=True)
class WallTime:
    """A time on the clock, with or without a date and an offset from UTC."""

    text: str
    """As it was written."""
    clock: time
    day: date | None = None
    offset: tzinfo | None = None
    """None: the zone is that of the machine."""

    @classmethod
    def parse(cls, text: str) -> "WallTime":
        """Return the time that is written as `07:00` or `2026-11-27T07:00`, with `Z` or `+01:00` behind it or not.

        Raises ValueError with a reason.
        """
        found = _TIME.fullmatch(text.strip())
        if found is None:
            raise ValueError(_EXPECTED)
        day, hour, rest, offset = found.groups()
        try:
            zone = datetime.fromisoformat(f"2000-01-01T00:00:00{offset}").tzinfo if offset else None
            clock = time.fromisoformat(f"{hour:0>2}{rest}")
            return cls(text.strip(), clock, date.fromisoformat(day) if day else None, zone)
        except ValueError as error:
            raise ValueError(f"is not a time: {error}") from error

    def after(self, moment: datetime, zone: tzinfo | None = None) -> datetime | None:
        """Return, in UTC, when it is this time next after an aware moment; None if its date has passed by then.

        `zone` holds where it names no offset; None stands for the machine's own. A time that comes twice, when clocks
        are set back, means the next of both. One that is left out, when they are set forward, means the moment that
        would be called so if they were not (RFC 5545, section 3.3.5).
        """
        zone = self.offset or zone
        today = moment.astimezone(zone).date()
        days = (self.day,) if self.day is not None else (today, today + timedelta(days=1))
        found = (one for day in days for one in _moments(datetime.combine(day, self.clock), zone))
        return next((one for one in found if one > moment), None)


def _moments(local: datetime, zone: tzinfo | None) -> tuple[datetime, ...]:
    """Return the moments in UTC at which clocks of a zone show a time, the earlier first."""
    # Not `astimezone`, which without a zone is off by an hour for a time that is left out.
    both = (local.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    first, second = (datetime.fromtimestamp(seconds, UTC) for seconds in both)
    # PEP 495: the second is later where the time comes twice, and earlier where it is left out.
    return (first, second) if second > first else (first,)


def shown(moment: datetime, zone: tzinfo | None = None) -> str:
    """Return a moment for people: `2026-11-27 07:00 CET`; `zone` is None for the machine's own."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M %Z}"
