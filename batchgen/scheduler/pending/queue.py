"""The pending items that were read, in the order in which they are submitted."""

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count

from batchgen.journal import Work

_LOOK_AHEAD = 256
"""How many items may wait for the confirmation of a price while later ones are submitted before them."""


@dataclass(frozen=True, slots=True)
class QueuedItem:
    """A pending item that was read from the journal."""

    position: int
    """Of the item in the manifest."""
    work: Work
    price_key: str
    """See `batchgen.policy.budget.Prices`."""


class SubmissionQueue:
    """Hands out items in the manifest's order. An item that must wait lets later ones pass.

    It waits for a time of its own (`retry`), or for the confirmation of its price.
    """

    def __init__(self) -> None:
        self._page: deque[QueuedItem] = deque()
        self._retries: list[tuple[float, int, QueuedItem]] = []
        self._ties = count()
        self._unconfirmed: dict[str, deque[QueuedItem]] = {}
        """By price key, the items that wait for the confirmation of their price."""
        self._waiting = 0
        """How many items these are."""

    @property
    def wants_page(self) -> bool:
        """Whether to read the next page: of the last one, only items that must wait are left."""
        return not self._page

    @property
    def empty(self) -> bool:
        """Whether no item is left, waiting ones included."""
        return not (self._page or self._retries or self._waiting)

    def extend(self, page: Iterable[QueuedItem]) -> None:
        """Add a page of items behind all others."""
        self._page.extend(page)

    def put_back(self, queued: QueuedItem) -> None:
        """Make an item that was taken the next one again."""
        self._page.appendleft(queued)

    def retry(self, queued: QueuedItem, due: float) -> None:
        """Add an item that may be submitted again at this loop time, in seconds."""
        heapq.heappush(self._retries, (due, next(self._ties), queued))

    def next_due(self, now: float) -> float | None:
        """Return the loop time at which the next retry may be submitted, or None."""
        return self._retries[0][0] if self._retries and self._retries[0][0] > now else None

    def take(self, now: float, may_submit: Callable[[str], bool]) -> QueuedItem | None:
        """Take the next item that may be submitted at this loop time; None if there is none.

        `may_submit` tells for a price key whether it need not wait for a confirmation.
        """
        if (queued := self._first_confirmed(may_submit)) is not None:
            return queued
        while self._waiting < _LOOK_AHEAD and (queued := self._next(now)) is not None:
            if may_submit(queued.price_key):
                return queued
            self._unconfirmed.setdefault(queued.price_key, deque()).append(queued)
            self._waiting += 1
        return None

    def _first_confirmed(self, may_submit: Callable[[str], bool]) -> QueuedItem | None:
        keys = [key for key in self._unconfirmed if may_submit(key)]
        if not keys:
            return None
        first = min(keys, key=lambda key: self._unconfirmed[key][0].position)
        queued = self._unconfirmed[first].popleft()
        self._waiting -= 1
        if not self._unconfirmed[first]:
            del self._unconfirmed[first]
        return queued

    def _next(self, now: float) -> QueuedItem | None:
        if self._retries and self._retries[0][0] <= now:
            return heapq.heappop(self._retries)[2]
        return self._page.popleft() if self._page else None
