"""One thread that waits for the disk on behalf of many tasks."""

from contextvars import ContextVar

import pytest

from batchgen.core.batching import BatchedCalls

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
