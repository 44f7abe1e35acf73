"""The API over HTTP with aiohttp. Its exceptions end here: none of their texts is passed on, for they carry addresses
and request headers, and each is raised or answered `from None`, so that no traceback shows them either."""

import re
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from batchgen import __version__
from batchgen.api import (
    NotSent,
    Output,
    OutputError,
    OutputGone,
    OutputMissing,
    OutputRefused,
    PollAnswer,
    SubmitAnswer,
    Unavailable,
    Unclear,
)
from batchgen.client.addresses import Addresses, PublicResolver, parse_base_url, redirect_in_words
from batchgen.client.answers import (
    Reply,
    clock_offset,
    error_message,
    poll_answer,
    retry_after,
    submit_answer,
    without_key,
)
from batchgen.client.patience import Limit, Patience
from batchgen.clock import UtcNow, utc_now
from batchgen.errors import UsageError
from batchgen.text import printable

_KEY = re.compile(r"[\x21-\x7e]{1,512}")
_BUFFER = 512 * 1024
"""Bytes of an output that may wait in memory; what is there is handed on as it is, since to join it costs a copy."""
# What aiohttp raises for a request, an answer or a body; timeouts are OSErrors. ValueError is what a host name that no
# codec accepts, or a header with control characters, ends in.
_WIRE_ERRORS = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError)
# Raised by the connector alone, which has no request to send (aiohttp/connector.py): DNS, refused, TLS, timeouts.
_NO_CONNECTION = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_LATER = frozenset({429, 503})
"""What `Retry-After` is meant for (RFC 6585, section 4, and RFC 9110, section 15.6.4)."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much, in seconds and bytes."""

    connect: float = 10.0
    """For DNS, connection and TLS together."""
    submit_idle: float = 120.0
    """From the moment at which a POST leaves until its answer begins, whatever the peer takes or says meanwhile."""
    answer: float = 120.0
    """For the whole body of an answer that has begun: each byte may come late, all of them together may not."""
    poll: float = 60.0
    """For a whole poll."""
    output_idle: float = 60.0
    answer_bytes: int = 1 << 20
    output_bytes: int = 4 << 30
    redirects: int = 5
    slow_window: float = 60.0
    """A download must bring `slow_bytes` in each such stretch of waiting, lest a trickle last for ever."""
    slow_bytes: int = 60 * 4096

    @property
    def beat(self) -> float:
        """How late a limit may be noticed: little beside the shortest of them."""
        return min(1.0, min(self.submit_idle, self.answer, self.poll, self.output_idle) / 16)


class _Sending:
    """What is known about one POST on its way out."""

    __slots__ = ("headers_left", "limit")

    def __init__(self, limit: Limit) -> None:
        self.headers_left = False
        self.limit = limit


class HttpApi:
    """`batchgen.api.Api` over HTTP. Made inside a running event loop; `aclose` ends it.

    Proxies, netrc and cookies of the environment are not used: what stands between this program and the API could see
    the key and would answer for it. The number of connections is bounded by the callers, who count jobs and downloads.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        limits: Limits | None = None,
        now: UtcNow = utc_now,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Raises UsageError for a base URL or a key that cannot be used. `tls` replaces the system's certificates."""
        self._addresses = Addresses(parse_base_url(base_url))
        if not _KEY.fullmatch(key):
            raise UsageError("the API key holds characters that no key has; copy it again from the dashboard")
        self._key = key
        self._limits = limits = limits or Limits()
        self._now = now
        self._patience = Patience(limits.beat)
        self._clock_offset: timedelta | None = None
        self._trust = tls or True
        own = {
            "Authorization": f"Bearer {key}",
            "Accept": "application/json",
            # The answers are small: inflating them would cost more than it saves.
            "Accept-Encoding": "identity",
            "User-Agent": f"batchgen/{__version__}",
        }
        # A kept connection that the server closes just as a POST is written would leave a charge in doubt (RFC 9112,
        # section 9.3.1), so each POST has a connection of its own.
        self._posts = self._session(
            aiohttp.TCPConnector(limit=0, force_close=True, ssl=self._trust),
            own | {"Content-Type": "application/json"},
            _sending_trace(limits.submit_idle),
        )
        self._gets = self._session(aiohttp.TCPConnector(limit=0, ssl=self._trust), own)
        # Other origins get a session that never knew the key.
        self._files = self._session(
            aiohttp.TCPConnector(
                limit=0, ssl=self._trust, resolver=None if self._addresses.local else PublicResolver()
            ),
            {"Accept-Encoding": "identity", "User-Agent": own["User-Agent"]},
        )

    def _session(
        self, connector: aiohttp.TCPConnector, headers: dict[str, str], *traces: aiohttp.TraceConfig
    ) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            headers=headers,
            # All that comes behind the connection is bounded by `Patience`.
            timeout=aiohttp.ClientTimeout(total=None, connect=self._limits.connect),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            trace_configs=list(traces),
        )

    @property
    def clock_offset(self) -> timedelta | None:
        """See `batchgen.api.Api`."""
        return self._clock_offset

    async def submit(self, body: str, endpoint: str, *, wait: bool) -> SubmitAnswer:
        """POST `body` to `endpoint` once, exactly as given. See `batchgen.api.Api`."""
        url = self._addresses.post(endpoint, wait=wait)
        sending = _Sending(self._patience.limit())
        answer: SubmitAnswer | None = None
        asked = self._now()
        try:
            async with (
                sending.limit,
                self._posts.post(url, data=body.encode(), allow_redirects=False, trace_request_ctx=sending) as response,
            ):
                sending.limit.start(None)
                self._hear_clock(response.headers, asked)
                answer = submit_answer(await self._reply(response))
                sending.limit.start(self._limits.connect)
        except _WIRE_ERRORS as error:
            # What breaks while the connection is being closed takes nothing from an answer that is already here.
            return answer or _unanswered(error, sending)
        return answer

    async def poll(self, job_id: str) -> PollAnswer:
        """Ask once how a job stands. See `batchgen.api.Api`.

        A kept connection that the server has closed meanwhile counts for nothing: aiohttp replaces it, once, for a GET.
        """
        asked = self._now()
        try:
            async with (
                self._patience.limit(self._limits.poll),
                self._gets.get(self._addresses.job(job_id), allow_redirects=False) as response,
            ):
                self._hear_clock(response.headers, asked)
                return poll_answer(job_id, await self._reply(response))
        except _WIRE_ERRORS as error:
            return Unavailable(_explain(error), reached=not isinstance(error, _NO_CONNECTION))

    @asynccontextmanager
    async def open_output(self, url: str) -> AsyncGenerator[Output, None]:
        """Open one of a job's outputs. Raises OutputError and its kinds; what the caller raises inside passes."""
        response = await self._follow(url)
        async with response:
            length = _announced_length(response)
            if length is not None and length > self._limits.output_bytes:
                raise OutputError(f"the file has {length} bytes, more than {self._limits.output_bytes}")
            async with aclosing(self._chunks(response)) as chunks:
                yield Output(length, chunks)

    async def aclose(self) -> None:
        """Close all connections."""
        for session in (self._posts, self._gets, self._files):
            await session.close()
        self._patience.stop()

    def _hear_clock(self, headers: Mapping[str, str], asked: datetime) -> None:
        heard = clock_offset(headers, asked, self._now())
        self._clock_offset = self._clock_offset if heard is None else heard

    async def _reply(self, response: aiohttp.ClientResponse) -> Reply:
        """Read an answer. Its body is bounded in bytes and in time, and what is beyond that is never read.

        A server may repeat the request, key and all: stars stand in the key's place, before anybody sees it.
        """
        raw, cut = bytearray(), None
        try:
            async with self._patience.limit(self._limits.answer):
                while not response.content.at_eof():
                    raw += await response.content.readany()
                    if len(raw) > self._limits.answer_bytes:
                        response.close()
                        cut = "the answer is too long"
                        break
        except _WIRE_ERRORS as error:
            cut = f"the answer broke off: {_explain(error)}"
            response.close()
        location = response.headers.get("Location") if response.status in _REDIRECTS else None
        return Reply(
            response.status,
            without_key(bytes(raw), self._key, cut=cut is not None)[: self._limits.answer_bytes],
            cut,
            retry_after(response.headers, self._now()),
            None if location is None else self._in_words(redirect_in_words(location, response.url)),
        )

    def _host(self, url: URL) -> str:
        # Never the whole address: a signature in it opens the file to whoever reads the log.
        return self._in_words(url.host or "")

    def _in_words(self, address: str) -> str:
        # A redirect may put the key into the host, in any case of letters.
        shown = re.sub(re.escape(self._key), lambda found: "*" * len(found[0]), address, flags=re.IGNORECASE)
        return printable(shown, 100)

    async def _follow(self, url: str) -> aiohttp.ClientResponse:
        """Return the answer with the file, after at most `redirects` hops, each of them checked."""
        where: URL | None = None
        for _ in range(self._limits.redirects + 1):
            try:
                where = self._addresses.output(url, where)
            except ValueError as error:
                raise OutputError(f"the file is not fetched: {error}") from None
            response = await self._get(where)
            if response.status == 200:
                return response
            async with response:
                if response.status not in _REDIRECTS or "Location" not in response.headers:
                    raise await self._refusal(response, where)
                url = response.headers["Location"]
        raise OutputError(f"the file is behind more than {self._limits.redirects} redirects")

    async def _get(self, url: URL) -> aiohttp.ClientResponse:
        own, asked = self._addresses.is_own(url), self._now()
        session = self._gets if own else self._files
        try:
            async with self._patience.limit(self._limits.connect + self._limits.output_idle):
                response = await session.get(
                    url, headers={"Accept": "*/*"}, allow_redirects=False, read_bufsize=_BUFFER
                )
        except _WIRE_ERRORS as error:
            raise OutputError(f"{self._host(url)}: {_explain(error)}") from None
        if own:
            self._hear_clock(response.headers, asked)
        return response

    async def _refusal(self, response: aiohttp.ClientResponse, url: URL) -> OutputError:
        own = self._addresses.is_own(url)
        reply = await self._reply(response)
        # Only the API's own words are worth showing; a storage server's page is not.
        detail = f": {error_message(reply)}" if own else ""
        message = f"{self._host(url)}: HTTP {response.status}{detail}"
        if response.status == 404:
            return OutputMissing(message)
        if response.status == 410:
            return OutputGone(message)
        if response.status == 401 and own:
            return OutputRefused(message)
        return OutputError(message, reply.retry_after if response.status in _LATER else None)

    async def _chunks(self, response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
        """Yield the body. Raises OutputError when it breaks off, trickles, or grows beyond the bound."""
        total = recent = 0
        waited = 0.0
        while True:
            try:
                async with self._patience.limit(self._limits.output_idle):
                    begun = self._patience.time()
                    chunk = await response.content.readany()
                    # Only waiting counts: a slow disk is not the server's fault.
                    waited += self._patience.time() - begun
            except _WIRE_ERRORS as error:
                raise OutputError(
                    f"{self._host(response.url)}: broke off after {total} bytes: {_explain(error)}"
                ) from None
            if not chunk:
                return
            total += len(chunk)
            recent += len(chunk)
            if total > self._limits.output_bytes:
                raise OutputError(f"the file has more than {self._limits.output_bytes} bytes")
            if waited >= self._limits.slow_window:
                if recent < self._limits.slow_bytes:
                    raise OutputError(f"{self._host(response.url)}: only {recent} bytes in {waited:.0f} s")
                waited, recent = 0.0, 0
            yield chunk


def _sending_trace(idle: float) -> aiohttp.TraceConfig:
    async def headers_leave(
        _: aiohttp.ClientSession, context: SimpleNamespace, __: aiohttp.TraceRequestHeadersSentParams
    ) -> None:
        # Called just before the headers are handed to the transport, never after (aiohttp/http_writer.py).
        sending: _Sending = context.trace_request_ctx
        sending.headers_left = True
        sending.limit.start(idle)

    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(headers_leave)
    return trace


def _unanswered(error: Exception, sending: _Sending) -> SubmitAnswer:
    # Both witnesses must agree that nothing left; everything else may have been charged.
    if isinstance(error, _NO_CONNECTION) and not sending.headers_left:
        return NotSent(_explain(error))
    return Unclear(f"no answer: {_explain(error)}")


def _announced_length(response: aiohttp.ClientResponse) -> int | None:
    # With a coding of either kind the number counts other bytes than those that arrive here (RFC 9112, section 6.3).
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        return None
    return None if "Transfer-Encoding" in response.headers else response.content_length


def _explain(error: Exception) -> str:
    """Return what happened, with the operating system's or OpenSSL's own words, and nothing of the request."""
    name = type(error).__name__
    what = next((f"{words} ({name})" for kind, words in _IN_WORDS if isinstance(error, kind)), name)
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    details = cause.strerror if isinstance(cause, OSError) else None
    return printable(f"{what}: {details}" if details else what, 200)


# The special ones first: each is a kind of a later one.
_IN_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ConnectionTimeoutError, "no connection in time"),
    (TimeoutError, "nothing came in time"),
    (aiohttp.ServerDisconnectedError, "the server closed the connection"),
    (aiohttp.ClientConnectorDNSError, "the name is not known"),
    (aiohttp.ClientConnectorCertificateError, "the certificate is not trusted"),
    (aiohttp.ClientSSLError, "no encrypted connection"),
    (aiohttp.ClientConnectorError, "the connection failed"),
    (aiohttp.ClientPayloadError, "the answer broke off"),
    (ConnectionResetError, "the connection was reset"),
)
