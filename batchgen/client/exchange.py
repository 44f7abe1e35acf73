"""One request and its answer, on a connection that aiohttp has made, secured and kept, and whose answers it parses.

aiohttp's session is not used. What it does for each request beside that (cookies, redirects, tracing, timers, headers
of its own) is not wanted here, and was half of a request's CPU. And whether anything of a POST has left is then no
question: the statement that writes it is in this package.
"""

import asyncio
import re
from functools import cached_property
from typing import Self

import aiohttp
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from multidict import CIMultiDictProxy

_TARGET = re.compile(r"/[\x21-\x7e]*")
_BROKEN = (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)
_NO_TRACES: list[aiohttp.tracing.Trace] = []


def request(method: str, target: str, headers: bytes, body: bytes | None = None) -> bytes:
    """Return a request (RFC 9112). `headers` are whole lines, without the empty one at their end.

    Raises ValueError for a target that would not be one word of the first line.
    """
    if not _TARGET.fullmatch(target):
        raise ValueError("the address contains a character that no address may contain")
    length = b"" if body is None else b"Content-Length: %d\r\n" % len(body)
    return b"%s %s HTTP/1.1\r\n%s%s\r\n%s" % (method.encode(), target.encode(), headers, length, body or b"")


def header_lines(**headers: str) -> bytes:
    """Return headers as lines; an underscore in a name stands for a hyphen. Raises ValueError for a line break."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    if lines.count("\r") + lines.count("\n") != 2 * len(headers):
        raise ValueError("a header contains a line break")
    return lines.encode("ascii")


class Answer:
    """The beginning of an answer; the body follows in `content`. Leaving its context ends with it.

    A connection whose answer has not arrived completely by then is closed.
    """

    __slots__ = ("_connection", "content", "headers", "status")

    def __init__(
        self, status: int, headers: CIMultiDictProxy[str], content: aiohttp.StreamReader, connection: Connection
    ) -> None:
        self.status = status
        self.headers = headers
        self.content = content
        self._connection = connection

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.release()

    @property
    def content_type(self) -> str | None:
        """The media type (RFC 9110, section 8.3) in lower case, without parameters; None if it is not told."""
        told = self.headers.get("Content-Type")
        return None if told is None else told.partition(";")[0].strip().lower()

    @property
    def length(self) -> int | None:
        """How many bytes the body has, if that is told."""
        # With either kind of coding, the number does not count the bytes that arrive here (RFC 9112, section 6.3).
        told = self.headers.get("Content-Length")
        if told is None or "Transfer-Encoding" in self.headers:
            return None
        return int(told) if self.headers.get("Content-Encoding", "identity").lower() == "identity" else None


class Opener(aiohttp.ClientRequest):
    """What aiohttp's connector makes a connection by, which it calls a request. It is never sent, but used again."""

    @cached_property
    def connection_key(self) -> ConnectionKey:
        """Name the connections that serve."""
        return super().connection_key


async def connect(connector: aiohttp.BaseConnector, opener: Opener, within: aiohttp.ClientTimeout) -> Connection:
    """Return a connection to where `opener` leads, a kept one if there is one. Raises WIRE_ERRORS."""
    try:
        return await connector.connect(opener, _NO_TRACES, within)
    except aiohttp.ClientError:
        raise
    except TimeoutError as error:
        raise aiohttp.ConnectionTimeoutError from error


def prepare(connection: Connection, buffer: int) -> asyncio.Transport | None:
    """Make a connection ready for the answer to a request, and return what that is written to; None if it is closed.

    About `buffer` bytes of the answer may wait unread.
    """
    protocol = connection.protocol
    if protocol is None or protocol.transport is None or protocol.transport.is_closing():
        return None
    protocol.set_response_params(read_until_eof=True, read_bufsize=buffer)
    return protocol.transport


async def receive(connection: Connection) -> Answer:
    """Wait for the beginning of an answer. Raises WIRE_ERRORS; then it is the caller who closes the connection."""
    protocol = connection.protocol
    if protocol is None:
        raise aiohttp.ClientConnectionResetError
    message, content = await protocol.read()
    while 100 <= message.code <= 199 and message.code != 101:
        message, content = await protocol.read()  # RFC 9110, section 15.2: the answer proper is still to come
    # Once all has arrived, the connection is free, whenever that is read.
    content.on_eof(connection.release)
    return Answer(message.code, message.headers, content, connection)


async def get(
    connector: aiohttp.BaseConnector,
    opener: Opener,
    data: bytes,
    within: aiohttp.ClientTimeout,
    buffer: int,
) -> Answer:
    """Send a GET; it is repeated once if the connection breaks, since the server may have closed a kept one.

    Raises WIRE_ERRORS.
    """
    again = True
    while True:
        connection = await connect(connector, opener, within)
        try:
            transport = prepare(connection, buffer)
            if transport is None:
                raise aiohttp.ClientConnectionResetError
            transport.write(data)
            return await receive(connection)
        except BaseException as error:
            connection.close()
            if not (again and isinstance(error, _BROKEN)):
                raise
            again = False
