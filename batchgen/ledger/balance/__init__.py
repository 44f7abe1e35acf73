"""Whether the books of a run folder balance: journal, receipts and ledger beside each other."""

from batchgen.ledger.balance.books import Balance, check_books
from batchgen.ledger.balance.finding import Finding

__all__ = ["Balance", "Finding", "check_books"]
