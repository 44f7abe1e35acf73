"""The ledger file: its bytes, its sums, and its texts in a spreadsheet."""

import csv
import io
import json
import tempfile
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.bought import MODEL, Buyer, item, journal_of, list_items

from batchgen.core.cells import prompt_cell, text_cell, unguarded
from batchgen.core.costs import CostSum
from batchgen.core.errors import DiskError, RunFolderError
from batchgen.core.records import State, StoredFile
from batchgen.journal import SIMULATOR, Journal
from batchgen.journal.delivered import Findings
from batchgen.journal.queries import report_rows as rows
from batchgen.ledger import COLUMNS, LEDGER_NAME, LedgerTotals, next_write, write_ledger
from batchgen.ledger.charges import run_charges
from batchgen.ledger.costs import cost_report
from batchgen.ledger.reported import Reported
from batchgen.media.facts import Facts

RUN_AT_ONCE = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")

GOLDEN = (
    "run,item_id,attempt,state,model,prompt,params,request_digest,estimated_usd,charged_usd,refunded_usd,net_usd,"
    "in_doubt_usd,job_id,account,submitted_at,accepted_at,completed_at,refunded_at,inference_ms,polls,files,bytes,"
    "sha256,error_type,error_message,expires_at,source,catalog_version,simulated,flags,tag_client,tag_sku\r\n"
    # A failure first, whose message would be a formula; bought again by consent, and done with two files.
    'spring,B,1,failed,hera-1.0-text-to-image,"A ""red"" mug,\non marble",'
    '"{""model"":""hera-1.0-text-to-image"",""num_images"":2,""seed"":7}",'
    "DIGEST_B,0.112,0.112,-0.112,0.00,0.00,job-B-1,f00d,"
    "2026-01-31T23:59:59Z,2026-02-01T00:00:00Z,2026-02-01T00:00:01Z,2026-02-01T00:00:01Z,,3,,,,"
    "generation_failed,\"'=HYPERLINK(\"\"http://x\"\")\",2026-02-07T00:00:00Z,rows.csv:9,1,,,acme,M-1\r\n"
    'spring,B,2,done,hera-1.0-text-to-image,"A ""red"" mug,\non marble",'
    '"{""model"":""hera-1.0-text-to-image"",""num_images"":2,""seed"":7}",'
    "DIGEST_B,0.112,0.12,0.00,0.12,0.00,job-B-2,f00d,"
    "2026-02-01T00:00:02Z,2026-02-01T00:00:03Z,2026-02-01T00:00:04Z,,1234,4,files/B@1.png;files/B@2.png,203,"
    f"{1:064x};{2:064x},,,2026-02-07T00:00:00Z,rows.csv:9,1,,,acme,M-1\r\n"
    'spring,a,1,in_doubt,hera-1.0-text-to-image,Aé🎨,"{""model"":""hera-1.0-text-to-image""}",'
    "DIGEST_a,0.056,0.00,0.00,0.00,0.056,,f00d,2026-02-01T00:00:05Z,,,,,0,,,,in_doubt,connection reset,,m.yaml:3,1,,,,"
    "\r\n"
    'spring,c,0,skipped,hera-1.0-text-to-image,A mug,"{""model"":""hera-1.0-text-to-image""}",'
    "DIGEST_c,0.056,0.00,0.00,0.00,0.00,,,,,,,,,,,,,,,m.yaml:3,,,,,\r\n"
)  # fmt: skip


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / LEDGER_NAME).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, strict=True))


def test_golden_bytes(tmp_path: Path) -> None:
    chain = item("c")
    mug = item(
        "B",
        'A "red" mug,\non marble',
        num_images=2,
        seed=7,
        price="0.112",
        tags={"sku": "M-1", "client": "acme"},
        source="rows.csv:9",
    )
    doubtful = item("a", "Aé🎨")
    with journal_of(tmp_path, [doubtful, mug, chain, item("never", tags={"unused": "1"})]) as journal:
        buyer = Buyer(journal)
        buyer.fail("B", '=HYPERLINK("http://x")')
        journal.requeue([State.FAILED], lambda _: True)
        buyer.done("B", outputs=2, cost="0.12")
        buyer.doubt("a", "connection reset")
        buyer.skip("c")
    totals = write_ledger("spring", tmp_path)

    expected = GOLDEN
    for made in (mug, doubtful, chain):
        expected = expected.replace(f"DIGEST_{made.id}", made.digest)
    assert (tmp_path / LEDGER_NAME).read_bytes() == expected.encode()
    assert totals == LedgerTotals(
        rows=4,
        charged=Decimal("0.232"),
        refunded=Decimal("-0.112"),
        in_doubt=Decimal("0.056"),
        drifted=1,
        drift=Decimal("0.008"),
        by_model={MODEL: CostSum(4, Decimal("0.232"), Decimal("-0.112"), Decimal("0.056"))},
    )
    assert LedgerTotals.from_json(json.loads(json.dumps(totals.as_json()))) == totals
    assert totals.net == Decimal("0.12")


def test_pretended_money_is_marked_in_each_row(tmp_path: Path) -> None:
    with journal_of(tmp_path, [item("a"), item("b")]) as journal:
        Buyer(journal).done("a")
        Buyer(journal).skip("b")
    for facts, mark in (
        ({"api": SIMULATOR}, "true"),
        ({"api": "http://127.0.0.1:8018", "simulated": "true"}, "true"),
        ({"api": "http://127.0.0.1:8018", "simulated": "false"}, ""),
        ({"api": "https://api18.dev", "simulated": ""}, ""),
    ):
        with closing(Journal(tmp_path)) as journal, journal.transaction():
            journal.note(**facts)
        write_ledger("spring", tmp_path)
        assert [row["simulated"] for row in rows_of(tmp_path)] == [mark, mark]
        assert [charge.simulated for charge in run_charges(tmp_path)] == [bool(mark)] * 2


def test_a_file_whose_format_is_not_known_has_a_flag(tmp_path: Path) -> None:
    with journal_of(tmp_path, [item("a"), item("b")]) as journal:
        Buyer(journal).done("a")
        Buyer(journal).fail("b", "no")
        journal.db.execute("UPDATE attempt SET error_type = 'unknown_format' WHERE state = 'done'")
    write_ledger("spring", tmp_path)
    assert [(row["error_type"], row["flags"]) for row in rows_of(tmp_path)] == [
        ("unknown_format", "unknown_format"),
        ("generation_failed", ""),
    ]


def test_flags_of_files_stand_in_the_ledger_once_each(tmp_path: Path) -> None:
    with journal_of(tmp_path, [item("mug"), item("pan")]) as journal:
        attempt = Buyer(journal).ready("mug", outputs=3)
        for number, flags in enumerate((("small",), (), ("small", "blank")), 1):
            file = StoredFile(number, f"files/mug@{number}.png", 10, f"{number:x}")
            journal.record_file(attempt, file, Findings(Facts(), flags, judged=True))
        Buyer(journal).done("pan")
    totals = write_ledger("spring", tmp_path)
    assert [row["flags"] for row in rows_of(tmp_path)] == ["small;blank", ""]
    assert totals.flagged == {"small": 1, "blank": 1}
    assert {charge.item_id: charge.flags for charge in run_charges(tmp_path)} == {"mug": ("small", "blank"), "pan": ()}


def test_every_state_that_may_have_cost_something_has_its_row(tmp_path: Path) -> None:
    names = ["doubt", "fail", "intend", "keep", "lose", "pending", "process", "ready", "reject", "release", "skip"]
    with journal_of(tmp_path, [item(name, name) for name in names]) as journal:
        buyer = Buyer(journal)
        buyer.doubt("doubt", "timeout")
        buyer.fail("fail", None)
        buyer.intend("intend")
        buyer.done("keep")
        buyer.lose("lose", "404")
        buyer.accept("process")
        buyer.ready("ready", outputs=2)
        buyer.reject("reject", "too long")
        journal.cancel_intent(buyer.intend("release"))
        buyer.skip("skip")
    totals = write_ledger("spring", tmp_path)

    shown = {row["item_id"]: (row["state"], row["charged_usd"], row["in_doubt_usd"]) for row in rows_of(tmp_path)}
    assert shown == {
        "doubt": ("in_doubt", "0.00", "0.056"),
        "fail": ("failed", "0.056", "0.00"),
        "intend": ("submitting", "0.00", "0.056"),
        "keep": ("done", "0.056", "0.00"),
        "lose": ("lost", "0.056", "0.00"),
        "process": ("processing", "0.056", "0.00"),
        "ready": ("ready", "0.056", "0.00"),
        "reject": ("rejected", "0.00", "0.00"),
        "skip": ("skipped", "0.00", "0.00"),
    }
    assert totals.rows == 9


def test_files_that_are_on_disk_show_before_the_last_one_is(tmp_path: Path) -> None:
    with journal_of(tmp_path, [item("mug")]) as journal:
        attempt = Buyer(journal).ready("mug", outputs=3)
        for number in (3, 1):
            journal.record_file(attempt, StoredFile(number, f"files/mug@{number}.png", 10**10, f"{number:x}"))
    write_ledger("spring", tmp_path)

    (row,) = rows_of(tmp_path)
    assert (row["files"], row["sha256"], row["bytes"]) == ("files/mug@1.png;files/mug@3.png", "1;3", "20000000000")


def test_an_edited_item_goes_on_with_the_numbers_of_its_id(tmp_path: Path) -> None:
    with journal_of(tmp_path, [item("mug", "first")]) as journal:
        Buyer(journal).done("mug")
    journal = Journal(tmp_path)
    list_items(journal, [item("mug", "second"), item("a")])
    with journal.transaction():
        Buyer(journal).fail("mug", "no")
    journal.close()
    write_ledger("spring", tmp_path)

    assert [(r["item_id"], r["attempt"], r["prompt"], r["state"]) for r in rows_of(tmp_path)] == [
        ("mug", "1", "first", "done"),
        ("mug", "2", "second", "failed"),
    ]


def test_order_is_by_bytes_and_by_number(tmp_path: Path) -> None:
    with journal_of(tmp_path, [item("b10"), item("b2"), item("B2"), item("a~1")]) as journal:
        buyer = Buyer(journal)
        for _ in range(11):
            for id_ in buyer.works:
                buyer.reject(id_, "no")
            journal.requeue([State.REJECTED], lambda _: True)
    write_ledger("spring", tmp_path)

    expected = [(id_, str(number)) for id_ in ("B2", "a~1", "b10", "b2") for number in range(1, 12)]
    assert [(row["item_id"], row["attempt"]) for row in rows_of(tmp_path)] == expected


def test_it_reads_one_snapshot_while_a_run_writes(tmp_path: Path) -> None:
    with journal_of(tmp_path, [item("a"), item("b")]) as journal:
        Buyer(journal).done("a")
    journal = Journal(tmp_path)
    with journal.transaction():
        Buyer(journal).done("b")
        write_ledger("spring", tmp_path)
        assert [row["item_id"] for row in rows_of(tmp_path)] == ["a"]
    write_ledger("spring", tmp_path)
    assert [row["item_id"] for row in rows_of(tmp_path)] == ["a", "b"]
    journal.close()


def test_a_ledger_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with journal_of(tmp_path, [item("a")]) as journal:
        Buyer(journal).done("a")
    write_ledger("spring", tmp_path)
    before = (tmp_path / LEDGER_NAME).read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("batchgen.core.files.os.fsync", full)
    with pytest.raises(DiskError, match="No space left"):
        write_ledger("autumn", tmp_path)
    assert (tmp_path / LEDGER_NAME).read_bytes() == before
    assert not list(tmp_path.glob(".ledger*"))


def test_without_a_journal_there_is_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="not a run folder"):
        write_ledger("spring", tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_empty_journal_gives_the_header_alone(tmp_path: Path) -> None:
    with journal_of(tmp_path, []):
        pass
    assert write_ledger("spring", tmp_path) == LedgerTotals()
    assert (tmp_path / LEDGER_NAME).read_text(encoding="utf-8").rstrip("\n") == ",".join(COLUMNS)


hostile = st.text(
    st.sampled_from("=+-@\t\r\n \"',;|'=＝＋－＠\u00a0\u200b\ufeffaZ0é🎨\x00\x07\x1b\x85")
    | st.characters(codec="utf-8")
)


@pytest.mark.thorough
@given(st.lists(st.tuples(hostile.filter(str.strip), hostile, hostile), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_hostile_texts_stay_readable_and_harmless(texts: list[tuple[str, str, str]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        items = [item(f"i{n}", prompt, tags={"t": tag}) for n, (prompt, _, tag) in enumerate(texts)]
        with journal_of(folder, items) as journal:
            buyer = Buyer(journal)
            for n, (_, message, _) in enumerate(texts):
                buyer.fail(f"i{n}", message or None)
        write_ledger("spring", folder)
        rows = rows_of(folder)

    assert len(rows) == len(texts)
    for row, (prompt, message, tag) in zip(rows, texts, strict=True):
        own = {"refunded_usd"}  # a number of our own begins with a minus sign
        assert not [cell for name, cell in row.items() if name not in own and cell.lstrip().startswith(RUN_AT_ONCE)]
        assert not [cell for cell in row.values() if cell.startswith(("\t", "\r"))]
        assert unguarded(row["prompt"]) == "".join(c if c in "\r\n" or not is_control(c) else " " for c in prompt)
        if message:
            assert unguarded(row["error_message"]) == without_controls(message)
        assert unguarded(row["tag_t"]) == without_controls(tag)


def is_control(character: str) -> bool:
    return character < " " or "\x7f" <= character <= "\x9f" or "\ud800" <= character <= "\udfff"


def without_controls(text: str) -> str:
    return "".join(" " if is_control(c) else c for c in text)


@given(hostile)
def test_the_apostrophe_can_be_undone(text: str) -> None:
    assert unguarded(text_cell(text)) == without_controls(text)


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        (" \u00a0=1+1", "' \u00a0=1+1"),
        ("\u200b@SUM", "'\u200b@SUM"),
        ("\t=1", "' =1"),
        ("＝cmd", "'＝cmd"),
        ("-0.30", "'-0.30"),
        ("'=1", "''=1"),
        ("'tis", "'tis"),
        ("a=1", "a=1"),
        ("", ""),
    ],
)
def test_cells(text: str, cell: str) -> None:
    assert text_cell(text) == cell
    assert unguarded(cell) == text.replace("\t", " ")


def test_a_prompt_keeps_its_line_ends_and_begins_with_none_that_hides_a_formula() -> None:
    assert prompt_cell("a\r\nb\rc\nd") == "a\r\nb\rc\nd"
    assert prompt_cell("\n=1") == "'\n=1"
    assert prompt_cell("\rx") == "'\rx"


STEPS = ["intend", "accept", "fail", "ready", "done", "reject", "doubt", "lose"]
prices = st.decimals(min_value=0, max_value=1000, places=4, allow_nan=False)


@pytest.mark.thorough
@given(st.lists(st.tuples(st.sampled_from(STEPS), prices, st.none() | prices), max_size=12))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_sums_equal_the_journal(purchases: list[tuple[str, Decimal, Decimal | None]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        items = [item(f"i{n}", price=str(price)) for n, (_, price, _) in enumerate(purchases)]
        with journal_of(folder, items) as journal:
            buyer = Buyer(journal)
            for n, (step, _, cost) in enumerate(purchases):
                charged = str(cost) if cost is not None else None
                extra = {
                    "fail": ("no", charged),
                    "ready": (1, charged),
                    "done": (2, charged),
                    "accept": (charged,),
                    "intend": (),
                }
                getattr(buyer, step)(f"i{n}", *extra.get(step, ("why",)))
            spend = journal.spend()
        totals = write_ledger("spring", folder)
        report = cost_report(("model",), Reported(run_charges(folder), unique=True)).total
        rows = rows_of(folder)

    def total(column: str) -> Decimal:
        return sum((Decimal(row[column]) for row in rows), Decimal(0))

    assert (totals.charged, totals.refunded, totals.in_doubt) == (spend.charged, -spend.refunded, spend.in_doubt)
    assert totals.net == spend.charged - spend.refunded == total("net_usd")
    assert (report.rows, report.charged, report.refunded, report.in_doubt) == (
        totals.rows,
        totals.charged,
        totals.refunded,
        totals.in_doubt,
    )
    assert (total("charged_usd"), total("refunded_usd"), total("in_doubt_usd")) == (
        totals.charged,
        totals.refunded,
        totals.in_doubt,
    )
    for row in rows:
        assert Decimal(row["net_usd"]) == Decimal(row["charged_usd"]) + Decimal(row["refunded_usd"])
        assert Decimal(row["refunded_usd"]) <= 0


def test_rows_come_in_the_order_of_an_index(tmp_path: Path) -> None:
    """A sort of whole rows would grow with the journal; only the attempts of one id may be sorted."""
    with journal_of(tmp_path, [item("a")]) as journal:
        plan = [detail for *_, detail in journal.db.execute(f"EXPLAIN QUERY PLAN {rows._LEDGER}")]
        assert not [step for step in plan if step == "USE TEMP B-TREE FOR ORDER BY"]
        assert next(rows.ledger_rows(journal.db), None) is None


def test_writing_stays_below_a_twentieth_of_the_time() -> None:
    assert not next_write(0.0, 9.9)
    assert next_write(0.0, 10.0)
    assert not next_write(2.0, 39.0)
    assert next_write(2.0, 40.0)
    for duration in (0.6, 1.0, 7.0, 90.0):
        pause = next(s for s in range(10**4) if next_write(duration, s))
        assert duration / (duration + pause) < 0.05


def test_the_dialect_is_rfc_4180() -> None:
    out = io.StringIO()
    csv.writer(out).writerow(['a"b', "c\rd", "e,f", ""])
    assert out.getvalue() == '"a""b","c\rd","e,f",\r\n'
