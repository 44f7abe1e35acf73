"""The second witness: what the receipts know is never bought again, whatever became of the journal."""

import hashlib
import json
import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.books import buying, jobs, kept, lines_of, reopened, standing
from support.bought import Buyer, item, journal_of, list_items

from batchgen.api import Job, JobStatus
from batchgen.core.errors import DiskError, RunFolderError
from batchgen.core.records import State, StoredFile
from batchgen.journal import FILE_NAME, Journal
from batchgen.receipts import FILE_NAME as RECEIPTS
from batchgen.receipts import Line, Receipts, read_line

ITEMS = [item(name, f"A {name}") for name in ("mug", "jug", "bowl", "vase", "cup", "pot", "pan")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder with one item in each state that a purchase can reach."""
    run = tmp_path / "run"
    with journal_of(run, ITEMS) as journal:
        buyer = Buyer(journal)
        buyer.accept("mug")
        buyer.fail("jug", "no")
        buyer.doubt("bowl", "reset")
        buyer.reject("vase", "no")
        buyer.lose("cup", "gone")
        buyer.ready("pot", outputs=2, cost="0.112")
    return run


# ---- what is written ------------------------------------------------------------------------------------------------


def test_each_step_leaves_its_line(folder: Path) -> None:
    lines = lines_of(folder)
    assert [next(iter(line)) for line in lines[:2]] == ["receipts", "bound"]
    kinds = [next(iter(line)) for line in lines[2:]]
    assert kinds == [
        *("intent", "accepted"), *("intent", "accepted", "ended"), "intent", *("intent", "ended"),
        *("intent", "accepted", "ended"), *("intent", "accepted", "ended"),
    ]  # fmt: skip
    assert all(read_line(json.dumps(line).encode()) is not None for line in lines)


def test_a_folder_that_is_opened_again_has_nothing_to_tell_and_changes_nothing(folder: Path) -> None:
    before = (folder / RECEIPTS).read_bytes()
    assert reopened(folder) == ()
    assert (folder / RECEIPTS).read_bytes() == before


def test_opening_reads_only_the_lines_that_the_journal_does_not_vouch_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    lines = Receipts.lines

    def watched(self: Receipts, start: int = 0) -> Any:
        for line in lines(self, start):
            seen.append(line[0])
            yield line

    with buying(folder) as buyer:
        buyer.accept("pan")
    monkeypatch.setattr(Receipts, "lines", watched)
    reopened(folder)
    assert seen == [0], "the header alone"


def test_a_commit_that_fails_takes_its_intents_back(folder: Path) -> None:
    with closing(Journal(folder)) as journal:
        before = standing(folder)
        with closing(sqlite3.connect(folder / FILE_NAME)) as other, pytest.raises(DiskError):
            other.execute("PRAGMA user_version")
            journal.begin_transaction()
            Buyer(journal).intend("pan")
            journal.db.set_authorizer(
                lambda action, what, *_: (
                    sqlite3.SQLITE_DENY
                    if action == sqlite3.SQLITE_TRANSACTION and what == "COMMIT"
                    else sqlite3.SQLITE_OK
                )
            )
            try:
                journal.commit()
            except sqlite3.DatabaseError as error:
                raise DiskError("as a full disk would") from error
        journal.db.set_authorizer(None)
        journal.roll_back()
    assert [next(iter(line)) for line in lines_of(folder)[-2:]] == ["intent", "void"]
    assert reopened(folder) == ()
    assert standing(folder) == before


def test_what_cannot_be_written_to_the_receipts_is_not_sent(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise DiskError("no space")

    with closing(Journal(folder)) as journal:
        monkeypatch.setattr(journal.receipts, "append", full)
        with pytest.raises(DiskError), journal.transaction():
            Buyer(journal).intend("pan")
        monkeypatch.undo()
    assert standing(folder)["pan"] == "pending"


def test_half_a_line_is_never_left_before_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = Receipts(tmp_path / RECEIPTS)
    file.verify(0)
    file.append([Line('{"void":"0123456789abcdef"}\n')], sync=True)
    write, once = os.write, [3]

    def short(handle: int, data: Any) -> int:
        if once:
            return write(handle, bytes(data)[: once.pop()])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", short)
    with pytest.raises(DiskError):
        file.append([Line('{"void":"aaaaaaaaaaaaaaaa"}\n')], sync=True)
    monkeypatch.undo()
    file.append([Line('{"void":"bbbbbbbbbbbbbbbb"}\n')], sync=True)
    size, sha256 = file.size_and_digest()
    assert [content["void"][0] for _, _, content in file.lines()] == ["0", "b"]
    assert file.verify(size) == sha256
    file.close()


# ---- an older journal is not believed --------------------------------------------------------------------------------


def test_an_older_copy_of_the_journal_takes_over_what_the_receipts_know(folder: Path) -> None:
    older = kept(folder, FILE_NAME)
    with buying(folder) as buyer:
        buyer.accept("pan")
    with closing(Journal(folder)) as journal, journal.transaction():
        attempt = next(a for a in journal.unsettled(State.PROCESSING) if a.work.item.id == "mug")
        journal.lose(attempt, "gone", Buyer(journal).tick())
    newest, known = standing(folder), jobs(folder)
    older()
    assert standing(folder)["pan"] == "pending"
    (notice,) = reopened(folder)
    assert "knew more about 2 items than the journal" in notice
    assert (standing(folder), jobs(folder)) == (newest, known)
    assert reopened(folder) == ()


def test_an_intent_without_an_answer_is_in_doubt(folder: Path) -> None:
    older = kept(folder, FILE_NAME)
    with buying(folder) as buyer:
        buyer.intend("pan")
    older()
    reopened(folder)
    assert standing(folder)["pan"] == "in_doubt"


def test_an_intent_that_was_taken_back_is_none(folder: Path) -> None:
    older = kept(folder, FILE_NAME)
    with buying(folder) as buyer:
        buyer.journal.cancel_intent(buyer.intend("pan"))
    older()
    reopened(folder)
    assert standing(folder)["pan"] == "pending"


def test_a_doubt_that_was_settled_since_stays_settled(folder: Path) -> None:
    for settle, after in (("settle_as_not_charged", "pending"), ("settle_as_charged", "lost")):
        copy = shutil.copytree(folder, folder.with_name(settle))
        older = kept(copy, FILE_NAME)
        with buying(copy) as buyer:
            (doubt,) = buyer.journal.unsettled(State.IN_DOUBT)
            getattr(buyer.journal, settle)(doubt, buyer.tick())
        older()
        reopened(copy)
        assert standing(copy)["bowl"] == after


def test_the_journal_of_before_an_edit_keeps_the_purchase_without_its_body_until_it_is_listed(folder: Path) -> None:
    older = kept(folder, FILE_NAME)
    wide = item("pan", "A wide pan")
    with closing(Journal(folder)) as journal:
        list_items(journal, [*ITEMS[:-1], wide])
        with journal.transaction():
            Buyer(journal).accept("pan")
    older()
    with closing(Journal(folder)) as journal:
        rows = journal.db.execute("SELECT digest, body, state FROM item WHERE id = 'pan' ORDER BY key").fetchall()
        assert rows == [(ITEMS[-1].digest, ITEMS[-1].body, "pending"), (wide.digest, "{}", "processing")]
        list_items(journal, [*ITEMS[:-1], wide])
        rows = journal.db.execute("SELECT digest, body, state FROM item WHERE id = 'pan' ORDER BY key").fetchall()
        assert rows == [(wide.digest, wide.body, "processing")]


def test_a_log_that_was_lost_with_a_killed_process_costs_nothing(folder: Path) -> None:
    copy = folder.with_name("copy")
    with closing(Journal(folder)) as journal:
        with journal.transaction():
            Buyer(journal).accept("pan")
        shutil.copytree(folder, copy)  # as a kill leaves it
    assert (copy / f"{FILE_NAME}-wal").stat().st_size
    for name in ("-wal", "-shm"):
        (copy / f"{FILE_NAME}{name}").unlink()
    assert standing(copy)["pan"] == "pending", "what the file alone knows"
    reopened(copy)
    assert standing(copy)["pan"] == "processing"


def test_a_journal_of_before_the_receipts_were_written_anew_reads_them_from_the_start(folder: Path) -> None:
    older = kept(folder, FILE_NAME)
    (folder / RECEIPTS).unlink()
    with buying(folder) as buyer:
        buyer.accept("pan")
    assert lines_of(folder)[0]["generation"] == 2
    newest = standing(folder)
    older()
    reopened(folder)
    assert standing(folder) == newest
    assert lines_of(folder)[0]["generation"] == 3
    assert len(jobs(folder)) == len([line for line in lines_of(folder) if "accepted" in line])


def test_a_journal_that_knew_no_receipts_is_matched_by_job(folder: Path) -> None:
    with closing(sqlite3.connect(folder / FILE_NAME)) as db, db:
        # As an older program left it: led forward, with names of its own for the same purchases.
        db.execute("UPDATE vouched SET run_id = 'ffff', generation = 0, bytes = 0, sha256 = ''")
        db.execute("UPDATE attempt SET purchase = printf('%020x', key)")
        db.execute("DELETE FROM attempt WHERE item = (SELECT key FROM item WHERE id = 'cup')")
        db.execute("UPDATE item SET state = 'pending' WHERE id = 'cup'")
    before = jobs(folder)
    (notice,) = reopened(folder)
    assert "more about 1 item than" in notice
    assert standing(folder)["cup"] == "lost"
    assert jobs(folder) == before | {"job-cup-1"}
    with closing(sqlite3.connect(folder / FILE_NAME)) as db:
        assert db.execute("SELECT COUNT(*) FROM attempt").fetchone() == (6,)


def test_a_namesake_that_became_another_job_is_a_second_purchase_and_both_are_collected(folder: Path) -> None:
    older = kept(folder, FILE_NAME, RECEIPTS)
    with buying(folder) as buyer:
        buyer.accept("pan")
    newest = (folder / RECEIPTS).read_bytes()
    older()
    with closing(sqlite3.connect(folder / FILE_NAME)) as db, db:
        db.execute("UPDATE vouched SET generation = 0")
        db.execute("UPDATE item SET state = 'processing', attempts = 1 WHERE id = 'pan'")
        db.execute(
            "INSERT INTO attempt (item, number, state, estimated, reserved, charged, job_id, account, catalog_version,"
            " submitted_at, purchase) SELECT key, 1, 'processing', '0.056', '0.056', '0.056', 'job-twice', 'f00d', '1',"
            " 0, '00000000000000000000' FROM item WHERE id = 'pan'"
        )
    (folder / RECEIPTS).write_bytes(newest)
    reopened(folder)
    assert {"job-twice", "job-pan-1"} <= jobs(folder)
    with closing(Journal(folder)) as journal:
        assert sorted(str(a.job_id) for a in journal.unsettled(State.PROCESSING)) == [
            "job-mug-1", "job-pan-1", "job-twice",
        ]  # fmt: skip


def test_what_is_stored_and_fits_is_done_without_a_question(folder: Path) -> None:
    older = kept(folder, FILE_NAME)
    (folder / "files").mkdir()
    with closing(Journal(folder)) as journal, journal.transaction():
        (attempt,) = journal.unsettled(State.READY)
        for number in (1, 2):
            content = f"output {number}".encode()
            (folder / f"files/pot@{number}.png").write_bytes(content)
            file = StoredFile(number, f"files/pot@{number}.png", len(content), hashlib.sha256(content).hexdigest())
            journal.record_file(attempt, file)
    with closing(sqlite3.connect(folder / FILE_NAME)) as db:
        outputs = db.execute("SELECT number, path, bytes, sha256 FROM output ORDER BY number").fetchall()
    for damage, after in ((None, "done"), ("files/pot@2.png", "processing")):
        older()
        with closing(sqlite3.connect(folder / FILE_NAME)) as db, db:
            db.execute("DELETE FROM output")
            db.execute("UPDATE attempt SET state = 'processing' WHERE state = 'ready'")
            db.execute("UPDATE item SET state = 'processing' WHERE state = 'ready'")
            db.execute("UPDATE vouched SET generation = 0")  # all lines are read
        if damage:
            (folder / damage).write_bytes(b"something else")
        reopened(folder)
        assert standing(folder)["pot"] == after
        with closing(sqlite3.connect(folder / FILE_NAME)) as db:
            found = db.execute("SELECT number, path, bytes, sha256 FROM output ORDER BY number").fetchall()
        assert found == (outputs if after == "done" else [])


def test_a_file_that_moved_since_is_followed(folder: Path) -> None:
    (folder / "files").mkdir()
    (folder / "superseded").mkdir()
    (folder / "files/pan.png").write_bytes(b"the first")
    file = StoredFile(1, "files/pan.png", 9, hashlib.sha256(b"the first").hexdigest())
    with buying(folder) as buyer:
        buyer.journal.record_file(buyer.ready("pan"), file)
    older = kept(folder, FILE_NAME)
    with closing(Journal(folder)) as journal, journal.transaction():
        journal.move_file("files/pan.png", "superseded/pan.png")
    (folder / "files/pan.png").rename(folder / "superseded/pan.png")
    older()
    reopened(folder)
    with closing(sqlite3.connect(folder / FILE_NAME)) as db:
        assert db.execute("SELECT path FROM output WHERE path IS NOT NULL").fetchall() == [("superseded/pan.png",)]


def test_a_file_that_was_downloaded_anew_since_is_the_one_that_counts(folder: Path) -> None:
    (folder / "files").mkdir()
    with buying(folder) as buyer:
        attempt = buyer.ready("pan")
        buyer.journal.record_file(attempt, StoredFile(1, "files/pan.png", 9, "0" * 64))
    older = kept(folder, FILE_NAME)
    (folder / "files/pan.png").write_bytes(b"the newest")
    file = StoredFile(1, "files/pan.png", 10, hashlib.sha256(b"the newest").hexdigest())
    with closing(Journal(folder)) as journal, journal.transaction():
        journal.replace_file(attempt.key, file)
    older()
    reopened(folder)
    with closing(sqlite3.connect(folder / FILE_NAME)) as db:
        (found,) = db.execute("SELECT number, path, bytes, sha256 FROM output WHERE path IS NOT NULL").fetchall()
    assert StoredFile(*found) == file


# ---- receipts that are missing, older, torn, foreign -----------------------------------------------------------------


def test_missing_receipts_are_written_anew_from_the_journal(folder: Path) -> None:
    before = lines_of(folder)
    (folder / RECEIPTS).unlink()
    (notice,) = reopened(folder)
    assert "was missing" in notice
    after = lines_of(folder)
    assert after[0]["generation"] == 2
    assert sorted(map(str, after[1:])) == sorted(map(str, before[1:]))


def test_an_older_copy_of_the_receipts_is_written_anew(folder: Path) -> None:
    older = kept(folder, RECEIPTS)
    with buying(folder) as buyer:
        buyer.accept("pan")
    newest = lines_of(folder)
    older()
    (notice,) = reopened(folder)
    assert "shorter than the journal expects" in notice
    assert sorted(map(str, lines_of(folder)[1:])) == sorted(map(str, newest[1:]))


def test_older_copies_of_both_are_brought_to_what_both_know_together(folder: Path) -> None:
    journal_then = kept(folder, FILE_NAME)
    with buying(folder) as buyer:
        buyer.accept("pan")
    receipts_then = kept(folder, RECEIPTS)
    journal_then()
    receipts_then()
    reopened(folder)
    assert standing(folder)["pan"] == "processing"


def test_a_torn_last_line_is_no_damage(folder: Path) -> None:
    whole = (folder / RECEIPTS).read_bytes()
    with (folder / RECEIPTS).open("ab") as out:
        out.write(b'{"intent":"0123')
    assert reopened(folder) == ()
    assert (folder / RECEIPTS).read_bytes() == whole


def test_a_line_that_cannot_be_read_is_evidence_and_kept(folder: Path) -> None:
    content = bytearray((folder / RECEIPTS).read_bytes())
    content[content.index(b'"accepted"') + 3] = 0
    (folder / RECEIPTS).write_bytes(content)
    before = standing(folder)
    (notice,) = reopened(folder)
    assert "1 line of receipts.jsonl could not be read; the file was kept as receipts.jsonl.damaged-1" in notice
    assert (folder / "receipts.jsonl.damaged-1").read_bytes() == bytes(content)
    assert standing(folder) == before
    assert reopened(folder) == ()


def test_receipts_of_another_run_are_refused(folder: Path, tmp_path: Path) -> None:
    with journal_of(tmp_path / "other", ITEMS) as journal:
        Buyer(journal).accept("mug")
    shutil.copy(tmp_path / "other" / RECEIPTS, folder / RECEIPTS)
    before = (folder / RECEIPTS).read_bytes()
    with pytest.raises(RunFolderError, match="belongs to another run folder"):
        Journal(folder)
    assert (folder / RECEIPTS).read_bytes() == before


def test_receipts_of_a_newer_program_are_left_alone(folder: Path) -> None:
    head, _, rest = (folder / RECEIPTS).read_bytes().partition(b"\n")
    (folder / RECEIPTS).write_bytes(head.replace(b'"receipts":1', b'"receipts":2') + b"\n" + rest)
    with pytest.raises(RunFolderError, match="written by a newer batchgen"):
        Journal(folder)


@pytest.mark.parametrize("standing_", ["missing", "shorter"])
def test_evidence_against_both_refuses_and_changes_nothing(folder: Path, standing_: str) -> None:
    if standing_ == "missing":
        (folder / RECEIPTS).unlink()
    else:
        (folder / RECEIPTS).write_bytes((folder / RECEIPTS).read_bytes()[:500])

    def against(db: sqlite3.Connection) -> None:
        raise RunFolderError("the ledger knows more")

    before = (folder / FILE_NAME).read_bytes()
    with pytest.raises(RunFolderError, match="the ledger knows more"):
        Journal(folder, evidence=against)
    assert (folder / FILE_NAME).read_bytes() == before
    assert (folder / RECEIPTS).exists() == (standing_ == "shorter")


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"[]", b"1", b"{}", b'{"void":1}', b'{"void":"xyz"}', b'{"unheard":"of"}',
        b'{"accepted":"0123456789abcdef"}',
        b'{"stored":"0123456789abcdef","output":1,"path":"files/../../etc/passwd","bytes":1,"sha256":"a"}',
        b'{"stored":"0123456789abcdef","output":1,"path":"/etc/passwd","bytes":1,"sha256":"a"}',
        b'{"renamed":"0123456789abcdef","item":"../x","attempt":1}', b'{"void":"0123456789abcdef', b"\xff\xfe",
        b'{"ended":"0123456789abcdef","state":[],"at":1}', b'{"bound":"\\ud800","api":"a","account":"b"}',
        b'{"stored":"0123456789abcdef","output":1,"path":"files/\\udc80.png","bytes":1,"sha256":"a"}',
    ],
)  # fmt: skip
def test_what_is_no_line_is_not_read(raw: bytes) -> None:
    assert read_line(raw) is None


@pytest.mark.parametrize("year", [1, 9999])
def test_whatever_time_a_server_names_its_job_is_not_lost(folder: Path, year: int) -> None:
    older = kept(folder, FILE_NAME)
    with buying(folder) as buyer:
        job = Job("job-9", JobStatus.PROCESSING, expires_at=datetime(year, 1, 1, tzinfo=UTC))
        buyer.journal.accept(buyer.intend("pan"), job, b"", buyer.tick())
    older()
    assert "taken it over" in reopened(folder)[0]
    assert "job-9" in jobs(folder)
