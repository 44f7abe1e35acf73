"""What the page says of outputs, read from the bodies of its requests; and the picks that follow from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from batchgen.core.errors import UsageError
from batchgen.core.text import json_object
from batchgen.page import Filter
from batchgen.picks import CHOICES, LONGEST_REASON, Choice, Pick, PickedOutput, is_text

_MOST_LINES = 10_000


@dataclass(frozen=True, slots=True)
class Said:
    """What is to be said of an output; None leaves what was said before."""

    pick: Choice | None
    rating: int | None
    """0: none any more."""
    reason: str | None

    def of(self, output: PickedOutput, at: str) -> Pick | None:
        """Return the pick that says so of an output; None where nothing changes. `at` is now, as in the ledger."""
        before = output.pick
        pick = output.choice if self.pick is None else self.pick
        rating = (before.rating if before else None) if self.rating is None else (self.rating or None)
        reason = (before.reason if before else "") if self.reason is None else self.reason
        if (pick, rating, reason) == ((before.pick, before.rating, before.reason) if before else ("", None, "")):
            return None
        return output.picked(pick, reason, rating, at)


@dataclass(frozen=True, slots=True)
class Line:
    """What is to be said of one output: of the file that was looked at, and of no other."""

    key: int
    """Of the item, in the journal."""
    n: int
    sha256: str
    said: Said


@dataclass(frozen=True, slots=True)
class All:
    """What is to be said of all outputs that a filter shows, if they are no more than were counted."""

    where: Filter
    most: int
    said: Said


def read_lines(body: bytes) -> list[Line]:
    """Return what a request says of single outputs. Raises UsageError."""
    lines = _object(body).get("picks")
    if not isinstance(lines, list) or len(lines) > _MOST_LINES:
        raise UsageError(f"picks: expected a list of at most {_MOST_LINES:,}")
    return [_line(values) for values in lines]


def read_all(body: bytes) -> All:
    """Return what a request says of all outputs that a filter shows. Raises UsageError."""
    values = _object(body)
    query = values.get("filter")
    if not isinstance(query, dict):
        raise UsageError("filter: expected an object")
    return All(Filter.from_query(_query(query)), _number(values, "most", 0), _said(values))


def _object(body: bytes) -> dict[str, Any]:
    values = json_object(body)
    if values is None:
        raise UsageError("expected a JSON object")
    return values


def _query(filter_: Mapping[str, object]) -> dict[str, list[str]]:
    """Return a filter of the page as the parameters of an address."""
    query = {}
    for name, value in filter_.items():
        values = value if isinstance(value, list) else [value] if value else []
        if not all(is_text(one) or type(one) is int for one in values):
            raise UsageError(f"filter: {name!r:.40} is not text")
        query[name] = [str(one) for one in values]
    return query


def _line(values: object) -> Line:
    if not isinstance(values, dict):
        raise UsageError("picks: expected objects")
    sha256 = values.get("sha256")
    if not is_text(sha256):
        raise UsageError("sha256: expected text")
    return Line(_number(values, "key", 1), _number(values, "n", 1), str(sha256), _said(values))


def _said(values: Mapping[str, object]) -> Said:
    pick, rating, reason = values.get("pick"), values.get("rating"), values.get("reason")
    if pick is not None and pick not in CHOICES:
        raise UsageError(f"pick: expected keep, reject or nothing, got {pick!r:.40}")
    if rating is not None and not (type(rating) is int and 0 <= rating <= 5):
        raise UsageError(f"rating: expected 0 to 5, got {rating!r:.40}")
    if reason is not None and not (is_text(reason) and len(str(reason)) <= LONGEST_REASON):
        raise UsageError(f"reason: expected text of at most {LONGEST_REASON:,} characters")
    return Said(pick, rating, None if reason is None else " ".join(str(reason).split()))


def _number(values: Mapping[str, object], name: str, least: int) -> int:
    value = values.get(name)
    if type(value) is not int or not least <= value < 1 << 62:
        raise UsageError(f"{name}: expected a whole number from {least}, got {value!r:.40}")
    return value
