"""Checks the books of a run folder against each other, also while a run writes them. Nothing is written."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from batchgen.core.costs import CostSum, cost_of
from batchgen.journal import FILE_NAME, Spend, open_for_reading, spend_of, sqlite_errors
from batchgen.journal.integrity import content_fault, value_fault
from batchgen.journal.lock import owner
from batchgen.journal.queries.balance_rows import attempt_count
from batchgen.journal.queries.report_rows import charge_rows, facts_of
from batchgen.ledger.balance.finding import Finding
from batchgen.ledger.balance.ledger_file import compare_ledger
from batchgen.ledger.balance.receipts import compare_receipts
from batchgen.receipts import FILE_NAME as RECEIPTS
from batchgen.receipts.reading import open_receipts

MOST = 1_000
"""As many faults are kept; the others are counted."""


@dataclass(slots=True)
class Balance:
    """What a check of one run folder has found."""

    run: str
    folder: Path
    purchases: int
    spend: Spend
    running: bool
    faults: list[Finding] = field(default_factory=list)
    """The first `MOST`."""
    more: int = 0
    """How many faults there are beyond these."""
    notes: list[Finding] = field(default_factory=list)

    @property
    def balances(self) -> bool:
        """Whether journal, receipts and ledger agree, as far as each of them goes."""
        return not self.faults

    def add(self, findings: Iterator[Finding]) -> None:
        """Take findings."""
        for finding in findings:
            if not finding.is_fault:
                self.notes.append(finding)
            elif len(self.faults) < MOST:
                self.faults.append(finding)
            else:
                self.more += 1


def check_books(folder: Path) -> Balance:
    """Return whether the journal, the receipts and the ledger file of a run folder agree.

    Memory does not grow with the purchases. While a run goes on, what the receipts know beyond the journal is no fault,
    and a ledger that is older than the journal never is. Raises RunFolderError for a journal that cannot be read.
    """
    path = folder / FILE_NAME
    running = owner(folder) is not None
    with closing(open_for_reading(path)) as db, sqlite_errors(path):
        facts = facts_of(db)  # the first read takes the snapshot; the receipts are read after it
        run = facts.get("run", folder.name)
        balance = Balance(run, folder, attempt_count(db), spend_of(db), running)
        balance.add(_journal_faults(db, balance.spend))
        with open_receipts(folder / RECEIPTS) as reader:
            # A run may have begun, or ended, since the snapshot was taken.
            running = running or owner(folder) is not None
            balance.add(compare_receipts(db, reader, running=running))
        balance.add(compare_ledger(db, folder, run))
    return balance


def _journal_faults(db: sqlite3.Connection, spend: Spend) -> Iterator[Finding]:
    if fault := content_fault(db) or value_fault(db):
        yield Finding(FILE_NAME, fault)
    total = CostSum()
    for row in charge_rows(db):
        total.add(cost_of(row.state, row.estimated, row.reserved, row.charged, row.refunded))
    if (total.charged, -total.refunded, total.in_doubt) != (spend.charged, spend.refunded, spend.in_doubt):
        yield Finding(FILE_NAME, "the sum of its rows is not the sum that its budget counts with")
