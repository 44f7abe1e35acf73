"""One thread writes the journal, many tasks wait for it: group commit.

All that is asked for while a commit is under way goes into the next one, so that the cost of a sync is shared. An
operation's result comes back only after the commit that holds it: what was awaited is on disk.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, Protocol, Self, TypeVar

from batchgen.journal.store import Journal

_P = ParamSpec("_P")
_T = TypeVar("_T")
_LARGEST_GROUP = 512


class Recorder(Protocol):
    """Runs an operation of the journal and returns its result once it is durable, or raises what it raised."""

    async def __call__(self, operation: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run `operation(*args, **kwargs)` inside a transaction, and commit."""
        ...


class InlineRecorder:
    """Commits each operation by itself, on the caller's thread: for virtual time and for small jobs."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def __call__(self, operation: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """See `Recorder`."""
        with self._journal.transaction():
            return operation(*args, **kwargs)


@dataclass(frozen=True, slots=True)
class _Order:
    run: Callable[[], Any]
    answer: "asyncio.Future[Any]"


class GroupRecorder:
    """Commits through one writer thread; an async context manager. On leaving, everything asked for is on disk."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._orders: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._open = False

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        self._open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._open = False
        self._orders.put(None)
        # Not awaited: a cancellation must not leave the thread at work on a journal that is closed next.
        self._thread.join()

    async def __call__(self, operation: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """See `Recorder`. Raises RuntimeError outside of the context, where nobody would answer."""
        if not self._open:
            raise RuntimeError("the recorder is not open")
        answer: asyncio.Future[_T] = self._loop.create_future()
        self._orders.put(_Order(lambda: operation(*args, **kwargs), answer))
        return await answer

    def _work(self) -> None:
        while (first := self._orders.get()) is not None:
            group, last = [first], False
            while len(group) < _LARGEST_GROUP and not self._orders.empty():
                order = self._orders.get()
                if order is None:
                    last = True
                    break
                group.append(order)
            self._answer(group, self._commit(group))
            if last:
                return

    def _commit(self, group: Sequence[_Order]) -> list[tuple[Any, BaseException | None]]:
        try:
            with self._journal.transaction():
                return [(order.run(), None) for order in group]
        except Exception as error:  # noqa: BLE001 - handed to whoever waits, or narrowed down to its author below
            if len(group) == 1:
                return [(None, error)]
        # One operation spoilt the group, and all of it was rolled back: each gets a transaction of its own.
        return [outcome for order in group for outcome in self._commit([order])]

    def _answer(self, group: Sequence[_Order], outcomes: Sequence[tuple[Any, BaseException | None]]) -> None:
        def tell() -> None:
            for order, (result, error) in zip(group, outcomes, strict=True):
                if order.answer.cancelled():
                    continue
                if error is not None:
                    order.answer.set_exception(error)
                else:
                    order.answer.set_result(result)

        self._loop.call_soon_threadsafe(tell)
