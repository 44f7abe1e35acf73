"""The outputs of a purchase: what the provider lists, and a row without an address for each that is still awaited.

As many as were ordered are awaited. If the provider never lists them all, the purchase ends without the rest, and the
rows stay: the files that came keep their numbers, and `verify` knows what is missing.
"""

import sqlite3
from dataclasses import dataclass

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
    count: int
    """How many there are, listed or awaited."""
    awaited: int
    """How many the provider has not listed yet and may still list."""


def numbered(job: Job) -> list[PendingOutput]:
    """Return the outputs that a job lists, each with its number, which counts from 1."""
    return [PendingOutput(number, url) for number, url in enumerate(job.outputs, 1) if url is not None]


class Outputs:
    """The journal's part about the outputs of attempts."""

    db: sqlite3.Connection

    def listing(self, attempt: Attempt) -> Listing:
        """Return the outputs of a ready attempt."""
        left, highest, count, awaited = list[PendingOutput](), 0, 0, 0
        for number, url, path, error_type in self.db.execute(
            "SELECT o.number, o.url, o.path, a.error_type FROM output o JOIN attempt a ON a.key = o.attempt"
            " WHERE o.attempt = ? ORDER BY o.number",
            (attempt.key,),
        ):
            highest = int(number)
            count += 1
            if path is None and url:
                left.append(PendingOutput(highest, url))
            elif path is None:
                awaited += error_type != FEWER_OUTPUTS
        return Listing(left, highest, count, awaited)

    def _put_outputs(self, attempt: Attempt, job: Job, ordered: int) -> set[int]:
        """Update the rows to what the provider lists now; return the numbers of those that were known before."""
        rows = self.db.execute(
            "SELECT number, url <> '' OR path IS NOT NULL FROM output WHERE attempt = ?", (attempt.key,)
        ).fetchall()
        known = {number for number, was_listed in rows if was_listed}
        listed = numbered(job)
        if len(known) < len(rows):
            self.db.execute("DELETE FROM output WHERE attempt = ? AND url = '' AND path IS NULL", (attempt.key,))
        self.db.executemany(
            "INSERT INTO output (attempt, number, url) VALUES (?, ?, ?)"
            # The outputs of a job that was lost may be known, and may even be on disk.
            " ON CONFLICT DO UPDATE SET url = excluded.url WHERE path IS NULL",
            [(attempt.key, output.number, output.url) for output in listed],
        )
        taken = known | {output.number for output in listed}
        free = (number for number in range(1, ordered + 1) if number not in taken)
        if missing := [(attempt.key, number) for number, _ in zip(free, range(ordered - len(taken)), strict=False)]:
            self.db.executemany("INSERT INTO output (attempt, number, url) VALUES (?, ?, '')", missing)
        return known
