"""The second record of what was bought: `receipts.jsonl`, beside the journal and independent of it."""

from batchgen.receipts.file import FILE_NAME, Receipts, ReceiptsSink, Vouched, replace_with
from batchgen.receipts.lines import (
    FORMAT_VERSION,
    Line,
    accepted,
    bound,
    ended,
    header,
    intent,
    plain,
    read_line,
    renamed,
    reopened,
    settled,
    stored,
    void,
)

__all__ = [
    "FILE_NAME",
    "FORMAT_VERSION",
    "Line",
    "Receipts",
    "ReceiptsSink",
    "Vouched",
    "accepted",
    "bound",
    "ended",
    "header",
    "intent",
    "plain",
    "read_line",
    "renamed",
    "reopened",
    "replace_with",
    "settled",
    "stored",
    "void",
]
