"""The provider's decisions: what it accepts and charges, when a job starts and ends, and what its answers say."""

import heapq
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from batchgen.provider.books import Account, Books
from batchgen.provider.faults import ANSWER, DRAWN, FILE, JOB, Dice, Fault, Faults
from batchgen.provider.jobs import Order, ProviderJob

_DRIFT = Decimal("1.1")
_SLOW = 20
_LATE_FILE = 20.0
_FILE_EXPIRES = 3600.0
"""Seconds from the end of a job until a file of it that expires early is gone."""
_LISTED_LATER = {Fault.OUTPUTS_LATE: 6.0, Fault.OUTPUTS_ONE_BY_ONE: 30.0}
"""Seconds from the end of a job."""

NameJob = Callable[[Order, str, int, int], str]
"""Returns a job's id from its order, account, number and acceptance."""


class NoCreditError(Exception):
    """The balance does not cover a job."""

    def __init__(self, *, promotional: bool) -> None:
        """`promotional`: there is credit, but only the kind that the API does not accept."""
        super().__init__("the balance does not cover this job")
        self.promotional = promotional


@dataclass(frozen=True, slots=True)
class Naming:
    """Prices in answers that differ from the charge. By model, USD; None: no price."""

    posted: Mapping[str, Decimal | None] = field(default_factory=dict)
    """In the answer to a submission: a price only while the job is in progress, no price also after its end."""
    polled: Mapping[str, Decimal | None] = field(default_factory=dict)
    """In all other answers."""
    refunds_to_zero: bool = False
    """Whether a failed job costs 0 once it is refunded."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """A job that was just accepted and charged, and what is wrong with the answer to its submission."""

    job: ProviderJob
    fault: Fault | None
    id: str
    """The id that the answer carries."""
    body: str
    """The request as shown in the answer."""


class Provider:
    """The provider as pure state: the caller passes the time. Times are seconds of the provider's clock."""

    def __init__(
        self, books: Books, dice: Dice, faults: Faults, *, retention: float, capacity: int | None = None,
        speed: float = 1.0, naming: Naming | None = None, name_job: NameJob | None = None,
    ) -> None:  # fmt: skip
        """`retention`: seconds for which jobs and files are kept; `capacity`: jobs processed at the same time, None for
        no limit; `speed` divides everything that takes the provider time."""
        self.books = books
        self.dice = dice
        self.faults = faults
        self._retention = retention
        self._speed = speed
        self.naming = naming or Naming()
        self._name_job = name_job or self._token
        self._slots = [0.0] * capacity if capacity is not None else []
        self.late_file = _LATE_FILE
        """Seconds by which a late file is delayed."""
        self._files: dict[tuple[str, int], tuple[frozenset[Fault], float]] = {}

    def _token(self, order: Order, account: str, _: int, acceptance: int) -> str:
        return self.dice.token("job", account, order.digest, acceptance)

    def resume(self, unfinished: Iterable[ProviderJob]) -> None:
        """Restore jobs that were accepted before a restart: they keep their places."""
        for job in unfinished:
            self._occupy(job.started_at, job.ends_at if job.ends_at < math.inf else job.started_at)

    def accept(self, order: Order, account: Account, now: float) -> Acceptance:
        """Charge for a job and enter it, in one step. Raises NoCreditError."""
        self.books.settle(now)
        acceptance = self.books.next_acceptance(account, order.digest)
        faults = self.faults.lasting(JOB, f"{order.digest}\n{acceptance}", now=now, subject=order.text)
        cost = order.price * _DRIFT if Fault.DRIFT in faults else order.price
        if cost > account.balance:
            raise NoCreditError(promotional=account.balance <= 0 < account.promo)
        seconds = order.seconds(self.dice.uniform("seconds", order.digest, acceptance)) / self._speed
        started_at, ends_at = self._work(seconds * (_SLOW if Fault.SLOW in faults else 1), now)
        later = max((_LISTED_LATER[fault] for fault in faults & _LISTED_LATER.keys()), default=0.0)
        number = self.books.next_number()
        job = ProviderJob(
            number=number,
            id=self._name_job(order, account.id, number, acceptance),
            account=account.id,
            model=order.model,
            kind=order.kind,
            body=order.text,
            digest=order.digest,
            acceptance=acceptance,
            cost=cost,
            created_at=now,
            started_at=started_at,
            ends_at=math.inf if Fault.STUCK in faults else ends_at,
            expires_at=now + self._retention,
            listed_at=ends_at + later / self._speed,
            outputs=order.outputs + (Fault.MORE_OUTPUTS in faults),
            faults=faults,
        )
        self.books.accept(job)
        fault = self.faults.strike(ANSWER, f"{account.id} {order.digest}", acceptance, now=now, subject=order.text)
        return Acceptance(job, fault, *self._claimed(job, fault))

    def _work(self, seconds: float, now: float) -> tuple[float, float]:
        """Return when work on a job begins, which is as soon as a place is free, and when it would end."""
        started_at = max(now, self._slots[0]) if self._slots else now
        # A stuck job frees its place all the same: the provider has lost track of it and is not working on it.
        self._occupy(started_at, started_at + seconds)
        return started_at, started_at + seconds

    def _claimed(self, job: ProviderJob, fault: Fault | None) -> tuple[str, str]:
        """Return the id and the request that the answer to a submission shows."""
        if fault is Fault.SAME_ID:
            # The request is already on disk: with two answers in transit, nobody could tell which the id belongs to.
            asked = (one for one in self.books.polls if one != job.id and self.books.jobs[one].account == job.account)
            return next(asked, job.id), job.body
        if fault is Fault.FOREIGN_ANSWER:
            order = json.loads(job.body) | {"prompt": "Somebody else's prompt"}
            return self.dice.token("foreign", job.id), json.dumps(order)
        return job.id, job.body

    def find(self, job_id: str, account: str, now: float) -> ProviderJob | None:
        """Return a job as its account may see it; None if it does not exist, or no longer exists."""
        job = self.books.jobs.get(job_id)
        return job if job is not None and job.account == account and job.known(now) else None

    def price_at_post(self, accepted: Acceptance, now: float) -> Decimal | None:
        """Return the price in the answer to a submission, USD."""
        job = accepted.job
        posted = self.naming.posted.get(job.model, job.cost)
        if posted is None or accepted.fault in (Fault.COST_MISSING, Fault.BARE_ANSWER):
            return None
        if job.status(now) != "processing":
            return self.price(job, now)
        return job.cost / 2 if accepted.fault is Fault.COST_LOW else posted

    def price(self, job: ProviderJob, now: float) -> Decimal | None:
        """Return the price in any other answer, USD."""
        if self.naming.refunds_to_zero and job.status(now) == "failed":
            return Decimal(0)
        return self.naming.polled.get(job.model, job.cost)

    def file_faults(self, job: ProviderJob, output: int, now: float) -> frozenset[Fault]:
        """Return what is wrong with a file (outputs count from 1) at this moment, for longer than one download.

        A file that has expired is `GONE`.
        """
        known = self._files.get((job.id, output))
        if known is None:
            what = f"{job.digest}\n{job.acceptance}\n{output}"
            found = self.faults.lasting((*FILE, *DRAWN), what, now=now, subject=f"{job.id}/{output}")
            known = self._files[job.id, output] = found, now + self.late_file / self._speed
        found, late_until = known
        if Fault.GONE in job.faults:  # an earlier version drew this for the job as a whole
            found |= {Fault.GONE}
        if Fault.FILE_EXPIRED in found:
            gone = now >= job.ends_at + _FILE_EXPIRES / self._speed
            found = found - {Fault.FILE_EXPIRED} | ({Fault.GONE} if gone else set())
        return found - {Fault.LATE_FILE} if now >= late_until else found

    def unfetchable(self, job_id: str, output: int, now: float) -> str | None:
        """Return why a file cannot be an input image, wherever it lies in public; None: it can. Outputs count from 1.

        The key of an account plays no part: nobody needs one for a public address.
        """
        job = self.books.jobs.get(job_id)
        listed = job.listed(now) if job is not None and now < job.expires_at else ()
        if job is None or not any(listed[output - 1 : output]):
            return "there is no such file"
        if Fault.GONE in self.file_faults(job, output, now):
            return "it is gone"
        return None if job.kind == "image" else "it is not an image"

    def forget_files(self) -> None:
        """Draw again what is wrong with each file."""
        self._files.clear()

    def _occupy(self, start: float, end: float) -> None:
        if self._slots and start >= self._slots[0]:
            heapq.heapreplace(self._slots, end)
