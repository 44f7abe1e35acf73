"""Tables of parameters on a published page: lines of cells, in the ways in which a table becomes plain text."""

import re
from collections.abc import Callable, Iterator, Mapping

from batchgen.catalog.reference.page import BREAK, GAP, PARAGRAPH, Page, Span

HEAD = re.compile(
    r"(?:\|\s?)?\*{0,2}Parameter\*{0,2}\s?([|\s])\s?\*{0,2}Type\*{0,2}\s?([|\s])"
    r"\s?\*{0,2}Details\*{0,2}(?:\s?\|)?(?=\s|$)"
)
"""The head of a table of parameters, with what stands between its columns."""

_BAR = re.compile(r"(?<!\\)\|")
_ROW_FOLDED = re.compile(r"(?<!\\)\|\s\|")
_LINE = re.compile(r"[\n\f]")
_RULE = re.compile(r"[:\s|-]*")
_END = re.compile(r"[\n\f](?:Example\s(?:request|body)|#{1,6}\s|```|curl:)")
_WORDS = re.compile(r"(\S+(?:\s\*)?)\s(string\[\]\s\(URLs\)|string\s\(URL\)|\S+)\s(.*)")
Cells = list[Span]


def table_lines(page: Page, head: re.Match[str], end: int) -> Iterator[Cells] | None:
    """Yield the cells of each line behind the head of a table, as many as there are.

    None where its columns cannot be told apart.
    """
    between = BREAK if head[1] == PARAGRAPH else head[1]
    folded = page.text[head.end() : head.end() + 1] not in ("", BREAK, PARAGRAPH)
    form = _FOLDED.get(between) if folded else _FORMS.get(between)
    same = head[1] == head[2] or {head[1], head[2]} == {BREAK, PARAGRAPH}
    return form(page, Span(head.end(), end)) if form is not None and same else None


def _with_bars(page: Page, rest: Span) -> Iterator[Cells]:
    for line in _lines(page, rest, "|"):
        if _RULE.fullmatch(page.text, line.start, line.end) is None:
            yield _between_bars(page, line)


def _with_bars_folded(page: Page, rest: Span) -> Iterator[Cells]:
    lines = list(page.pieces(rest, _ROW_FOLDED))
    for number, line in enumerate(lines, 1):
        if _RULE.fullmatch(page.text, line.start, line.end) is None:
            cells = _between_bars(page, line)
            # The page continues behind the last cell of its table.
            yield cells[:3] if number == len(lines) else cells


def _with_gaps(page: Page, rest: Span) -> Iterator[Cells]:
    for line in _lines(page, rest, GAP):
        first = page.text.find(GAP, line.start, line.end)
        second = page.text.find(GAP, first + 1, line.end)
        last = [Span(second + 1, line.end)] if second >= 0 else []
        yield [Span(line.start, first), page.trimmed(first + 1, second if second >= 0 else line.end), *last]


def _with_blanks(page: Page, rest: Span) -> Iterator[Cells]:
    """A line is a name, a type and details with single blanks between them: only the details have several words."""
    for line in _lines(page, _to_end(page, rest), " "):
        words = _WORDS.fullmatch(page.text, line.start, line.end)
        yield [line] if words is None else [Span(*words.span(group)) for group in (1, 2, 3)]


def _a_line_each(page: Page, rest: Span) -> Iterator[Cells]:
    """Each cell has a line of its own, and so may the asterisk behind a name."""
    cells: Cells = []
    for piece in page.pieces(_to_end(page, rest), _LINE):
        if piece.start == piece.end:
            continue
        if len(cells) == 1 and page.text[piece.start : piece.end] == "*":
            cells = [Span(cells[0].start, piece.end)]
            continue
        cells.append(piece)
        if len(cells) == 3:
            yield cells
            cells = []
    if cells:
        yield cells


_FORMS: Mapping[str, Callable[[Page, Span], Iterator[Cells]]] = {
    "|": _with_bars,
    GAP: _with_gaps,
    " ": _with_blanks,
    BREAK: _a_line_each,
}
_FOLDED = {"|": _with_bars_folded}


def _lines(page: Page, rest: Span, separator: str) -> Iterator[Span]:
    """Yield the lines that follow the head of a table, to an empty line or the first without a separator."""
    before = rest.start
    for line in page.pieces(rest, _LINE):
        if line.start == line.end and before == rest.start:
            continue
        text = page.text
        if separator not in text[line.start : line.end] or (
            before > rest.start and PARAGRAPH in text[before : line.start]
        ):
            return
        yield line
        before = line.end


def _to_end(page: Page, rest: Span) -> Span:
    end = _END.search(page.text, rest.start, rest.end)
    return Span(rest.start, end.start() if end is not None else rest.end)


def _between_bars(page: Page, line: Span) -> Cells:
    text = page.text
    start = line.start + (text[line.start] == "|")
    end = line.end - (line.end > start and text[line.end - 1] == "|" and text[line.end - 2] != "\\")
    return list(page.pieces(Span(start, end), _BAR))
