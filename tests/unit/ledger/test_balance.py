"""`batchgen ledger --check`: journal, receipts and ledger against each other."""

import csv
import io
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from support.bought import Buyer, item, journal_of
from support.histories import history_of
from support.running import batchgen
from support.worlds import in_memory

from batchgen.journal import FILE_NAME, Journal
from batchgen.journal.lock import own
from batchgen.ledger import LEDGER_NAME, write_ledger
from batchgen.ledger.balance import Balance, check_books
from batchgen.receipts import FILE_NAME as RECEIPTS


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with an attempt in each state, and its ledger."""
    folder = tmp_path / "output" / "spring"
    names = ("done", "failed", "lost", "rejected", "doubt", "charged", "processing", "ready", "skipped", "sent")
    with journal_of(folder, [item(name, tags={"client": "=acme"}) for name in names]) as journal:
        buyer = Buyer(journal)
        buyer.done("done", cost="0.06")
        buyer.fail("failed", "no")
        buyer.lose("lost", "gone")
        buyer.reject("rejected", "no")
        buyer.doubt("doubt", "reset")
        buyer.doubt("charged", "reset")
        charged = next(a for a in journal.unsettled("in_doubt") if a.work.item.id == "charged")
        journal.settle_as_charged(charged, buyer.tick())
        journal.confirm_price(buyer.accept("processing"), Decimal("0.07"))
        buyer.ready("ready")
        buyer.skip("skipped")
        buyer.intend("sent")
    write_ledger("spring", folder)
    return folder


def found(balance: Balance) -> list[str]:
    return [f"{finding.place} {finding.message}" for finding in balance.faults]


def test_the_books_of_a_run_balance(run: Path) -> None:
    balance = check_books(run)
    assert (balance.faults, balance.notes, balance.purchases) == ([], [], 9)


def change_journal(statement: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        with closing(sqlite3.connect(run / FILE_NAME)) as db:
            db.execute(statement)
            db.commit()

    return change


def change_lines(name: str, before: str, after: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        text = (run / name).read_bytes().decode()
        assert before in text
        (run / name).write_bytes(text.replace(before, after, 1).encode())

    return change


def drop_line(name: str, word: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        lines = (run / name).read_bytes().splitlines(keepends=True)
        number = next(n for n, line in enumerate(lines) if word.encode() in line)
        (run / name).write_bytes(b"".join(lines[:number] + lines[number + 1 :]))

    return change


def add(name: str, text: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        with (run / name).open("a", encoding="utf-8", newline="") as out:
            out.write(text)

    return change


INTENT = {
    "intent": "0" * 20, "item": "other", "digest": "d", "attempt": 1, "model": "m", "price": "1", "reserved": "1",
    "account": "f00d", "tables": "1", "at": 1,
}  # fmt: skip


def change_attempt(item_id: str, assignment: str) -> Callable[[Path], None]:
    return change_journal(f"UPDATE attempt SET {assignment} WHERE item = (SELECT key FROM item WHERE id = '{item_id}')")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (change_attempt("done", "charged = '0.05'"),
         "done, attempt 1, job job-done-1: the charge is 0.05, in the receipts 0.06"),
        (change_attempt("done", "charged = '0.05'"), "ledger.csv:3 done, attempt 1: charged_usd is 0.06, expected"),
        (change_attempt("failed", "refunded = '0.01'"), "the refund is 0.01, in the receipts 0.056"),
        (change_attempt("processing", "estimated = '9'"), "the listed price is 9, in the receipts 0.056"),
        (change_attempt("ready", "job_id = 'else'"), "the job is else, in the receipts job-ready-1"),
        (change_attempt("lost", "state = 'failed'"), "it is failed, in the receipts lost"),
        (change_attempt("doubt", f"purchase = '{'f' * 20}'"), "journal.sqlite3 doubt, attempt 1 is not in"),
        (change_attempt("doubt", f"purchase = '{'f' * 20}'"), "doubt, attempt 1 is not in the journal"),
        (change_journal("UPDATE vouched SET attempts = 1"), "journal.sqlite3 its file and its log do not belong"),
        (change_journal("UPDATE vouched SET generation = 7"), "receipts.jsonl:1 is of another run folder, or of"),
        (drop_line(RECEIPTS, '"accepted"'), "receipts.jsonl its first"),
        (drop_line(RECEIPTS, '"accepted"'), "the job is job-done-1, in the receipts unknown"),
        (change_lines(RECEIPTS, '"job-done-1"', '"job-done-2"'), "the job is job-done-1, in the receipts job-done-2"),
        (change_lines(RECEIPTS, '{"intent"', '{"inten"'), "receipts.jsonl:3 cannot be read"),
        (add(RECEIPTS, json.dumps(INTENT) + "\n"), "other, attempt 1 is not in the journal; the next"),
        (lambda run: (run / RECEIPTS).unlink(), "receipts.jsonl is missing"),
        (change_lines(LEDGER_NAME, ",0.06,0.00,0.06,", ",0.05,0.00,0.05,"), "charged_usd is 0.05, expected 0.06"),
        (change_lines(LEDGER_NAME, "job-done-1", "job-done-2"), "job_id is job-done-2, expected job-done-1"),
        (change_lines(LEDGER_NAME, ",1,failed,", ",1,done,"), "failed, attempt 1: it is done, in the journal failed"),
        (change_lines(LEDGER_NAME, "spring,rejected,", "spring,other,"), "other, attempt 1: not in the journal"),
        (add(LEDGER_NAME, "spring,new,1,done,m,p,{},d,1,1,0,1,0,j9" + "," * 18 + "\r\n"),
         "new, attempt 1, job j9: not in the journal"),
        (change_lines(LEDGER_NAME, "run,item_id", "run;item_id"), "ledger.csv:1 is not the header of a ledger"),
        (add(LEDGER_NAME, "spring\r\n"), "1 cells where the header has 32"),
    ],
)  # fmt: skip
def test_what_does_not_balance_is_named_with_its_place(run: Path, change: Callable[[Path], None], fault: str) -> None:
    change(run)
    assert [line for line in found(check_books(run)) if fault in line], found(check_books(run))


def test_an_older_ledger_is_no_fault(run: Path) -> None:
    with closing(Journal(run)) as journal, journal.transaction():
        attempts = {a.work.item.id: a for state in ("processing", "in_doubt") for a in journal.unsettled(state)}
        journal.settle_as_not_charged(attempts["doubt"], datetime(2026, 3, 1, tzinfo=UTC))
        journal.lose(attempts["processing"], "gone", datetime(2026, 3, 1, tzinfo=UTC))
    balance = check_books(run)
    assert found(balance) == []
    assert [(n.place, n.message) for n in balance.notes] == [
        ("ledger.csv", "is behind the journal by 2 rows; `batchgen run` and `collect` write it again")
    ]
    (run / LEDGER_NAME).unlink()
    assert [note.message for note in check_books(run).notes] == ["is not written yet"]


def test_while_a_run_goes_on_its_receipts_may_know_more(run: Path) -> None:
    add(RECEIPTS, json.dumps(INTENT) + "\n" + '{"void"')(run)
    with own(run, datetime(2026, 3, 1, tzinfo=UTC)):
        balance = check_books(run)
        assert (balance.running, found(balance)) == (True, [])
    assert len(found(check_books(run))) == 1


def test_nothing_is_written(run: Path) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file() and "-shm" not in path.name}
    check_books(run)
    assert {name: (run / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("seed", range(8))
def test_whatever_history_the_books_have_had_they_balance_once_they_are_opened(seed: int) -> None:
    with in_memory() as folder, history_of(folder / "run", seed) as history:
        for step in range(50):
            history.play(1)
            if history.told[-1].startswith(("befall", "fork")):
                (history.run / LEDGER_NAME).unlink(missing_ok=True)  # it may know what older copies do not
            balance = check_books(history.run)
            assert not balance.faults, "\n".join([*found(balance), *history.told])
            if step % 7 == 0:
                write_ledger("spring", history.run)


def test_the_command(run: Path, tmp_path: Path) -> None:
    good = batchgen("ledger", run, "--check", cwd=tmp_path)
    assert (good.returncode, good.stdout) == (0, "spring: the books balance; 9 attempts, net 0.298, 0.112 in doubt\n")
    drop_line(LEDGER_NAME, "job-lost-1")(run)
    change_lines(LEDGER_NAME, "job-done-1", "job-done-2")(run)
    bad = batchgen("ledger", run, "--check", cwd=tmp_path)
    assert bad.returncode == 1
    assert bad.stdout.splitlines() == [
        "spring: 1 fault; 9 attempts, net 0.298, 0.112 in doubt",
        "  ledger.csv:3: done, attempt 1: job_id is job-done-2, expected job-done-1",
        "  ledger.csv is behind the journal by 1 row; `batchgen run` and `collect` write it again",
    ]
    document = json.loads(batchgen("ledger", run, "--check", "--format", "json", cwd=tmp_path).stdout)
    assert (document["balances"], document["runs"][0]["fault_count"]) == (False, 1)
    rows = list(csv.DictReader(io.StringIO(batchgen("ledger", run, "--check", "--format", "csv", cwd=tmp_path).stdout)))
    assert [(row["place"], row["fault"]) for row in rows] == [("ledger.csv:3", "true"), ("ledger.csv", "")]
    alone = batchgen("ledger", run / LEDGER_NAME, "--check", cwd=tmp_path)
    assert alone.returncode == 2
    assert "is a ledger alone" in alone.stderr
