"""A page as text in which each run of white space is one character, and the place of each character."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from batchgen.core.errors import Problem

GAP, BREAK, PARAGRAPH = "\t", "\n", "\f"
"""What stands for several blanks or a tab, for a line break, and for an empty line; a single blank stays one."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a page's text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Place:
    """A line and a column of the page as it was given, both from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that cannot be read, at a position of the page's text."""

    at: int
    message: str


class Page:
    """A published page. Its white space is " ", GAP, BREAK and PARAGRAPH alone: folded to one line, it reads alike."""

    def __init__(self, text: str, name: str) -> None:
        """`name` is what problems call the page: the path it was read from."""
        self.name = name
        lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        self._lines = lines
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", lines))]
        kept: list[str] = []
        length = end = 0
        self._folded, self._original = [0], [0]
        for run in re.finditer(r"\s+", lines):
            kept += (lines[end : run.start()], _stand_in(run[0]))
            length += run.start() - end + 1
            end = run.end()
            self._folded.append(length)
            self._original.append(end)
        self.text = "".join([*kept, lines[end:]])

    def folded(self, span: Span) -> str:
        """Return a stretch on one line."""
        return " ".join(self.text[span.start : span.end].split())

    def trimmed(self, start: int, end: int) -> Span:
        """Return the stretch from `start` to `end` without white space at its ends."""
        piece = self.text[start:end]
        left = len(piece) - len(piece.lstrip())
        return Span(start + left, start + max(left, len(piece.rstrip())))

    def pieces(self, span: Span, separator: re.Pattern[str]) -> Iterator[Span]:
        """Yield what lies before, between and behind the separators in a stretch, trimmed."""
        start = span.start
        for match in separator.finditer(self.text, span.start, span.end):
            yield self.trimmed(start, match.start())
            start = match.end()
        yield self.trimmed(start, span.end)

    def place(self, at: int) -> Place:
        """Return where a position of the text is in the page as it was given."""
        index = bisect_right(self._folded, at) - 1
        original = min(self._original[index] + at - self._folded[index], len(self._lines))
        line = bisect_right(self._line_starts, original)
        return Place(line, original - self._line_starts[line - 1] + 1)

    def located(self, faults: Iterable[Fault]) -> list[Problem]:
        """Return faults as problems of the page as it was given, in its order, with their lines quoted."""
        quoted: dict[int, str] = {}
        problems = []
        for fault in sorted(faults, key=lambda fault: fault.at):
            place = self.place(fault.at)
            line = quoted.get(place.line)
            if line is None:
                line = quoted[place.line] = self._line(place.line)
            problems.append(Problem(self.name, place.line, place.column, fault.message, line))
        return problems

    def _line(self, number: int) -> str:
        start = self._line_starts[number - 1]
        end = self._line_starts[number] - 1 if number < len(self._line_starts) else len(self._lines)
        return self._lines[start:end]


def _stand_in(white: str) -> str:
    breaks = white.count("\n")
    if breaks:
        return PARAGRAPH if breaks > 1 else BREAK
    return GAP if len(white) > 1 or white == "\t" else " "
