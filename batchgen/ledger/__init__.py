"""The ledger: what every attempt cost, as a file whose sums equal the account's, and cost reports over it."""

from batchgen.ledger.charges import Charge, charges_of, file_charges, run_charges
from batchgen.ledger.columns import COLUMNS
from batchgen.ledger.costs import CostReport, cost_report
from batchgen.ledger.focus import FocusRows
from batchgen.ledger.formats import as_csv, as_json
from batchgen.ledger.period import Period, read_period
from batchgen.ledger.reported import Reported
from batchgen.ledger.table import as_table
from batchgen.ledger.writer import LEDGER_NAME, LedgerTotals, next_write, write_ledger

__all__ = [
    "COLUMNS",
    "LEDGER_NAME",
    "Charge",
    "CostReport",
    "FocusRows",
    "LedgerTotals",
    "Period",
    "Reported",
    "as_csv",
    "as_json",
    "as_table",
    "charges_of",
    "cost_report",
    "file_charges",
    "next_write",
    "read_period",
    "run_charges",
    "write_ledger",
]
