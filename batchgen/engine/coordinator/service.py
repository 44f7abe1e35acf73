"""The coordinator's service: workers reach it over HTTP, with a token that only they know."""

import hmac
import logging
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from batchgen.core.errors import BatchgenError, UsageError
from batchgen.core.text import json_object
from batchgen.engine.codec import Json, UnreadableError, get_number, get_text, reading
from batchgen.engine.coordinator.coordinator import Coordinator
from batchgen.engine.messages import Exchange

log = logging.getLogger("batchgen")

_LARGEST = 64 << 20
"""Bytes of a message."""


class Service:
    """Answers workers once there is a coordinator to answer for."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(32)
        self.coordinator: Coordinator | None = None

    def application(self) -> web.Application:
        app = web.Application(client_max_size=_LARGEST)
        app.add_routes([web.post("/begin", self._begin), web.post("/exchange", self._exchange)])
        return app

    async def _begin(self, request: web.Request) -> web.Response:
        coordinator, content = await self._read(request)
        try:
            start, worker, protocol = reading(_who_begins, content)
            begun = await coordinator.begun(start, worker, protocol)
        except UnreadableError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        return web.json_response(begun.encoded())

    async def _exchange(self, request: web.Request) -> web.Response:
        coordinator, content = await self._read(request)
        try:
            answer = await coordinator.exchanged(Exchange.decoded(content))
        except UnreadableError as error:
            log.warning("a worker's message cannot be read: %s", error)
            raise web.HTTPBadRequest(text=str(error)) from error
        except BatchgenError as error:  # the run hears of it where it records for itself
            log.warning("what a worker told could not be recorded: %s", error)
            raise web.HTTPServiceUnavailable from error
        if answer is None:
            raise web.HTTPGone
        return web.json_response(answer.encoded())

    async def _read(self, request: web.Request) -> tuple[Coordinator, Json]:
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")  # bytes of any kind
        if not hmac.compare_digest(given, f"Bearer {self.token}".encode()):
            raise web.HTTPUnauthorized
        if self.coordinator is None:
            raise web.HTTPServiceUnavailable
        content = json_object(await request.read())
        if content is None:
            raise web.HTTPBadRequest(text="a JSON object was expected")
        return self.coordinator, content


def _who_begins(content: Json) -> tuple[str, str, int]:
    return get_text(content["start"]), get_text(content["worker"]), get_number(content["protocol"])


@asynccontextmanager
async def served(service: Service, host: str) -> AsyncIterator[str]:
    """Serve at an address of this machine, at a free port, while the block runs; give the URL. Raises UsageError."""
    runner = web.AppRunner(service.application(), access_log=None, handle_signals=False)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, 0)
        try:
            await site.start()
        except OSError as error:
            raise UsageError(f"cannot listen on {host}: {error.strerror or error}") from error
        port = runner.addresses[0][1]
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{port}"
    finally:
        await runner.cleanup()


def own_address(host: str, port: int) -> str:
    """Return the address of this machine that another one reaches it by, seen from the way to `host`.

    Raises UsageError where there is no way to it.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)  # a datagram socket: nothing is sent
            return str(probe.getsockname()[0])
    except OSError as error:
        raise UsageError(f"there is no way to {host}: {error.strerror or error}") from error
