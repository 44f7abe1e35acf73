"""A few threads that wait for a remote store on behalf of many tasks, each for one of them."""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import Context, copy_context
from typing import Any, Self

from batchgen.store.port import OutputStore

_AT_ONCE = 16
_PATIENCE = 5.0
"""Seconds for which the end of a run waits for uploads that are under way."""
_Order = tuple[Callable[..., Any], tuple[Any, ...], Context, "asyncio.Future[Any]"]


@asynccontextmanager
async def uploading(store: OutputStore) -> AsyncIterator["UploadThreads | None"]:
    """Give what calls functions that wait for the store, if it is remote; None for a disk."""
    if not store.remote:
        yield None
        return
    async with UploadThreads(_AT_ONCE, "uploads", patience=_PATIENCE) as threads:
        yield threads


class UploadThreads:
    """Calls functions in threads, the first come first; an async context manager.

    On leaving, what is under way is waited for as long as `patience` says, and what is not begun is left. A call that
    lasts longer goes on by itself, and nobody hears of its end.
    """

    def __init__(self, count: int, name: str, *, patience: float) -> None:
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._patience = patience
        # Daemons: a network that does not answer must not keep the process from ending.
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True) for number in range(count)
        ]
        self._closed = False

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        for thread in self._threads:
            thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closed = True
        for _thread in self._threads:
            self._orders.put(None)
        deadline = self._loop.time() + self._patience
        for thread in self._threads:
            await asyncio.to_thread(thread.join, max(0.0, deadline - self._loop.time()))

    async def __call__(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return what `function(*args)` returns, or raise what it raises; a caller that is cancelled hears no more."""
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._orders.put((function, args, copy_context(), answer))
        return await answer

    def _run(self) -> None:
        while (order := self._orders.get()) is not None:
            function, args, context, answer = order
            if self._closed or answer.cancelled():
                continue
            try:
                result, error = context.run(function, *args), None
            except BaseException as raised:  # noqa: BLE001 - raised again where it is awaited; a panic too
                result, error = None, raised
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
                self._loop.call_soon_threadsafe(_answer, answer, result, error)


def _answer(answer: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if answer.cancelled():
        return
    if error is not None:
        answer.set_exception(error)
    else:
        answer.set_result(result)
