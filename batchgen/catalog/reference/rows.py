"""The parameters of a model on its page: a list of bullets, or a table; nothing of what they say is judged here."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from batchgen.catalog.reference.page import Fault, Page, Span
from batchgen.catalog.reference.table import HEAD, table_lines
from batchgen.core.text import printable

PARAMETERS = re.compile(r"(?:#{1,6}\sParameters:?|\*\*Parameters:?\*\*:?|Parameters:)(?=\s|$)")
"""What begins a list of parameters."""

_END = re.compile(r"(?<=\s)(?:Example\s(?:request|body)|#{1,6}\s|```|curl:)")
_BULLET = re.compile(r"(?:(?<=\s)|^)[-*•]\s")
_PARTS = re.compile(r"`?([^`·\s]+)`?\s·\s(.+?)\s·\s(required|optional)(?:\s[—–]\s?(.*))?", re.DOTALL | re.IGNORECASE)
_STRAY = re.compile(r"(?<=\s)-\s`?\w+`?\s·\s")
_NAME = re.compile(r"[*`\s\\]*([A-Za-z_][\w.-]*)[`\s\\]*(\*?)[*`\s\\]*")
_SHOWN, _LONGEST_NAME = 60, 100


@dataclass(frozen=True, slots=True)
class Row:
    """What a page says of one parameter."""

    name: str
    at: int
    kind: str
    required: bool
    details: Span


def parameter_rows(page: Page, section: Span, faults: list[Fault]) -> list[Row]:
    """Return the parameters that a model's section lists; what cannot be read is added to `faults`."""
    head = HEAD.search(page.text, section.start, section.end)
    if head is not None:
        return list(_table(page, head, section.end, faults))
    begin = PARAMETERS.search(page.text, section.start, section.end)
    if begin is None:
        faults.append(Fault(section.start, "no list of parameters was found"))
        return []
    end = _END.search(page.text, begin.end(), section.end)
    listed = Span(begin.end(), end.start() if end else section.end)
    stray = _STRAY.search(page.text, listed.end, section.end)
    if stray is not None:
        faults.append(Fault(stray.start(), "a parameter stands behind the end of the list"))
    return list(_bullets(page, listed, faults))


def _bullets(page: Page, listed: Span, faults: list[Fault]) -> Iterator[Row]:
    pieces = list(page.pieces(listed, _BULLET))
    if pieces[0].start < pieces[0].end:
        faults.append(Fault(pieces[0].start, f"expected a list of parameters, got {_shown(page, pieces[0])}"))
    for piece in pieces[1:]:
        parts = _PARTS.fullmatch(page.text, piece.start, piece.end)
        if parts is None:
            wanted = "`name` · type · REQUIRED or optional — details"
            faults.append(Fault(piece.start, f"expected {wanted}, got {_shown(page, piece)}"))
            continue
        details = Span(*parts.span(4)) if parts[4] is not None else Span(piece.end, piece.end)
        yield Row(parts[1], piece.start, " ".join(parts[2].split()), parts[3].lower() == "required", details)


def _table(page: Page, head: re.Match[str], end: int, faults: list[Fault]) -> Iterator[Row]:
    lines = table_lines(page, head, end)
    if lines is None:
        wanted = "expected | or tabs between them, or a line for each row"
        faults.append(Fault(head.start(), f"the columns of the table cannot be told apart; {wanted}"))
        return
    for cells in lines:
        name = _NAME.fullmatch(page.folded(cells[0])[:_LONGEST_NAME])
        if len(cells) != 3 or name is None:
            line = Span(cells[0].start, cells[-1].end)
            faults.append(Fault(line.start, f"expected Parameter, Type, Details; got {_shown(page, line)}"))
            continue
        kind = page.folded(cells[1]).strip("`")
        yield Row(name[1], cells[0].start, kind, name[2] == "*", cells[2])


def _shown(page: Page, span: Span) -> str:
    return printable(page.folded(span), _SHOWN) or "nothing"
