"""The ledger file beside the journal: each row is what would be written now, or what could be written before."""

import csv
import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from batchgen.core.records import PAID, UNANSWERED, State
from batchgen.core.text import plural, printable
from batchgen.journal.queries.balance_rows import has_job, has_jobless_loss
from batchgen.ledger.balance.finding import Finding
from batchgen.ledger.charges import LARGEST_CELL
from batchgen.ledger.columns import COLUMNS, EARLIER_COLUMNS, MONEY_COLUMNS, TAG_PREFIX
from batchgen.ledger.writer import LEDGER_NAME, current_rows

_KEY = ("item_id", "attempt", "request_digest")
_SAME_FOR_EVER = ("model", "estimated_usd", "account", "simulated")
_LATER = {
    **dict.fromkeys(UNANSWERED, frozenset(State)),
    **dict.fromkeys(PAID - {State.DONE}, PAID | {State.FAILED}),
    State.DONE: PAID,
}
"""By the state of a row, the states that the same attempt can be in later.

A journal that was restored from the receipts polls what was ready or done before.
"""
_COMPARED = (*_SAME_FOR_EVER, *MONEY_COLUMNS, "state", "job_id")


class _UnreadableError(Exception):
    """Says where a ledger cannot be read, and why."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def compare_ledger(db: sqlite3.Connection, folder: Path, run: str) -> Iterator[Finding]:
    """Yield where the ledger file of a run folder does not fit its journal `db`; that it is older is no fault."""
    path = folder / LEDGER_NAME
    if not path.exists():
        yield Finding(LEDGER_NAME, "is not written yet", is_fault=False)
        return
    try:
        header = _take_rows(db, path)
    except _UnreadableError as error:
        yield Finding(f"{LEDGER_NAME}:{error.line}", str(error))
        return
    except UnicodeDecodeError:
        yield Finding(LEDGER_NAME, "is not UTF-8 text")
        return
    except OSError as error:
        yield Finding(LEDGER_NAME, f"cannot be read: {error.strerror}")
        return
    behind = 0
    for cells in _current_cells(db, run, header):
        now = dict(zip(header, cells, strict=True))
        known = db.execute(_TAKE, [now[name] for name in _KEY]).fetchone()
        if known is None:
            behind += 1
            continue
        line, digest, compared = known
        if digest == _digest(cells):
            continue
        faults = list(_faults(json.loads(compared), now))
        behind += not faults
        for fault in faults:
            yield Finding(f"{LEDGER_NAME}:{line}", f"{_purchase(now['item_id'], now['attempt'])}: {fault}")
    for line, item, attempt, digest, state, job in db.execute(_LEFT):
        if _may_be_gone(db, int(attempt), digest, state, job):
            behind += 1
        else:
            name = _purchase(item, attempt) + (f", job {printable(job, 100)}" if job else "")
            yield Finding(f"{LEDGER_NAME}:{line}", f"{name}: not in the journal")
    if behind:
        message = f"is behind the journal by {plural(behind, 'row')}; `batchgen run` and `collect` write it again"
        yield Finding(LEDGER_NAME, message, is_fault=False)


def _current_cells(db: sqlite3.Connection, run: str, header: Sequence[str]) -> Iterator[list[str]]:
    """Yield the rows that would be written now, in the columns of `header`."""
    columns, rows = current_rows(db, run)
    places = {name: place for place, name in enumerate(columns)}
    places["tables"] = places["catalog_version"]
    chosen = [places.get(name) for name in header]
    for row in rows:
        yield ["" if place is None or row[place] is None else str(row[place]) for place in chosen]


def _take_rows(db: sqlite3.Connection, path: Path) -> list[str]:
    """Read the file into a temporary table beside the journal, and return its header."""
    db.execute(_TABLE)
    csv.field_size_limit(LARGEST_CELL)
    line = 1
    with path.open(encoding="utf-8", newline="") as lines:
        reader = csv.reader(lines, strict=True)
        try:
            header = next(reader, [])
            _check_header(header)
            line = reader.line_num + 1
            for row in reader:
                if row:
                    _take_row(db, header, row, line)
                line = reader.line_num + 1
        except csv.Error as error:
            raise _UnreadableError(line, str(error)) from error
    return header


def _check_header(header: Sequence[str]) -> None:
    for columns in (COLUMNS, EARLIER_COLUMNS):
        if tuple(header[: len(columns)]) == columns and all(n.startswith(TAG_PREFIX) for n in header[len(columns) :]):
            return
    raise _UnreadableError(1, "is not the header of a ledger")


def _take_row(db: sqlite3.Connection, header: Sequence[str], row: Sequence[str], line: int) -> None:
    if len(row) != len(header):
        raise _UnreadableError(line, f"{len(row)} cells where the header has {len(header)}")
    cells = dict(zip(header, row, strict=True))
    if cells["state"] not in tuple(State) or not cells["attempt"].isdecimal():
        raise _UnreadableError(line, "is not a row of a ledger")
    compared = json.dumps({name: cells.get(name, "") for name in _COMPARED})
    key = (cells[name] for name in _KEY)
    added = db.execute(_ADD, (*key, line, _digest(row), cells["state"], cells["job_id"], compared))
    if not added.rowcount:
        raise _UnreadableError(line, f"{_purchase(cells['item_id'], cells['attempt'])} has two rows")


def _digest(row: Sequence[str]) -> bytes:
    return hashlib.blake2b("\0".join(row).encode(), digest_size=16).digest()


def _faults(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """Yield what cannot have changed between a row of the file and the row that would be written now."""
    state, later = State(before["state"]), State(now["state"])
    same = state is later
    if not same and later not in _LATER.get(state, ()):
        yield f"it is {state}, in the journal {later}"
        return
    fixed = [*_SAME_FOR_EVER]
    if before["job_id"] or same:
        fixed.append("job_id")
    if same or {state, later} <= PAID:
        # A poll may name another price, and then the charge is another one.
        fixed += ("refunded_usd", "in_doubt_usd") if State.PROCESSING in (state, later) else MONEY_COLUMNS
    for name in dict.fromkeys(fixed):
        if name in now and before[name] != now[name]:
            yield f"{name} is {_shown(before[name])}, expected {_shown(now[name])}"


def _may_be_gone(db: sqlite3.Connection, attempt: int, digest: str, state: str, job: str) -> bool:
    """Whether the journal can lack a row: it was never charged, or it belongs to another item since a rename."""
    if job:
        return has_job(db, job)
    if state == State.LOST:  # charged, without a known job
        return has_jobless_loss(db, digest)
    return not attempt or state in UNANSWERED


def _shown(cell: str) -> str:
    return printable(cell, 100) or "empty"


def _purchase(item: object, attempt: object) -> str:
    return f"{printable(str(item), 120)}, attempt {attempt}"


_TABLE = """
CREATE TEMP TABLE written (
  item TEXT, number TEXT, digest TEXT, line INTEGER NOT NULL, hash BLOB NOT NULL, state TEXT NOT NULL,
  job TEXT NOT NULL, compared TEXT NOT NULL,  -- a JSON object of the cells that are compared
  PRIMARY KEY (item, number, digest)
) WITHOUT ROWID
"""
_ADD = "INSERT OR IGNORE INTO temp.written VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_TAKE = "DELETE FROM temp.written WHERE item = ? AND number = ? AND digest = ? RETURNING line, hash, compared"
_LEFT = "SELECT line, item, number, digest, state, job FROM temp.written ORDER BY line"
