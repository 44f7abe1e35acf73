"""The provider on a virtual clock, behind a network that takes time: what `batchgen.virtual.memory_api` speaks for."""

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from batchgen.api import Job, JobStatus
from batchgen.core.digest import digest_of, filled, output_of
from batchgen.provider import Acceptance, Books, Dice, Fault, Faults, Naming, Order, Provider, ProviderJob
from batchgen.provider.faults import INPUT
from batchgen.virtual.fault_plan import FaultPlan
from batchgen.virtual.loop import VirtualClock
from batchgen.virtual.observed import Observed, price_key_of
from batchgen.virtual.public_addresses import pictures_in

_UNLIMITED = Decimal(10**9)
"""USD. Accounts here have unlimited credit; `no_balance` simulates one that does not."""


@dataclass(frozen=True, slots=True)
class Duration:
    """How long the jobs of a model take: lognormal, as waiting times in a queue are."""

    median: float = 60.0
    """Seconds."""
    sigma: float = 0.5


@dataclass(frozen=True, slots=True)
class Offer:
    """What the provider sells, and how it behaves when nothing is wrong."""

    prices: Mapping[str, Decimal] = field(default_factory=dict)
    """USD by model; 0.05 for others."""
    naming: Naming = field(default_factory=Naming)
    """Prices in answers that differ from the charge."""
    durations: Mapping[str, Duration] = field(default_factory=dict)
    """By price key (`batchgen.virtual.observed`) or by model; others use the default of `Duration`."""
    latency: tuple[float, float] = (0.02, 0.2)
    """Seconds that a request and its answer travel, least and most."""
    retention: float = 7 * 86400.0
    """Seconds for which jobs and files are kept."""
    machines: int | None = None
    """Jobs processed at the same time; the others queue. None: no limit."""
    retry_after: float = 20.0
    """Seconds, in a 429."""


class VirtualProvider:
    """A provider on a virtual clock, behind a network. Outlives the runs that use it."""

    def __init__(
        self, clock: VirtualClock, seed: int = 0, *, plan: FaultPlan | None = None, offer: Offer | None = None
    ) -> None:
        self.clock = clock
        self.offer = offer or Offer()
        self.books = Books(paid=_UNLIMITED)
        dice = Dice(seed)
        self.faults = Faults(dice, {})
        self.follow(plan or FaultPlan())
        self.core = Provider(
            self.books, dice, self.faults, retention=self.offer.retention, capacity=self.offer.machines,
            naming=self.offer.naming, name_job=lambda _order, _account, number, _acceptance: f"job{number}",
        )  # fmt: skip
        self.observed = Observed()
        self.draws = random.Random(seed)  # noqa: S311 - a simulation must be repeatable
        self.polls = 0
        self.dated = True
        """Whether answers tell the provider's time."""
        self.tries: Counter[str] = Counter()
        """How often each thing was tried."""
        self.listeners: list[Callable[..., None]] = []
        """Called with each event and its time (seconds)."""
        self._trace = hashlib.sha256()

    @property
    def trace(self) -> str:
        """A digest over everything that was asked and answered so far, with its time."""
        return self._trace.hexdigest()

    def note(self, *what: object) -> None:
        """Add an event to the trace."""
        self._trace.update(repr((self.clock.seconds, *what)).encode())
        for listener in self.listeners:
            listener(self.clock.seconds, *what)

    def follow(self, plan: FaultPlan) -> None:
        """From now on, these faults strike."""
        self.faults.change(plan.rates, plan.script)

    def travel(self) -> float:
        """Return the seconds that a request or an answer travels."""
        return self.draws.uniform(*self.offer.latency) / 2

    def strike(self, group: tuple[Fault, ...], kind: str, what: str, subject: str | None = None) -> Fault | None:
        """Return the fault of a group that strikes now; `subject` is what a script may name, `what` where not given."""
        if not self.faults.possible(group):
            return None
        self.tries[f"{kind} {what}"] += 1
        number = self.tries[f"{kind} {what}"]
        named = what if subject is None else subject
        return self.faults.strike(group, what, number, now=self.clock.seconds, subject=named)

    def identity(self, body: str) -> str:
        """Return the digest of a request, the same whenever its pictures were addressed (`batchgen.core.digest`)."""
        values = {place: output_of(self.books.jobs[job].digest, n) for place, job, n, _ in pictures_in(body)}
        return digest_of(filled(body, values)) if values else digest_of(body)

    def unfetchable(self, body: str, account: str) -> str | None:
        """Return the first place in a request whose picture cannot be fetched without a key, as it is shown."""
        now = self.clock.seconds
        pictures = list(pictures_in(body))
        for place, job_id, output, until in pictures:
            if now >= until or self.core.unfetchable(job_id, output, now) is not None:
                return place.replace("/", ".")
        if pictures and self.strike(INPUT, "inputs", f"{account} {self.identity(body)}", body):
            return pictures[0][0].replace("/", ".")
        return None

    def accept(self, body: str, account: str) -> Acceptance:
        """Enter a job into the books and return it. Raises NoCreditError."""
        request = json.loads(body)
        model = str(request["model"])
        durations = self.offer.durations
        duration = durations.get(price_key_of(body)) or durations.get(model, Duration())
        order = Order(
            model=model, kind="image", text=body, digest=self.identity(body),
            price=self.offer.prices.get(model, Decimal("0.05")), outputs=int(request.get("num_images", 1)),
            median=duration.median, sigma=duration.sigma,
        )  # fmt: skip
        accepted = self.core.accept(order, self.books.account(account), self.clock.seconds)
        self.observed.accepted(accepted.job, self.core.price_at_post(accepted, accepted.job.created_at))
        self.note("accepted", accepted.job.id, order.digest)
        return accepted

    def find(self, job_id: str, account: str) -> ProviderJob | None:
        """Return a job as an account may see it, or None."""
        return self.core.find(job_id, account, self.clock.seconds)

    def describe(self, job: ProviderJob, cost: Decimal | None) -> Job:
        """Return the job as an answer shows it now; `cost` is the price that it names."""
        now, at = self.clock.seconds, self.clock.at
        status = JobStatus(job.status(now))
        return Job(
            id=job.id, status=status, model=job.model, cost=cost, created_at=at(job.created_at),
            started_at=at(job.started_at) if now >= job.started_at else None,
            completed_at=at(job.ends_at) if now >= job.ends_at else None, expires_at=at(job.expires_at),
            error="the model gave up" if status is JobStatus.FAILED else None,
            outputs=tuple(f"memory:{job.id}/{n}" if on else None for n, on in enumerate(job.listed(now), 1)),
        )  # fmt: skip
