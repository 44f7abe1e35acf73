"""The ledger: what every attempt cost, as a file whose sums equal the account's, and cost reports over it."""

from batchgen.ledger.cells import COLUMNS
from batchgen.ledger.charges import Charge, file_charges, run_charges
from batchgen.ledger.costs import CostReport, cost_report, group_key
from batchgen.ledger.formats import as_csv, as_json, as_table
from batchgen.ledger.writer import LEDGER_NAME, LedgerTotals, next_write, write_ledger

__all__ = [
    "COLUMNS",
    "LEDGER_NAME",
    "Charge",
    "CostReport",
    "LedgerTotals",
    "as_csv",
    "as_json",
    "as_table",
    "cost_report",
    "file_charges",
    "group_key",
    "next_write",
    "run_charges",
    "write_ledger",
]
