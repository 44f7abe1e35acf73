"""The API over HTTP with aiohttp. Its exceptions end here: none of their texts is passed on, because they contain
addresses and request headers, and each is replaced or handled `from None`, so that no traceback shows them either."""

import re
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import datetime, timedelta
from typing import TypedDict
from urllib.parse import unquote

import aiohttp
from yarl import URL

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
from batchgen.client.kept import KEPT_POST, KeptConnections, KeptPost, WithheldError
from batchgen.client.limits import Limits
from batchgen.client.post_progress import Sending, sending_trace
from batchgen.client.route import DIRECT, Route
from batchgen.client.timeouts import Patience
from batchgen.client.wire_errors import NO_CONNECTION, WIRE_ERRORS, explain
from batchgen.core.clock import UtcNow, utc_now
from batchgen.core.errors import UsageError
from batchgen.core.text import printable
from batchgen.core.version import __version__

_KEY = re.compile(r"[\x21-\x7e]{1,512}")
_BUFFER = 512 * 1024
"""Bytes of an output that may wait in memory; pieces are handed on as they arrive, since joining them costs a copy."""
_LATER = frozenset({429, 503})
"""The statuses for which `Retry-After` is defined (RFC 6585, section 4, and RFC 9110, section 15.6.4)."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class _Way(TypedDict, total=False):
    """The arguments of a request through a proxy."""

    proxy: URL | None
    proxy_headers: dict[str, str]


class HttpApi:
    """`batchgen.api.Api` over HTTP. Create it inside a running event loop; `aclose` closes it.

    Proxies, netrc and cookies of the environment are not used. A configured proxy only makes a tunnel, so that it sees
    neither the key nor an answer; an API on this machine, without TLS, is reached without the proxy. The callers limit
    the number of connections by counting jobs and downloads.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        limits: Limits | None = None,
        now: UtcNow = utc_now,
        tls: ssl.SSLContext | None = None,
        route: Route = DIRECT,
        may_post: Callable[[], bool] = lambda: True,
    ) -> None:
        """Raises UsageError for a base URL or a key that cannot be used. `tls` replaces the system's certificates.

        `may_post` is asked directly before the first byte of each POST is written, and nothing leaves if it says no.
        """
        self._addresses = Addresses(parse_base_url(base_url))
        if not _KEY.fullmatch(key):
            raise UsageError("the API key contains invalid characters; copy it again from the dashboard")
        self._key = key
        self._limits = limits = limits or Limits()
        self._now = now
        self._patience = Patience(limits.beat)
        self._clock_offset: timedelta | None = None
        self._trust = tls or True
        self._hint = route.hint
        self._may_post = may_post
        proxied = route.proxy is not None and not self._addresses.local
        self._way: _Way = {}
        if proxied:
            self._way = {"proxy": route.proxy}
            if route.authorization is not None:
                self._way["proxy_headers"] = {"Proxy-Authorization": route.authorization}
        # Set on each request to the API's origin, never on a session: aiohttp sends a session's headers to proxies too.
        self._own = {"Authorization": f"Bearer {key}"}
        # The answers are small: decompressing them would cost more than it saves.
        general = {"Accept-Encoding": "identity", "User-Agent": f"batchgen/{__version__}"}
        asking = general | {"Accept": "application/json"}
        self._connections = KeptConnections(now=now, trusted=not proxied, limit=0, ssl=self._trust)
        self._gets = self._session(self._connections, asking)
        # A POST uses a connection that polls have kept, if it is as safe as one of its own (see `kept`).
        self._kept_posts = self._session(self._connections, asking, sending_trace(limits.submit_idle))
        self._posts = self._session(
            aiohttp.TCPConnector(limit=0, force_close=True, ssl=self._trust), asking, sending_trace(limits.submit_idle)
        )
        # Other origins get a session of their own. With a proxy, the proxy resolves their names.
        anywhere = proxied or self._addresses.local
        self._files = self._session(
            aiohttp.TCPConnector(limit=0, ssl=self._trust, resolver=None if anywhere else PublicResolver()), general
        )

    def _session(
        self, connector: aiohttp.TCPConnector, headers: dict[str, str], *traces: aiohttp.TraceConfig
    ) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            headers=headers,
            # Everything after the connection is made is bounded by `Patience`.
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
        kept = KeptPost()
        token = KEPT_POST.set(kept)
        try:
            return await self._post(self._kept_posts, url, body, Sending(self._patience.limit(), kept, self._may_post))
        except WithheldError:
            pass  # nothing has left
        finally:
            KEPT_POST.reset(token)
        try:
            return await self._post(self._posts, url, body, Sending(self._patience.limit(), None, self._may_post))
        except WithheldError:
            return NotSent("the lease of this shard was not renewed in time")

    async def _post(self, session: aiohttp.ClientSession, url: URL, body: str, sending: Sending) -> SubmitAnswer:
        """Send a POST once. Raises WithheldError if nothing was written: it may not leave, or not in this way."""
        answer: SubmitAnswer | None = None
        asked = self._now()
        try:
            async with (
                sending.limit,
                session.post(
                    url,
                    data=body.encode(),
                    headers=self._own | {"Content-Type": "application/json"},
                    allow_redirects=False,
                    trace_request_ctx=sending,
                    **self._way,
                ) as response,
            ):
                sending.limit.start(None)
                if sending.kept is not None:
                    sending.kept.check_answer()
                self._hear_clock(response.headers, asked)
                answer = submit_answer(await self._reply(response))
                sending.limit.start(self._limits.connect)
        except WIRE_ERRORS as error:
            # An error while the connection is being closed does not affect an answer that is already here.
            return answer or self._unanswered(error, sending)
        return answer

    async def poll(self, job_id: str) -> PollAnswer:
        """Ask once for a job's status. See `batchgen.api.Api`.

        A kept connection that the server has closed meanwhile does not matter: aiohttp replaces it once for a GET.
        """
        asked = self._now()
        try:
            async with (
                self._patience.limit(self._limits.poll),
                self._gets.get(
                    self._addresses.job(job_id), headers=self._own, allow_redirects=False, **self._way
                ) as response,
            ):
                self._hear_clock(response.headers, asked)
                return poll_answer(job_id, await self._reply(response))
        except WIRE_ERRORS as error:
            return Unavailable(self._explain(error), reached=not isinstance(error, NO_CONNECTION))

    @asynccontextmanager
    async def open_output(self, url: str) -> AsyncGenerator[Output, None]:
        """Open one of a job's outputs. Raises OutputError and its subclasses; the caller's own exceptions pass."""
        response = await self._follow(url)
        async with response:
            length = _announced_length(response)
            if length is not None and length > self._limits.output_bytes:
                raise OutputError(f"the file has {length} bytes, more than {self._limits.output_bytes}")
            async with aclosing(self._chunks(response)) as chunks:
                yield Output(length, chunks, response.content_type if "Content-Type" in response.headers else None)

    async def public_address(self, url: str) -> str:
        """Return where a file lies in public. See `batchgen.api.Api`; raises OutputError and its subclasses."""
        where: URL | None = None
        for _ in range(self._limits.redirects + 1):
            try:
                where = self._addresses.output(url, where)
            except ValueError as error:
                raise OutputError(f"the address of the file cannot be used: {error}") from None
            if not self._addresses.is_own(where):
                return self._without_key(str(where))
            async with await self._get(where) as response:
                if response.status == 200:
                    response.close()  # the API delivers the file itself
                    return self._without_key(str(where))
                if response.status not in _REDIRECTS or "Location" not in response.headers:
                    raise await self._refusal(response, where)
                url = response.headers["Location"]
        raise OutputError(f"the file is behind more than {self._limits.redirects} redirects")

    def _without_key(self, address: str) -> str:
        """Return an address that will be sent and kept. Raises OutputError where it would give the key away."""
        if self._key.casefold() in unquote(address).casefold():
            raise OutputError("the address of the file cannot be used: it contains the key")
        return address

    async def aclose(self) -> None:
        """Close all connections."""
        for session in (self._posts, self._kept_posts, self._gets, self._files):
            await session.close()
        self._patience.stop()

    def _hear_clock(self, headers: Mapping[str, str], asked: datetime) -> None:
        heard = clock_offset(headers, asked, self._now())
        self._clock_offset = self._clock_offset if heard is None else heard

    async def _reply(self, response: aiohttp.ClientResponse) -> Reply:
        """Read an answer. Its body is bounded in bytes and in time; anything beyond that is never read.

        A server may repeat the request including the key: stars replace the key before anything else sees it.
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
        except WIRE_ERRORS as error:
            cut = f"the answer was cut off: {self._explain(error)}"
            response.close()
        location = response.headers.get("Location") if response.status in _REDIRECTS else None
        return Reply(
            response.status,
            without_key(bytes(raw), self._key, cut=cut is not None)[: self._limits.answer_bytes],
            cut,
            retry_after(response.headers, self._now()),
            None if location is None else self._in_words(redirect_in_words(location, response.url)),
        )

    def _unanswered(self, error: Exception, sending: Sending) -> SubmitAnswer:
        if sending.kept is not None:
            if sending.kept.withheld:
                raise WithheldError from None
            self._connections.distrust()
        # Two independent signs must agree that nothing was sent; otherwise there may be a charge.
        if (isinstance(error, NO_CONNECTION) or sending.connecting) and not sending.headers_left:
            return NotSent(self._explain(error))
        return Unclear(f"no answer: {self._explain(error)}")

    def _explain(self, error: Exception) -> str:
        return explain(error) + (self._hint if isinstance(error, aiohttp.ClientConnectorDNSError) else "")

    def _host(self, url: URL) -> str:
        # Never the whole address: its signature would give anyone who reads the log access to the file.
        return self._in_words(url.host or "")

    def _in_words(self, address: str) -> str:
        # A redirect may put the key into the host, in upper or lower case.
        shown = re.sub(re.escape(self._key), lambda found: "*" * len(found[0]), address, flags=re.IGNORECASE)
        return printable(shown, 100)

    async def _follow(self, url: str) -> aiohttp.ClientResponse:
        """Return the answer with the file, after at most `redirects` hops, each of them checked."""
        where: URL | None = None
        for _ in range(self._limits.redirects + 1):
            try:
                where = self._addresses.output(url, where)
            except ValueError as error:
                raise OutputError(f"the file was not downloaded: {error}") from None
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
                    url,
                    headers={"Accept": "*/*"} | (self._own if own else {}),
                    allow_redirects=False,
                    read_bufsize=_BUFFER,
                    **self._way,
                )
        except WIRE_ERRORS as error:
            raise OutputError(f"{self._host(url)}: {self._explain(error)}") from None
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
                    # As it was received: to read all that is there would copy it once more.
                    chunk, ends_a_chunk = await response.content.readchunk()
                    # Only waiting counts: a slow disk is not the server's fault.
                    waited += self._patience.time() - begun
            except WIRE_ERRORS as error:
                raise OutputError(
                    f"{self._host(response.url)}: stopped after {total} bytes: {self._explain(error)}"
                ) from None
            if not chunk and not ends_a_chunk:
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


def _announced_length(response: aiohttp.ClientResponse) -> int | None:
    # With either kind of coding, the number does not count the bytes that arrive here (RFC 9112, section 6.3).
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        return None
    return None if "Transfer-Encoding" in response.headers else response.content_length
