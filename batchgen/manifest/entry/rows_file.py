"""Reads rows files, one row at a time: .csv (RFC 4180), .tsv, .jsonl, .txt. UTF-8, BOM and CRLF are fine."""

import csv
import json
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any
from unicodedata import normalize

from batchgen.core.text import plural, printable
from batchgen.manifest.entry.row_lines import Source
from batchgen.manifest.entry.tsv_quoting import Quoting, quoting
from batchgen.manifest.yaml.problems import Problems
from batchgen.manifest.yaml.reader import MAX_SCALAR
from batchgen.manifest.yaml.scalars import Real

KINDS = (".csv", ".tsv", ".jsonl", ".txt")
_DELIMITERS = ",;\t"
# Characters that are invisible everywhere. The joiners of some scripts (U+200C, U+200D) belong to their letters.
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]")

Row = tuple[int, dict[str, Any]]
"""A row: the line on which it begins, counted from 1, and its variables."""


@dataclass(frozen=True, slots=True)
class Rows:
    """An open rows file. Its rows can be taken once."""

    columns: tuple[str, ...] | None
    """The variables of every row; None if each row has its own (.jsonl)."""
    cells: bool
    """Whether the values are text that is converted to the parameter's type; .jsonl values have their own types."""
    rows: Iterator[Row]
    """Raises RowsError if the file cannot be read further; a row that cannot be used is noted and left out."""


class CannotOpenError(Exception):
    """A rows file cannot be opened; the text says why."""


@contextmanager
def open_rows(path: Path, problems: Problems, name: str | None = None) -> Iterator[Rows]:
    """Open a rows file by its suffix. `name` is what its problems call it; None: its path.

    Raises CannotOpenError, and RowsError for a header that cannot be used.
    """
    if path.suffix.lower() not in KINDS:
        raise CannotOpenError(
            f"a rows file must be one of {', '.join(KINDS)}, not {printable(path.suffix or path.name, 60)!r}"
        )
    try:
        # A pipe or a device could block the program or never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise CannotOpenError(f"{printable(str(path))} is not a file")
        file = path.open("rb")
    except FileNotFoundError as error:
        raise CannotOpenError(f"there is no file {printable(str(path))}") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CannotOpenError(f"{printable(str(path))} cannot be read: {reason}") from error
    with file:
        source = Source(name or str(path), file, problems)
        match path.suffix.lower():
            case ".csv":
                yield _csv(source)
            case ".tsv":
                yield _tsv(source)
            case ".jsonl":
                yield Rows(None, cells=False, rows=_jsonl(source))
            case _:
                yield Rows(("line",), cells=True, rows=_txt(source))


def _csv(source: Source) -> Rows:
    lines = source.lines()
    first = next(lines, "")
    delimiter = max(_DELIMITERS, key=_outside_quotes(first).count)
    return _separated(source, chain([first], lines), delimiter)


def _separated(source: Source, lines: Iterable[str], delimiter: str) -> Rows:
    # The module's own limit is lower and applies to the whole process; here is the only place that uses it.
    csv.field_size_limit(MAX_SCALAR)
    records = csv.reader(lines, delimiter=delimiter, strict=True)
    columns = _columns(source, _record(source, records, 1))
    return Rows(columns, cells=True, rows=_csv_rows(source, records, columns))


def _outside_quotes(line: str) -> str:
    return "".join(line.split('"')[::2])


def _csv_rows(source: Source, records: Any, columns: tuple[str, ...]) -> Iterator[Row]:
    while True:
        start = source.line + 1
        cells = _record(source, records, start)
        if cells is None:
            return
        if any(cells) and (row := _row(source, columns, cells, start)) is not None:
            yield start, row


def _record(source: Source, records: Any, start: int) -> list[str] | None:
    try:
        record: list[str] | None = next(records, None)
    except csv.Error as error:
        raise source.broken_off(
            f"this is not valid CSV (RFC 4180): {error}; is a quote left open here?", start
        ) from error
    # A checkout that converts line ends must not change the request made from a cell with several lines.
    return record and [cell.replace("\r\n", "\n") if "\r" in cell else cell for cell in record]


def _tsv(source: Source) -> Rows:
    """Spreadsheets quote a cell that contains a tab, a quote or a line end; other programs quote nothing."""
    style, line = quoting(source.undecoded())
    if style is Quoting.CONSISTENT:
        return _separated(source, source.lines(), "\t")
    if style is Quoting.MIXED:
        source.warn(
            "some cells of this file begin with a quote, but not all follow RFC 4180: the quotes are kept", line
        )
    lines = source.lines()
    first = next(lines, None)
    columns = _columns(source, None if first is None else first.rstrip("\r\n").split("\t"))
    return Rows(columns, cells=True, rows=_tsv_rows(source, lines, columns))


def _tsv_rows(source: Source, lines: Iterator[str], columns: tuple[str, ...]) -> Iterator[Row]:
    for line in lines:
        cells = line.rstrip("\r\n").split("\t")
        if any(cells) and (row := _row(source, columns, cells, source.line)) is not None:
            yield source.line, row


def _columns(source: Source, header: list[str] | None) -> tuple[str, ...]:
    # The same name can be written with one character or with two (é).
    columns = tuple(normalize("NFC", name.strip()) for name in header or ())
    if not any(columns):
        raise source.broken_off("the first line must name the columns", 1)
    if (fault := _header_fault(columns)) is not None:
        raise source.broken_off(fault, 1)
    if "" in columns:
        raise source.broken_off(f"column {columns.index('') + 1} has no name", 1)
    for n, name in enumerate(columns):
        if name in columns[:n]:
            raise source.broken_off(f"two columns are named `{printable(name, 60)}`", 1)
    return columns


def _header_fault(columns: tuple[str, ...]) -> str | None:
    """Return why a first line is not a header, if the reason is other than that it names no columns."""
    if columns[0].lower().startswith("sep=") and not any(columns[1:]):
        return "`sep=` is a hint for spreadsheets; remove this line, the delimiter is detected without it"
    if columns[0].startswith("# ") or (columns[0].startswith("#") and len(columns) == 1):
        return "the first line must name the columns, but this looks like a comment; remove it"
    for n, name in enumerate(columns):
        if (odd := _INVISIBLE.search(name)) is not None:
            return f"the name of column {n + 1} contains an invisible character (U+{ord(odd[0]):04X}); remove it"
    return None


def _row(source: Source, columns: tuple[str, ...], cells: list[str], line: int) -> dict[str, Any] | None:
    if len(cells) == len(columns):
        return dict(zip(columns, cells, strict=True))
    be = "is" if len(columns) == 1 else "are"
    message = f"this row has {plural(len(cells), 'cell')}, but there {be} {plural(len(columns), 'column')}"
    source.fault(message, line)
    return None


def _txt(source: Source) -> Iterator[Row]:
    for line in source.lines():
        if line.strip():
            yield source.line, {"line": line.rstrip("\r\n")}


class _NoJsonError(ValueError):
    """A line that Python's parser would accept, although JSON does not define what it means."""


def _jsonl(source: Source) -> Iterator[Row]:
    decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_float=Real.read, parse_constant=_no_constant)
    for line in source.lines():
        text = line.rstrip()
        if not text:
            continue
        try:
            row = _with_composed_names(decoder.decode(text))
        except json.JSONDecodeError as error:
            source.fault(f"this is not valid JSON: {error.msg} at column {error.colno}")
        except _NoJsonError as error:
            source.fault(str(error))
        except (ValueError, RecursionError):
            source.fault("this JSON contains a number that is too long, or is nested too deeply")
        else:
            if "u0000" in text and _holds_nul(row):
                source.fault("this JSON contains the character U+0000, which no request may hold")
            elif isinstance(row, dict):
                yield source.line, row
            else:
                source.fault('each line must be a JSON object, {"name": value, …}')


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for n, name in enumerate(names) if name in names[:n])
        raise _NoJsonError(f"the key `{printable(twice, 60)}` appears twice in this line")
    return row


def _with_composed_names(row: Any) -> Any:
    """Return a row with its names normalized as column names are: one form for names that look the same."""
    if not isinstance(row, dict) or all(map(str.isascii, row)):
        return row
    return _unique([(normalize("NFC", name), value) for name, value in row.items()])


def _holds_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_holds_nul(entry) for pair in value.items() for entry in pair)
    return any(map(_holds_nul, value)) if isinstance(value, list) else isinstance(value, str) and "\0" in value


def _no_constant(name: str) -> None:
    raise _NoJsonError(f"{name} is not valid JSON")
