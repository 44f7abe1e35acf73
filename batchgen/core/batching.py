"""One thread waits for the disk on behalf of many tasks; requests that arrive meanwhile are served together.

Waking a thread, and being woken by it, costs more than most of the work, and one sync can serve many requests. So
requests that arrive at about the same time, or while the thread is busy, are served together. Work that neither waits
for the disk nor touches files is done in the event loop: a thread would only compete with it for the interpreter.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any, Generic, Self, TypeVar

_T = TypeVar("_T")
_B = TypeVar("_B")
_GATHER = 0.01
"""Seconds for which orders are collected under load; short compared with the seconds that a job takes."""
_THICK = 0.1
"""Seconds since the previous group; an order that comes later than this does not wait for others."""
_LARGEST_GROUP = 512

Outcome = tuple[Any, BaseException | None]
"""The outcome of one order: its result, or the exception it raised."""


class BatchWorker(Generic[_T, _B]):
    """Serves orders group by group, one group at a time; an async context manager. On leaving, all have been served."""

    def __init__(
        self, begin: Callable[[Sequence[_T]], _B], finish: Callable[[_B], Sequence[Outcome]], name: str
    ) -> None:
        """`begin` prepares a group in the loop; `finish` waits in the thread, which is called `name`, and returns an
        outcome for each order. Neither may raise."""
        self._begin = begin
        self._finish = finish
        self._groups: queue.SimpleQueue[tuple[list[asyncio.Future[Any]], _B] | None] = queue.SimpleQueue()
        # With the context of who makes it: by that, what it logs is told apart from what others log.
        self._thread = threading.Thread(target=copy_context().run, args=(self._run,), name=name, daemon=True)
        self._waiting: list[tuple[_T, asyncio.Future[Any]]] = []
        self._open = False
        self._under_way = False
        """Whether a group is in the thread, or is scheduled."""
        self._handed_over = 0.0
        """The loop time at which the last group went."""

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        self._open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._open = False
        self._groups.put(None)
        # Not awaited: a cancellation must not leave the thread at work on what is closed next.
        self._thread.join()
        while self._waiting:
            answers, batch = self._next_group()
            _answer(answers, self._finish(batch))

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
            self._hand_over_soon()
        return await answer

    def _hand_over_soon(self) -> None:
        # Never at once: what else this turn of the loop brings goes along.
        thick = self._loop.time() - self._handed_over < _THICK
        self._loop.call_later(_GATHER if thick else 0.0, self._hand_over)

    def _hand_over(self) -> None:
        if self._open:
            self._handed_over = self._loop.time()
            self._groups.put(self._next_group())

    def _next_group(self) -> tuple[list[asyncio.Future[Any]], _B]:
        group, self._waiting = self._waiting[:_LARGEST_GROUP], self._waiting[_LARGEST_GROUP:]
        return [answer for _, answer in group], self._begin([order for order, _ in group])

    def _run(self) -> None:
        while (group := self._groups.get()) is not None:
            answers, batch = group
            outcomes = self._finish(batch)
            self._loop.call_soon_threadsafe(self._finished, answers, outcomes)

    def _finished(self, answers: Sequence[asyncio.Future[Any]], outcomes: Sequence[Outcome]) -> None:
        _answer(answers, outcomes)
        self._under_way = bool(self._waiting)
        if self._waiting:
            self._hand_over_soon()


def _answer(answers: Sequence[asyncio.Future[Any]], outcomes: Sequence[Outcome]) -> None:
    for answer, (result, error) in zip(answers, outcomes, strict=True):
        if answer.cancelled():
            continue
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)


class Together(Generic[_T]):
    """A function of one order that serves many at once where they wait together, so that they share a sync."""

    def __init__(self, serve: Callable[[Sequence[_T]], Sequence[Outcome]]) -> None:
        """`serve` returns an outcome for each order, and never raises."""
        self.serve = serve

    def __call__(self, order: _T) -> Any:
        """Serve this order by itself: return its result, or raise what it raised."""
        ((result, error),) = self.serve([order])
        if error is not None:
            raise error
        return result


class BatchedCalls:
    """Calls functions in one thread, one after the other in the order in which they came; an async context manager.

    Of a function that is `Together`, all calls that wait at the same time are made as one, when the first one's turn
    has come.
    """

    def __init__(self, name: str) -> None:
        self._grouped: BatchWorker[tuple[Any, ...], Sequence[tuple[Any, ...]]] = BatchWorker(
            _as_they_are, _call_all, name
        )

    async def __aenter__(self) -> Self:
        await self._grouped.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._grouped.__aexit__()

    async def __call__(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return what `function(*args)` returns, or raise what it raises.

        It is called even if the caller is cancelled meanwhile.
        """
        return await self._grouped((function, *args))


def _as_they_are(calls: Sequence[tuple[Any, ...]]) -> Sequence[tuple[Any, ...]]:
    return calls


def _call_all(calls: Sequence[tuple[Any, ...]]) -> list[Outcome]:
    outcomes: dict[int, Outcome] = {}
    for number, (function, *args) in enumerate(calls):
        if not isinstance(function, Together):
            outcomes[number] = _call(function, *args)
        elif number not in outcomes:
            numbers = [at for at in range(number, len(calls)) if calls[at][0] is function]
            outcomes |= zip(numbers, function.serve([calls[at][1] for at in numbers]), strict=True)
    return [outcomes[number] for number in range(len(calls))]


def _call(function: Callable[..., Any], *args: Any) -> Outcome:
    try:
        return function(*args), None
    except Exception as error:  # noqa: BLE001 - raised again where the result is awaited
        return None, error
