"""Ledger and files as witnesses: what they prove, and what everyday things they must not be taken to prove."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.books import kept
from support.bought import Buyer, item, list_items

from batchgen.core.errors import RunFolderError
from batchgen.core.records import StoredFile
from batchgen.journal import FILE_NAME, Journal
from batchgen.ledger import write_ledger
from batchgen.receipts import FILE_NAME as RECEIPTS
from batchgen.session.checks.evidence import compare_files, compare_ledger

ITEMS = [item(name, f"A {name}") for name in ("mug", "jug", "pan")]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder with one item that was delivered; of the others nothing was bought."""
    folder = tmp_path / "run"
    (folder / "files").mkdir(parents=True)
    with closing(Journal(folder, create=True)) as journal:
        with journal.transaction():
            journal.note(run="job", api="https://api18.dev", account="f00d")
        list_items(journal, ITEMS)
        buy(journal, folder, "mug")
    return folder


def buy(journal: Journal, folder: Path, name: str) -> None:
    path = f"files/{name}.png"
    (folder / path).write_bytes(b"a picture")
    with journal.transaction():
        buyer = Buyer(journal)
        journal.record_file(buyer.ready(name), StoredFile(1, path, 9, "0" * 64))
    write_ledger("job", folder)


@pytest.fixture
def journal(run: Path) -> Iterator[Journal]:
    with closing(Journal(run)) as journal:
        yield journal


def test_what_older_books_lack_is_refused(run: Path) -> None:
    older = kept(run, FILE_NAME, RECEIPTS)
    with closing(Journal(run)) as journal:
        buy(journal, run, "jug")
    older()
    with closing(Journal(run)) as journal:
        with pytest.raises(RunFolderError, match=r"jug #1 as job job-jug-1"):
            compare_ledger(journal, run)
        with pytest.raises(RunFolderError, match=r"files/jug\.png of jug"):
            compare_files(journal, run)


@pytest.mark.parametrize("name", ["mug.txt", "mug.json", "mug.jpg", "mug@2.png"])
def test_what_somebody_puts_beside_a_delivered_file_refuses_no_edit(run: Path, journal: Journal, name: str) -> None:
    (run / "files" / name).write_bytes(b"a caption, or a copy in another format")
    list_items(journal, [item("mug", "A wide mug"), *ITEMS[1:]])
    compare_files(journal, run)


def test_a_job_id_that_a_spreadsheet_took_for_a_number_refuses_nobody(run: Path, journal: Journal) -> None:
    ledger = run / "ledger.csv"
    ledger.write_text(ledger.read_text("utf-8").replace("job-mug-1", "1.23457E+11"), "utf-8")
    compare_ledger(journal, run)


def test_a_doubt_that_was_settled_refuses_nobody_once_the_journal_is_made_anew(run: Path) -> None:
    from batchgen.session.repair.recovery import recover

    with closing(Journal(run)) as journal:
        with journal.transaction():
            attempt = Buyer(journal).intend("pan")
            journal.doubt(attempt, "reset")
        write_ledger("job", run)
        with journal.transaction():
            journal.settle_as_not_charged(attempt, Buyer(journal).tick())
    recover(run)
    with closing(Journal(run)) as journal:
        compare_ledger(journal, run)
