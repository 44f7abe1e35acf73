"""`batchgen.toml` beside the output folder: the limits that all runs in that folder share."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchgen.core.errors import UsageError
from batchgen.core.text import printable

FILE_NAME = "batchgen.toml"
_WARN = (Decimal(80), Decimal(100))
_MOST_DIGITS = 9
"""Behind the decimal point of an amount."""

Tag = tuple[str, str]
"""Name and value."""


@dataclass(frozen=True, slots=True)
class SharedLimits:
    """What the runs of one output folder share. USD; None: no such limit."""

    month: Decimal | None = None
    tags: Mapping[Tag, Decimal] = field(default_factory=dict)
    """The month's budgets of items with a tag, beside `month`."""
    warn: tuple[Decimal, ...] = _WARN
    """Percentages of a budget at which to warn, rising."""
    zone: tzinfo = UTC
    """Whose calendar sets the months."""
    zone_name: str = "UTC"
    concurrency: int | None = None
    """Jobs in flight of all runs together."""

    @property
    def has_budget(self) -> bool:
        """Whether money is limited."""
        return self.month is not None or bool(self.tags)

    @property
    def shares(self) -> bool:
        """Whether there is any limit at all."""
        return self.has_budget or self.concurrency is not None

    def scopes_of(self, tags: Mapping[str, str] | tuple[Tag, ...]) -> tuple[str, ...]:
        """Return the names of the budgets that an item with these tags counts against, the one for everything first."""
        pairs = dict(tags).items()
        return ("", *(scope_of(tag) for tag in pairs if tag in self.tags))

    def budgets(self) -> dict[str, Decimal]:
        """Return the month's budgets, USD, by the names of `scopes_of`."""
        of_tags = {scope_of(tag): amount for tag, amount in self.tags.items()}
        return of_tags if self.month is None else {"": self.month, **of_tags}


def scope_of(tag: Tag) -> str:
    """Return the name of a tag's budget, as `client=acme`."""
    return f"{tag[0]}={tag[1]}"


def read_limits(output: Path) -> SharedLimits:
    """Return the limits of an output folder, from `batchgen.toml` beside it; without that file there are none.

    Raises UsageError that names what is wrong in it.
    """
    path = output.absolute().parent / FILE_NAME
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8-sig"), parse_float=Decimal)
    except (FileNotFoundError, NotADirectoryError):
        return SharedLimits()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    try:
        return _limits(written)
    except _Invalid as error:
        raise UsageError(f"{path}: {error}") from error


class _Invalid(Exception):  # noqa: N818 - `read_limits` adds where
    pass


def _limits(written: Mapping[str, Any]) -> SharedLimits:
    _refuse_unknown(written, ("budget", "account"), "")
    budget, account = _table(written, "budget"), _table(written, "account")
    _refuse_unknown(budget, ("month", "warn", "tz", "tags"), "budget.")
    _refuse_unknown(account, ("concurrency",), "account.")
    zone_name = budget.get("tz", "UTC")
    return SharedLimits(
        month=_amount(budget["month"], "budget.month") if "month" in budget else None,
        tags=dict(_tag_budgets(_table(budget, "tags", "budget."))),
        warn=_percentages(budget["warn"]) if "warn" in budget else _WARN,
        zone=_zone(zone_name),
        zone_name=str(zone_name),
        concurrency=_concurrency(account["concurrency"]) if "concurrency" in account else None,
    )


def _table(written: Mapping[str, Any], name: str, place: str = "") -> Mapping[str, Any]:
    value = written.get(name, {})
    if not isinstance(value, dict):
        raise _Invalid(f"`{place}{name}` must be a table, as in [{place}{name}]")
    return value


def _refuse_unknown(written: Mapping[str, Any], known: tuple[str, ...], place: str) -> None:
    for name in written:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean `{place}{close[0]}`?" if close else f"there are {', '.join(known)}"
            raise _Invalid(f"unknown key `{place}{printable(name, 60)}`: {hint}")


def _tag_budgets(tables: Mapping[str, Any]) -> list[tuple[Tag, Decimal]]:
    found = []
    for name in tables:
        for value, amount in _table(tables, name, "budget.tags.").items():
            found.append(((name, value), _amount(amount, f"budget.tags.{name}.{value}")))
    return found


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    number = Decimal(value)
    return number if number.is_finite() else None


def _amount(value: object, name: str) -> Decimal:
    number = _number(value)
    if number is None or not 0 <= number < 10**12 or -int(number.as_tuple().exponent) > _MOST_DIGITS:
        raise _Invalid(
            f"`{printable(name)}` must be an amount in USD, 0 or larger, with at most {_MOST_DIGITS} digits after the"
            " decimal point, such as 500.00"
        )
    return number


def _percentages(value: object) -> tuple[Decimal, ...]:
    numbers = [_number(each) for each in value] if isinstance(value, list) else [None]
    found = [number for number in numbers if number is not None and 0 < number <= 100]
    if len(found) != len(numbers):
        raise _Invalid("`budget.warn` must be a list of percentages above 0 and up to 100, such as [50, 80, 100]")
    return tuple(sorted(set(found)))


def _zone(name: object) -> tzinfo:
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # its data are looked for at once

    try:
        return ZoneInfo(name if isinstance(name, str) else "")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise _Invalid(
            f"`budget.tz` must be a time zone such as Europe/Berlin, not {printable(repr(name), 60)}"
        ) from error


def _concurrency(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _Invalid("`account.concurrency` must be a whole number, 1 or larger")
    return value
