"""Ledger and report are written again whenever they would come out otherwise, and only then."""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from support.bought import Buyer, item, journal_of, list_items

from batchgen import receipts
from batchgen.core.records import StoredFile
from batchgen.journal import Journal
from batchgen.ledger import LedgerTotals, write_ledger
from batchgen.picks import Pick, append_picks
from batchgen.session.checks import unchanged
from batchgen.session.checks.unchanged import write_ledger_if_changed, write_report_if_changed

ITEMS = [item("mug", tags={"sku": "M-1"}), item("vase", "A vase"), item("bowl", "A bowl")]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with two finished items, one that failed, and its ledger."""
    folder = tmp_path / "spring"
    with journal_of(folder, ITEMS) as journal:
        buyer = Buyer(journal)
        buyer.done("mug", outputs=2, cost="0.112")
        buyer.done("vase")
        buyer.fail("bowl", "out of clay")
    with closing(Journal(folder)) as journal:
        write_ledger_if_changed("spring", journal)
        write_report_if_changed(journal, lambda: None)
    return folder


def ledger_again(folder: Path) -> tuple[bool, LedgerTotals]:
    """Whether another process writes the ledger, and the sums that it gets."""
    before = mark(folder / "ledger.csv")
    with closing(Journal(folder)) as journal:
        totals = write_ledger_if_changed("spring", journal)
    return mark(folder / "ledger.csv") != before, totals


def report_again(folder: Path) -> bool:
    told: list[str] = []
    with closing(Journal(folder)) as journal:
        assert write_report_if_changed(journal, lambda: told.append("now")) == folder / "report.html"
    assert (folder / "report.html").stat().st_size
    return bool(told)


def mark(path: Path) -> tuple[int, int] | None:
    found = path.stat() if path.exists() else None
    return found and (found.st_ino, found.st_mtime_ns)


def change(statement: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        with closing(Journal(folder)) as journal, journal.transaction():
            assert journal.db.execute(statement).rowcount > 0

    return make


def other_tags(folder: Path) -> None:
    with closing(Journal(folder)) as journal:
        list_items(journal, [item("mug", tags={"sku": "M-2"}), *ITEMS[1:]])


def one_more(folder: Path) -> None:
    with closing(Journal(folder)) as journal:
        list_items(journal, [*ITEMS, item("spoon", "A spoon")])
        with journal.transaction():
            Buyer(journal).done("spoon")


def downloaded_again(folder: Path) -> None:
    with closing(Journal(folder)) as journal, journal.transaction():
        journal.replace_file(1, StoredFile(1, "files/mug@1.png", 7, "f" * 64))


def taken_from_the_receipts(folder: Path) -> None:
    """As after a crash between the receipts and the journal: only the receipts know of a purchase."""
    with (folder / "receipts.jsonl").open("a", encoding="utf-8") as file:
        file.write(
            receipts.accepted(
                "ab" * 10, item="late", attempt=1, job="job-late", charged=ITEMS[0].estimated, expires=None, at=1
            ).text
        )


def bought_by_an_older_release(folder: Path) -> None:
    """It knows of no notes, and so it leaves them."""
    with closing(Journal(folder)) as journal:
        noted = {name: value for name, value in journal.facts().items() if name.endswith("_written")}
        list_items(journal, [*ITEMS, item("spoon", "A spoon")])
        with journal.transaction():
            Buyer(journal).done("spoon")
            journal.note_written(**noted)


CHANGES = [
    other_tags,
    one_more,
    downloaded_again,
    taken_from_the_receipts,
    bought_by_an_older_release,
    change("UPDATE attempt SET polls = polls + 1 WHERE key = 1"),
    change("INSERT INTO delivered (attempt, number, sha256, flags) VALUES (1, 1, 'f', 'blank')"),
    change("UPDATE attempt SET error_message = 'no clay' WHERE state = 'failed'"),
    change("UPDATE output SET path = 'superseded/mug.png' WHERE attempt = 1 AND number = 1"),
]


def edited(folder: Path) -> None:
    """By hand, with the same length at the same time: only its content tells."""
    path = folder / "ledger.csv"
    found = path.stat()
    path.write_bytes(path.read_bytes().replace(b"0.112", b"0.113"))
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def cut(folder: Path) -> None:
    path = folder / "ledger.csv"
    path.write_bytes(path.read_bytes()[:-40])


def test_what_would_come_out_the_same_is_not_written_again(run: Path) -> None:
    first = write_ledger("spring", run)
    assert ledger_again(run) == (False, first)
    assert (first.rows, first.flagged, sorted(first.by_model)) == (3, {}, ["hera-1.0-text-to-image"])
    assert not report_again(run)


@pytest.mark.parametrize("make", CHANGES)
def test_a_change_of_the_journal_writes_both_again(run: Path, make: Callable[[Path], None]) -> None:
    make(run)
    again, totals = ledger_again(run)
    assert again
    held = (run / "ledger.csv").read_bytes()
    assert write_ledger("spring", run) == totals
    assert (run / "ledger.csv").read_bytes() == held
    assert report_again(run)
    assert not report_again(run)


@pytest.mark.parametrize("damage", [edited, cut, lambda folder: (folder / "ledger.csv").unlink()])
def test_a_ledger_that_is_not_what_was_written_is_written_again(run: Path, damage: Callable[[Path], None]) -> None:
    held = (run / "ledger.csv").read_bytes()
    damage(run)
    assert ledger_again(run)[0]
    assert (run / "ledger.csv").read_bytes() == held


def test_another_name_or_release_writes_both_again(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Journal(run)) as journal:
        write_ledger_if_changed("autumn", journal)
    assert b"autumn" in (run / "ledger.csv").read_bytes()
    assert ledger_again(run)[0]
    monkeypatch.setattr(unchanged, "__version__", "99.0")
    assert ledger_again(run)[0]
    assert report_again(run)


def test_what_was_rolled_back_changes_nothing(run: Path) -> None:
    with closing(Journal(run)) as journal:
        journal.begin_transaction()
        journal.db.execute("UPDATE attempt SET polls = 99")
        journal.roll_back()
    assert not ledger_again(run)[0]


def test_notes_that_cannot_be_read_count_as_none(run: Path) -> None:
    with closing(Journal(run)) as journal, journal.transaction():
        journal.note(ledger_written="{", report_written="[]")
    assert ledger_again(run)[0]
    assert report_again(run)


def test_each_table_that_is_written_from_drops_the_notes(run: Path) -> None:
    with closing(Journal(run)) as journal:
        tables = {name for (name,) in journal.db.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")}
        assert watched(journal) == sorted([*tables - {"meta", "vouched"}] * 3)


def test_only_notes_are_watched_and_from_their_first_commit_on(run: Path) -> None:
    with closing(Journal(run)) as journal:
        with journal.transaction():
            journal.db.execute("UPDATE attempt SET polls = 99")
        assert not watched(journal), "each row would cost more"
        write_ledger_if_changed("spring", journal)
        with journal.transaction():
            journal.db.execute("UPDATE attempt SET polls = 98")
    assert ledger_again(run)[0]


def watched(journal: Journal) -> list[str]:
    rows = journal.db.execute("SELECT tbl_name FROM temp.sqlite_master WHERE type = 'trigger' ORDER BY 1")
    return [name for (name,) in rows]


def picked(folder: Path) -> None:
    append_picks(folder, [Pick("mug", ITEMS[0].digest, 1, f"{1:064x}", "keep")])


def stopped_early(folder: Path) -> None:
    with closing(Journal(folder)) as journal, journal.transaction():
        journal.note(last_run='{"began_at": "2026-02-01T00:00:00Z", "stopped_because": "max_cost", "exit_code": 3}')


@pytest.mark.parametrize(
    "make", [picked, stopped_early, lambda folder: (folder / "report.html").unlink(),
             lambda folder: (folder / "report.html").write_text("scrawled")],
)  # fmt: skip
def test_a_report_is_written_again_where_it_would_show_something_else(run: Path, make: Callable[[Path], None]) -> None:
    make(run)
    assert report_again(run)
    assert not report_again(run)
    assert b"scrawled" not in (run / "report.html").read_bytes()


def test_when_a_run_began_and_ended_is_not_worth_a_report(run: Path) -> None:
    for minute in (1, 2):
        with closing(Journal(run)) as journal, journal.transaction():
            at = f'"began_at": "2026-02-01T00:0{minute}:00Z", "ended_at": "2026-02-01T00:0{minute}:01Z"'
            journal.note(last_run=f'{{{at}, "spent_before": "0.{minute}", "exit_code": 1}}')
        assert report_again(run) == (minute == 1)
