"""Which items are bought before all others (`--canary`): the first of each shape that has not proved itself yet."""

import heapq
from collections import Counter
from dataclasses import dataclass

from batchgen.core.records import State


@dataclass(frozen=True, slots=True)
class Candidate:
    """A requested item that could be bought first, or was bought already."""

    key: int
    position: int
    """In the manifest's order."""
    shape: str
    """What it has in common with others: a good one of them says something about all."""
    state: State
    flagged: bool = False
    """Whether something was found about its files."""
    judged: bool = True
    """Whether all of that is known."""

    @property
    def good(self) -> bool:
        """Whether it came as it should."""
        return self.state is State.DONE and self.judged and not self.flagged


class CanaryChoice:
    """Chooses canaries among items that are seen one after another, in any order.

    These are the first `count` of each shape, however they stand, so that one that failed is still among them the next
    time; unless as many of that shape came as they should, which is proof enough.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._first: dict[str, list[tuple[int, int]]] = {}
        """By shape, a heap of those with the lowest positions, the highest of them on top."""
        self._good: Counter[str] = Counter()

    def see(self, candidate: Candidate) -> None:
        """Look at an item."""
        self._good[candidate.shape] += candidate.good
        heap, entry = self._first.setdefault(candidate.shape, []), (-candidate.position, candidate.key)
        if len(heap) < self._count:
            heapq.heappush(heap, entry)
        elif entry > heap[0]:
            heapq.heapreplace(heap, entry)

    def chosen(self) -> list[int]:
        """Return the keys of the canaries, in the manifest's order."""
        unproved = (heap for shape, heap in self._first.items() if self._good[shape] < self._count)
        return [key for _, key in sorted((entry for heap in unproved for entry in heap), reverse=True)]
