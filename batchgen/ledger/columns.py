"""The ledger's columns."""

MEANINGS = {
    "run": "the run's name",
    "item_id": "the item",
    "attempt": "which purchase of the item, from 1; 0 where an item ended without one (skipped)",
    "state": "the state of the attempt",
    "model": "the model",
    "prompt": "the prompt as it was sent",
    "params": "the other parameters as they were sent, as JSON",
    "request_digest": "what identifies the request, with the item's id",
    "estimated_usd": "the catalogue price",
    "charged_usd": "what the API charged",
    "refunded_usd": "what came back: negative, or 0",
    "net_usd": "charged_usd + refunded_usd; the sum of the column is what was paid",
    "in_doubt_usd": "what may have been charged besides; counts nowhere else",
    "job_id": "the job at the provider",
    "account": "the fingerprint of the API key",
    "submitted_at": "when the request was sent (UTC, as all times)",
    "accepted_at": "when the API accepted the job",
    "completed_at": "when the job was completed",
    "refunded_at": "when the charge was refunded",
    "inference_ms": "how long the model worked, milliseconds",
    "polls": "how often the job was polled",
    "files": "its files, relative to the run folder, separated by ;",
    "bytes": "the size of its files together",
    "sha256": "the SHA-256 of each file, separated by ;",
    "error_type": "what went wrong, in one word",
    "error_message": "what went wrong, as the API or batchgen said it",
    "expires_at": "until when the provider keeps the job and its files",
    "source": "where the item is in the manifest or its rows, as file:line",
    "catalog_version": "the version of the parameter tables",
    "simulated": "true for pretended money, else empty",
    "flags": "what was noticed about its files, separated by ;",
}
"""Each column, in the order of the file, and what it holds; one `tag_NAME` for each tag follows."""
COLUMNS = tuple(MEANINGS)
EARLIER_COLUMNS = (*COLUMNS[: COLUMNS.index("catalog_version")], "tables")
"""The columns of the earlier layout, which is still read."""
MONEY_COLUMNS = ("estimated_usd", "charged_usd", "refunded_usd", "net_usd", "in_doubt_usd")
TAG_PREFIX = "tag_"
TRUE = "true"
"""What `simulated` contains for simulated money; otherwise it is empty."""
