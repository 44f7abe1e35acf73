"""The connections to the API and to where its files lie, and what stands in each request."""

import asyncio
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import TypedDict

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from batchgen.client.addresses import Addresses, Origin, origin_of
from batchgen.client.exchange import Answer, Opener, connect, get, header_lines, prepare, request
from batchgen.client.kept import KeptConnections, is_quiet
from batchgen.client.resolver import PublicResolver
from batchgen.client.route import Route
from batchgen.core.clock import UtcNow
from batchgen.core.version import __version__

_ANSWER_BUFFER, _OUTPUT_BUFFER = 64 * 1024, 512 * 1024
"""Bytes that may wait in memory; pieces of an output are handed on as they arrive, since joining them costs a copy."""
_ORIGINS = 64
"""Origins whose openers are remembered."""


class _Way(TypedDict, total=False):
    """How a connection is made through a proxy."""

    proxy: URL | None
    proxy_headers: dict[str, str]


class Sending:
    """How far a POST has come, which decides whether it can have been charged."""

    __slots__ = ("kept", "sent")

    def __init__(self) -> None:
        self.sent = False
        """Whether it was written, or was about to be."""
        self.kept = False
        """Whether that was to a kept connection."""


class Wire:
    """Sends requests. Create it inside a running event loop; `aclose` closes all connections.

    Proxies, netrc and cookies of the environment are not used. The callers limit the number of connections by counting
    jobs and downloads.
    """

    def __init__(
        self,
        addresses: Addresses,
        key: str,
        route: Route,
        *,
        tls: ssl.SSLContext | None,
        now: UtcNow,
        seconds: float,
    ) -> None:
        """A connection must be there after so many `seconds`: DNS, TCP and TLS together."""
        self._addresses = addresses
        self._loop = asyncio.get_running_loop()
        self._trust = tls or True
        self._timeout = aiohttp.ClientTimeout(total=None, connect=seconds)
        proxied = route.proxy is not None and not addresses.local
        self._way: _Way = {}
        if proxied:
            self._way = {"proxy": route.proxy}
            if route.authorization is not None:
                self._way["proxy_headers"] = {"Proxy-Authorization": route.authorization}
        # With a proxy, aiohttp changes the opener that it is given.
        self._opener = self._make_opener if proxied else lru_cache(maxsize=_ORIGINS)(self._make_opener)
        # A POST uses a connection that polls have kept, if it is as safe as one of its own (see `kept`).
        self._kept = KeptConnections(now=now, trusted=not proxied, limit=0, ssl=self._trust)
        self._single = aiohttp.TCPConnector(limit=0, force_close=True, ssl=self._trust)
        # With a proxy, the proxy resolves the names of other origins.
        anywhere = proxied or addresses.local
        self._elsewhere = aiohttp.TCPConnector(
            limit=0, ssl=self._trust, resolver=None if anywhere else PublicResolver()
        )
        # The answers are small: decompressing them would cost more than it saves.
        general = {"Accept_Encoding": "identity", "User_Agent": f"batchgen/{__version__}"}
        # Only requests to the API's own origin carry the key, inside of TLS where a proxy makes the tunnel.
        own = general | {"Host": addresses.host, "Authorization": f"Bearer {key}"}
        self._polling = header_lines(Accept="application/json", **own)
        self._posting = self._polling + header_lines(Content_Type="application/json")
        self._posting_once = self._posting + header_lines(Connection="close")
        self._fetching = header_lines(Accept="*/*", **own)
        self._fetching_elsewhere = header_lines(Accept="*/*", **general)

    def _make_opener(self, origin: Origin) -> Opener:
        scheme, host, port = origin
        url = URL.build(scheme=scheme, host=host, port=port)
        return Opener("GET", url, loop=self._loop, ssl=self._trust, **self._way)

    async def post(
        self, target: str, body: bytes, sending: Sending, may_leave: Callable[[], bool]
    ) -> Connection | None:
        """Write a POST to the API, once, and return the connection that will bring the answer.

        It goes to a kept connection that is fit for it, or to a new one. None: it may not leave any more, and nothing
        did. Whatever it raises (WIRE_ERRORS), `sending` says whether anything may have left; `distrust` is for the
        caller.
        """
        opener = self._opener(self._addresses.own)
        connection = await self._kept.lend(opener)
        if connection is not None:
            data = request("POST", target, self._posting, body)
            transport = prepare(connection, _ANSWER_BUFFER)
            # Nothing else can happen in this program between this look and the write.
            if transport is not None and is_quiet(connection) and may_leave():
                sending.kept = sending.sent = True
                transport.write(data)
                return connection
            connection.close()
        data = request("POST", target, self._posting_once, body)
        connection = await connect(self._single, opener, self._timeout)
        transport = prepare(connection, _ANSWER_BUFFER)
        if transport is None:
            connection.close()
            raise aiohttp.ClientConnectionResetError
        if not may_leave():
            connection.close()
            return None
        sending.sent = True
        transport.write(data)
        return connection

    def distrust(self) -> None:
        """Use no kept connection for a POST from now on, since one has failed."""
        self._kept.distrust()

    async def poll(self, target: str) -> Answer:
        """GET what the API says. Raises WIRE_ERRORS."""
        asking = request("GET", target, self._polling)
        return await get(self._kept, self._opener(self._addresses.own), asking, self._timeout, _ANSWER_BUFFER)

    async def fetch(self, url: URL) -> Answer:
        """GET a file, or where it lies. Raises WIRE_ERRORS."""
        origin = origin_of(url)
        if origin == self._addresses.own:
            connector: aiohttp.BaseConnector = self._kept
            headers = self._fetching
        else:
            connector = self._elsewhere
            headers = self._fetching_elsewhere + header_lines(Host=url.host_port_subcomponent or "")
        asking = request("GET", url.raw_path_qs, headers)
        return await get(connector, self._opener(origin), asking, self._timeout, _OUTPUT_BUFFER)

    async def aclose(self) -> None:
        """Close all connections."""
        for connector in (self._kept, self._single, self._elsewhere):
            await connector.close()
