"""One thread does blocking work for many tasks: all that waits goes to it together, in one go.

Waking a thread, and being woken by it, costs more than most of the work, and a sync on disk can serve many at once. So
what one turn of the loop asks for goes together, and what is asked for while the thread is at work.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, Generic, Self, TypeVar

_T = TypeVar("_T")
_GATHER = 0.0
"""Seconds that the first of a group waits for company: little beside the seconds that a job takes."""
_LARGEST_GROUP = 512

Outcome = tuple[Any, BaseException | None]
"""What came of one order: its result, or what it raised."""


class Grouped(Generic[_T]):
    """Hands orders to one thread, group by group; an async context manager. On leaving, all of them have been done."""

    def __init__(self, work: Callable[[Sequence[_T]], Sequence[Outcome]], name: str) -> None:
        """`work` does a group in the thread, which is called `name`, and returns an outcome for each order."""
        self._work = work
        self._groups: queue.SimpleQueue[list[tuple[_T, asyncio.Future[Any]]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._waiting: list[tuple[_T, asyncio.Future[Any]]] = []
        self._open = False
        self._under_way = False
        """Whether a group is with the thread, or will be soon."""

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        self._open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._open = False
        while self._waiting:
            self._hand_over()
        self._groups.put(None)
        # Not awaited: a cancellation must not leave the thread at work on what is closed next.
        self._thread.join()

    async def __call__(self, order: _T) -> Any:
        """Return the result of an order once it is done, or raise what it raised.

        Raises RuntimeError outside of the context, where nobody would answer.
        """
        if not self._open:
            raise RuntimeError(f"the {self._thread.name} is not open")
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append((order, answer))
        if not self._under_way:
            self._under_way = True
            # Not at once: what else this turn of the loop brings goes along.
            self._loop.call_soon(self._hand_over)
        return await answer

    def _hand_over(self) -> None:
        group, self._waiting = self._waiting[:_LARGEST_GROUP], self._waiting[_LARGEST_GROUP:]
        self._groups.put(group)

    def _run(self) -> None:
        while (group := self._groups.get()) is not None:
            outcomes = self._work([order for order, _ in group])
            self._loop.call_soon_threadsafe(self._answer, group, outcomes)

    def _answer(self, group: Sequence[tuple[_T, "asyncio.Future[Any]"]], outcomes: Sequence[Outcome]) -> None:
        for (_, answer), (result, error) in zip(group, outcomes, strict=True):
            if answer.cancelled():
                continue
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)
        self._under_way = bool(self._waiting)
        if self._waiting:
            self._hand_over()


class GroupedCalls:
    """Calls functions in one thread, as `asyncio.to_thread` does in many; an async context manager.

    Equal calls that wait together are made once, so that one sync of a folder serves all the files in it.
    """

    def __init__(self, name: str) -> None:
        self._grouped: Grouped[tuple[Any, ...]] = Grouped(_call_all, name)

    async def __aenter__(self) -> Self:
        await self._grouped.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._grouped.__aexit__()

    async def __call__(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return what `function(*args)` returns, or raise what it raises. All of these are hashable."""
        return await self._grouped((function, *args))


def _call_all(calls: Sequence[tuple[Any, ...]]) -> list[Outcome]:
    outcomes = {call: _call(*call) for call in dict.fromkeys(calls)}
    return [outcomes[call] for call in calls]


def _call(function: Callable[..., Any], *args: Any) -> Outcome:
    try:
        return function(*args), None
    except Exception as error:  # noqa: BLE001 - raised again where the result is awaited
        return None, error
