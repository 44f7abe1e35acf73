"""Small tables for notebooks. Everything that is shown may come from elsewhere, and is escaped."""

from collections.abc import Iterable
from html import escape

from batchgen.core.text import printable

_LONGEST = 500


def table(title: str, rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table with a title."""
    lines = [f"<table><caption>{_cell(title)}</caption>"]
    lines += [f"<tr>{''.join(f'<td>{_cell(cell)}</td>' for cell in row)}</tr>" for row in rows]
    return "".join([*lines, "</table>"])


def _cell(text: str) -> str:
    return escape(printable(text, _LONGEST))
