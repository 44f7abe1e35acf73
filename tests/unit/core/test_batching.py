"""One thread that waits for the disk on behalf of many tasks."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar

import pytest

from batchgen.core.batching import BatchedCalls, Outcome, Together

WHERE: ContextVar[str] = ContextVar("where", default="nowhere")


async def test_the_thread_has_the_context_of_who_made_it() -> None:
    """By that, what it logs goes to the log of its own run."""
    WHERE.set("here")
    async with BatchedCalls("files") as offload:
        assert await offload(WHERE.get) == "here"


async def test_what_it_raises_is_raised_where_it_is_awaited() -> None:
    async with BatchedCalls("files") as offload:
        with pytest.raises(ValueError, match="no number"):
            await offload(int, "no number")


async def test_calls_that_wait_are_made_together_and_each_has_its_own_outcome() -> None:
    groups: list[Sequence[int]] = []
    failure = ValueError("three")

    def serve(orders: Sequence[int]) -> list[Outcome]:
        groups.append(orders)
        return [(None, failure) if order == 3 else (order * 10, None) for order in orders]

    tenfold = Together(serve)
    async with BatchedCalls("files") as offload:
        calls = [offload(tenfold, 1), offload(int, "2"), offload(tenfold, 3), offload(tenfold, 4)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert outcomes == [10, 2, failure, 40]
    assert groups == [[1, 3, 4]]
    assert tenfold(5) == 50
    with pytest.raises(ValueError, match="three"):
        tenfold(3)


async def test_a_call_is_made_though_its_caller_is_cancelled_and_before_what_comes_later() -> None:
    made: list[str] = []
    async with BatchedCalls("files") as offload:
        cancelled = asyncio.create_task(offload(made.append, "first"))
        await asyncio.sleep(0)
        cancelled.cancel()
        await offload(made.append, "second")
    assert made == ["first", "second"]
