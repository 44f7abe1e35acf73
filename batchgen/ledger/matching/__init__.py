"""Matching the books with the provider's bill."""

from batchgen.ledger.matching.bill import BillRow, bill_rows
from batchgen.ledger.matching.doubts import Doubt, JudgedDoubt, Verdict
from batchgen.ledger.matching.match import Difference, Match, matched

__all__ = ["BillRow", "Difference", "Doubt", "JudgedDoubt", "Match", "Verdict", "bill_rows", "matched"]
