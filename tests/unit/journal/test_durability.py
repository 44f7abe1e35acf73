"""What was acknowledged is on disk; what cannot be, or cannot be read, is an expected error."""

import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.bought import Buyer, item, journal_of, list_items

from batchgen.core.errors import DiskError, RunFolderError
from batchgen.core.records import State
from batchgen.journal import FILE_NAME, GroupRecorder, Journal, JournalLockedError, open_for_reading
from batchgen.journal.queries.comparison import compare
from batchgen.journal.schema import VERSION
from batchgen.session.run_folder import open_run_folder


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path, create=True)) as journal:
        list_items(journal, [item(f"mug-{n}") for n in range(3)])
        yield journal


def seen_from_outside(path: Path) -> list[tuple[str, str]]:
    """The attempts that another process would find."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT i.id, a.state FROM attempt a JOIN item i ON i.key = a.item ORDER BY a.key").fetchall()


def child(code: str, *arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip


# ---- durable -----------------------------------------------------------------------------------------------------


def test_every_commit_is_synced_in_wal_mode(tmp_path: Path, journal: Journal) -> None:
    for open_journal in (journal, Journal(tmp_path)):
        assert open_journal.db.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"
        assert open_journal.db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert open_journal.db.execute("PRAGMA foreign_keys").fetchone() == (1,)
    open_journal.close()


async def test_an_intent_is_on_disk_when_its_record_call_returns(journal: Journal) -> None:
    buyer = Buyer(journal)
    async with GroupRecorder(journal) as record:
        await record(journal.record_intent, buyer.work("mug-1"), "f00d", "1", buyer.now)
        assert seen_from_outside(journal.path) == [("mug-1", "submitting")]


def test_what_is_not_committed_is_seen_by_nobody(journal: Journal) -> None:
    with journal.transaction():
        Buyer(journal).intend("mug-1")
        assert seen_from_outside(journal.path) == []
    assert seen_from_outside(journal.path) == [("mug-1", "submitting")]


_BUY_AND_HANG = """
    import asyncio, sys
    from pathlib import Path
    from support.bought import Buyer
    from batchgen.journal import GroupRecorder, Journal

    async def main():
        journal = Journal(Path(sys.argv[1]))
        buyer = Buyer(journal)
        async with GroupRecorder(journal) as record:
            for name in ("mug-2", "mug-0"):
                await record(journal.record_intent, buyer.work(name), "f00d", "1", buyer.tick())
                print(name, flush=True)
            sys.stdin.read()

    asyncio.run(main())
"""


def test_intents_outlive_a_process_that_is_killed_and_are_in_doubt(tmp_path: Path) -> None:
    with journal_of(tmp_path, [item(f"mug-{n}") for n in range(3)]):
        pass
    process = child(_BUY_AND_HANG, tmp_path)
    with process:
        assert process.stdout
        assert [process.stdout.readline() for _ in range(2)] == ["mug-2\n", "mug-0\n"], process.stderr
        process.send_signal(signal.SIGKILL)
    with closing(Journal(tmp_path)) as journal:
        assert [a.work.item.id for a in journal.unsettled(State.SUBMITTING)] == ["mug-2", "mug-0"]
        with journal.transaction():
            assert journal.doubt_interrupted() == 2
        assert journal.counts() == {State.IN_DOUBT: 2, State.PENDING: 1}
        assert [work.item.id for _, work in journal.pending(0, 9)] == ["mug-1"]


_FILL_THE_DISK = """
    import asyncio, resource, sys
    from pathlib import Path
    from support.bought import Buyer
    from batchgen.core.errors import DiskError
    from batchgen.journal import GroupRecorder, Journal

    async def main():
        journal = Journal(Path(sys.argv[1]))
        buyer = Buyer(journal)
        journal.db.execute("PRAGMA wal_autocheckpoint = 0")
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
        async with GroupRecorder(journal) as record:
            async def buy(name):
                try:
                    await record(journal.record_intent, buyer.work(name), "f00d", "1", buyer.tick())
                except DiskError as error:
                    assert "cannot write the journal" in str(error), error
                else:
                    print(name)
            for start in range(0, 200, int(sys.argv[2])):
                await asyncio.gather(*(buy(f"mug-{n}") for n in range(start, start + int(sys.argv[2]))))

    asyncio.run(main())
"""


@pytest.mark.thorough
@pytest.mark.parametrize("together", [1, 20])
def test_on_a_full_disk_exactly_what_was_acknowledged_is_there(tmp_path: Path, together: int) -> None:
    with journal_of(tmp_path, [item(f"mug-{n}") for n in range(200)]):
        pass
    process = child(_FILL_THE_DISK, tmp_path, together)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    acknowledged = out.split()
    assert 0 < len(acknowledged) < 200
    with closing(Journal(tmp_path)) as journal:
        assert sorted(a.work.item.id for a in journal.unsettled(State.SUBMITTING)) == sorted(acknowledged)
        assert journal.counts()[State.PENDING] == 200 - len(acknowledged)
        assert journal.db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_disk_that_became_read_only_is_a_disk_error(journal: Journal) -> None:
    journal.db.execute("PRAGMA query_only = ON")
    buyer = Buyer(journal)
    with pytest.raises(DiskError, match="cannot write the journal"), journal.transaction():
        buyer.intend("mug-1")
    assert not journal.db.in_transaction
    journal.db.execute("PRAGMA query_only = OFF")
    with journal.transaction():
        buyer.intend("mug-1")
    assert seen_from_outside(journal.path) == [("mug-1", "submitting")]


def test_a_transaction_that_raises_leaves_nothing_and_the_next_one_works(journal: Journal) -> None:
    buyer = Buyer(journal)
    with pytest.raises(KeyError), journal.transaction():
        buyer.intend("mug-1")
        raise KeyError("inside")
    assert seen_from_outside(journal.path) == []
    with journal.transaction():
        buyer.intend("mug-1")


def test_another_writer_is_told_of_and_not_waited_for_for_ever(journal: Journal) -> None:
    journal.db.execute("PRAGMA busy_timeout = 20")
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalLockedError, match="locked by another program"), journal.transaction():
            pass


# ---- not a journal ----------------------------------------------------------------------------------------------


def test_a_folder_without_a_journal_is_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="not a run folder"):
        Journal(tmp_path)
    with pytest.raises(RunFolderError, match="not a run folder"):
        open_for_reading(tmp_path / FILE_NAME)
    assert list(tmp_path.iterdir()) == []


def test_a_journal_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, create=True)) as journal:
        journal.db.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = (tmp_path / FILE_NAME).read_bytes()
    for create in (False, True):
        with pytest.raises(
            RunFolderError, match=f"has version {VERSION + 1}, but this batchgen supports version {VERSION}"
        ):
            Journal(tmp_path, create=create)
    with pytest.raises(RunFolderError, match=f"version {VERSION}"):
        open_for_reading(tmp_path / FILE_NAME)
    assert (tmp_path / FILE_NAME).read_bytes() == before


@pytest.mark.parametrize("content", [b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 5000, b"<html></html>"])
def test_a_file_that_is_no_database_is_refused_as_damaged_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / FILE_NAME
    path.write_bytes(content)
    for create in (False, True):
        with pytest.raises(RunFolderError, match=r"damaged .*starting over would buy everything again"):
            Journal(tmp_path, create=create)
    with pytest.raises(RunFolderError, match="damaged"):
        open_for_reading(path)
    table = tmp_path / "items.sqlite3"
    sqlite3.connect(table).close()
    with pytest.raises(RunFolderError, match="damaged"), compare(table, path, lambda *_: True):
        pass
    assert path.read_bytes() == content


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE item (x)")
    for create in (False, True):
        with pytest.raises(RunFolderError, match="damaged"):
            Journal(tmp_path, create=create)
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT sql FROM sqlite_master").fetchall() == [("CREATE TABLE item (x)",)]


def test_an_empty_file_is_filled_only_where_a_journal_may_be_made(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).touch()
    with pytest.raises(RunFolderError, match="or an empty one"):
        Journal(tmp_path)
    Journal(tmp_path, create=True).close()
    Journal(tmp_path).close()


def test_damage_that_shows_late_is_an_expected_error_too(tmp_path: Path) -> None:
    with journal_of(tmp_path, [item(f"mug-{n}", "x" * 500) for n in range(200)]):
        pass
    path = tmp_path / FILE_NAME
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes(whole[:half] + b"\xff" * (len(whole) - half))
    with pytest.raises(RunFolderError, match="damaged"), open_run_folder(tmp_path, create=False) as journal:
        journal.pending(0, 1000)


def test_a_journal_that_cannot_be_opened_is_a_disk_error(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(DiskError, match="cannot write the journal"):
        Journal(tmp_path)


# ---- reading beside a run --------------------------------------------------------------------------------------


def test_a_reader_sees_one_moment_while_the_run_goes_on(journal: Journal) -> None:
    buyer = Buyer(journal)
    with journal.transaction():
        buyer.intend("mug-0")
    with closing(open_for_reading(journal.path)) as reader:
        count = "SELECT COUNT(*) FROM attempt"
        assert reader.execute(count).fetchone() == (1,)
        with journal.transaction():
            buyer.intend("mug-1")
        assert reader.execute(count).fetchone() == (1,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.execute("DELETE FROM attempt")
    with closing(open_for_reading(journal.path)) as reader:
        assert reader.execute(count).fetchone() == (2,)
