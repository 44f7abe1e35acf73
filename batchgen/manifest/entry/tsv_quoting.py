"""Whether the cells of a TSV file are quoted, as spreadsheets write them: one pass over it, in bounded memory."""

import csv
from collections.abc import Iterable, Iterator
from enum import Enum

from batchgen.manifest.yaml.reader import MAX_SCALAR


class Quoting(Enum):
    """How the quotes in a file are treated."""

    NONE = "none"
    """No cell is quoted."""
    CONSISTENT = "consistent"
    """Every cell that begins with a quote follows RFC 4180: it also ends with one, and quotes inside are doubled."""
    MIXED = "mixed"
    """Some cells are quoted, and others begin with a quote but are not."""


def quoting(lines: Iterable[str]) -> tuple[Quoting, int]:
    """Return how the cells of a TSV file are quoted, and the line, from 1, of the first that differs."""
    csv.field_size_limit(MAX_SCALAR)
    seen = _Seen(lines)
    width, odd = None, 0
    records = csv.reader(seen.watched(), delimiter="\t", strict=True)
    try:
        for record in records:
            width = width or len(record)
            # A quote that is never closed swallows cells of other lines; a complete record has as many as the header.
            if len(record) != width and any(record):
                odd = odd or seen.line
    except csv.Error:
        odd = odd or seen.line
    if not odd:
        return (Quoting.CONSISTENT if seen.begins else Quoting.NONE), 0
    for _ in seen.watched():
        pass  # to the end: is any cell quoted as a whole?
    return (Quoting.MIXED if seen.whole else Quoting.NONE), odd


class _Seen:
    """Lines passed through, and the quotes seen in them."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.line = 0
        """The number of the last line passed on."""
        self.begins = False
        """Whether a cell began with a quote."""
        self.whole = False
        """Whether a cell began and ended with one."""
        self._lines = iter(lines)

    def watched(self) -> Iterator[str]:
        for line in self._lines:
            self.line += 1
            if '"' in line and not self.whole:
                quoted = [cell for cell in line.rstrip("\r\n").split("\t") if cell.startswith('"')]
                self.begins = self.begins or bool(quoted)
                self.whole = any(len(cell) > 1 and cell.endswith('"') for cell in quoted)
            yield line
