"""Group commit: one thread writes, many wait, and what was awaited is on disk."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from support.bought import Buyer, item, list_items

from batchgen.core.errors import DiskError
from batchgen.core.records import State
from batchgen.journal import GroupRecorder, InlineRecorder, Journal, TransitionError

ITEMS = 700


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path, create=True)) as journal:
        list_items(journal, [item(f"mug-{n}") for n in range(ITEMS)])
        yield journal


@pytest.fixture
def commits(journal: Journal) -> list[str]:
    """Grows by one entry for each commit and each rollback."""
    seen: list[str] = []
    journal.db.set_trace_callback(lambda sql: seen.append(sql) if sql in ("COMMIT", "ROLLBACK") else None)
    return seen


def committed(journal: Journal) -> int:
    with closing(sqlite3.connect(journal.path)) as db:
        (count,) = db.execute("SELECT COUNT(*) FROM attempt").fetchone()
        return int(count)


@asynccontextmanager
async def held_up(record: GroupRecorder, journal: Journal) -> AsyncIterator[None]:
    """A commit is under way while the block runs, so that all that is asked for inside goes into the ones after it."""
    entered, gate = threading.Event(), threading.Event()
    commit = journal.commit

    def wait() -> None:
        entered.set()
        assert gate.wait(10)
        commit()

    with patch.object(journal, "commit", wait):
        busy = asyncio.create_task(record(journal.counts))
        await asyncio.to_thread(entered.wait, 10)
    try:
        yield
        for _ in range(3):
            await asyncio.sleep(0)  # lets the tasks of the block ask
    finally:
        gate.set()
        await busy


def start(record: GroupRecorder, operation: Callable[..., Any], *args: Any) -> "asyncio.Task[Any]":
    return asyncio.create_task(record(operation, *args))


async def test_those_who_wait_together_share_a_commit(journal: Journal, commits: list[str]) -> None:
    buyer = Buyer(journal)
    async with GroupRecorder(journal) as record:
        async with held_up(record, journal):
            tasks = [start(record, buyer.intend, f"mug-{n}") for n in range(300)]
        attempts = await asyncio.gather(*tasks)
        assert commits == ["COMMIT"] * 2, "one for the operation that held up, one for all the others"
    assert [attempt.work.item.id for attempt in attempts] == [f"mug-{n}" for n in range(300)]
    assert [attempt.key for attempt in attempts] == sorted(attempt.key for attempt in attempts)
    assert committed(journal) == 300


async def test_a_group_is_bounded(journal: Journal, commits: list[str]) -> None:
    buyer = Buyer(journal)
    async with GroupRecorder(journal) as record:
        async with held_up(record, journal):
            tasks = [start(record, buyer.intend, f"mug-{n}") for n in range(ITEMS)]
        await asyncio.gather(*tasks)
    assert commits == ["COMMIT"] * 3
    assert committed(journal) == ITEMS


async def test_an_answer_comes_after_the_commit_that_holds_it(journal: Journal) -> None:
    events: list[str] = []
    journal.db.set_trace_callback(lambda sql: events.append(sql) if sql == "COMMIT" else None)
    async with GroupRecorder(journal) as record:
        await record(events.append, "ran")
        events.append("answered")
    assert events == ["ran", "COMMIT", "answered"]


async def test_an_operation_that_raises_does_not_spoil_its_neighbours(journal: Journal, commits: list[str]) -> None:
    buyer = Buyer(journal)
    async with GroupRecorder(journal) as record:
        async with held_up(record, journal):
            tasks = [start(record, buyer.intend, f"mug-{n}") for n in (0, 1, 0, 2, 1)]
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(o) is TransitionError for o in outcomes] == [False, False, True, False, True]
    assert committed(journal) == 3
    assert commits.count("COMMIT") == 4
    assert [a.work.item.id for a in journal.unsettled(State.SUBMITTING)] == ["mug-0", "mug-1", "mug-2"]


async def test_an_error_is_its_callers_own_and_the_recorder_goes_on(journal: Journal) -> None:
    buyer = Buyer(journal)
    async with GroupRecorder(journal) as record:
        with pytest.raises(ZeroDivisionError):
            await record(lambda: 1 // 0)
        attempt = await record(buyer.intend, "mug-0")
        assert (await record(journal.listing, attempt=attempt)).highest == 0
    assert committed(journal) == 1


async def test_a_commit_that_fails_fails_everyone_in_it(journal: Journal, caplog: pytest.LogCaptureFixture) -> None:
    buyer = Buyer(journal)
    async with GroupRecorder(journal) as record:
        with patch.object(journal, "commit", side_effect=DiskError("full")) as commit:
            tasks = [start(record, buyer.intend, f"mug-{n}") for n in range(5)]
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert [str(outcome) for outcome in outcomes] == ["full"] * 5
        assert commit.call_count == 6, "once for all together, and once for each"
        assert "a commit of 5 steps failed; trying each by itself: full" in caplog.text
        await record(buyer.intend, "mug-0")
    assert committed(journal) == 1


async def test_a_disk_that_takes_nothing_fails_everyone_and_is_told_as_such(journal: Journal) -> None:
    buyer = Buyer(journal)
    async with GroupRecorder(journal) as record:
        journal.db.execute("PRAGMA query_only = ON")
        tasks = [start(record, buyer.intend, f"mug-{n}") for n in range(5)]
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {DiskError}
        journal.db.execute("PRAGMA query_only = OFF")
        await record(buyer.intend, "mug-0")
    assert committed(journal) == 1


async def test_the_loop_does_not_wait_for_the_disk(journal: Journal) -> None:
    buyer = Buyer(journal)
    async with GroupRecorder(journal) as record:
        async with held_up(record, journal):
            task = start(record, buyer.intend, "mug-0")
            await asyncio.sleep(0.05)
            assert not task.done()
            assert committed(journal) == 0
        await task
    assert committed(journal) == 1


async def test_what_waits_when_the_block_ends_is_committed_after_what_is_under_way(journal: Journal) -> None:
    buyer = Buyer(journal)
    order: list[str] = []
    commit = journal.commit

    def slowly() -> None:
        threading.Event().wait(0.05)
        order.append(threading.current_thread().name)
        commit()

    with patch.object(journal, "commit", slowly):
        async with GroupRecorder(journal) as record:
            first = start(record, buyer.intend, "mug-0")
            while not record._writer._handed_over:
                await asyncio.sleep(0)
            second = start(record, buyer.intend, "mug-1")
            await asyncio.sleep(0)
    assert order == ["journal", "MainThread"]
    assert [attempt.work.item.id for attempt in await asyncio.gather(first, second)] == ["mug-0", "mug-1"]
    assert committed(journal) == 2


async def test_a_waiter_that_is_cancelled_does_not_cancel_the_operation(journal: Journal) -> None:
    buyer = Buyer(journal)
    async with GroupRecorder(journal) as record:
        async with held_up(record, journal):
            cancelled = start(record, buyer.intend, "mug-0")
            beside = start(record, buyer.intend, "mug-1")
            await asyncio.sleep(0)
            cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert (await beside).work.item.id == "mug-1"
        assert committed(journal) == 2


async def test_on_leaving_all_that_was_asked_for_is_on_disk_and_answered(journal: Journal) -> None:
    buyer = Buyer(journal)
    async with GroupRecorder(journal) as record:
        tasks = [start(record, buyer.intend, f"mug-{n}") for n in range(50)]
        await asyncio.sleep(0)
    assert committed(journal) == 50
    assert [attempt.number for attempt in await asyncio.gather(*tasks)] == [1] * 50
    assert not any(thread.name == "journal" for thread in threading.enumerate())


async def test_what_is_asked_for_is_on_disk_also_when_the_block_raises(journal: Journal) -> None:
    buyer = Buyer(journal)
    with pytest.raises(KeyError):
        async with GroupRecorder(journal) as record:
            task = start(record, buyer.intend, "mug-0")
            await asyncio.sleep(0)
            raise KeyError("inside")
    assert committed(journal) == 1
    assert (await task).number == 1


async def test_outside_of_its_context_a_recorder_refuses_instead_of_never_answering(journal: Journal) -> None:
    record = GroupRecorder(journal)
    with pytest.raises(RuntimeError, match="not open"):
        await record(journal.counts)
    async with record:
        pass
    with pytest.raises(RuntimeError, match="not open"):
        await record(journal.counts)


async def test_the_inline_recorder_commits_each_by_itself(journal: Journal, commits: list[str]) -> None:
    buyer, record = Buyer(journal), InlineRecorder(journal)
    await record(buyer.intend, "mug-0")
    with pytest.raises(TransitionError):
        await record(buyer.intend, "mug-0")
    await record(buyer.intend, "mug-1")
    assert commits == ["COMMIT", "ROLLBACK", "COMMIT"]
    assert committed(journal) == 2


async def test_another_program_that_writes_is_waited_for_in_the_thread(journal: Journal) -> None:
    buyer = Buyer(journal)
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with GroupRecorder(journal) as record:
            task = start(record, buyer.intend, "mug-0")
            begun = asyncio.get_running_loop().time()
            for _ in range(10):
                await asyncio.sleep(0.01)
            assert asyncio.get_running_loop().time() - begun < 2.5, "the loop stood still"
            assert not task.done()
            other.execute("ROLLBACK")
            assert (await task).number == 1
    assert committed(journal) == 1
