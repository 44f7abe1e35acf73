"""What keeps texts in CSV cells harmless in a spreadsheet."""

import re

# What spreadsheets take for the start of a formula (OWASP, "CSV Injection"), also behind what they trim or do not
# show. Apostrophes count as blanks, so that a text with an apostrophe of its own differs from one that was given one.
_FORMULA = re.compile(r"['\s\u00ad\u200b-\u200f\u2060\ufeff]*[=+\-@＝＋－＠]|'*\r")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_CONTROLS_BUT_LINE_ENDS = re.compile("[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def text_cell(text: str) -> str:
    """Return `text` on one line, after an apostrophe if a spreadsheet would run it."""
    if text.isprintable() and text[:1].isalnum():
        return text  # as nearly all are, without a regular expression
    return _guard(_CONTROLS.sub(" ", text))


def prompt_cell(text: str) -> str:
    """Return `text` with its line ends, after an apostrophe if a spreadsheet would run it."""
    return _guard(_CONTROLS_BUT_LINE_ENDS.sub(" ", text))


def unguarded(cell: str) -> str:
    """Return a cell of a ledger without the apostrophe that it was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell, 1) else cell


def _guard(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) else text
