"""Entries that are written alike: what the YAML parser made of one says what it would make of the others.

Most of the time of reading goes into the parser's events, a dozen and more for each entry, and in a manifest nearly all
entries are alike but for their values. So the text of an entry that the parser has read becomes a shape: that text with
a hole for each value. Further entries of this shape are matched against it, and the parser gets one empty entry in
place of them, with as many line breaks. A hole takes only what means nothing to YAML where it is (sections 7.3 and 7.4
of YAML 1.2), and a shape has no comments, tags, anchors or texts of several lines.

The parser still judges the structure: only when it comes upon the empty entry at its very place was everything before
read as if nothing had been replaced, and only then do the entries count. Otherwise they were part of something else,
such as a text of many lines, and the manifest is read once more without shapes (`MisreadError`).
"""

import re
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

from yaml.events import ScalarEvent

from batchgen.manifest.yaml.nodes import Map, Placed
from batchgen.manifest.yaml.scalars import scalar_value

_MOST = 32
"""Shapes of one manifest; entries of other shapes are read by the parser."""
_TRIES = 200
"""Entries that may be traced, and one more for each five hundred that the parser has to read."""
# What the parser refuses or takes for a line's end, and what begins a variable; see `reader` for the last ones.
_NEVER = "\\x00-\\x1f\\x7f-\\x9f\u2028\u2029\ufeff\ufffe\uffff\U0010ff00-\U0010ff3f${"
_PLAIN = r"((?![0-9+-]{{300}})[A-Za-z0-9](?:[^:#{never}]++|:(?=[A-Za-z0-9]))*+(?<! ))"
_HOLES = {
    '"': f'([^"\\\\{_NEVER}]*+)',
    "'": f"([^'{_NEVER}]*+)",
    "block": _PLAIN.format(never=_NEVER),
    "flow": _PLAIN.format(never=f"{_NEVER},?\"'\\[\\]}}"),
}
_NO_LITERAL = re.compile(r"[#&*!|<>%@`\\$]")
_DASH = re.compile(r"( *)-( +)")


class MisreadError(Exception):
    """The entries that were taken from the text are none: the manifest has to be read without shapes."""


class Place(NamedTuple):
    """A place in the manifest, from 0, as the parser would count it."""

    line: int
    column: int


class _Spot(NamedTuple):
    """A place in an entry, whatever is in its holes: so many characters behind a hole, or behind the beginning (0)."""

    hole: int
    offset: int


class Pair(NamedTuple):
    """A key of a shape and its value: a hole, or a map."""

    key: str
    key_spot: _Spot
    spot: _Spot
    hole: int
    """From 1; 0: a map."""
    style: str
    """The quotes around the hole; empty: a plain scalar, which may be a number."""
    pairs: tuple["Pair", ...] = ()
    """Those of the map."""


class Shape:
    """The form of entries that are alike but for their values."""

    __slots__ = ("lines", "pairs", "pattern", "spot")

    def __init__(self, pattern: re.Pattern[str], lines: int, spot: _Spot, pairs: tuple[Pair, ...]) -> None:
        self.pattern = pattern
        self.lines = lines
        self.spot = spot
        self.pairs = pairs


class Alike:
    """An entry that has a known shape."""

    __slots__ = ("line", "match", "shape")

    def __init__(self, shape: Shape, match: re.Match[str], line: int) -> None:
        self.shape = shape
        self.match = match
        self.line = line

    def map(self) -> Map:
        """Return the entry as the parser would have made it, with all places."""
        return self._map(self.shape.spot, self.shape.pairs)

    @property
    def column(self) -> int:
        """Return where on its line it begins, as a mark."""
        return self.shape.spot.offset

    def _map(self, spot: _Spot, pairs: tuple[Pair, ...]) -> Map:
        result = Map(self._place(spot))
        for pair in pairs:
            if not pair.hole:
                result[pair.key] = self._map(pair.spot, pair.pairs)
            else:
                text = self.match[pair.hole]
                result[pair.key] = text if pair.style else scalar_value(text)
            result.events[pair.key] = (Placed(self._place(pair.key_spot)), Placed(self._place(pair.spot)))
        return result

    def _place(self, spot: _Spot) -> Place:
        match = self.match
        begin = match.start()
        at = (match.end(spot.hole) if spot.hole else begin) + spot.offset
        return Place(self.line + match.string.count("\n", begin, at), at - match.string.rfind("\n", 0, at) - 1)


class _Run(NamedTuple):
    """Entries that the parser gets one empty entry for."""

    line: int
    entries: list[Alike]


class Shapes:
    """The shapes of one manifest, while it is read, and the entries that were taken by them."""

    def __init__(self) -> None:
        self.used = False
        """Whether the parser was given another text than the manifest's."""
        self._shapes: list[Shape] = []
        self._runs: deque[_Run] = deque()
        self._open = True
        self._column = 0
        self._next = ""
        """The beginning of an entry, from the line break before it."""
        self._text = ""
        self._line = 0
        """The first line of the text that was seen last."""
        self._found = (0, 0)
        """A line of that text, counted from 0, and where it begins."""
        self._breaks = 0
        """Line breaks before whatever comes next."""
        self._begins_line = True
        self._entries = self._tries = 0

    # ---- the text, before the parser gets it ----------------------------------------------------------------------

    def take(self, text: str) -> tuple[str, str]:
        """Take the entries of known shapes out of the next piece of the manifest.

        Returns what the parser gets in its place, and what is to be seen again at the beginning of the next piece.
        """
        if "\r" in text:
            self._open = False  # the columns and lines of other line breaks are the parser's matter
        cut = text.rfind(self._next) + 1 if self._next else 0
        begin = 0 if self._begins_line else text.find(self._next) + 1
        taking = self._open and bool(self._shapes) and begin < cut
        seen = text[:cut] if taking else text
        self._text, self._line, self._found = seen, self._breaks, (0, 0)
        self._breaks += seen.count("\n")
        self._begins_line = seen.endswith("\n")
        return (self._replaced(text, begin, cut), text[cut:]) if taking else (text, "")

    def _replaced(self, text: str, at: int, cut: int) -> str:
        pieces: list[str] = []
        given = 0
        line = self._line + text.count("\n", 0, at)
        while at < cut:
            begun, first, run = at, line, list[Alike]()
            while at < cut and (found := self._match(text, at, line)) is not None:
                run.append(found)
                at, line = found.match.end(), line + found.shape.lines
            if run:
                self.used = True
                self._runs.append(_Run(first, run))
                pieces += (text[given:begun], self._next[1:], "''", "\n" * (line - first))
                given = at
            else:
                at = text.find(self._next, begun) + 1
                line += text.count("\n", begun, at)
        pieces.append(text[given:cut])
        return "".join(pieces)

    def _match(self, text: str, at: int, line: int) -> Alike | None:
        for number, shape in enumerate(self._shapes):
            match = shape.pattern.match(text, at)
            if match is not None:
                if number:
                    # Neighbours are often of the same shape.
                    self._shapes.insert(0, self._shapes.pop(number))
                return Alike(shape, match, line)
        return None

    # ---- the entries, as the parser comes upon them ---------------------------------------------------------------

    def taken(self, event: Any) -> Iterator[Alike] | None:
        """Return the entries that stood where the parser now has the entry of `event`; None if it is an entry itself.

        Raises MisreadError if entries were taken from before this place that the parser has not come upon.
        """
        if not self._runs:
            return None
        run, mark = self._runs[0], event.start_mark
        if mark.line < run.line:
            return None
        here = type(event) is ScalarEvent and (mark.line, mark.column) == (run.line, self._column + 2)
        if not here or event.value or event.style != "'" or event.anchor is not None or event.tag is not None:
            raise MisreadError
        self._runs.popleft()
        return iter(run.entries)

    def close(self) -> None:
        """Take no more entries, since their list has ended. Raises MisreadError if any are left."""
        self._open = False
        if self._runs:
            raise MisreadError

    # ---- learning -------------------------------------------------------------------------------------------------

    def learn(self, entry: Map) -> None:
        """Learn the shape of an entry that the parser has read, without faults, if it has one."""
        self._entries += 1
        if not self._open or len(self._shapes) >= _MOST or self._tries > _TRIES + self._entries // 500:
            return
        begin = self._begin_of(entry.mark.line - self._line)
        dash = None if begin is None else _DASH.match(self._text, begin)
        if begin is None or dash is None or dash.end() - begin != entry.mark.column:
            self._tries += 1
            return
        end = self._text.find(following := f"\n{dash[1]}- ", begin) + 1
        if end <= begin or any(shape.pattern.match(self._text, begin) for shape in self._shapes):
            return
        self._tries += 1
        shape = _Tracing(self._text[begin:end], entry.mark.line).shape(entry, following)
        if shape is not None:
            self._shapes.append(shape)
            self._next, self._column = following, len(dash[1])

    def _begin_of(self, number: int) -> int | None:
        """Return where a line of the text begins, counted from 0; None if it has no such line.

        Entries come one after the other, so it is looked for from where the last one was found.
        """
        line, begin = self._found if self._found[0] <= number else (0, 0)
        for _ in range(line, number):
            begin = self._text.find("\n", begin) + 1
            if not begin:
                return None
        if number < 0:
            return None
        self._found = (number, begin)
        return begin


class _Tracing:
    """Traces the shape of an entry in its text."""

    def __init__(self, text: str, line: int) -> None:
        self._text = text
        self._line = line
        self._begins = [0, *(found.end() for found in re.finditer("\n", text))]
        self._end = 0
        self._hole = 0
        self._hole_end = 0
        self._pattern: list[str] = []
        self._values: list[str] = []
        self._flow = False

    def shape(self, entry: Map, following: str) -> Shape | None:
        """Return the shape of `entry`, which the text `following` ends; None if it has none that is certain."""
        spot = self._spot(entry.mark)
        self._flow = spot is not None and self._text[spot.offset] == "{"
        pairs = self._pairs(entry)
        if spot is None or not pairs or not self._literal(len(self._text)):
            return None
        pattern = re.compile("".join(self._pattern) + f"(?={re.escape(following[1:])})")
        match = pattern.match(self._text + following[1:])
        if match is None or match.end() != len(self._text) or list(match.groups()) != self._values:
            return None
        return Shape(pattern, self._text.count("\n"), spot, pairs)

    def _pairs(self, written: Map) -> tuple[Pair, ...] | None:
        pairs: list[Pair] = []
        for key, value in written.items():
            event, value_event = written.events[key]
            key_spot, spot = self._spot(event.start_mark), self._spot(value_event.start_mark)
            if key_spot is None or spot is None or value_event.anchor is not None:
                return None
            if type(value_event) is ScalarEvent:
                if not self._scalar(value_event):
                    return None
                pairs.append(Pair(key, key_spot, spot, self._hole, value_event.style or ""))
            elif type(value) is Map:
                flow, self._flow = self._flow, self._flow or bool(value_event.flow_style)
                inner = self._pairs(value)
                self._flow = flow
                if inner is None:
                    return None
                pairs.append(Pair(key, key_spot, spot, 0, "", inner))
            else:
                return None
        return tuple(pairs)

    def _scalar(self, event: Any) -> bool:
        quotes = event.style or ""
        hole = _HOLES.get(quotes or ("flow" if self._flow else "block"))
        begin, end = self._offset(event.start_mark), self._offset(event.end_mark)
        if hole is None or begin is None or end is None or begin < self._end:
            return False
        begin, end = begin + len(quotes), end - len(quotes)
        if not self._literal(begin):
            return False
        self._pattern.append(hole)
        self._values.append(event.value)
        self._hole += 1
        self._end = self._hole_end = end
        return True

    def _literal(self, end: int) -> bool:
        literal = self._text[self._end : end]
        self._pattern.append(re.escape(literal))
        return _NO_LITERAL.search(literal) is None

    def _spot(self, mark: Any) -> _Spot | None:
        offset = self._offset(mark)
        return None if offset is None or offset < self._hole_end else _Spot(self._hole, offset - self._hole_end)

    def _offset(self, mark: Any) -> int | None:
        line = mark.line - self._line
        return self._begins[line] + mark.column if 0 <= line < len(self._begins) - 1 else None
