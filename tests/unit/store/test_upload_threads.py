"""The threads that wait for a remote store: side by side, in order, and not longer than anybody wants."""

import asyncio
import threading
import time

import pytest

from batchgen.store import LocalDisk
from batchgen.store.upload_threads import UploadThreads, uploading


async def test_results_and_errors_come_back() -> None:
    async with UploadThreads(2, "t", patience=5.0) as call:
        assert await call(max, 3, 7) == 7
        with pytest.raises(ZeroDivisionError):
            await call(divmod, 1, 0)


async def test_what_is_no_ordinary_error_comes_back_too() -> None:
    """As a panic of the library is none; without an answer, the run would wait for ever."""

    class Panic(BaseException):
        pass

    def panic() -> None:
        raise Panic

    async with UploadThreads(1, "t", patience=5.0) as call:
        with pytest.raises(Panic):
            await asyncio.wait_for(call(panic), 10)
        assert await call(max, 1, 2) == 2, "the thread goes on"


async def test_calls_are_made_side_by_side() -> None:
    meeting = threading.Barrier(3, timeout=10)
    async with UploadThreads(3, "t", patience=5.0) as call:
        await asyncio.gather(*(call(meeting.wait) for _ in range(3)))


async def test_on_leaving_what_is_under_way_is_finished_and_the_rest_is_left() -> None:
    begun, go, done = threading.Event(), threading.Event(), []

    def first() -> None:
        begun.set()
        go.wait(10)
        done.append("first")

    async with UploadThreads(1, "t", patience=10.0) as call:
        tasks = [asyncio.create_task(call(first)), asyncio.create_task(call(done.append, "second"))]
        await asyncio.to_thread(begun.wait, 10)
        for task in tasks:
            task.cancel()
        go.set()
    assert done == ["first"]


async def test_what_hangs_is_not_waited_for_longer_than_that() -> None:
    begun, go = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        go.wait(30)

    async with UploadThreads(1, "t", patience=0.1) as call:
        task = asyncio.create_task(call(hang))
        await asyncio.to_thread(begun.wait, 10)
        left = time.monotonic()
    assert time.monotonic() - left < 10
    go.set()
    task.cancel()


async def test_a_disk_needs_none() -> None:
    async with uploading(LocalDisk.__new__(LocalDisk)) as upload:
        assert upload is None
