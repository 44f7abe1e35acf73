"""Draws a sample of items by their ids, so that it stays the same from run to run.

Items that are added elsewhere take single places in it, and a larger sample holds all of a smaller one.
"""

import heapq

from batchgen.manifest.item.ids import sample_rank


class Sample:
    """The items with the lowest ranks among those that it has seen. Memory grows with its size alone."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._ranks: list[int] = []
        """The lowest ones, negated: the highest of them comes first in the heap."""
        self._left: int | None = None
        """How many more items of the highest rank have a place; None before any was taken."""
        self.seen = 0

    def see(self, item_id: str) -> None:
        """One more item to draw from."""
        self.seen += 1
        rank = -sample_rank(item_id)
        if len(self._ranks) < self._size:
            heapq.heappush(self._ranks, rank)
        else:
            heapq.heappushpop(self._ranks, rank)

    def takes(self, item_id: str, *, clashes: bool = False) -> bool:
        """Return whether an item is in it; to be asked once for each item that it has seen, in the same order.

        Of twins, which have one id, only as many are taken as have a place. With `clashes` all of them are, since their
        id is refused then.
        """
        rank, highest = sample_rank(item_id), -self._ranks[0] if self._ranks else -1
        if rank != highest or clashes:
            return rank <= highest
        if self._left is None:
            self._left = self._ranks.count(self._ranks[0])
        self._left -= 1
        return self._left >= 0
