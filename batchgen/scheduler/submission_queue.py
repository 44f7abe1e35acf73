"""The pending items that were read, in the order in which they may leave."""

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count

from batchgen.journal import Work

_LOOK_AHEAD = 256
"""Items that wait for a price to be confirmed, beyond which nothing behind them leaves either."""


@dataclass(frozen=True, slots=True)
class Order:
    """A pending item that was read."""

    position: int
    """Of the item in the manifest."""
    work: Work
    price_key: str
    """See `batchgen.policy.budget.Prices`."""


class Queue:
    """Hands out orders in the manifest's order, but for those that must wait: others may pass them.

    An order waits for a time of its own (`retry`), or for its price to be confirmed.
    """

    def __init__(self) -> None:
        self._page: deque[Order] = deque()
        self._retries: list[tuple[float, int, Order]] = []
        self._ties = count()
        self._passed: dict[str, deque[Order]] = {}
        """By price key, the orders that others may pass."""
        self._held = 0
        """How many these are."""

    @property
    def wants_page(self) -> bool:
        """Whether the next page is to be read: there is nothing left of the last one but what waits."""
        return not self._page

    @property
    def empty(self) -> bool:
        """Whether nothing is left, also for later."""
        return not (self._page or self._retries or self._held)

    def extend(self, orders: Iterable[Order]) -> None:
        """Put in a page of orders, behind all others."""
        self._page.extend(orders)

    def put_back(self, order: Order) -> None:
        """It cannot leave now: it comes next."""
        self._page.appendleft(order)

    def retry(self, order: Order, due: float) -> None:
        """It may leave again at this loop time, seconds."""
        heapq.heappush(self._retries, (due, next(self._ties), order))

    def next_due(self, now: float) -> float | None:
        """Return the loop time at which the next order that waits for its time may leave, or None."""
        return self._retries[0][0] if self._retries and self._retries[0][0] > now else None

    def take(self, now: float, may_leave: Callable[[str], bool]) -> Order | None:
        """Return the next order whose price key may leave at this loop time, or None."""
        if (order := self._freed(may_leave)) is not None:
            return order
        while self._held < _LOOK_AHEAD and (order := self._first(now)) is not None:
            if may_leave(order.price_key):
                return order
            self._passed.setdefault(order.price_key, deque()).append(order)
            self._held += 1
        return None

    def _freed(self, may_leave: Callable[[str], bool]) -> Order | None:
        keys = [key for key in self._passed if may_leave(key)]
        if not keys:
            return None
        first = min(keys, key=lambda key: self._passed[key][0].position)
        order = self._passed[first].popleft()
        self._held -= 1
        if not self._passed[first]:
            del self._passed[first]
        return order

    def _first(self, now: float) -> Order | None:
        if self._retries and self._retries[0][0] <= now:
            return heapq.heappop(self._retries)[2]
        return self._page.popleft() if self._page else None
