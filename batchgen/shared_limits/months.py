"""The months of a time zone: when one begins and ends."""

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo


@dataclass(frozen=True, slots=True)
class Month:
    """One month of one time zone, from its first moment up to the first one of the next."""

    name: str
    """As `2026-11`."""
    start: datetime
    end: datetime

    @property
    def previous(self) -> "Month":
        """The month before."""
        zone = self.start.tzinfo
        assert zone is not None  # noqa: S101 - for the type checker: `month_at` makes months of a zone
        year, month = (self.start.year, self.start.month - 1) if self.start.month > 1 else (self.start.year - 1, 12)
        return _month(year, month, zone)


def month_at(moment: datetime, zone: tzinfo) -> Month:
    """Return the month that an aware datetime lies in, by the calendar of a time zone."""
    local = moment.astimezone(zone)
    return _month(local.year, local.month, zone)


def _month(year: int, month: int, zone: tzinfo) -> Month:
    start = datetime(year, month, 1, tzinfo=zone)
    following = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=zone)
    # Compared in UTC: within one zone, Python compares the clocks on the wall.
    return Month(f"{year:04}-{month:02}", start, following)


def is_in(moment: datetime, month: Month) -> bool:
    """Return whether an aware datetime lies in a month."""
    return month.start.astimezone(UTC) <= moment.astimezone(UTC) < month.end.astimezone(UTC)
