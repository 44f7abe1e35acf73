"""What must hold while items of each shape are bought before all others (`canary`); for items without chains."""

import sqlite3
from collections import Counter
from collections.abc import Iterator

from batchgen.core.digest import digest_of
from batchgen.core.records import LIVE, State
from batchgen.journal.queries.canaries import candidates_after, find_waiting
from batchgen.virtual.observed import price_key_of

_ALL = 10**9


class CanaryChecks:
    """Looks at the submissions of one invocation."""

    def __init__(self, db: sqlite3.Connection, count: int, *, decodes: bool) -> None:
        """`decodes`: whether the run can judge all files."""
        self._db = db
        self._count = count
        self._decodes = decodes
        self._sent: dict[str, set[str]] = {}
        """By shape, the requests that this invocation has sent."""

    def submits(self, body: str, digest: str) -> Iterator[str]:
        """A POST is about to leave: it is one of few of its shape, or nothing is open that it has to wait for."""
        good, live = self._standing()
        shape = price_key_of(body)
        sent = self._sent.setdefault(shape, set())
        sent.add(digest)
        if good[shape] < self._count:
            if len(sent) > self._count:
                yield f"{digest[:8]} leaves, and of {shape} only {good[shape]} have come as they should"
            return
        for other, digests in self._sent.items():
            if good[other] < self._count and digests & live:
                yield f"{digest[:8]} leaves while canaries of {other} are open"

    def _standing(self) -> tuple[Counter[str], set[str]]:
        """Return how many items of each shape are good, and the requests that are open."""
        good: Counter[str] = Counter()
        live = set()
        find_waiting(self._db)
        for row in candidates_after(self._db, 0, _ALL):
            judged = not (self._decodes and row.unjudged)
            good[price_key_of(row.body)] += row.state is State.DONE and judged and not row.flagged
            if row.state in LIVE:
                live.add(digest_of(row.body))
        return good, live
