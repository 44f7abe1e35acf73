"""Reads rows files, one row at a time: .csv (RFC 4180), .tsv, .jsonl, .txt. UTF-8, BOM and CRLF are fine."""

import csv
import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from batchgen.manifest.problems import Problems
from batchgen.manifest.reader import MAX_SCALAR
from batchgen.manifest.values import Real
from batchgen.text import plural, printable

KINDS = (".csv", ".tsv", ".jsonl", ".txt")
_DELIMITERS = ",;\t"

Row = tuple[int, dict[str, Any]]
"""The line on which a row begins, counted from 1, and its variables."""


@dataclass(frozen=True, slots=True)
class Rows:
    """An open rows file. Its rows can be taken once."""

    columns: tuple[str, ...] | None
    """The variables of every row; None where each row has its own (.jsonl)."""
    cells: bool
    """Whether the values are text that takes the type of its parameter; values of .jsonl have types of their own."""
    rows: Iterator[Row]
    """Raises RowsError where the file cannot be read further; a row that cannot be used is a problem and left out."""


class CannotOpenError(Exception):
    """A rows file cannot be opened; the text says why."""


class RowsError(Exception):
    """A rows file cannot be read any further; the problem that says why is noted already."""


@contextmanager
def open_rows(path: Path, problems: Problems) -> Iterator[Rows]:
    """Open a rows file by its suffix. Raises CannotOpenError, and RowsError for a header that cannot be used."""
    if path.suffix.lower() not in KINDS:
        raise CannotOpenError(f"rows files are {', '.join(KINDS)}, not {printable(path.suffix or path.name, 60)!r}")
    try:
        # A pipe or a device would hold the program up, or never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise CannotOpenError(f"{printable(str(path))} is no file")
        file = path.open("rb")
    except FileNotFoundError as error:
        raise CannotOpenError(f"there is no file {printable(str(path))}") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CannotOpenError(f"{printable(str(path))} cannot be read: {reason}") from error
    with file:
        source = _Source(str(path), file, problems)
        match path.suffix.lower():
            case ".csv":
                yield _csv(source)
            case ".tsv":
                yield _tsv(source)
            case ".jsonl":
                yield Rows(None, cells=False, rows=_jsonl(source))
            case _:
                yield Rows(("line",), cells=True, rows=_txt(source))


class _Source:
    """The lines of a rows file, decoded one by one so that a fault is found on its own line."""

    def __init__(self, shown: str, file: IO[bytes], problems: Problems) -> None:
        self.line = 0
        """The number of the line that was read last."""
        self._shown = shown
        self._file = file
        self._problems = problems

    def lines(self) -> Iterator[str]:
        """Yield the lines with their ends. Raises RowsError."""
        while line := self._file.readline(MAX_SCALAR + 2):
            self.line += 1
            if len(line) > MAX_SCALAR and not line.endswith(b"\n"):
                raise self.broken_off("the line is longer than 1 MiB")
            try:
                text = line.decode()
            except UnicodeDecodeError as error:
                raise self.broken_off("the line is not UTF-8; save the file as UTF-8") from error
            yield text.removeprefix("\ufeff") if self.line == 1 else text

    def fault(self, message: str, line: int | None = None) -> None:
        """Note a problem of a line, of the last one where none is given."""
        self._problems.in_file(self._shown, line or self.line or 1, message)

    def broken_off(self, message: str, line: int | None = None) -> RowsError:
        """Note a problem after which nothing more can be read, and return what says so."""
        self.fault(message, line)
        return RowsError(message)


def _csv(source: _Source) -> Rows:
    # The module's own bound is lower, and is one for the whole process; it only ever meets files of this kind here.
    csv.field_size_limit(MAX_SCALAR)
    lines = source.lines()
    first = next(lines, "")
    delimiter = max(_DELIMITERS, key=_outside_quotes(first).count)

    def again() -> Iterator[str]:
        yield first
        yield from lines

    records = csv.reader(again(), delimiter=delimiter, strict=True)
    columns = _columns(source, _record(source, records, 1))
    return Rows(columns, cells=True, rows=_csv_rows(source, records, columns))


def _outside_quotes(line: str) -> str:
    return "".join(line.split('"')[::2])


def _csv_rows(source: _Source, records: Any, columns: tuple[str, ...]) -> Iterator[Row]:
    while True:
        start = source.line + 1
        cells = _record(source, records, start)
        if cells is None:
            return
        if any(cells) and (row := _row(source, columns, cells, start)) is not None:
            yield start, row


def _record(source: _Source, records: Any, start: int) -> list[str] | None:
    try:
        record: list[str] | None = next(records, None)
    except csv.Error as error:
        raise source.broken_off(f"this is no CSV (RFC 4180): {error}; is a quote left open here?", start) from error
    # A checkout that turns line ends around must not make another request of a cell with several lines.
    return record and [cell.replace("\r\n", "\n") if "\r" in cell else cell for cell in record]


def _tsv(source: _Source) -> Rows:
    lines = source.lines()
    first = next(lines, None)
    columns = _columns(source, None if first is None else first.rstrip("\r\n").split("\t"))
    return Rows(columns, cells=True, rows=_tsv_rows(source, lines, columns))


def _tsv_rows(source: _Source, lines: Iterator[str], columns: tuple[str, ...]) -> Iterator[Row]:
    for line in lines:
        cells = line.rstrip("\r\n").split("\t")
        if any(cells) and (row := _row(source, columns, cells, source.line)) is not None:
            yield source.line, row


def _columns(source: _Source, header: list[str] | None) -> tuple[str, ...]:
    columns = tuple(name.strip() for name in header or ())
    if not any(columns):
        raise source.broken_off("the first line must name the columns", 1)
    if "" in columns:
        raise source.broken_off(f"column {columns.index('') + 1} has no name", 1)
    for n, name in enumerate(columns):
        if name in columns[:n]:
            raise source.broken_off(f"two columns are named `{printable(name, 60)}`", 1)
    return columns


def _row(source: _Source, columns: tuple[str, ...], cells: list[str], line: int) -> dict[str, Any] | None:
    if len(cells) == len(columns):
        return dict(zip(columns, cells, strict=True))
    be = "is" if len(columns) == 1 else "are"
    message = f"this row has {plural(len(cells), 'cell')}, but there {be} {plural(len(columns), 'column')}"
    source.fault(message, line)
    return None


def _txt(source: _Source) -> Iterator[Row]:
    for line in source.lines():
        if line.strip():
            yield source.line, {"line": line.removesuffix("\n").removesuffix("\r")}


class _NoJsonError(ValueError):
    """A line that Python's parser would take, though JSON does not say what it means."""


def _jsonl(source: _Source) -> Iterator[Row]:
    decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_float=Real.read, parse_constant=_no_constant)
    for line in source.lines():
        text = line.rstrip()
        if not text:
            continue
        try:
            row = decoder.decode(text)
        except json.JSONDecodeError as error:
            source.fault(f"this is no JSON: {error.msg} at column {error.colno}")
        except _NoJsonError as error:
            source.fault(str(error))
        except (ValueError, RecursionError):
            source.fault("this JSON holds a number that is too long, or is nested too deep")
        else:
            if isinstance(row, dict):
                yield source.line, row
            else:
                source.fault('each line must be a JSON object, {"name": value, …}')


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for n, name in enumerate(names) if name in names[:n])
        raise _NoJsonError(f"the key `{printable(twice, 60)}` stands twice in this line")
    return row


def _no_constant(name: str) -> None:
    raise _NoJsonError(f"{name} is no JSON")
