"""Receipts that are said to a journal with another past: nothing is lost, and nothing doubled."""

import hashlib
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.books import buying, jobs, kept, lines_of, reopened, standing
from support.bought import START, Buyer, item, journal_of, list_items

from batchgen.api import Job, JobStatus
from batchgen.core.errors import RunFolderError
from batchgen.core.records import State, StoredFile
from batchgen.journal import FILE_NAME, Journal, own_journal, receipt_of
from batchgen.journal.recovery.reconcile import vouch
from batchgen.receipts import FILE_NAME as RECEIPTS
from batchgen.receipts import void
from batchgen.session.repair.recovery import recover

ITEMS = [item(name, f"A {name}") for name in ("mug", "jug", "pan")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run = tmp_path / "run"
    with journal_of(run, ITEMS) as journal:
        Buyer(journal).accept("mug")
    return run


def numbers(run: Path, name: str) -> list[tuple[int, str]]:
    with closing(sqlite3.connect(run / FILE_NAME)) as db:
        return db.execute(
            "SELECT a.number, a.state FROM attempt a JOIN item i ON i.key = a.item WHERE i.id = ? ORDER BY 1", (name,)
        ).fetchall()


def damage(run: Path, what: bytes) -> None:
    """Make one line unreadable, so that all of them are said to the journal again."""
    content = (run / RECEIPTS).read_bytes()
    assert what in content
    (run / RECEIPTS).write_bytes(content.replace(what, b"\0" * len(what), 1))


def test_a_purchase_that_was_taken_back_takes_no_later_one_with_it(folder: Path) -> None:
    older = kept(folder, FILE_NAME)
    with buying(folder) as buyer:
        buyer.journal.cancel_intent(buyer.intend("pan"))
    older()
    with buying(folder) as buyer:
        buyer.now = buyer.now.replace(hour=23, day=28)
        buyer.doubt("pan", "reset")
    assert numbers(folder, "pan") == [(2, "in_doubt")], "a number stays used"
    damage(folder, b'{"bound"')
    reopened(folder)
    assert numbers(folder, "pan") == [(2, "in_doubt")]
    assert standing(folder)["pan"] == "in_doubt"


def test_two_purchases_of_one_number_are_two_whose_numbers_differ(folder: Path) -> None:
    older = kept(folder, FILE_NAME, RECEIPTS)
    with buying(folder) as buyer:
        buyer.accept("pan")
    newest = (folder / RECEIPTS).read_bytes()
    older()
    edited = [*ITEMS[:-1], item("pan", "A wide pan")]
    with closing(Journal(folder)) as journal:
        list_items(journal, edited)
        with journal.transaction():
            Buyer(journal).doubt("pan", "reset")
    (folder / RECEIPTS).write_bytes(newest)
    reopened(folder)
    assert numbers(folder, "pan") == [(1, "in_doubt"), (2, "processing")]
    with closing(Journal(folder)) as journal:
        assert [a.number for a in journal.unsettled(State.IN_DOUBT)] == [1]


def test_one_job_in_the_answers_to_two_orders_of_one_item_leaves_the_second_in_doubt(folder: Path) -> None:
    with buying(folder) as buyer:
        attempt = next(buyer.journal.unsettled(State.PROCESSING))
        buyer.journal.lose(attempt, "gone", buyer.tick())
        buyer.journal.requeue([State.LOST], lambda _: True)
    older = kept(folder, FILE_NAME)
    with closing(Journal(folder)) as journal:
        with journal.transaction():
            second = Buyer(journal).intend("mug")
        # Another program held the journal when the answer came: its receipt was written first.
        job = Job("job-mug-1", JobStatus.PROCESSING)
        journal.write_receipt(receipt_of(second, job, START))
        with journal.transaction():
            journal.doubt(second, "the answer names job job-mug-1, which is mug's")
    older()
    reopened(folder)
    assert numbers(folder, "mug") == [(1, "lost"), (2, "in_doubt")]
    assert standing(folder)["mug"] == "in_doubt"


def test_a_journal_of_before_the_receipts_takes_the_name_that_they_give_to_the_run(folder: Path) -> None:
    newest = kept(folder, FILE_NAME)
    run_id = lines_of(folder)[0]["run_id"]
    with closing(sqlite3.connect(folder / FILE_NAME)) as db, db:  # as an older program's, brought forward
        db.execute("UPDATE vouched SET run_id = 'ffff', generation = 0, bytes = 0, sha256 = ''")
    reopened(folder)
    assert lines_of(folder)[0]["run_id"] == run_id
    newest()
    reopened(folder)  # and is not refused as another run's
    assert jobs(folder) == {"job-mug-1"}


@pytest.mark.parametrize("lost", [True, False])
def test_what_was_bought_by_an_order_that_cannot_be_read_is_not_bought_again(folder: Path, lost: bool) -> None:
    older = kept(folder, FILE_NAME)
    with buying(folder) as buyer:
        buyer.accept("pan")
    lines = (folder / RECEIPTS).read_bytes().splitlines(keepends=True)
    (order,) = (line for line in lines if line.startswith(b'{"intent"') and b'"pan"' in line)
    damage(folder, order[:-1])
    if lost:
        recover(folder)
    else:
        older()
    with closing(Journal(folder)) as journal:
        list_items(journal, ITEMS)
        assert "pan" not in {work.item.id for _, work in journal.pending(0, 99)}
        (attempt,) = (a for a in journal.unsettled(State.PROCESSING) if a.job_id == "job-pan-1")
        assert (attempt.work.item.digest, attempt.work.item.body) == (ITEMS[-1].digest, ITEMS[-1].body)
        assert attempt.account == "f00d"


def test_a_job_that_was_lost_once_and_is_done_since_is_done(folder: Path) -> None:
    (folder / "files").mkdir()
    with buying(folder) as buyer:
        (attempt,) = buyer.journal.unsettled(State.PROCESSING)
        job = Job(str(attempt.job_id), JobStatus.COMPLETED, outputs=("https://api18.dev/1",))
        buyer.journal.complete(attempt, job, 1, 1, buyer.tick())
        buyer.journal.lose(attempt, "gone", buyer.tick())
        buyer.journal.restore_lost(attempt)
    older = kept(folder, FILE_NAME)
    with buying(folder) as buyer:
        buyer.journal.complete(attempt, job, 1, 1, buyer.tick())
        (folder / "files/mug.png").write_bytes(b"mug")
        buyer.journal.record_file(attempt, StoredFile(1, "files/mug.png", 3, hashlib.sha256(b"mug").hexdigest()))
    older()
    reopened(folder)
    assert standing(folder)["mug"] == "done"


# ---- what the run folder is bound to --------------------------------------------------------------------------------


def bound_to(run: Path) -> str:
    with closing(Journal(run)) as journal:
        return journal.facts()["api"]


@pytest.fixture
def moved(tmp_path: Path) -> Path:
    """A run folder that first was bound to an address that is not in force any more."""
    run = tmp_path / "run"
    with journal_of(run, ITEMS) as journal:
        pass
    with closing(Journal(run)) as journal, journal.transaction():
        journal.note(api="https://api18.example", account="f00d")
        Buyer(journal).accept("mug")
    return run


def test_what_is_recovered_is_bound_as_the_run_was_last(moved: Path) -> None:
    recover(moved)
    assert bound_to(moved) == "https://api18.example"


def test_an_older_journal_is_bound_anew_and_a_newer_one_is_not_bound_back(moved: Path) -> None:
    older = kept(moved, FILE_NAME)
    receipts = kept(moved, RECEIPTS)
    with closing(Journal(moved)) as journal, journal.transaction():
        journal.note(api="https://api18.example", account="beef")
    older()
    with closing(Journal(moved)) as journal:
        assert journal.facts()["account"] == "beef"
    receipts()
    with closing(Journal(moved)) as journal:
        assert journal.facts()["account"] == "beef"


# ---- a file and a log of different times ----------------------------------------------------------------------------


def test_an_older_file_under_a_newer_log_is_no_journal(folder: Path) -> None:
    older = kept(folder, FILE_NAME)
    with buying(folder) as buyer:
        buyer.accept("pan")
    killed = folder.with_name("killed")
    with closing(Journal(folder)) as journal:
        with journal.transaction():
            journal.note(settings="{}")
            journal.write_receipt(void("0" * 20))
            vouch(journal.db, journal.receipts)
        shutil.copytree(folder, killed)
    older()
    shutil.copy(folder / FILE_NAME, killed / FILE_NAME)
    with pytest.raises(RunFolderError, match=r"one of them is an older copy.*batchgen recover"):
        Journal(killed)
    recover(killed)
    assert jobs(killed) == {"job-mug-1", "job-pan-1"}


def test_a_journal_made_anew_vouches_for_the_receipts_it_was_made_from(folder: Path) -> None:
    before = (folder / RECEIPTS).read_bytes()
    recover(folder)
    assert reopened(folder) == ()
    assert (folder / RECEIPTS).read_bytes() == before


def test_nothing_is_made_anew_under_a_run_whose_lock_file_was_removed(folder: Path) -> None:
    with (
        own_journal(folder / FILE_NAME, create=False),
        pytest.raises(RunFolderError, match="in use by another batchgen"),
    ):
        recover(folder)
    assert not list(folder.glob("*before-recover*"))


def test_a_damaged_file_is_kept_where_no_second_name_can_be_given(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    damage(folder, b'{"bound"')
    damaged = (folder / RECEIPTS).read_bytes()
    reopened(folder)
    assert (folder / f"{RECEIPTS}.damaged-1").read_bytes() == damaged
