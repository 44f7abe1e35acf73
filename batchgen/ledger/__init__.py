"""The ledger of a run: what each purchase cost.

Only what writes it is offered here; what reads ledgers is in the other modules, which a run does not load.
"""

from batchgen.ledger.columns import COLUMNS
from batchgen.ledger.writer import LEDGER_NAME, LedgerTotals, next_write, write_ledger

__all__ = ["COLUMNS", "LEDGER_NAME", "LedgerTotals", "next_write", "write_ledger"]
