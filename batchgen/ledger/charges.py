"""Charges, one for each row of a ledger, read from a run folder's journal or from a ledger file."""

import csv
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from batchgen.core.cells import unguarded
from batchgen.core.costs import cost_of
from batchgen.core.credentials import SIMULATED_KEY
from batchgen.core.errors import UsageError
from batchgen.core.records import State
from batchgen.core.text import printable
from batchgen.journal import FILE_NAME, is_simulated, moment, open_for_reading, sqlite_errors
from batchgen.journal.queries.report_rows import charge_rows, facts_of, pickable_attempts_of
from batchgen.ledger.columns import COLUMNS, EARLIER_COLUMNS, MONEY_COLUMNS, TAG_PREFIX, TRUE
from batchgen.ledger.flags import flags_of
from batchgen.picks import picked_outputs, read_picks


@dataclass(frozen=True, slots=True)
class PickCounts:
    """How many outputs of an attempt people kept and rejected."""

    kept: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class Charge:
    """One row of a ledger, as far as costs go. USD, with the signs of the ledger."""

    run: str
    item_id: str
    attempt: int
    """0: a skipped item, which was never sent."""
    digest: str
    state: State
    model: str
    estimated: Decimal
    """By the catalogue when it was bought."""
    charged: Decimal
    refunded: Decimal
    """Negative or 0."""
    in_doubt: Decimal
    submitted_at: datetime | None
    accepted_at: datetime | None
    completed_at: datetime | None
    refunded_at: datetime | None
    tags: Mapping[str, str]
    """Only those with a value."""
    simulated: bool
    """Whether the money is simulated."""
    job_id: str
    """Empty: unknown."""
    account: str
    """The fingerprint of the key; empty for a skipped item."""
    outputs: int
    """Files that were delivered."""
    flags: tuple[str, ...]
    """What was found about its files."""
    picks: PickCounts | None
    """None: not at hand, as in a ledger file."""

    @property
    def charged_at(self) -> datetime | None:
        """When the charge counts: as it was accepted, or (in doubt) submitted; None: it was never sent."""
        return self.accepted_at or self.submitted_at


def run_charges(folder: Path) -> Iterator[Charge]:
    """Yield the charges of a run folder, from one snapshot of its journal, in no order, with its picks.

    Raises RunFolderError.
    """
    path = folder / FILE_NAME
    with closing(open_for_reading(path)) as db, sqlite_errors(path):
        facts = facts_of(db)
        run, simulated = facts.get("run", folder.name), is_simulated(facts)
        picks = _picks_of(folder, db)
        for row in charge_rows(db):
            cost = cost_of(row.state, row.estimated, row.reserved, row.charged, row.refunded)
            yield Charge(
                run=run,
                item_id=row.item_id,
                attempt=row.number,
                digest=row.digest,
                state=State(row.state),
                model=row.model,
                estimated=cost.estimated,
                charged=cost.charged,
                refunded=cost.refunded,
                in_doubt=cost.in_doubt,
                submitted_at=_second(row.submitted_at),
                accepted_at=_second(row.accepted_at),
                completed_at=_second(row.completed_at),
                refunded_at=_second(row.refunded_at),
                tags={name: value for name, value in json.loads(row.tags).items() if value},
                simulated=simulated,
                job_id=row.job_id or "",
                account=row.account or "",
                outputs=row.outputs,
                flags=flags_of(row.error_type, row.flags, stale=bool(row.stale)),
                picks=picks.get((row.item_id, row.digest, row.number), _NOT_PICKED),
            )


def _picks_of(folder: Path, db: sqlite3.Connection) -> dict[tuple[str, str, int], PickCounts]:
    """Return by item, digest and attempt what was picked; memory grows with the picks."""
    picks = read_picks(folder)
    found: dict[tuple[str, str, int], PickCounts] = {}
    for item_id in {pick.item for pick in picks.values()}:
        for attempt, output in pickable_attempts_of(db, item_id):
            choice = next(picked_outputs([output], picks)).choice
            if choice:
                before = found.get(key := (item_id, output[1], attempt), _NOT_PICKED)
                found[key] = PickCounts(before.kept + (choice == "keep"), before.rejected + (choice == "reject"))
    return found


_NOT_PICKED = PickCounts()


def file_charges(path: Path) -> Iterator[Charge]:
    """Yield the charges of a ledger file, in its order. Raises UsageError that names file and line of what is wrong."""
    csv.field_size_limit(LARGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            yield from _charges(path, lines)
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text; export it as CSV in UTF-8") from error
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def charges_of(folders: Iterable[Path], files: Iterable[Path]) -> Iterator[Charge]:
    """Yield the charges of run folders, then those of ledger files: of two copies of a purchase the first counts, and a
    journal is never older than its ledger. Raises RunFolderError, UsageError."""
    for folder in folders:
        yield from run_charges(folder)
    for file in files:
        yield from file_charges(file)


LARGEST_CELL = 16 * 1024 * 1024
_MONEY = re.compile(r"-?\d{1,12}(\.\d{1,24})?", re.ASCII)
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_WHOLE = re.compile(r"\d{1,9}", re.ASCII)
_STATES = frozenset(State)


class _BadCellError(Exception):
    """Says what is wrong with one row; `_charges` adds where."""


def _charges(path: Path, lines: Iterable[str]) -> Iterator[Charge]:
    reader, line = csv.reader(lines, strict=True), 1
    try:
        header = next(reader, [])
        columns = EARLIER_COLUMNS if header[len(EARLIER_COLUMNS) - 1 :][:1] == ["tables"] else COLUMNS
        tags = _tags_of(header, columns)
        line = reader.line_num + 1
        for row in reader:
            if row:  # spreadsheets leave blank lines at the end
                yield _charge(row, columns, tags)
            line = reader.line_num + 1
    except (csv.Error, _BadCellError) as error:
        raise UsageError(f"{path}:{line}: {error}") from error


def _tags_of(header: Sequence[str], columns: Sequence[str]) -> list[str]:
    for wanted, found in zip(columns, header, strict=False):
        if wanted != found:
            raise _BadCellError(
                f"this is not a batchgen ledger: expected column {wanted}, got {printable(found, 60)!r}"
            )
    if len(header) < len(columns):
        raise _BadCellError(f"this is not a batchgen ledger: column {columns[len(header)]} is missing")
    names = header[len(columns) :]
    for name in names:
        if not name.startswith(TAG_PREFIX):
            raise _BadCellError(f"this is not a batchgen ledger: unknown column {printable(name, 60)!r}")
    return [name.removeprefix(TAG_PREFIX) for name in names]


def _charge(row: Sequence[str], columns: Sequence[str], tags: Sequence[str]) -> Charge:
    if len(row) != len(columns) + len(tags):
        raise _BadCellError(f"{len(row)} cells where the header has {len(columns) + len(tags)}")
    cells = dict(zip(columns, row, strict=False))
    if cells["state"] not in _STATES:
        raise _BadCellError(f"state {_shown(cells['state'])} is none of {', '.join(State)}")
    if not _WHOLE.fullmatch(cells["attempt"]):
        raise _BadCellError(f"attempt {_shown(cells['attempt'])} is not a whole number")
    estimated, charged, refunded, net, in_doubt = (_money(cells, name) for name in MONEY_COLUMNS)
    if net != charged + refunded:
        raise _BadCellError(f"net_usd {net} is not the sum of charged_usd {charged} and refunded_usd {refunded}")
    return Charge(
        run=unguarded(cells["run"]),
        item_id=unguarded(cells["item_id"]),
        attempt=int(cells["attempt"]),
        digest=cells["request_digest"],
        state=State(cells["state"]),
        model=unguarded(cells["model"]),
        estimated=estimated,
        charged=charged,
        refunded=refunded,
        in_doubt=in_doubt,
        submitted_at=_time(cells, "submitted_at"),
        accepted_at=_time(cells, "accepted_at"),
        completed_at=_time(cells, "completed_at"),
        refunded_at=_time(cells, "refunded_at"),
        tags={name: unguarded(cell) for name, cell in zip(tags, row[len(columns) :], strict=True) if cell},
        simulated=_simulated(cells),
        job_id=unguarded(cells["job_id"]),
        account=unguarded(cells["account"]),
        outputs=len(cells["files"].split(";")) if cells["files"] else 0,
        flags=_flags(cells),
        picks=None,
    )


def _flags(cells: Mapping[str, str]) -> tuple[str, ...]:
    # The earlier layout has no such column, but what is flagged stands in its error type.
    if "flags" not in cells:
        return flags_of(cells["error_type"], None, stale=False)
    return tuple(cells["flags"].split(";")) if cells["flags"] else ()


def _simulated(cells: Mapping[str, str]) -> bool:
    # The earlier layout does not say so, but only the embedded simulator has this account.
    if "simulated" not in cells:
        return cells["account"] == SIMULATED_KEY.fingerprint
    # A spreadsheet writes the word its own way.
    if cells["simulated"].lower() not in ("", TRUE):
        raise _BadCellError(f"simulated {_shown(cells['simulated'])} is neither empty nor {TRUE}")
    return bool(cells["simulated"])


def _money(cells: Mapping[str, str], name: str) -> Decimal:
    if not _MONEY.fullmatch(cells[name]):
        raise _BadCellError(f"{name} {_shown(cells[name])} is not an amount in plain digits")
    return Decimal(cells[name])


def _time(cells: Mapping[str, str], name: str) -> datetime | None:
    if not cells[name]:
        return None
    try:
        if not _STAMP.fullmatch(cells[name]):
            raise ValueError("another form")
        return datetime.fromisoformat(cells[name])  # far faster than strptime
    except ValueError as error:
        raise _BadCellError(f"{name} {_shown(cells[name])} is not a time such as 2026-01-31T18:00:00Z") from error


def _shown(cell: str) -> str:
    return repr(printable(cell, 60))


def _second(milliseconds: int | None) -> datetime | None:
    """The moment as a ledger file shows it, so that both sources name a purchase alike."""
    return None if milliseconds is None else moment(milliseconds // 1000 * 1000)
