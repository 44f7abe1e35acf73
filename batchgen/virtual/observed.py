"""What the runs learned: from which answers that arrived, and when. The provider itself knows only what it did."""

import json
import math
from dataclasses import dataclass
from decimal import Decimal

from batchgen.api import Job, JobStatus
from batchgen.provider import ProviderJob


@dataclass(slots=True)
class Told:
    """What the runs learned about one job. Times are seconds of the virtual clock."""

    key: str
    """What its price depends on, see `price_key_of`."""
    posted: Decimal | None
    """The price in the answer to its POST while it is in progress, USD."""
    first_asked: float = math.inf
    end_seen: float = math.inf
    """When a poll first reported the end."""
    polls: int = 0
    named: Decimal | None = None
    """The price that an answer which arrived named last, before the job failed."""


def price_key_of(body: str) -> str:
    """Return what the price of a body depends on here: its model, and how many outputs it requests.

    Of what the receipts alone know, there is no body.
    """
    request = json.loads(body)
    return f"{request.get('model', '')} num_images={request.get('num_images', 1)}"


class Observed:
    """What the runs learned about all jobs and their prices."""

    def __init__(self) -> None:
        self.jobs: dict[str, Told] = {}
        """By the job's id."""
        self.most_open = 0
        """The most jobs that were open or given up at the same moment, as the runs saw it."""
        self.spread: dict[str, tuple[Decimal, Decimal]] = {}
        """By price key, the least and the most that was charged or named."""
        self.confirmed: set[str] = set()
        """The price keys whose price was in an answer that arrived."""

    def accepted(self, job: ProviderJob, posted: Decimal | None) -> None:
        """A job was accepted; `posted` is the price that the answer names while it is at work, USD."""
        told = self.jobs[job.id] = Told(price_key_of(job.body), posted)
        prices = {job.cost, job.cost if posted is None else posted, *self.spread.get(told.key, ())}
        self.spread[told.key] = min(prices), max(prices)

    def told(self, job_id: str, answer: Job, *, polled: bool) -> None:
        """An answer about a job arrives. One that names no price confirms the expected one, if it is no failure's."""
        told, failed = self.jobs[job_id], answer.status is JobStatus.FAILED
        if answer.cost or (answer.cost is not None and not failed) or (polled and not failed):
            self.confirmed.add(told.key)
        if answer.cost is not None and not failed:
            told.named = answer.cost

    def polled(self, job_id: str, now: float, answer: Job | None) -> None:
        """A poll that left at `now` was answered, with the job or with something else."""
        told = self.jobs[job_id]
        told.polls += 1
        told.first_asked = min(told.first_asked, now)
        if answer is not None:
            self.told(job_id, answer, polled=True)
            if answer.status is not JobStatus.PROCESSING:
                told.end_seen = min(told.end_seen, now)
