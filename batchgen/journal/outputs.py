"""The outputs of a purchase: what the provider lists, and a row without an address for each that is still awaited.

As many as were ordered are awaited. If the provider never lists them all, the purchase ends without the rest, and the
rows stay: the files that came keep their numbers, and `verify` knows what is missing.
"""

import sqlite3
from dataclasses import dataclass, replace

from batchgen.api import Job
from batchgen.journal.attempts import Attempt, PendingOutput

FEWER_OUTPUTS = "fewer_outputs"
"""The `error_type` of a purchase that ended with fewer outputs than were ordered."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The outputs of one purchase at one moment."""

    left: list[PendingOutput]
    """Listed, and to be downloaded."""
    highest: int
    """The highest number of any, listed or awaited."""
    awaited: int
    """How many the provider has not listed yet and may still list."""


def numbered(job: Job) -> list[PendingOutput]:
    """Return the outputs that a job lists, each with its number, which counts from 1."""
    return [PendingOutput(number, url) for number, url in enumerate(job.outputs, 1) if url is not None]


class Outputs:
    """The journal's part about the outputs of attempts."""

    db: sqlite3.Connection

    def outputs_left(self, attempt: Attempt) -> list[PendingOutput]:
        """Return the outputs of a ready attempt that are listed, and not on disk yet."""
        rows = self.db.execute(
            "SELECT number, url FROM output WHERE attempt = ? AND path IS NULL AND url <> '' ORDER BY number",
            (attempt.key,),
        )
        return [PendingOutput(number, url) for number, url in rows]

    def outputs_of(self, attempt: Attempt) -> int:
        """Return the highest number of an output of the job, listed or awaited."""
        (highest,) = self.db.execute(
            "SELECT COALESCE(MAX(number), 0) FROM output WHERE attempt = ?", (attempt.key,)
        ).fetchone()
        return int(highest)

    def outputs_awaited(self, attempt: Attempt) -> int:
        """Return how many outputs the provider has not listed yet and may still list."""
        (count,) = self.db.execute(
            "SELECT COUNT(*) FROM output o JOIN attempt a ON a.key = o.attempt WHERE a.key = ? AND o.path IS NULL"
            " AND o.url = '' AND a.error_type IS NOT ?",
            (attempt.key, FEWER_OUTPUTS),
        ).fetchone()
        return int(count)

    def listing(self, attempt: Attempt) -> Listing:
        """Return the outputs of a ready attempt."""
        return Listing(self.outputs_left(attempt), self.outputs_of(attempt), self.outputs_awaited(attempt))

    def _put_outputs(self, attempt: Attempt, job: Job, ordered: int) -> Listing:
        """Update the rows to what the provider lists now; return as left only what it did not list before."""
        known = {number for (number,) in self.db.execute(
            "SELECT number FROM output WHERE attempt = ? AND (url <> '' OR path IS NOT NULL)", (attempt.key,)
        )}  # fmt: skip
        listed = numbered(job)
        self.db.execute("DELETE FROM output WHERE attempt = ? AND url = '' AND path IS NULL", (attempt.key,))
        self.db.executemany(
            "INSERT INTO output (attempt, number, url) VALUES (?, ?, ?)"
            # The outputs of a job that was lost may be known, and may even be on disk.
            " ON CONFLICT DO UPDATE SET url = excluded.url WHERE path IS NULL",
            [(attempt.key, output.number, output.url) for output in listed],
        )
        taken = known | {output.number for output in listed}
        free = (number for number in range(1, ordered + 1) if number not in taken)
        self.db.executemany(
            "INSERT INTO output (attempt, number, url) VALUES (?, ?, '')",
            [(attempt.key, number) for number, _ in zip(free, range(ordered - len(taken)), strict=False)],
        )
        listing = self.listing(attempt)
        return replace(listing, left=[output for output in listing.left if output.number not in known])
