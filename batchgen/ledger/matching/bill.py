"""Reads a bill: a CSV file of others, in which nothing is guessed. What cannot be read for certain is an error."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from batchgen.core.cells import unguarded
from batchgen.core.errors import UsageError
from batchgen.core.text import printable, usd
from batchgen.ledger.matching.exact import exact_sum

JOB_COLUMN = "job_id"
AMOUNT_COLUMN = "amount"
_DELIMITERS = (",", ";", "\t", "|")
_LONGEST_ID = 256
_SPACES = re.compile(r"[\s_-]+")
_DOLLARS = r"(?:US\$|\$|USD)?"
# A comma may stand between thousands only where a decimal point follows: "1,234" is another amount in each country.
_AMOUNT = re.compile(
    rf"(?P<open>\()?(?P<sign>[-+\u2212]?){_DOLLARS}\s*(?P<inner>[-\u2212]?)"
    rf"(?P<whole>\d{{1,12}}|\d{{1,3}}(?:,\d{{3}}){{1,3}}(?=\.)|(?=\.))(?P<fraction>\.\d{{1,12}})?\s*{_DOLLARS}(?P<close>\))?",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class BillRow:
    """One row of a bill."""

    line: int
    job_id: str
    amount: Decimal
    """USD; negative for what was given back."""


class _BadRowError(Exception):
    """Says what is wrong with one row; `bill_rows` adds where."""

    def __init__(self, text: str, line: int | None = None) -> None:
        super().__init__(text)
        self.line = line
        """None: that of the row which is being read."""


def bill_rows(
    path: Path, job_column: str = JOB_COLUMN, amount_column: str = AMOUNT_COLUMN, name: str | None = None
) -> Iterator[BillRow]:
    """Yield the rows of a bill that name a job.

    Column names match in any case, with spaces, hyphens or underscores. The delimiter is the one by which the header
    has both columns: a comma, a semicolon, a tab or a bar. Rows without a job are totals: each must be the sum of
    all rows above it. `name` is what messages call the file; None: its path. Raises UsageError that names file and line
    of what is wrong.
    """
    line, called = 1, name or str(path)
    try:
        delimiter = _delimiter_of(path, (job_column, amount_column))
        rows = _filled_rows(path, delimiter)
        line, header = next(rows, (1, []))
        job, amount = (
            _index(header, name, option) for name, option in zip((job_column, amount_column), _OPTIONS, strict=True)
        )
        total = Decimal(0)
        for line, cells in rows:
            row = _read(line, _fitting(cells, header), job, amount)
            if row.job_id:
                total = exact_sum(total, row.amount)
                yield row
            elif row.amount != total:
                raise _BadRowError(
                    f"the row names no job, so it must be a total, but {usd(row.amount)} is not the sum of the rows"
                    f" above, {usd(total)}"
                )
    except UnicodeDecodeError as error:
        raise UsageError(f"{called} is not UTF-8 text; export it as CSV in UTF-8") from error
    except OSError as error:
        raise UsageError(f"cannot read {called}: {error.strerror}") from error
    except _BadRowError as error:
        raise UsageError(f"{called}:{error.line or line}: {error}") from error


_OPTIONS = ("--job-column", "--amount-column")


def _filled_rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line and cells of each row in which anything stands."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader, line = csv.reader(lines, delimiter=delimiter, strict=True), 1
        try:
            for row in reader:
                if any(cell.strip() for cell in row):
                    yield line, row
                line = reader.line_num + 1
        except csv.Error as error:
            raise _BadRowError(str(error), line) from error


def _delimiter_of(path: Path, columns: Sequence[str]) -> str:
    """Return the delimiter by which the header has all `columns`, else the one by which it has most cells."""
    best, most = _DELIMITERS[0], 0
    for delimiter in _DELIMITERS:
        try:
            _, header = next(_filled_rows(path, delimiter), (1, []))
        except _BadRowError:
            continue  # not quoted as with this one; the reading itself says what is wrong
        names = {_plain(cell) for cell in header}
        if all(_plain(column) in names for column in columns):
            return delimiter
        if len(header) > most:
            best, most = delimiter, len(header)
    return best


def _plain(name: str) -> str:
    return _SPACES.sub("_", name.strip().casefold())


def _index(header: Sequence[str], name: str, option: str) -> int:
    places = [place for place, cell in enumerate(header) if _plain(cell) == _plain(name)]
    if len(places) == 1:
        return places[0]
    if places:
        raise _BadRowError(f"{len(places)} columns are called {printable(name, 60)!r}; name another one with {option}")
    found = ", ".join(repr(printable(cell.strip(), 60)) for cell in header[:20]) or "none"
    raise _BadRowError(f"there is no column {printable(name, 60)!r}; name it with {option}. Found: {found}")


def _fitting(cells: list[str], header: Sequence[str]) -> list[str]:
    """Return `cells` as wide as the header. Raises _BadRowError where that is not certain."""
    filled = len(cells)
    while filled and not cells[filled - 1].strip():
        filled -= 1
    if filled > len(header):
        raise _BadRowError(
            f"{filled} cells where the header has {len(header)}; a cell with a delimiter inside must be quoted"
        )
    return cells + [""] * (len(header) - len(cells))


def _read(line: int, cells: Sequence[str], job: int, amount: int) -> BillRow:
    job_id, text = unguarded(cells[job].strip()), cells[amount].strip()
    if len(job_id) > _LONGEST_ID or not job_id.isprintable():
        raise _BadRowError(f"{printable(job_id, 60)!r} is not a job id of up to {_LONGEST_ID} printable characters")
    if not text:
        raise _BadRowError(
            f"job {printable(job_id, 100)} has no amount" if job_id else "the row has neither job nor amount"
        )
    # The words that spreadsheets put before a total, in the column of the jobs.
    return BillRow(line, "" if _plain(job_id).strip(":") in _TOTALS else job_id, _amount(text))


_TOTALS = frozenset({"", "total", "subtotal", "sub_total", "grand_total", "sum"})


def _amount(text: str) -> Decimal:
    found = _AMOUNT.fullmatch(unguarded(text).replace("\u00a0", " "))
    if found is None or bool(found["open"]) != bool(found["close"]):
        raise _BadRowError(
            f"the amount {printable(text, 60)!r} is not USD in plain digits, such as 1234.50 or $1,234.50"
        )
    signs = [found["sign"], found["inner"], "-" if found["open"] else ""]
    if sum(map(bool, signs)) > 1:
        raise _BadRowError(f"the amount {printable(text, 60)!r} has more than one sign")
    value = Decimal(f"{found['whole'].replace(',', '') or '0'}{found['fraction'] or ''}")
    return -value if "".join(signs) in ("-", "\u2212") else value
