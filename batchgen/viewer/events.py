"""What changed, told to every page that listens (server-sent events, HTML standard, section 9.2)."""

import asyncio
import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from aiohttp import web

from batchgen.core.errors import BatchgenError
from batchgen.page import Changed
from batchgen.viewer.access import Refusal
from batchgen.viewer.reader import Reader

log = logging.getLogger("batchgen")
_LOOK = 0.5
"""Seconds between two looks at the run folder."""
_REST = 4
"""A look is followed by a rest of so many times its length, where that is longer."""
_PACE = 0.3
"""Seconds between two events to one page."""
_QUIET = 15.0
"""Seconds after which a line is sent that says nothing, so that a connection that is gone is noticed."""
_MOST_KEYS, _MOST_LISTENERS = 500, 100


class Listener:
    """A page that listens; what it was not told yet is summed up, however slow it is."""

    def __init__(self) -> None:
        self._keys: set[int] | None = set()
        self._due = asyncio.Event()

    def tell(self, keys: Iterable[int] | None) -> None:
        """Note items that have changed; None: any of them may have."""
        if keys is None or self._keys is None:
            self._keys = None
        else:
            self._keys.update(keys)
            if len(self._keys) > _MOST_KEYS:
                self._keys = None
        self._due.set()

    async def next(self) -> list[int] | None:
        """Return the items that have changed since the last call; waits until there is something to tell."""
        await self._due.wait()
        self._due.clear()
        keys, self._keys = self._keys, set()
        return None if keys is None else sorted(keys)


class Events:
    """One watcher of the run folder, for every page that listens."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._listeners: set[Listener] = set()
        self._stopping = asyncio.Event()
        self._gone = False
        self._opened = reader.opened

    def stop(self) -> None:
        """Let the watcher and all answers end."""
        self._stopping.set()

    def tell(self, changed: Changed) -> None:
        """Tell every page what has changed."""
        for listener in self._listeners:
            listener.tell(changed.keys)

    async def watch(self) -> None:
        """Look at the run folder again and again, until it is stopped."""
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            began = loop.time()
            if changed := await self._look():
                self.tell(changed)
            rest = max(_LOOK, _REST * (loop.time() - began))
            try:
                async with asyncio.timeout(rest):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    async def _look(self) -> Changed:
        try:
            changed = await self._reader.call(lambda page: page.refresh())
        except BatchgenError as error:
            if self._gone:
                return Changed([])
            log.warning("%s", error)
            self._gone = True
            return Changed(None)  # the pages ask, and are told why
        if self._gone or self._opened != self._reader.opened:
            self._gone, self._opened = False, self._reader.opened
            return Changed(None)
        return changed

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer with events, until the page goes away or the viewer stops."""
        with self._listening() as listener:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
            await response.prepare(request)
            await response.write(b"retry: 2000\n\n")
            stopped = asyncio.create_task(self._stopping.wait())
            try:
                while not self._stopping.is_set():
                    await response.write(await _next(listener, stopped))
            except ConnectionError:
                pass  # the page went away
            finally:
                stopped.cancel()
        return response

    @contextmanager
    def _listening(self) -> Iterator[Listener]:
        if len(self._listeners) >= _MOST_LISTENERS:
            raise Refusal(503, f"More than {_MOST_LISTENERS} pages listen to this viewer; close some.")
        listener = Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)


async def _next(listener: Listener, stopped: "asyncio.Task[bool]") -> bytes:
    """Return what is to be sent next."""
    due = asyncio.create_task(listener.next())
    try:
        await asyncio.wait({due, stopped}, timeout=_QUIET, return_when=asyncio.FIRST_COMPLETED)
        if not due.done():
            return b": nothing new\n\n"
    finally:
        due.cancel()
    await asyncio.wait({stopped}, timeout=_PACE)
    return f"event: change\ndata: {json.dumps({'keys': due.result(), 'overview': True})}\n\n".encode()
