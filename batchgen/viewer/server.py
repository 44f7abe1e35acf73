"""The server of the viewer: its port, its routes, and what all answers have in common."""

import asyncio
import errno
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, closing
from html import escape
from pathlib import Path
from typing import Self

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from batchgen.core.errors import BatchgenError, UsageError
from batchgen.journal import FILE_NAME, open_for_reading, sqlite_errors
from batchgen.journal.queries.report_rows import facts_of
from batchgen.page.web import live_page, read_asset
from batchgen.store import store_of
from batchgen.thumbnails import Thumbnailer
from batchgen.viewer.access import Access, Refusal
from batchgen.viewer.copies import Copies
from batchgen.viewer.data import MOST_BYTES, Data
from batchgen.viewer.events import Events
from batchgen.viewer.media import Media
from batchgen.viewer.reader import Known, Overviews, Reader, prepare

HOST = "127.0.0.1"
USUAL_PORT = 8019
_SHUTDOWN = 1.0
"""Seconds that open requests are given when the viewer stops."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every answer, unless it brings its own."""
_log = logging.getLogger("batchgen.viewer")
_log.addFilter(lambda record: not isinstance((record.exc_info or (None, None))[1], HttpProcessingError))
"""Without what is no HTTP at all: it is no bug, and anybody can send it."""
_ASSET_TYPES = {"js": "text/javascript", "css": "text/css"}
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Viewer:
    """The page of a run folder, served live. Use as an asynchronous context manager; `url` exists inside it."""

    def __init__(self, folder: Path, *, host: str = HOST, port: int | None = None) -> None:
        """Opens nothing yet. `port`: 0 takes any free one, None the usual one where it is free."""
        self.folder = folder
        self.url = ""
        self._host, self._port = host, port

    async def __aenter__(self) -> Self:
        """Open the journal and the port. Raises UsageError if that is taken, RunFolderError."""
        async with AsyncExitStack() as stack:
            reader, known = Reader(self.folder), Known()
            preparing: list[asyncio.Task[None]] = []
            stack.push_async_callback(lambda: asyncio.gather(*preparing))  # after what breaks it off
            stack.push_async_callback(reader.close)
            overviews = Overviews(reader)
            stack.push_async_callback(overviews.close)
            await reader.call(lambda page: page.refresh())
            thumbnailer = Thumbnailer(self.folder)
            stack.push_async_callback(thumbnailer.close)
            events = Events(reader)
            app = web.Application(middlewares=[self._guarded], client_max_size=MOST_BYTES)
            data = Data(reader, overviews, events, known)
            copies = self._copies()
            if copies is not None:
                stack.callback(copies.close)
            app.add_routes(self._routes(data, Media(self.folder, known, thumbnailer, copies), events))
            app.on_response_prepare.append(_add_headers)
            runner = web.AppRunner(app, access_log=None, logger=_log, shutdown_timeout=_SHUTDOWN)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            listening = _listening(self._host, self._port)
            port = int(listening.getsockname()[1])
            self._access = Access(self._host, port)
            self.url = f"http://{self._name()}:{port}/"
            await web.SockSite(runner, listening).start()
            preparing.append(asyncio.create_task(prepare(reader, overviews)))
            watcher = asyncio.create_task(events.watch())
            # Last in, first out: pages that listen are let go before the port is closed.
            stack.push_async_callback(asyncio.wait, [watcher])
            stack.callback(events.stop)
            self._stack = stack.pop_all()
        return self

    def _copies(self) -> Copies | None:
        """Return what fetches outputs that are in an object store; None where they are in the folder."""
        path = self.folder / FILE_NAME
        with closing(open_for_reading(path)) as db, sqlite_errors(path):
            store = store_of(self.folder, facts_of(db))
        return Copies(store) if store.remote else None

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def address(self) -> str:
        """The address that opens the page, with its token."""
        return f"{self.url}?token={self._access.token}"

    def address_for_once(self) -> str:
        """Return an address that opens the page once, for the command line of a browser, which others can read."""
        return f"{self.url}?token={self._access.ticket()}"

    def _name(self) -> str:
        """Return the name of this machine for the address."""
        if self._host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            return socket.gethostname()
        return f"[{self._host}]" if ":" in self._host else self._host

    def _routes(self, data: Data, media: Media, events: Events) -> list[web.RouteDef]:
        return [
            web.get("/", self._page),
            web.get("/page/{name:.+}", _asset),
            web.get("/api/overview", data.overview),
            web.get("/api/tiles", data.tiles),
            web.get("/api/items/{key:[0-9]{1,18}}", data.item),
            web.get("/api/events", events.serve, allow_head=False),
            web.post("/api/picks", data.pick),
            web.post("/api/picks/all", data.pick_all),
            web.get("/files/{name:.+}", media.file),
            web.get("/superseded/{name:.+}", media.file),
            web.get("/thumbs/{name:.+}", media.thumbnail),
        ]

    @web.middleware
    async def _guarded(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Let nobody in who may not, give every answer the common headers, and make every error an answer."""
        answer: web.StreamResponse
        try:
            host = self._access.check_name(request.headers.getall("Host", []))
            if request.method == "GET" and request.path == "/" and "token" in request.query:
                answer = self._opened(request.query["token"])
            else:
                self._access.check(request.method, host, request.headers, request.cookies)
                answer = await handler(request)
        except Refusal as refusal:
            answer = _error(refusal.status, refusal.reason, request)
        except web.HTTPException as error:
            allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            answer = _error(error.status, error.reason, request, allow)
        except UsageError as error:
            answer = _error(400, str(error), request)
        except BatchgenError as error:
            answer = _error(503, str(error), request)
        return answer

    def _opened(self, token: str) -> web.Response:
        if not self._access.opens(token):
            raise Refusal(401, "This token is not valid, or was for one use; open the address that was printed.")
        answer = web.Response(status=303, headers={"Location": "/"})
        answer.set_cookie(self._access.cookie, self._access.session, httponly=True, samesite="Strict", path="/")
        return answer

    async def _page(self, _: web.Request) -> web.Response:
        return web.Response(text=live_page(self.folder.name), content_type="text/html")


async def _add_headers(_: web.Request, answer: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        answer.headers.setdefault(name, value)


async def _asset(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    try:
        text = read_asset(name)
    except KeyError:
        raise Refusal(404, "There is no such file.") from None
    return web.Response(text=text, content_type=_ASSET_TYPES[name.rpartition(".")[2]])


def _error(status: int, reason: str, request: web.Request, headers: dict[str, str] | None = None) -> web.Response:
    if request.path == "/" and request.method in ("GET", "HEAD"):  # a person looks at this one
        # A browser leaves out the cookie where a page elsewhere led here; from here it sends it.
        text = f'<!doctype html><title>batchgen view</title><p>{escape(reason)}</p><p><a href="/">Try again</a></p>'
        return web.Response(status=status, text=text, content_type="text/html", headers=headers)
    body = json.dumps({"error": reason}).encode()
    return web.Response(status=status, body=body, content_type="application/json", charset="utf-8", headers=headers)


def _listening(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens; None for the usual port, or any where that is taken. Raises UsageError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for wanted in (USUAL_PORT, 0) if port is None else (port,):
        try:
            return socket.create_server((host, wanted), family=family)
        except OSError as error:
            if port is None and wanted and error.errno == errno.EADDRINUSE:
                continue
            raise UsageError(_cannot_listen(host, wanted, error)) from error
    raise AssertionError  # the last port is tried without an alternative


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken by another program; leave --port out, or give another one (0: any that is free)"
    return f"cannot open port {port} on {host}: {error.strerror or error}"
