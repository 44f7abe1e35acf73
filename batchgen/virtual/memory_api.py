"""The API in memory, on virtual time: a provider with books, and the working fake of the seam `batchgen.api.Api`."""

import asyncio
import hashlib
import heapq
import json
import math
import random
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
from batchgen.virtual.books import BookedJob, Books, price_key_of
from batchgen.virtual.faults import AT_FILE, AT_FIRST_LOOK, AT_JOB, AT_POLL, AT_SUBMISSION, Fate, Fault, Faults
from batchgen.virtual.loop import VirtualClock
from batchgen.virtual.pictures import foreign, picture

_WAIT_BUDGET = 60.0
_REFUSED = "the key is missing or wrong"


@dataclass(frozen=True, slots=True)
class Duration:
    """How long the jobs of a model take: lognormal, as waiting times in a queue are."""

    median: float = 60.0
    """Seconds."""
    sigma: float = 0.5

    def draw(self, draws: random.Random) -> float:
        """Return seconds."""
        return self.median * math.exp(draws.gauss(0.0, self.sigma))


@dataclass(frozen=True, slots=True)
class Offer:
    """What the provider sells, and how it behaves when nothing is wrong."""

    prices: Mapping[str, Decimal] = field(default_factory=dict)
    """USD by model; 0.05 for others."""
    posted: Mapping[str, Decimal | None] = field(default_factory=dict)
    """What the answers to POSTs name instead while the job is at work, by model; None: no price."""
    polled: Mapping[str, Decimal | None] = field(default_factory=dict)
    """What polls name instead."""
    refunds_to_zero: bool = False
    """Whether a failed job costs 0 once it is refunded, as polls tell it."""
    durations: Mapping[str, Duration] = field(default_factory=dict)
    """By model; the default of `Duration` for others."""
    latency: tuple[float, float] = (0.02, 0.2)
    """Seconds that a request and its answer travel, least and most."""
    retention: float = 7 * 86400.0
    """Seconds for which jobs and files are kept."""
    machines: int | None = None
    """Jobs processed at the same time; the others queue. None: no bound."""
    retry_after: float = 20.0
    """Seconds, in a 429."""


def _listing(fault: Fault | None, outputs: int, ends: float) -> tuple[frozenset[int], float]:
    """Return which outputs are listed at first, and from when on all are."""
    numbers = range(1, outputs + 1)
    if outputs > 1 and fault is Fault.OUTPUTS_ONE_BY_ONE:
        return frozenset({1}), ends + 30.0
    if outputs > 1 and fault is Fault.FEWER_OUTPUTS:
        return frozenset(numbers[:-1]), math.inf
    if outputs > 1 and fault is Fault.FIRST_OUTPUT_MISSING:
        return frozenset(numbers[1:]), math.inf
    return frozenset(), -math.inf


class Provider:
    """The other side: accepts, charges, works, refunds, forgets. Outlives the runs that speak to it."""

    def __init__(self, clock: VirtualClock, seed: int = 0, *, faults: Faults | None = None, offer: Offer | None = None):
        self.clock = clock
        self.offer = offer or Offer()
        self.books = Books()
        self.draws = random.Random(seed)  # noqa: S311 - a simulation must be repeatable
        self.fate = Fate(faults or Faults(), self.draws)
        self.polls = 0
        self.dated = True
        """Whether answers tell the provider's time."""
        self.late = 20.0
        """The most seconds by which a late file is late."""
        self.listeners: list[Callable[..., None]] = []
        """Called with each event and its time (seconds)."""
        self._files: dict[str, tuple[Fault | None, float]] = {}
        self._machines: list[float] = []
        """A heap of the times at which each machine is free."""
        self._trace = hashlib.sha256()

    @property
    def trace(self) -> str:
        """A digest over everything that was asked and answered so far, with its time."""
        return self._trace.hexdigest()

    def note(self, *what: object) -> None:
        """Put an event on the trace."""
        self._trace.update(repr((self.clock.seconds, *what)).encode())
        for listener in self.listeners:
            listener(self.clock.seconds, *what)

    def travel(self) -> float:
        """Return seconds for one way of a request."""
        return self.draws.uniform(*self.offer.latency) / 2

    def accept(self, body: str, account: str) -> BookedJob:
        """Enter a job into the books and return it."""
        now = self.clock.seconds
        request = json.loads(body)
        model = str(request["model"])
        fault = self.fate.pick(AT_JOB, now, body)
        took = self.offer.durations.get(model, Duration()).draw(self.draws)
        if fault is Fault.JOB_SLOW:
            took *= 100
        begins = self._begin(now, took)
        ends = math.inf if fault is Fault.JOB_STUCK else begins + took
        price = self.offer.prices.get(model, Decimal("0.05"))
        if self.fate.strikes(Fault.DRIFT, now, body):
            price += price / 10
        shown = {Fault.NO_OUTPUTS: math.inf, Fault.OUTPUTS_LATE: ends + 6.0}.get(fault, ends) if fault else ends
        outputs = int(request.get("num_images", 1)) + (fault is Fault.MORE_OUTPUTS)
        few, all_from = _listing(fault, outputs, ends)
        posted = self.offer.posted.get(model, price)
        if self.fate.strikes(Fault.COST_MISSING, now, body):
            posted = None
        elif self.fate.strikes(Fault.COST_LOW, now, body):
            posted = price / 2
        job = BookedJob(
            id=f"job{len(self.books.jobs) + 1}", account=account, digest=digest_of(body), model=model,
            key=price_key_of(body), price=price, posted=posted,
            created=now, begins=begins, ends=ends, expires=now + self.offer.retention, fails=fault is Fault.JOB_FAILS,
            outputs=outputs, shown=shown, few=few, all_from=all_from,
            forgotten=now + took * self.draws.uniform(0.2, 1.1) if fault is Fault.JOB_FORGOTTEN else math.inf,
        )  # fmt: skip
        self.books.enter(job)
        self.note("accepted", job.id, job.digest)
        return job

    def _begin(self, now: float, took: float) -> float:
        """Return when the work on a job begins: now, or when a machine is free."""
        if self.offer.machines is None:
            return now
        if len(self._machines) < self.offer.machines:
            heapq.heappush(self._machines, now + took)
            return now
        begins = max(now, self._machines[0])
        heapq.heapreplace(self._machines, begins + took)
        return begins

    def find(self, job_id: str, account: str) -> BookedJob | None:
        """Return a job as an account may see it, or None."""
        job = self.books.jobs.get(job_id)
        now = self.clock.seconds
        if job is None or job.account != account or now >= job.forgotten or now >= job.expires:
            return None
        return job

    def describe(self, job: BookedJob) -> Job:
        """Return the job as an answer shows it now."""
        now, at = self.clock.seconds, self.clock.at
        ended = now >= job.ends
        status = JobStatus.PROCESSING if not ended else JobStatus.FAILED if job.fails else JobStatus.COMPLETED
        cost = self.offer.polled.get(job.model, job.price)
        if status is JobStatus.FAILED and self.offer.refunds_to_zero:
            cost = Decimal(0)
        listed = status is JobStatus.COMPLETED and now >= job.shown
        return Job(
            id=job.id, status=status, model=job.model, cost=cost, created_at=at(job.created),
            started_at=at(job.begins) if now >= job.begins else None,
            completed_at=at(job.ends) if ended else None, expires_at=at(job.expires),
            error="the model gave up" if status is JobStatus.FAILED else None,
            outputs=self._addresses(job) if listed else (),
        )  # fmt: skip

    def _addresses(self, job: BookedJob) -> tuple[str | None, ...]:
        """Return the addresses of a job's outputs as they are listed now."""
        numbers = range(1, job.outputs + 1)
        listed = numbers if self.clock.seconds >= job.all_from else sorted(job.few)
        places = range(1, max(listed) + 1)
        return tuple(f"memory:{job.id}/{n}" if n in listed else None for n in places)

    def forget_files(self) -> None:
        """Decide anew what is wrong with each file."""
        self._files.clear()

    def file_fault(self, url: str) -> tuple[Fault | None, float]:
        """Return what is wrong with a file for longer than one request, and until when (seconds)."""
        if url not in self._files:
            now = self.clock.seconds
            fault = self.fate.pick(AT_FIRST_LOOK, now, url)
            self._files[url] = fault, now + self.draws.uniform(1.0, self.late)
        return self._files[url]


class MemoryApi(Api):
    """One account's way to a `Provider`; virtual time passes with every request."""

    def __init__(self, provider: Provider, account: str, now: UtcNow) -> None:
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
        provider = self._provider
        fault = provider.fate.pick(AT_SUBMISSION, provider.clock.seconds, body)
        provider.note("submit", digest_of(body), endpoint, fault)
        try:
            await asyncio.sleep(provider.travel())
        except (asyncio.CancelledError, GeneratorExit):
            if provider.draws.random() < 0.5:
                provider.accept(body, self._account)
            raise
        if fault is not None and (answer := self._refusal(fault)) is not None:
            await asyncio.sleep(provider.travel())
            if fault is not Fault.NOT_SENT:
                self._answered()
            return answer
        if fault is Fault.UNREADABLE and provider.draws.random() < 0.5:
            return Unclear("a 202 without a usable id", b"<html>")
        job = provider.accept(body, self._account)
        if wait:
            await asyncio.sleep(min(_WAIT_BUDGET, job.ends - provider.clock.seconds))
        await asyncio.sleep(provider.travel())
        if fault is Fault.ANSWER_LOST:
            return Unclear("the connection was reset")
        self._answered()
        if fault is Fault.UNREADABLE:
            return Unclear("a 202 without a usable id", b"<html>")
        shown = self._shown(job, json.loads(body), fault)
        if shown.id == job.id:
            provider.books.told(job.id, shown, polled=False)
        return Accepted(shown, json.dumps({"id": shown.id}).encode())

    def _shown(self, job: BookedJob, order: dict[str, Any], fault: Fault | None) -> Job:
        """Return what the answer to a submission says of the job that it made."""
        if fault is Fault.BARE_ANSWER:
            return Job(job.id, JobStatus.PROCESSING)
        shown = replace(self._provider.describe(job), input=order)
        if job.posted is None or shown.status is JobStatus.PROCESSING:
            shown = replace(shown, cost=job.posted)
        if fault is Fault.FOREIGN_ANSWER:
            return replace(shown, id=f"somebody-{job.id}", input=order | {"prompt": "Somebody else's prompt"})
        if fault is Fault.SAME_ID:
            # What was asked for is on disk already: of two answers under way, nobody could tell whose the id is.
            known = (other.id for other in self._provider.books.jobs.values() if other.polls)
            return replace(shown, id=next(known, job.id))
        return shown

    def _refusal(self, fault: Fault) -> SubmitAnswer | None:
        """Return the answer of a request that is not accepted, or None when this fault lets it through."""
        unavailable = "generation_unavailable"
        answers: dict[Fault, SubmitAnswer] = {
            Fault.NOT_SENT: NotSent("connection refused"),
            Fault.SERVER_ERROR: Unclear("a 500 in another form", b"oops"),
            Fault.BUSY: Busy(unavailable, "try again", None),
            Fault.RATE_LIMITED: Busy("rate_limited", "slow down", self._provider.offer.retry_after),
            Fault.REJECTED: Rejected("invalid_request", "prompt: must not be this"),
            Fault.UNAUTHORIZED: Unauthorized("unauthorized", _REFUSED),
            Fault.NO_BALANCE: NoBalance("insufficient_balance", "top up"),
        }
        return answers.get(fault)

    async def poll(self, job_id: str) -> PollAnswer:
        """See `Api.poll`."""
        provider = self._provider
        provider.polls += 1
        await asyncio.sleep(provider.travel())
        now = provider.clock.seconds
        fault = provider.fate.pick(AT_POLL, now, job_id)
        job = provider.find(job_id, self._account)
        provider.note("poll", job_id, fault)
        answer = self._look(job, fault)
        await asyncio.sleep(provider.travel())
        if fault is not Fault.POLL_UNREACHED:
            self._answered()
        if job is not None:
            job.polls += 1
            job.first_asked = min(job.first_asked, now)
            if isinstance(answer, Found):
                provider.books.told(job_id, answer.job, polled=True)
                if answer.job.status is not JobStatus.PROCESSING:
                    job.end_seen = min(job.end_seen, now)
        return answer

    def _look(self, job: BookedJob | None, fault: Fault | None) -> PollAnswer:
        if fault is Fault.POLL_FAILS:
            return Unavailable("a 503")
        if fault is Fault.POLL_UNREACHED:
            return Unavailable("connection refused", reached=False)
        if fault is Fault.POLL_LIMITED:
            return Unavailable("a 429", retry_after=self._provider.offer.retry_after)
        if fault is Fault.UNAUTHORIZED:
            return Unauthorized("unauthorized", _REFUSED)
        if job is None or fault is Fault.POLL_UNKNOWN:
            return Unknown("no such job")
        return Found(self._provider.describe(job))

    def open_output(self, url: str) -> "_Opening":
        """See `Api.open_output`."""
        return _Opening(self._provider, self._account, url, self._answered)

    async def aclose(self) -> None:
        """See `Api.aclose`; there is nothing to close."""


class _Opening:
    """The context that `open_output` returns."""

    def __init__(self, provider: Provider, account: str, url: str, answered: Callable[[], None]) -> None:
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
        lasting, until = provider.file_fault(self._url)
        fault = provider.fate.pick(AT_FILE, now, self._url)
        provider.note("file", self._url, lasting, fault)
        self._answered()
        if fault is Fault.UNAUTHORIZED:
            raise OutputRefused(_REFUSED)
        if fault is Fault.FILE_LIMITED:
            raise OutputError("a 429", provider.offer.retry_after)
        if lasting is Fault.FILE_GONE:
            raise OutputGone("a 410")
        if job is None or now < job.shown or (lasting is Fault.FILE_LATE and now < until):
            raise OutputMissing("a 404")
        made = foreign if lasting is Fault.FILE_FOREIGN else picture
        data = b"<html>not found</html>" if fault is Fault.FILE_WRONG else made(job_id, int(number))
        return Output(len(data), _Chunks(provider, data, fault))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left open."""


class _Chunks(AsyncIterator[bytes]):
    """The bytes of an output in two pieces. A class, because an abandoned generator would be ended by the next loop."""

    def __init__(self, provider: Provider, data: bytes, fault: Fault | None) -> None:
        half = len(data) // 2
        self._provider = provider
        self._fault = fault
        self._pieces = (
            [data[:half]] if fault in (Fault.FILE_TRUNCATED, Fault.FILE_BROKEN) else [data[:half], data[half:]]
        )

    async def __anext__(self) -> bytes:
        await asyncio.sleep(self._provider.travel())
        if self._pieces:
            return self._pieces.pop(0)
        if self._fault is Fault.FILE_BROKEN:
            raise OutputError("the connection was reset")
        raise StopAsyncIteration
