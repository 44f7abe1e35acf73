"""The results of a run as they come: an asynchronous iterator over the items that end."""

import asyncio
import weakref
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from batchgen.core.errors import BatchgenError
from batchgen.journal import ItemResult
from batchgen.library.summaries import RunSummary
from batchgen.session.host import Event, ItemEnded, StopHandle

__all__ = ["ItemResult", "Results"]


class Results:
    """Items of a run in the order in which they end.

    The run continues while nothing is asked for. `aclose`, which also ends an `async with`, stops it as an interrupt
    does: what was sent is answered and recorded, and the next run continues. So does letting go of the iterator, as a
    `break` out of a bare `async for` does, but nothing waits for the end then.
    """

    def __init__(self, start: Callable[[Callable[[Event], None]], Awaitable[RunSummary]], stop: StopHandle) -> None:
        """`start` runs to the end with a listener; nothing starts before the first result is asked for."""
        self._start = start
        self._stop = stop
        self._running: asyncio.Task[RunSummary] | None = None
        self._ended: asyncio.Queue[ItemResult | None] = asyncio.Queue()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ItemResult:
        """Return the next item that ended; raises what the run raises."""
        if self._running is None:
            # The task must not hold this iterator: it is stopped when nobody else does.
            abandoned = weakref.finalize(self, self._stop.stop)
            abandoned.atexit = False
            self._running = asyncio.ensure_future(_run(self._start, self._ended, abandoned))
        result = await self._ended.get()
        if result is not None:
            return result
        self._ended.put_nowait(None)  # another call gets the same answer
        await self._running
        raise StopAsyncIteration

    @property
    def summary(self) -> RunSummary:
        """What the run came to, once all results were taken. Raises RuntimeError before that."""
        if self._running is None or not self._running.done():
            raise RuntimeError("the run has not ended yet")
        return self._running.result()

    async def aclose(self) -> None:
        """Stop the run, and wait until all that was sent is recorded."""
        self._stop.stop()
        if self._running is not None:
            await asyncio.wait([self._running])
            if isinstance(error := self._running.exception(), Exception) and not isinstance(error, BatchgenError):
                raise error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


async def _run(
    start: Callable[[Callable[[Event], None]], Awaitable[RunSummary]],
    ended: "asyncio.Queue[ItemResult | None]",
    abandoned: "weakref.finalize[[], Results]",
) -> RunSummary:
    loop = asyncio.get_running_loop()

    def listen(event: Event) -> None:
        # Called in the thread of the run.
        if isinstance(event, ItemEnded):
            loop.call_soon_threadsafe(ended.put_nowait, event.result)

    try:
        return await start(listen)
    finally:
        abandoned.detach()  # the caller's handle may serve further runs
        loop.call_soon(ended.put_nowait, None)
