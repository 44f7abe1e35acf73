"""The simulator itself: two origins on this machine, the API and its file storage, with books behind them."""

import asyncio
import errno
import hashlib
import json
import re
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from decimal import Decimal
from typing import Self
from urllib.parse import parse_qs

from aiohttp import web

from batchgen.catalog import Catalog
from batchgen.core.clock import UtcNow, utc_now
from batchgen.core.digest import digest_of, filled, output_of
from batchgen.core.errors import UsageError
from batchgen.provider import (
    Acceptance,
    Account,
    Dice,
    Fault,
    Faults,
    NoCreditError,
    Order,
    Provider,
    ProviderJob,
)
from batchgen.provider.faults import ADDRESS, BEFORE, INPUT, POLL
from batchgen.simulator.admin import PREFIX, Admin
from batchgen.simulator.answers import Refusal, html_response, invalid, job_json, json_response
from batchgen.simulator.bodies import MAX_BODY, BodyReader
from batchgen.simulator.media import require_media
from batchgen.simulator.settings import KEY, SimulatorSettings
from batchgen.simulator.state_file import StateFile
from batchgen.simulator.storage import Storage, Studio

HOST = "127.0.0.1"
_ANY_MODEL = "/v1/generate"
_OUTPUT = re.compile(r"[0-9]{1,2}")
_JOBS, _FILES = "/v1/jobs/", "/v1/files/"
_DAY = 86400.0
_SHUTDOWN = 0.5
"""Seconds that open requests are given at shutdown."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with zero time: closing sends a reset (socket(7))."""


_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class _Dropped(Exception):  # noqa: N818 - an end without an answer, not a fault of the program
    """The connection was closed instead of an answer."""


class Simulator:
    """The API on this machine. Use as an asynchronous context manager; `url` and `files_url` exist inside it."""

    def __init__(self, settings: SimulatorSettings, catalog: Catalog, now: UtcNow = utc_now) -> None:
        """Opens nothing yet; prices and checks come from `catalog`."""
        self.settings = settings
        self.requests: Counter[tuple[str, str]] = Counter()
        """Answers by endpoint and status; status `closed` if the connection was closed without an answer."""
        self.url = self.files_url = ""
        self._now = now
        self._catalog = catalog
        self._dice = Dice(settings.seed)
        self._faults = Faults(
            self._dice, {Fault(name): rate for name, rate in settings.faults.items()}, strikes=settings.strikes
        )
        self._reader = BodyReader(self._catalog)
        self._endpoints = {_ANY_MODEL: None} | {m.endpoint: m.endpoint for m in self._catalog.models.values()}
        self._tries: Counter[tuple[str, str, str]] = Counter()
        self._addresses: Counter[str] = Counter()
        """How often each file was requested."""
        self._keyed: dict[str, Account] = {}

    async def __aenter__(self) -> Self:
        """Open the books and both ports. Raises UsageError if a port is taken, the state file cannot be used, or an
        encoder is missing."""
        require_media()
        async with AsyncExitStack() as stack:
            self.books = StateFile(self.settings.state, paid=self.settings.balance, promo=self.settings.promo)
            stack.callback(self.books.close)
            self._provider = Provider(
                self.books,
                self._dice,
                self._faults,
                speed=self.settings.speed,
                retention=self.settings.retention_days * _DAY,
                capacity=self.settings.capacity,
            )
            for key in self.settings.keys:
                self.books.account(account_of(key))
            self._provider.resume(self.books.unfinished())
            self._admin = Admin(self.books, self.requests, unmarked=self.settings.unmarked)
            studio = Studio(self._catalog, small=self.settings.media == "tiny")
            stack.callback(studio.close)
            self._storage = Storage(self._provider, studio)
            self._stopping = asyncio.Event()
            self.files_url = await _listen(stack, self._serve_storage, self.settings.files_port)
            self.url = await _listen(stack, self._serve_api, self.settings.port)
            # Last in, first out: requests that wait for a job are answered before the ports close.
            stack.callback(self._stopping.set)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    # ---- the API ----------------------------------------------------------------------------------------------------

    async def _serve_api(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        if path.startswith(PREFIX):
            try:
                return await self._admin.serve(request, self._moment())
            except Refusal as refusal:
                return refusal.response()
        answer: web.StreamResponse
        try:
            name, answer = await self._route(request, path, query)
            status = str(answer.status)
        except Refusal as refusal:
            name, answer = self._label(request.method, path), refusal.response()
            status = str(refusal.status)
        except _Dropped:
            name, answer = self._label(request.method, path), web.Response()
            status = "closed"
        self.requests[name, status] += 1
        return answer

    async def _route(self, request: web.BaseRequest, path: str, query: str) -> tuple[str, web.Response]:
        if path.startswith(_JOBS):
            _only("GET", request)
            return "GET /v1/jobs/{id}", self._job(request, path[len(_JOBS) :])
        if path.startswith(_FILES):
            _only("GET", request)
            return "GET /v1/files/{id}", self._file(request, path[len(_FILES) :], query)
        if path in self._endpoints:
            _only("POST", request)
            return f"POST {path}", await self._submit(request, self._endpoints[path], query)
        raise Refusal(404, "not_found", "There is no such endpoint.")

    def _job(self, request: web.BaseRequest, job_id: str) -> web.Response:
        now = self._moment()
        job = self._own(request, job_id, now)
        self.books.polls[job_id] += 1
        match self._faults.strike(POLL, f"{job.digest} {job.acceptance}", self.books.polls[job_id]):
            case Fault.POLL_ERROR:
                raise Refusal(500, "internal_error", "Something went wrong.")
            case fault:
                _refuse_for(fault)
        return self._shown(200, job, now, self._provider.price(job, now))

    def _file(self, request: web.BaseRequest, job_id: str, query: str) -> web.Response:
        now = self._moment()
        job = self._own(request, job_id, now)
        number = parse_qs(query).get("n", ["0"])[-1] if query else "0"
        if job.status(now) != "completed":
            raise Refusal(404, "file_not_ready", "The file is not ready.")
        if not _OUTPUT.fullmatch(number) or not self._is_listed(job, int(number), now):
            raise Refusal(404, "file_not_found", "There is no such file.")
        lasting = self._provider.file_faults(job, int(number) + 1, now)
        if Fault.GONE in lasting:
            raise Refusal(410, "file_gone", "The file is gone.")
        if Fault.LATE_FILE in lasting:
            raise Refusal(404, "file_not_ready", "The file is not ready.")
        what = f"{job.digest} {job.acceptance} {number}"
        self._addresses[what] += 1
        _refuse_for(self._faults.strike(ADDRESS, what, self._addresses[what]))
        expires = int(min(now + self.settings.url_ttl, job.expires_at)) + 1
        target = self.files_url + self._storage.signed(job, int(number), expires)
        return web.Response(status=302, headers={"Location": target})

    def _is_listed(self, job: ProviderJob, number: int, now: float) -> bool:
        listed = job.listed(now)
        return number < len(listed) and listed[number]

    async def _submit(self, request: web.BaseRequest, endpoint: str | None, query: str) -> web.Response:
        account = self._account(request)
        wait = parse_qs(query).get("wait", ["false"])[-1] if query else "false"
        if wait not in ("true", "false"):
            raise invalid("wait", "wait must be true or false")
        order, inputs = self._reader.read(request.headers.get("Content-Type", ""), await _body(request), endpoint)
        order = replace(order, digest=self._identity(order, inputs))
        self._strike_before(request, account, order)
        self._check_inputs(account, order, inputs)
        accepted = self._accept(account, order)
        if accepted.fault is Fault.LOST_ANSWER:
            _drop(request, reset=False)
        if accepted.fault is Fault.GARBLED:
            return json_response(200, '{"object":"generation","status":"proc')
        if accepted.fault is Fault.BARE_ANSWER:
            return json_response(202, json.dumps({"id": accepted.id}))
        if wait == "true":
            await self._finished(accepted.job)
        now = self._moment()
        price = self._provider.price_at_post(accepted, now)
        shown = replace(accepted.job, id=accepted.id, body=accepted.body)
        return self._shown(202 if shown.status(now) == "processing" else 200, shown, now, price)

    def _strike_before(self, request: web.BaseRequest, account: Account, order: Order) -> None:
        """Stop the request here if a fault strikes before anything is charged."""
        match self._faults.strike(BEFORE, f"{account.id} {order.digest}", self._next_try(BEFORE, account, order)):
            case Fault.LOST_BEFORE:
                _drop(request, reset=True)
            case Fault.STORM:
                raise _Page(500)
            case Fault.UNAVAILABLE:
                raise Refusal(502, "generation_unavailable", "The provider is unavailable; try again.")
            case Fault.REJECTED:
                raise invalid("prompt", "the prompt is not allowed")
            case Fault.NO_BALANCE:
                raise Refusal(402, "insufficient_balance", "The balance does not cover this call; top it up.")
            case fault:
                _refuse_for(fault)

    def _accept(self, account: Account, order: Order) -> Acceptance:
        """Charge for a job and enter it, in one step that nothing can interrupt. Raises Refusal: 402."""
        try:
            return self._provider.accept(order, account, self._moment())
        except NoCreditError as error:
            if error.promotional:
                raise Refusal(402, "paid_balance_required", "Promotional credit cannot pay for API calls.") from error
            raise Refusal(402, "insufficient_balance", "The balance does not cover this call; top it up.") from error

    async def _finished(self, job: ProviderJob) -> None:
        """Return once the job has ended or the wait budget is used up."""
        end = min(job.ends_at, job.created_at + self.settings.wait_budget / self.settings.speed)
        while not self._stopping.is_set() and (left := end - self._moment()) > 0:
            try:
                await asyncio.wait_for(self._stopping.wait(), left)
            except TimeoutError:
                continue

    def _next_try(self, group: tuple[Fault, ...], account: Account, order: Order) -> int:
        """Return how often this request has been tried, this time included; counted where such faults can strike."""
        if not self._faults.possible(group):
            return 1
        tried = group[0], account.id, order.digest
        self._tries[tried] += 1
        return self._tries[tried]

    def _identity(self, order: Order, inputs: list[tuple[str, str]]) -> str:
        """Return an order's digest, the same whenever the outputs in it were addressed (`batchgen.core.digest`)."""
        found = {
            path.replace(".", "/"): self._storage.output_at(url.removeprefix(self.files_url))
            for path, url in inputs
            if url.startswith(f"{self.files_url}/")
        }
        outputs = {place: output_of(at[0].digest, at[1]) for place, at in found.items() if at is not None}
        return digest_of(filled(order.text, outputs)) if outputs else order.digest

    def _check_inputs(self, account: Account, order: Order, inputs: list[tuple[str, str]]) -> None:
        """Raise Refusal for an input image that cannot be fetched; what lies elsewhere is taken on trust."""
        for path, url in inputs:
            reason = None
            if url.startswith(f"{self.url}/"):
                reason = "it is not public (401)"
            elif url.startswith(f"{self.files_url}/"):
                reason = self._storage.unfetchable(url.removeprefix(self.files_url), self._moment())
            if reason is not None:
                raise invalid(path, f"the address could not be fetched: {reason}")
        if inputs and self._faults.strike(INPUT, f"{account.id} {order.digest}", self._next_try(INPUT, account, order)):
            raise invalid(inputs[0][0], "the address could not be fetched: it does not answer")

    # ---- shared -----------------------------------------------------------------------------------------------------

    def _shown(self, status: int, job: ProviderJob, now: float, price: Decimal | None) -> web.Response:
        scale = self._storage.studio.scale_of(job)
        shown = job_json(job, now, self.url, retention_days=self.settings.retention_days, cost=price, scale=scale)
        return json_response(status, shown)

    def _own(self, request: web.BaseRequest, job_id: str, now: float) -> ProviderJob:
        """Return a job of the caller's account. Raises Refusal: 401, 404."""
        account = self._account(request)
        job = self._provider.find(job_id, account.id, now)
        if job is None:
            raise _unknown_job()
        return job

    def _account(self, request: web.BaseRequest) -> Account:
        """Return the caller's account. Raises Refusal: 401."""
        header = request.headers.get("Authorization")
        account = self._keyed.get(header or "")
        if account is not None:
            return account
        scheme, _, key = (header or "").partition(" ")
        if scheme != "Bearer":
            raise Refusal(401, "missing_authorization", "Send the key as Authorization: Bearer api18_….")
        if not KEY.fullmatch(key) or (self.settings.keys and key not in self.settings.keys):
            raise Refusal(401, "invalid_api_key", "The key is not valid.")
        account = self._keyed[f"Bearer {key}"] = self.books.account(account_of(key))
        return account

    def _label(self, method: str, path: str) -> str:
        for prefix in (_JOBS, _FILES):
            if path.startswith(prefix):
                return f"{method} {prefix}{{id}}"
        # All other requests count as one kind, so that a caller cannot make the table grow at will.
        return f"{method} {path}" if path in self._endpoints else "other"

    def _moment(self) -> float:
        return self._now().timestamp()

    async def _serve_storage(self, request: web.BaseRequest) -> web.StreamResponse:
        answer = await self._storage.serve(request, self._moment())
        self.requests[f"{request.method} storage", str(answer.status)] += 1
        return answer


def _refuse_for(fault: Fault | None) -> None:
    """Raise the Refusal for a fault; None does nothing."""
    match fault:
        case Fault.BUSY | Fault.POLL_LIMITED | Fault.FILE_LIMITED:
            raise Refusal(429, "rate_limited", "Too many requests; try again.", headers={"Retry-After": "1"})
        case Fault.UNAUTHORIZED:
            raise Refusal(401, "invalid_api_key", "The key is not valid.")
        case Fault.POLL_UNKNOWN:
            raise _unknown_job()


def _unknown_job() -> Refusal:
    return Refusal(404, "job_not_found", "There is no job with this id, or it has expired.")


class _Page(Refusal):
    """An error answer that is a page of HTML."""

    def __init__(self, status: int) -> None:
        super().__init__(status, "", "")

    def response(self) -> web.Response:
        return html_response(self.status)


def account_of(key: str) -> str:
    """Return the name of a key's account: a fingerprint, so that books and answers never contain the key."""
    return hashlib.sha256(f"batchgen simulator {key}".encode()).hexdigest()[:16]


def _only(method: str, request: web.BaseRequest) -> None:
    if request.method != method:
        raise Refusal(405, "method_not_allowed", f"Use {method}.", headers={"Allow": method})


async def _body(request: web.BaseRequest) -> bytes:
    if (request.content_length or 0) > MAX_BODY:
        raise invalid("", f"the body is larger than {MAX_BODY} bytes")
    try:
        raw = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise invalid("", f"the body is larger than {MAX_BODY} bytes") from error
    if len(raw) > MAX_BODY:
        raise invalid("", f"the body is larger than {MAX_BODY} bytes")
    return raw


def _drop(request: web.BaseRequest, *, reset: bool) -> None:
    """Close the connection without an answer. Always raises."""
    if request.transport is not None:
        handle = request.transport.get_extra_info("socket")
        if reset and handle is not None:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        request.transport.abort()
    raise _Dropped


async def _listen(stack: AsyncExitStack, handler: _Handler, port: int) -> str:
    """Open a port and return its address; `stack` closes it. Raises UsageError if it is taken."""
    runner = web.ServerRunner(web.Server(handler, access_log=None), shutdown_timeout=_SHUTDOWN)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        await web.TCPSite(runner, HOST, port, backlog=1024).start()
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        raise UsageError(f"port {port} cannot be opened ({error.strerror}); 0 takes any free one") from error
    return f"http://{HOST}:{runner.addresses[0][1]}"
