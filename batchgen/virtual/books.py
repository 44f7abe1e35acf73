"""The provider's books: what it accepted, charged and gave back, whatever became of its answers."""

import heapq
import json
import math
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

from batchgen.api import Job, JobStatus


@dataclass(slots=True)
class BookedJob:
    """A job as the provider knows it. Times are seconds of the virtual clock; `math.inf` means never."""

    id: str
    account: str
    digest: str
    """Of the body, as in `batchgen.core.digest`."""
    model: str
    key: str
    """What its price hangs on, see `price_key_of`."""
    price: Decimal
    """USD, as charged."""
    posted: Decimal | None
    """What the answer to its POST names as its price, before it has ended."""
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
    all_from: float = -math.inf
    """From when on all outputs are listed; before, those of `few`."""
    few: frozenset[int] = frozenset()
    first_asked: float = math.inf
    end_seen: float = math.inf
    """When a poll was first told of the end."""
    polls: int = 0
    named: Decimal | None = None
    """The price that an answer which arrived named last, before the job failed."""

    def refunded(self, now: float) -> bool:
        """Whether the charge was given back: failed jobs are refunded at once (API reference, section 4)."""
        return self.fails and now >= self.ends


def price_key_of(body: str) -> str:
    """Return what the price of a body hangs on here: its model, and how many outputs it asks for.

    Of what the receipts alone know, there is no body.
    """
    request = json.loads(body)
    return f"{request.get('model', '')} num_images={request.get('num_images', 1)}"


class Books:
    """All accounts of one provider."""

    def __init__(self) -> None:
        self.jobs: dict[str, BookedJob] = {}
        self.accepted: Counter[str] = Counter()
        """How often each body was accepted, by its digest."""
        self.most_open = 0
        """The most jobs that were open or given up at the same moment, as the runs saw it."""
        self.spread: dict[str, tuple[Decimal, Decimal]] = {}
        """By price key, the least and the most that was charged or named."""
        self.confirmed: set[str] = set()
        """The price keys of which an answer that arrived has told what they cost."""
        self.charged = Decimal(0)
        self._refunded = Decimal(0)
        self._refunds: list[tuple[float, str]] = []

    def enter(self, job: BookedJob) -> None:
        """A job was accepted, which charges it."""
        self.jobs[job.id] = job
        self.accepted[job.digest] += 1
        self.charged += job.price
        prices = {job.price, job.price if job.posted is None else job.posted, *self.spread.get(job.key, ())}
        self.spread[job.key] = min(prices), max(prices)
        if job.fails and math.isfinite(job.ends):
            heapq.heappush(self._refunds, (job.ends, job.id))

    def told(self, job_id: str, answer: Job, *, polled: bool) -> None:
        """An answer about a job arrives. One that names no price confirms the expected one, if it is no failure's."""
        job, failed = self.jobs[job_id], answer.status is JobStatus.FAILED
        if answer.cost or (answer.cost is not None and not failed) or (polled and not failed):
            self.confirmed.add(job.key)
        if answer.cost is not None and not failed:
            job.named = answer.cost

    def net(self, now: float) -> Decimal:
        """Return what all accounts together have paid by now: charges without refunds, USD. Time must not go back."""
        while self._refunds and self._refunds[0][0] <= now:
            self._refunded += self.jobs[heapq.heappop(self._refunds)[1]].price
        return self.charged - self._refunded
