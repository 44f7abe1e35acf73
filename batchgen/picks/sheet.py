"""Picks as a CSV file that is filled in with a spreadsheet."""

import csv
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO

from batchgen.core.cells import text_cell, unguarded
from batchgen.core.text import printable
from batchgen.picks.file import CHOICES, LONGEST_REASON, Choice, Pick
from batchgen.picks.outputs import PickedOutput

COLUMNS = ("item_id", "output", "pick", "reason", "rating", "at")
NEEDED = frozenset({"item_id", "output", "pick"})
"""Columns without which a file cannot be imported."""
_STAMP = "%Y-%m-%dT%H:%M:%SZ"

FindOutput = Callable[[str, int], PickedOutput | None]
"""Returns an output by item id and number, or None where it is not on disk."""


def export_sheet(out: IO[str], outputs: Iterable[PickedOutput]) -> int:
    """Write outputs as CSV (RFC 4180), with empty cells where nothing was picked; return how many rows."""
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    rows = 0
    for o in outputs:
        rows += 1
        said = ("", "", "", "") if o.pick is None else (o.pick.pick, text_cell(o.pick.reason), o.pick.rating, o.pick.at)
        writer.writerow((text_cell(o.item), o.output, *said))
    return rows


@dataclass(slots=True)
class SheetImport:
    """Takes the rows of a filled-in file one by one, and keeps what they say that is new."""

    find: FindOutput
    now: str
    """The time of picks that name none."""
    changes: list[Pick] = field(default_factory=list)
    _lines: dict[tuple[str, int], int] = field(default_factory=dict)
    """By output, the line that said something of it."""

    def take(self, line: int, row: Mapping[str, str]) -> None:
        """Take a row that begins on `line`. Raises ValueError, which says what is wrong."""
        output = self._output(row)
        choice, reason, rating, at = _choice(row), _reason(row), _rating(row), _at(row)
        before = output.pick
        if before is None and not (choice or reason or rating):
            return
        key = output.item, output.output
        if (first := self._lines.setdefault(key, line)) != line:
            raise ValueError(f"line {first} is about output {output.output} of {output.item} too")
        if before is None:
            self._add(output, choice, reason, rating, at or self.now)
        elif (choice, reason, rating) != (before.pick, _as_imported(before.reason), before.rating):
            # A cell that was left as it was exported is the time of the pick before.
            self._add(output, choice, reason, rating, self.now if at in ("", before.at) else at)

    def _output(self, row: Mapping[str, str]) -> PickedOutput:
        item, number = unguarded(row["item_id"].strip()), row["output"].strip()
        if not (number.isascii() and number.isdecimal()):
            raise ValueError(f"`output` must be the number of an output, not {printable(number, 40)!r}")
        output = self.find(item, int(number)) if len(number) < 10 else None
        if output is None:
            shown = f"of {printable(item, 120)}" if item else "of an item without an id"
            raise ValueError(f"there is no output {printable(number, 40)} {shown} on disk")
        return output

    def _add(self, output: PickedOutput, choice: Choice, reason: str, rating: int | None, at: str) -> None:
        self.changes.append(output.picked(choice, reason, rating, at))


def _choice(row: Mapping[str, str]) -> Choice:
    word = row["pick"].strip().lower()
    for choice in CHOICES:
        if choice == word:
            return choice
    raise ValueError(f"`pick` must be keep, reject or empty, not {printable(word, 40)!r}")


def _reason(row: Mapping[str, str]) -> str:
    reason = _as_imported(unguarded(row.get("reason", "").strip()))
    if len(reason) > LONGEST_REASON:
        raise ValueError(f"`reason` must have at most {LONGEST_REASON:,} characters, not {len(reason):,}")
    return reason


def _as_imported(reason: str) -> str:
    """Return a reason as it comes back from a sheet: on one line, without blanks around it."""
    return unguarded(text_cell(reason)).strip()


def _rating(row: Mapping[str, str]) -> int | None:
    rating = row.get("rating", "").strip()
    if rating not in ("", "1", "2", "3", "4", "5"):
        raise ValueError(f"`rating` must be a whole number from 1 to 5, or empty, not {printable(rating, 40)!r}")
    return int(rating) if rating else None


def _at(row: Mapping[str, str]) -> str:
    at = row.get("at", "").strip()
    try:
        if at:
            datetime.strptime(at, _STAMP)  # noqa: DTZ007 - only its form matters, which is that of UTC
    except ValueError:
        raise ValueError(
            f"`at` must be a time as in 2026-01-31T08:00:00Z, or empty, not {printable(at, 40)!r}"
        ) from None
    return at
