"""Ledger and report are not written again where they would come out the same.

Each is noted in the journal once it is on disk, with a digest of what it was written from beside the tables
(`batchgen.journal.written` drops the note when these change) and of the file itself: one that was edited, replaced or
removed is written again.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchgen.core.version import __version__
from batchgen.journal import Journal, is_simulated
from batchgen.journal.recovery.reconcile import vouched_of
from batchgen.journal.written import LEDGER, REPORT
from batchgen.ledger import LEDGER_NAME, LedgerTotals, write_ledger
from batchgen.picks import FILE_NAME as PICKS
from batchgen.report import FILE_NAME, files_of_report
from batchgen.standing.last_run import last_run_fact, last_run_of

PUBLISHED = "published_ledger"
"""The fact that names the SHA-256 of the ledger that was uploaded beside the outputs last."""
_NOT_SHOWN = frozenset({"ledger", LEDGER, REPORT, PUBLISHED})
"""Facts about the folder that no report depends on."""


def write_ledger_if_changed(name: str, journal: Journal) -> LedgerTotals:
    """Write the ledger of a run, unless the one on disk is what would be written, and return its sums.

    Raises RunFolderError, DiskError.
    """
    folder = journal.path.parent
    facts = journal.facts()
    basis = _digest([__version__, name, is_simulated(facts), _receipts(journal)])
    noted = _noted(facts, LEDGER)
    if noted and (noted["basis"], noted["sha256"]) == (basis, _sha256(folder / LEDGER_NAME)):
        return LedgerTotals.from_json(noted["totals"])
    totals = write_ledger(name, folder)
    note = {"basis": basis, "sha256": _sha256(folder / LEDGER_NAME), "totals": totals.as_json()}
    with journal.transaction():
        journal.note_written(**{LEDGER: json.dumps(note)})
    return totals


def write_report_if_changed(journal: Journal, before: Callable[[], None]) -> Path:
    """Write the report of a run that has ended, unless the one on disk shows the same; return where it is.

    `before` is called before one is written. The times of the last invocation are left out: one that has changed
    nothing is not worth a report. Raises RunFolderError, DiskError.
    """
    folder = journal.path.parent
    basis = _report_basis(journal)  # taken first: a pick that is made meanwhile may not be in it
    if _noted(journal.facts(), REPORT) == _report_note(folder, basis):
        return folder / FILE_NAME
    before()
    from batchgen.report.writer import write_report  # with the whole page, which an unchanged report does not need

    written = write_report(folder, ended=True).path
    with journal.transaction():
        journal.note_written(**{REPORT: json.dumps(_report_note(folder, basis))})
    return written


def _report_note(folder: Path, basis: str) -> dict[str, str]:
    return {"basis": basis, "files": _digest(_marks(files_of_report(folder)))}


def _report_basis(journal: Journal) -> str:
    facts = journal.facts()
    last = replace(last_run_of(facts), began_at=None, ended_at=None)
    if last.budget is None:
        last = replace(last, spent_before=Decimal(0))  # it only says where the budget ends
    shown = {name: value for name, value in facts.items() if name not in _NOT_SHOWN} | last_run_fact(last)
    return _digest([__version__, shown, _receipts(journal), _marks([journal.path.with_name(PICKS)])])


def _noted(facts: Mapping[str, str], name: str) -> dict[str, Any]:
    try:
        noted = json.loads(facts.get(name, "{}"))
    except ValueError:
        return {}  # then it is written again
    return noted if isinstance(noted, dict) else {}


def _receipts(journal: Journal) -> list[object]:
    """Return what changes with each purchase, whoever records it: an older batchgen drops no notes."""
    vouched = vouched_of(journal.db)
    return [vouched.generation, vouched.bytes, vouched.sha256]


def _digest(values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _marks(paths: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Return name, length and time of each file that exists."""
    marks = []
    for path in paths:
        try:
            found = path.stat()
        except OSError:
            continue
        marks.append((path.name, found.st_size, found.st_mtime_ns))
    return marks
