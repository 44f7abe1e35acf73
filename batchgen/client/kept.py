"""Which kept connection a POST may use.

A server may close a kept connection just as a POST arrives, and then nobody knows whether the POST was processed (RFC
9112, section 9.3.1). Servers close a connection without saying so because it is idle, or right after an answer. So a
POST uses a kept connection if the last answer on it is neither quite new nor old, if the same connection was answered
after a clearly longer pause before, and if nothing, neither bytes nor an end, has arrived on it when the request is
about to be written. Otherwise it gets a connection of its own.
"""

import select
from collections.abc import Reversible
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
from aiohttp.connector import Connection

from batchgen.core.clock import UtcNow

SETTLED, WARM = 0.1, 1.0
"""Seconds since the last answer: earlier, its end may still be on the way, and later, the connection is too cold."""
MARGIN = 0.5
"""Seconds by which the connection must have outlived the present pause before: more than answers vary in time."""


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
        self._proven = False
        """Whether any connection has ever outlived a pause that lets a POST on it: until then, none is looked for."""
        self._histories: WeakKeyDictionary[object, _History] = WeakKeyDictionary()

    def distrust(self) -> None:
        """Lend no connection to a POST from now on, since one has failed."""
        self._trusted = False

    async def connect(self, req: aiohttp.ClientRequest, *arguments: Any, **options: Any) -> Connection:
        """Return a connection for a request that may be repeated, a kept one if there is one."""
        return self._used(await super().connect(req, *arguments, **options))

    async def lend(self, opener: aiohttp.ClientRequest) -> Connection | None:
        """Return a kept connection that is fit for a POST, by what has happened on it, or None.

        Whether it `is_quiet` is to be asked immediately before the write.
        """
        if not self._trusted or not self._proven:
            return None
        key = opener.connection_key
        # aiohttp hands out the connection that has been idle longest; those answered last stand at the end.
        idle = self._conns.get(key)
        number = self._fit_one(idle) if idle else 0
        if not idle or not number:
            return None
        idle.rotate(number)
        connection = await self._get(key, [])
        idle.rotate(1 - number)
        if connection is None:
            return None
        # What it hands out is looked at, whatever it is.
        if connection.protocol is None or not self._is_fit(connection.protocol):
            connection.release()
            return None
        return self._used(connection)

    def _fit_one(self, idle: Reversible[tuple[object, float]]) -> int:
        """Return which of the idle connections is fit, counted from the end, 1 for the last; 0: none of them."""
        now = self._loop.time()
        for number, (protocol, _) in enumerate(reversed(idle), 1):
            history = self._histories.get(protocol)
            if history is None:
                continue
            pause = now - history.answered
            if pause > WARM:
                break
            if SETTLED <= pause <= history.outlived - MARGIN and self._is_fit(protocol):
                return number
        return 0

    def _used(self, connection: Connection) -> Connection:
        history = self._histories.setdefault(connection.protocol, _History())
        history.pause = 0.0 if history.answered_at is None else self._loop.time() - history.answered
        connection.add_callback(partial(self._answered, history))
        return connection

    def _answered(self, history: _History) -> None:
        # Also called when a connection is closed, which is not used again.
        history.outlived = max(history.outlived, history.pause)
        self._proven = self._proven or history.outlived >= SETTLED + MARGIN
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
