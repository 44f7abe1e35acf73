"""The provider's books: what it accepted, charged and gave back, whatever became of its answers."""

import heapq
import math
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal


@dataclass(slots=True)
class BookedJob:
    """A job as the provider knows it. Times are seconds of the virtual clock; `math.inf` means never."""

    id: str
    account: str
    digest: str
    """Of the body, as in `batchgen.digest`."""
    model: str
    price: Decimal
    """USD, as charged."""
    created: float
    begins: float
    """When the work on it begins; before, it queues."""
    ends: float
    expires: float
    fails: bool
    outputs: int
    shown: float
    """From when on the outputs are listed."""
    forgotten: float
    """From when on the provider does not know the job."""
    first_asked: float = math.inf
    end_seen: float = math.inf
    """When a poll was first told of the end."""
    polls: int = 0

    def refunded(self, now: float) -> bool:
        """Whether the charge was given back: failed jobs are refunded at once (API reference, section 4)."""
        return self.fails and now >= self.ends


class Books:
    """All accounts of one provider."""

    def __init__(self) -> None:
        self.jobs: dict[str, BookedJob] = {}
        self.accepted: Counter[str] = Counter()
        """How often each body was accepted, by its digest."""
        self.charged = Decimal(0)
        self._refunded = Decimal(0)
        self._refunds: list[tuple[float, str]] = []

    def enter(self, job: BookedJob) -> None:
        """A job was accepted, which charges it."""
        self.jobs[job.id] = job
        self.accepted[job.digest] += 1
        self.charged += job.price
        if job.fails and math.isfinite(job.ends):
            heapq.heappush(self._refunds, (job.ends, job.id))

    def net(self, now: float) -> Decimal:
        """Return what all accounts together have paid by now: charges without refunds, USD. Time must not go back."""
        while self._refunds and self._refunds[0][0] <= now:
            self._refunded += self.jobs[heapq.heappop(self._refunds)[1]].price
        return self.charged - self._refunded
