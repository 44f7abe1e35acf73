"""The API in memory, on virtual time: a front end of `batchgen.provider`, and the working fake of the API's seam."""

import asyncio
import hashlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from types import TracebackType
from typing import Any

from batchgen.api import (
    Accepted,
    Api,
    Busy,
    Found,
    Job,
    JobStatus,
    NoBalance,
    NotSent,
    Output,
    OutputError,
    OutputGone,
    OutputMissing,
    OutputRefused,
    PollAnswer,
    Rejected,
    SubmitAnswer,
    Unauthorized,
    Unavailable,
    Unclear,
    Unknown,
)
from batchgen.core.clock import UtcNow
from batchgen.core.digest import digest_of
from batchgen.provider import (
    Acceptance,
    Books,
    Dice,
    Fault,
    Faults,
    Naming,
    NoCreditError,
    Order,
    Provider,
    ProviderJob,
)
from batchgen.provider.faults import ADDRESS, BEFORE, FETCH, POLL
from batchgen.provider.pictures import foreign, picture
from batchgen.virtual.fault_plan import FaultPlan
from batchgen.virtual.loop import VirtualClock
from batchgen.virtual.observed import Observed

_WAIT_BUDGET = 60.0
_REFUSED = "the key is missing or wrong"
_CUTS = ((False, False), (True, False), (True, True))
"""How a download can be cut short: whether its length was announced, and whether the end shows as an error."""
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
    """By model; others use the default of `Duration`."""
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

    def accept(self, body: str, account: str) -> Acceptance:
        """Enter a job into the books and return it. Raises NoCreditError."""
        request = json.loads(body)
        model = str(request["model"])
        duration = self.offer.durations.get(model, Duration())
        order = Order(
            model=model, kind="image", text=body, digest=digest_of(body),
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


class MemoryApi(Api):
    """One account's way to a `VirtualProvider`; virtual time passes with every request."""

    def __init__(self, provider: VirtualProvider, account: str, now: UtcNow) -> None:
        self._provider = provider
        self._account = account
        self._now = now
        self._clock_offset: timedelta | None = None

    @property
    def clock_offset(self) -> timedelta | None:
        """See `Api.clock_offset`. `now`, the caller's clock, need not be the provider's."""
        return self._clock_offset

    def _answered(self) -> None:
        if self._provider.dated:
            self._clock_offset = self._provider.clock.utc_now() - self._now()

    async def submit(self, body: str, endpoint: str, *, wait: bool) -> SubmitAnswer:
        """See `Api.submit`. Where the caller goes away, what is under way may be accepted all the same."""
        provider, digest = self._provider, digest_of(body)
        fault = provider.strike(BEFORE, "submit", f"{self._account} {digest}", body)
        provider.note("submit", digest, endpoint, fault)
        try:
            await asyncio.sleep(provider.travel())
        except (asyncio.CancelledError, GeneratorExit):
            if provider.draws.random() < 0.5:
                provider.accept(body, self._account)
            raise
        if fault is not None:
            await asyncio.sleep(provider.travel())
            if fault not in (Fault.NOT_SENT, Fault.LOST_BEFORE):
                self._answered()
            return self._refusal(fault)
        try:
            accepted = provider.accept(body, self._account)
        except NoCreditError:
            return NoBalance("insufficient_balance", "top up")
        if wait and accepted.fault is not Fault.BARE_ANSWER:
            await asyncio.sleep(max(0.0, min(_WAIT_BUDGET, accepted.job.ends_at - provider.clock.seconds)))
        await asyncio.sleep(provider.travel())
        return self._acceptance(accepted, json.loads(body))

    def _acceptance(self, accepted: Acceptance, order: dict[str, Any]) -> SubmitAnswer:
        """Return the answer to a submission that was accepted."""
        provider, job = self._provider, accepted.job
        if accepted.fault is Fault.LOST_ANSWER:
            return Unclear("the connection was reset")
        self._answered()
        if accepted.fault is Fault.GARBLED:
            return Unclear("a 200 that cannot be read", b'{"object":"generation","status":"proc')
        if accepted.fault is Fault.BARE_ANSWER:
            shown = Job(job.id, JobStatus.PROCESSING)
        else:
            price = provider.core.price_at_post(accepted, provider.clock.seconds)
            shown = replace(provider.describe(job, price), id=accepted.id, input=order)
            if accepted.body != job.body:
                shown = replace(shown, input=json.loads(accepted.body))
        if shown.id == job.id:
            provider.observed.told(job.id, shown, polled=False)
        return Accepted(shown, json.dumps({"id": shown.id}).encode())

    def _refusal(self, fault: Fault) -> SubmitAnswer:
        """Return the answer of a request that is not accepted."""
        answers: dict[Fault, SubmitAnswer] = {
            Fault.NOT_SENT: NotSent("connection refused"),
            Fault.LOST_BEFORE: Unclear("the connection was reset"),
            Fault.STORM: Unclear("a 500 in another form", b"oops"),
            Fault.UNAVAILABLE: Busy("generation_unavailable", "try again", None),
            Fault.BUSY: Busy("rate_limited", "slow down", self._provider.offer.retry_after),
            Fault.REJECTED: Rejected("invalid_request", "prompt: must not be this"),
            Fault.UNAUTHORIZED: Unauthorized("unauthorized", _REFUSED),
            Fault.NO_BALANCE: NoBalance("insufficient_balance", "top up"),
        }
        return answers[fault]

    async def poll(self, job_id: str) -> PollAnswer:
        """See `Api.poll`."""
        provider = self._provider
        provider.polls += 1
        await asyncio.sleep(provider.travel())
        now = provider.clock.seconds
        fault = provider.strike(POLL, "poll", job_id)
        job = provider.find(job_id, self._account)
        provider.note("poll", job_id, fault)
        answer = self._look(job, fault)
        await asyncio.sleep(provider.travel())
        if fault is not Fault.POLL_UNREACHED:
            self._answered()
        if job is not None:
            provider.books.polls[job_id] += 1
            provider.observed.polled(job_id, now, answer.job if isinstance(answer, Found) else None)
        return answer

    def _look(self, job: ProviderJob | None, fault: Fault | None) -> PollAnswer:
        provider = self._provider
        if fault is Fault.POLL_ERROR:
            return Unavailable("a 500")
        if fault is Fault.POLL_UNREACHED:
            return Unavailable("connection refused", reached=False)
        if fault is Fault.POLL_LIMITED:
            return Unavailable("a 429", retry_after=provider.offer.retry_after)
        if fault is Fault.UNAUTHORIZED:
            return Unauthorized("unauthorized", _REFUSED)
        if job is None or fault is Fault.POLL_UNKNOWN:
            return Unknown("no such job")
        return Found(provider.describe(job, provider.core.price(job, provider.clock.seconds)))

    def open_output(self, url: str) -> "_Opening":
        """See `Api.open_output`."""
        return _Opening(self._provider, self._account, url, self._answered)

    async def aclose(self) -> None:
        """See `Api.aclose`; there is nothing to close."""


class _Opening:
    """The context that `open_output` returns."""

    def __init__(self, provider: VirtualProvider, account: str, url: str, answered: Callable[[], None]) -> None:
        self._provider = provider
        self._answered = answered
        self._account = account
        self._url = url

    async def __aenter__(self) -> Output:
        provider = self._provider
        await asyncio.sleep(provider.travel())
        now = provider.clock.seconds
        job_id, _, number = self._url.removeprefix("memory:").partition("/")
        job = provider.find(job_id, self._account)
        listed = job is not None and int(number) in (n for n, on in enumerate(job.listed(now), 1) if on)
        lasting = provider.core.file_faults(job, int(number), now) if job is not None and listed else frozenset()
        refused = provider.strike(ADDRESS, "address", self._url)
        fault = provider.strike(FETCH, "file", self._url)
        provider.note("file", self._url, sorted(lasting), refused or fault)
        if fault is Fault.FILE_UNREACHED:
            raise OutputError("connection refused")
        self._answered()
        if refused is not None:
            raise OutputRefused(_REFUSED)
        if fault is Fault.FILE_LIMITED:
            raise OutputError("a 429", provider.offer.retry_after)
        if Fault.GONE in lasting:
            raise OutputGone("a 410")
        if not listed or Fault.LATE_FILE in lasting:
            raise OutputMissing("a 404")
        made = foreign if Fault.FOREIGN_FILE in lasting else picture
        data = b"<html>not found</html>" if fault is Fault.HTML else made(job_id, int(number))
        if fault is not Fault.TRUNCATED:
            return Output(len(data), _Chunks(provider, [*_halves(data)]))
        announced, reset = provider.draws.choice(_CUTS)
        return Output(len(data) if announced else None, _Chunks(provider, [*_halves(data)][:1], reset=reset))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Do nothing: nothing is open."""


class _Chunks(AsyncIterator[bytes]):
    """The bytes of an output in pieces. A class, because an abandoned generator would be ended by the next loop."""

    def __init__(self, provider: VirtualProvider, pieces: list[bytes], *, reset: bool = False) -> None:
        self._provider = provider
        self._pieces = pieces
        self._reset = reset

    async def __anext__(self) -> bytes:
        await asyncio.sleep(self._provider.travel())
        if self._pieces:
            return self._pieces.pop(0)
        if self._reset:
            raise OutputError("the connection was reset")
        raise StopAsyncIteration


def _halves(data: bytes) -> tuple[bytes, bytes]:
    half = len(data) // 2
    return data[:half], data[half:]
