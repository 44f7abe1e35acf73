"""The API in memory, on virtual time: a front end of `batchgen.provider`, and the working fake of the API's seam."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
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
from batchgen.provider import Acceptance, Fault, NoCreditError, ProviderJob
from batchgen.provider.faults import ADDRESS, BEFORE, FETCH, POLL
from batchgen.provider.pictures import foreign, picture
from batchgen.virtual.provider import VirtualProvider
from batchgen.virtual.public_addresses import OWN, public_address

_WAIT_BUDGET = 60.0
_REFUSED = "the key is missing or wrong"
_CUTS = ((False, False), (True, False), (True, True))
"""How a download can be cut short: whether its length was announced, and whether the end shows as an error."""


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
        provider, digest = self._provider, self._provider.identity(body)
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
        if (place := provider.unfetchable(body, self._account)) is not None:
            await asyncio.sleep(provider.travel())
            self._answered()
            return Rejected("invalid_request", f"{place}: the address could not be fetched", (place,))
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
        return _Opening(self, url)

    async def fetch(self, url: str) -> Output:
        """Return an output once it is open. Raises OutputError."""
        provider = self._provider
        job_id, number, lasting = await self._find_file(url)
        fault = provider.strike(FETCH, "file", url)
        self._refuse_file(fault)
        made = foreign if Fault.FOREIGN_FILE in lasting else picture
        data = b"<html>not found</html>" if fault is Fault.HTML else made(job_id, number)
        if fault is not Fault.TRUNCATED:
            return Output(len(data), _Chunks(provider, [*_halves(data)]))
        announced, reset = provider.draws.choice(_CUTS)
        return Output(len(data) if announced else None, _Chunks(provider, [*_halves(data)][:1], reset=reset))

    async def public_address(self, url: str) -> str:
        """See `Api.public_address`."""
        if not url.startswith(OWN):
            return url
        job_id, number, _ = await self._find_file(url)
        return public_address(job_id, number, self._provider.clock.seconds)

    async def _find_file(self, url: str) -> tuple[str, int, frozenset[Fault]]:
        """Return job, output and lasting faults of a file that is there for this account. Raises OutputError."""
        provider = self._provider
        await asyncio.sleep(provider.travel())
        now = provider.clock.seconds
        job_id, _, number = url.removeprefix(OWN).partition("/")
        job = provider.find(job_id, self._account)
        listed = job is not None and int(number) in (n for n, on in enumerate(job.listed(now), 1) if on)
        lasting = provider.core.file_faults(job, int(number), now) if job is not None and listed else frozenset()
        refused = provider.strike(ADDRESS, "address", url)
        provider.note("file", url, sorted(lasting), refused)
        if refused is not Fault.FILE_UNREACHED:
            self._answered()
        self._refuse_file(refused)
        if Fault.GONE in lasting:
            raise OutputGone("a 410")
        if not listed or Fault.LATE_FILE in lasting:
            raise OutputMissing("a 404")
        return job_id, int(number), lasting

    def _refuse_file(self, fault: Fault | None) -> None:
        """Raise the OutputError for a fault; others do nothing."""
        match fault:
            case Fault.UNAUTHORIZED:
                raise OutputRefused(_REFUSED)
            case Fault.FILE_UNREACHED:
                raise OutputError("connection refused")
            case Fault.FILE_LIMITED:
                raise OutputError("a 429", self._provider.offer.retry_after)

    async def aclose(self) -> None:
        """See `Api.aclose`; there is nothing to close."""


class _Opening:
    """The context that `open_output` returns."""

    def __init__(self, api: MemoryApi, url: str) -> None:
        self._api = api
        self._url = url

    async def __aenter__(self) -> Output:
        return await self._api.fetch(self._url)

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
