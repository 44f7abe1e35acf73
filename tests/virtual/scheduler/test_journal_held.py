"""Another program holds the journal while a run goes on: it is waited for, and no id that arrived is lost."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.worlds import count, in_memory, run_clean, world_of

from batchgen.core.errors import OutsideError
from batchgen.core.records import State
from batchgen.journal import FILE_NAME, Journal
from batchgen.receipts import FILE_NAME as RECEIPTS
from batchgen.virtual import World, make_items


@pytest.fixture
def folder() -> Iterator[Path]:
    with in_memory() as folder:
        yield folder


class Holder:
    """Another program's write lock on the journal of a world."""

    def __init__(self, world: World) -> None:
        self._path = world.folder / FILE_NAME
        self._db: sqlite3.Connection | None = None

    def take(self) -> None:
        self._db = sqlite3.connect(self._path, isolation_level=None, timeout=0)
        self._db.execute("BEGIN IMMEDIATE")

    def let_go(self) -> None:
        assert self._db is not None
        self._db.close()


def at_once(journal: Journal) -> None:
    journal.wait_for_locks(0)  # time is virtual, and SQLite's patience is not


def accepted_in(folder: Path) -> int:
    return (folder / "run" / RECEIPTS).read_bytes().count(b'{"accepted"')


def test_a_held_journal_is_waited_for_and_ids_stand_in_the_receipts_meanwhile(folder: Path) -> None:
    world = world_of(folder, make_items(6), latency=(10.0, 10.0), concurrency=3)
    holder, seen = Holder(world), []
    outcome = run_clean(
        world,
        before=at_once,
        at=[  # the requests have left, and their answers come 10 s after the start
            (5.0, lambda _: holder.take()),
            (200.0, lambda _: seen.append(accepted_in(folder))),
            (300.0, lambda _: holder.let_go()),
        ],
    )
    assert seen == [3]
    assert outcome.exit_code == 0
    assert count(outcome, State.DONE) == 6
    assert len(world.provider.books.jobs) == 6


def test_a_journal_held_for_ever_ends_the_run_and_the_next_start_has_the_ids(folder: Path) -> None:
    world = world_of(folder, make_items(6), latency=(10.0, 10.0), concurrency=3)
    holder = Holder(world)
    with pytest.raises(OutsideError) as caught:
        world.invoke(before=at_once, at=[(5.0, lambda _: holder.take())])
    assert "is locked by another program" in str(caught.value)
    assert all(f"as job{number}" in str(caught.value).replace("job job", "job") for number in (1, 2, 3))
    holder.let_go()
    with closing(Journal(world.folder)) as journal:
        assert sorted(str(a.job_id) for a in journal.unsettled(State.PROCESSING)) == ["job1", "job2", "job3"]
    outcome = run_clean(world)
    assert count(outcome, State.DONE) == 6
    assert len(world.provider.books.jobs) == 6
