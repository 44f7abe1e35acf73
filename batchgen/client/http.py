"""The API over HTTP with aiohttp. Its exceptions end here: none of their texts is passed on, because they contain
addresses and request headers, and each is replaced or handled `from None`, so that no traceback shows them either."""

import re
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from datetime import datetime, timedelta
from urllib.parse import unquote

import aiohttp
from aiohttp.connector import Connection
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
from batchgen.client.addresses import Addresses, Origin, check_key, origin_of, parse_base_url, redirect_in_words
from batchgen.client.answers import (
    Reply,
    clock_offset,
    error_message,
    poll_answer,
    retry_after,
    submit_answer,
    without_key,
)
from batchgen.client.exchange import Answer, receive
from batchgen.client.limits import Limits
from batchgen.client.route import DIRECT, Route
from batchgen.client.timeouts import Patience
from batchgen.client.wire import Sending, Wire
from batchgen.client.wire_errors import NO_CONNECTION, WIRE_ERRORS, explain
from batchgen.core.clock import UtcNow, utc_now
from batchgen.core.text import printable

_LATER = frozenset({429, 503})
"""The statuses for which `Retry-After` is defined (RFC 6585, section 4, and RFC 9110, section 15.6.4)."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class HttpApi:
    """`batchgen.api.Api` over HTTP. Create it inside a running event loop; `aclose` closes it.

    A configured proxy only makes a tunnel, so that it sees neither the key nor an answer; an API on this machine,
    without TLS, is reached without the proxy. For the rest, see `batchgen.client.wire.Wire`.
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
        check_key(key)
        self._key = key
        self._limits = limits = limits or Limits()
        self._now = now
        self._patience = Patience(limits.beat)
        self._clock_offset: timedelta | None = None
        self._date: str | None = None
        """What the last answer said of its time."""
        self._hint = route.hint
        self._may_post = may_post
        self._wire = Wire(self._addresses, key, route, tls=tls, now=now, seconds=limits.connect)

    @property
    def clock_offset(self) -> timedelta | None:
        """See `batchgen.api.Api`."""
        return self._clock_offset

    async def submit(self, body: str, endpoint: str, *, wait: bool) -> SubmitAnswer:
        """POST `body` to `endpoint` once, exactly as given. See `batchgen.api.Api`."""
        connection: Connection | None = None
        sending, asked = Sending(), self._now()
        try:
            async with self._patience.limit() as limit:
                target = self._addresses.post(endpoint, wait=wait)
                connection = await self._wire.post(target, body.encode(), sending, self._may_post)
                if connection is None:
                    return NotSent("the lease of this shard was not renewed in time")
                limit.start(self._limits.submit_idle)
                begun = await receive(connection)
                limit.start(None)
                self._hear_clock(begun.headers, asked)
                return submit_answer(await self._reply(begun, self._addresses.own))
        except WIRE_ERRORS as error:
            if sending.kept:
                self._wire.distrust()
            return Unclear(f"no answer: {self._explain(error)}") if sending.sent else NotSent(self._explain(error))
        finally:
            if connection is not None:
                connection.close()  # unless the answer has arrived completely: then it is kept already

    async def poll(self, job_id: str) -> PollAnswer:
        """Ask once for a job's status. See `batchgen.api.Api`."""
        asked = self._now()
        try:
            async with self._patience.limit(self._limits.poll):
                with await self._wire.poll(self._addresses.job(job_id)) as answer:
                    self._hear_clock(answer.headers, asked)
                    return poll_answer(job_id, await self._reply(answer, self._addresses.own))
        except WIRE_ERRORS as error:
            return Unavailable(self._explain(error), reached=not isinstance(error, NO_CONNECTION))

    @asynccontextmanager
    async def open_output(self, url: str) -> AsyncGenerator[Output, None]:
        """Open one of a job's outputs. Raises OutputError and its subclasses; the caller's own exceptions pass."""
        answer, where = await self._follow(url)
        with answer:
            if answer.length is not None and answer.length > self._limits.output_bytes:
                raise OutputError(f"the file has {answer.length} bytes, more than {self._limits.output_bytes}")
            async with aclosing(self._chunks(answer.content, where)) as chunks:
                yield Output(answer.length, chunks, answer.content_type)

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
            with await self._get(where) as answer:
                if answer.status == 200:  # the API delivers the file itself
                    return self._without_key(str(where))
                if answer.status not in _REDIRECTS or "Location" not in answer.headers:
                    raise await self._refusal(answer, where)
                url = answer.headers["Location"]
        raise OutputError(f"the file is behind more than {self._limits.redirects} redirects")

    def _without_key(self, address: str) -> str:
        """Return an address that will be sent and kept. Raises OutputError where it would give the key away."""
        if self._key.casefold() in unquote(address).casefold():
            raise OutputError("the address of the file cannot be used: it contains the key")
        return address

    async def aclose(self) -> None:
        """Close all connections."""
        await self._wire.aclose()
        self._patience.stop()

    def _hear_clock(self, headers: Mapping[str, str], asked: datetime) -> None:
        told = headers.get("Date")
        if told == self._date:
            return  # `Date` has whole seconds: another answer in the same one says nothing new
        self._date = told
        heard = clock_offset(headers, asked, self._now())
        self._clock_offset = self._clock_offset if heard is None else heard

    async def _reply(self, answer: Answer, origin: Origin) -> Reply:
        """Read an answer from `origin`. Its body is bounded in bytes and in time; anything beyond that is never read.

        A server may repeat the request including the key: stars replace the key before anything else sees it.
        """
        raw, cut, content = bytearray(), None, answer.content
        try:
            if content.is_eof():
                raw += content.read_nowait()  # all is here, as with most answers
            else:
                async with self._patience.limit(self._limits.answer):
                    while not content.at_eof() and len(raw) <= self._limits.answer_bytes:
                        raw += await content.readany()
        except WIRE_ERRORS as error:
            cut = f"the answer was cut off: {self._explain(error)}"
        if len(raw) > self._limits.answer_bytes:
            cut = "the answer is too long"
        location = answer.headers.get("Location") if answer.status in _REDIRECTS else None
        return Reply(
            answer.status,
            without_key(bytes(raw), self._key, cut=cut is not None)[: self._limits.answer_bytes],
            cut,
            retry_after(answer.headers, self._now),
            None if location is None else self._in_words(redirect_in_words(location, origin)),
        )

    def _explain(self, error: Exception) -> str:
        return explain(error) + (self._hint if isinstance(error, aiohttp.ClientConnectorDNSError) else "")

    def _host(self, url: URL) -> str:
        # Never the whole address: its signature would give anyone who reads the log access to the file.
        return self._in_words(url.host or "")

    def _in_words(self, address: str) -> str:
        # A redirect may put the key into the host, in upper or lower case.
        shown = re.sub(re.escape(self._key), lambda found: "*" * len(found[0]), address, flags=re.IGNORECASE)
        return printable(shown, 100)

    async def _follow(self, url: str) -> tuple[Answer, URL]:
        """Return the answer with the file, after at most `redirects` hops, each of them checked, and its address."""
        where: URL | None = None
        for _ in range(self._limits.redirects + 1):
            try:
                where = self._addresses.output(url, where)
            except ValueError as error:
                raise OutputError(f"the file was not downloaded: {error}") from None
            answer = await self._get(where)
            if answer.status == 200:
                return answer, where
            with answer:
                if answer.status not in _REDIRECTS or "Location" not in answer.headers:
                    raise await self._refusal(answer, where)
                url = answer.headers["Location"]
        raise OutputError(f"the file is behind more than {self._limits.redirects} redirects")

    async def _get(self, url: URL) -> Answer:
        asked = self._now()
        try:
            async with self._patience.limit(self._limits.connect + self._limits.output_idle):
                answer = await self._wire.fetch(url)
        except WIRE_ERRORS as error:
            raise OutputError(f"{self._host(url)}: {self._explain(error)}") from None
        if self._addresses.is_own(url):
            self._hear_clock(answer.headers, asked)
        return answer

    async def _refusal(self, answer: Answer, url: URL) -> OutputError:
        own = self._addresses.is_own(url)
        reply = await self._reply(answer, origin_of(url))
        # Only the API's own words are worth showing; a storage server's page is not.
        detail = f": {error_message(reply)}" if own else ""
        message = f"{self._host(url)}: HTTP {answer.status}{detail}"
        if answer.status == 404:
            return OutputMissing(message)
        if answer.status == 410:
            return OutputGone(message)
        if answer.status == 401 and own:
            return OutputRefused(message)
        return OutputError(message, reply.retry_after if answer.status in _LATER else None)

    async def _chunks(self, content: aiohttp.StreamReader, url: URL) -> AsyncGenerator[bytes, None]:
        """Yield the body. Raises OutputError when it breaks off, trickles, or grows beyond the bound."""
        total = recent = 0
        waited = 0.0
        while True:
            try:
                # As it was received: to read all that is there would copy it once more.
                if content.is_eof():
                    chunk, ends_a_chunk = await content.readchunk()  # nothing is waited for any more
                else:
                    async with self._patience.limit(self._limits.output_idle):
                        begun = self._patience.time()
                        chunk, ends_a_chunk = await content.readchunk()
                        # Only waiting counts: a slow disk is not the server's fault.
                        waited += self._patience.time() - begun
            except WIRE_ERRORS as error:
                raise OutputError(f"{self._host(url)}: stopped after {total} bytes: {self._explain(error)}") from None
            if not chunk and not ends_a_chunk:
                return
            total += len(chunk)
            recent += len(chunk)
            if total > self._limits.output_bytes:
                raise OutputError(f"the file has more than {self._limits.output_bytes} bytes")
            if waited >= self._limits.slow_window:
                if recent < self._limits.slow_bytes:
                    raise OutputError(f"{self._host(url)}: only {recent} bytes in {waited:.0f} s")
                waited, recent = 0.0, 0
            yield chunk
