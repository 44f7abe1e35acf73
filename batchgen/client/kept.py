"""Which kept connection a POST may use.

A server may close a kept connection just as a POST arrives, and then nobody knows whether the POST was processed (RFC
9112, section 9.3.1). Servers close a connection without saying so because it is idle, or right after an answer. So a
POST uses a kept connection if the last answer on it is neither quite new nor old, if the same connection was answered
after a clearly longer pause before, and if nothing, neither bytes nor an end, has arrived on it when the request is
about to be written. Otherwise nothing is written.

Only a POST that was withheld for certain may be sent in another way. So a gate stands before the connection's own
`write`, whatever order aiohttp does things in: it either lets the request out or shuts for good.
"""

import select
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from batchgen.core.clock import UtcNow

SETTLED, WARM = 0.1, 1.0
"""Seconds since the last answer: earlier, its end may still be on the way, and later, the connection is too cold."""
MARGIN = 0.5
"""Seconds by which the connection must have outlived the present pause before: more than answers vary in time."""


class WithheldError(Exception):
    """Nothing of a POST was written: there is no kept connection for it, or it may not leave now."""


class KeptPost:
    """A POST that goes out on a kept connection or not at all."""

    __slots__ = ("connection", "left", "withheld")

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.left = False
        """Whether anything was handed to the transport."""
        self.withheld = False
        """Whether the request was held back; from then on nothing of it leaves."""

    def leave(self) -> None:
        """Let the request leave. Raises WithheldError if its connection is not quiet any more."""
        if self.left:
            return
        if self.connection is None or not is_quiet(self.connection):
            self.shut()
        if self.withheld:
            raise WithheldError
        self.left = True

    def shut(self) -> None:
        """Let nothing leave from now on, unless it has left already."""
        self.withheld = not self.left

    def check_answer(self) -> None:
        """Raises WithheldError for an answer although nothing has left: it came while the connection was idle.

        Raises ClientConnectionError if it is not certain that nothing has left.
        """
        if self.withheld:
            raise WithheldError
        if not self.left:
            raise aiohttp.ClientConnectionError


class _Gate:
    """The transport of a POST's connection, which lets nothing out unless the POST may leave at that moment."""

    __slots__ = ("_post", "_transport")

    def __init__(self, post: KeptPost, transport: Any) -> None:
        self._post = post
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """See asyncio.BaseTransport. Who hears that it is writes nothing any more, and the gate sees to that."""
        closing = bool(self._transport.is_closing())
        if closing:
            self._post.shut()
        return closing

    def write(self, data: bytes) -> None:
        """See asyncio.WriteTransport."""
        self._post.leave()
        self._transport.write(data)

    def writelines(self, parts: Iterable[bytes]) -> None:
        """See asyncio.WriteTransport."""
        self._post.leave()
        self._transport.writelines(parts)

    def remove(self, protocol: ResponseHandler) -> None:
        """Give the protocol its transport back, unless the connection is lost."""
        transport: object = protocol.transport
        if transport is self:
            protocol.transport = self._transport


KEPT_POST: ContextVar[KeptPost | None] = ContextVar("kept_post", default=None)
"""The POST that this task sends on a kept connection. aiohttp hands nothing of ours to its connector."""


class _History:
    """What has happened on one connection."""

    __slots__ = ("answered", "answered_at", "outlived", "pause")

    def __init__(self) -> None:
        self.answered = 0.0
        """Loop time of the last answer's end."""
        self.answered_at: datetime | None = None
        """The same in UTC, since only that clock goes on while a machine sleeps; None before the first answer."""
        self.pause = 0.0
        """Seconds for which the connection was idle before the request that is open, or was last."""
        self.outlived = 0.0
        """The longest pause after which an answer came, in seconds."""


class KeptConnections(aiohttp.TCPConnector):
    """Keeps connections for requests that may be repeated, and lends them to POSTs by the rule of this module."""

    def __init__(self, *, now: UtcNow, trusted: bool, **options: Any) -> None:
        """`trusted`: whether POSTs may use kept connections at all; the options are those of `TCPConnector`."""
        super().__init__(**options)
        self._now = now
        self._trusted = trusted
        self._histories: WeakKeyDictionary[object, _History] = WeakKeyDictionary()

    def distrust(self) -> None:
        """Lend no connection to a POST from now on, since one has failed."""
        self._trusted = False

    async def connect(self, req: aiohttp.ClientRequest, *arguments: Any, **options: Any) -> Connection:
        """Return a connection for a request. Raises WithheldError if it is a `KEPT_POST` and none is fit for it."""
        post = KEPT_POST.get()
        if post is None:
            return self._used(await super().connect(req, *arguments, **options))
        if not self._trusted or not self._fit_one_first(req):
            raise WithheldError
        connection = await super().connect(req, *arguments, **options)
        # Looked at here too, since before Python 3.12 the loop reads what has come before the request is written.
        protocol = connection.protocol
        if protocol is None or not self._is_fit(protocol) or not is_quiet(connection):
            connection.release()
            raise WithheldError
        post.connection = connection
        gate: Any = _Gate(post, protocol.transport)
        protocol.transport = gate
        connection.add_callback(partial(gate.remove, protocol))
        return self._used(connection)

    def _fit_one_first(self, req: aiohttp.ClientRequest) -> bool:
        # aiohttp hands out the connection that has been idle longest. Should it keep them elsewhere one day, POSTs find
        # none that is fit; and what it hands out is looked at whatever it is.
        idle = getattr(self, "_conns", {}).get(req.connection_key, ())
        for number, (protocol, _) in enumerate(reversed(idle), 1):
            if self._is_fit(protocol):
                idle.rotate(number)
                return True
        return False

    def _used(self, connection: Connection) -> Connection:
        history = self._histories.setdefault(connection.protocol, _History())
        history.pause = 0.0 if history.answered_at is None else self._loop.time() - history.answered
        connection.add_callback(partial(self._answered, history))
        return connection

    def _answered(self, history: _History) -> None:
        # Also called when a connection is closed, which is not used again.
        history.outlived = max(history.outlived, history.pause)
        history.answered, history.answered_at = self._loop.time(), self._now()

    def _is_fit(self, protocol: object) -> bool:
        history = self._histories.get(protocol)
        if history is None or history.answered_at is None:
            return False
        pause = self._loop.time() - history.answered
        by_the_clock = self._now() - history.answered_at
        return SETTLED <= pause <= history.outlived - MARGIN and timedelta(0) <= by_the_clock <= timedelta(seconds=WARM)


def is_quiet(connection: Connection) -> bool:
    """Return whether nothing has come from the peer since its last answer: no byte, no end, no reset."""
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or protocol.should_close or transport is None or transport.is_closing():
        return False
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return not poll.poll(0)
