"""Cost reports over run folders and ledger files, and `batchgen ledger`."""

import csv
import io
import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.bought import Buyer, item, journal_of

from batchgen.cli.runs.ledger import command
from batchgen.core.credentials import SIMULATED_KEY
from batchgen.core.errors import RunFolderError, UsageError
from batchgen.core.records import State
from batchgen.journal import SIMULATOR
from batchgen.ledger import LEDGER_NAME, write_ledger
from batchgen.ledger.charges import Charge, file_charges, run_charges
from batchgen.ledger.costs import ROW_STATES, cost_report
from batchgen.ledger.formats import as_csv, as_json
from batchgen.ledger.reported import Reported
from batchgen.ledger.table import as_table

VIDEO = "zeus-1.0-image-to-video"


@pytest.fixture
def spring(tmp_path: Path) -> Path:
    """A run across midnight and the end of a month, with its ledger."""
    folder = tmp_path / "output" / "spring"
    items = [
        item("mug", tags={"client": "acme"}),
        item("spin", price="0.30", model=VIDEO, tags={"client": "=acme"}),
        item("vase", price="0.112", tags={"client": ""}),
        item("wave", price="0.30", model=VIDEO),
        item("x"),
    ]
    with journal_of(folder, items) as journal:
        buyer = Buyer(journal, datetime(2026, 1, 31, 23, 59, 57, 500000, tzinfo=UTC))
        buyer.doubt("vase", "reset")
        buyer.done("mug")
        buyer.fail("spin", "no")
        buyer.done("wave", cost="0.33")
        buyer.skip("x")
    write_ledger("spring", folder)
    return folder


def rows(report_csv: str) -> dict[str, list[str]]:
    return {row[0]: row[1:] for row in csv.reader(io.StringIO(report_csv, newline=""))}


def test_by_model(spring: Path) -> None:
    report = cost_report(("model",), Reported(run_charges(spring)))
    assert as_table(report) == (
        "model                    rows  attempts  charged  refunded    net  in doubt  drift  outputs\n"
        "hera-1.0-text-to-image      3         2    0.056      0.00  0.056     0.112   0.00        1\n"
        "zeus-1.0-image-to-video     2         2     0.63     -0.30   0.33      0.00   0.03        1\n"
        "total                       5         4    0.686     -0.30  0.386     0.112   0.03        2\n"
        "\n"
        "model                    $/output  done  failed  in doubt  skipped\n"
        "hera-1.0-text-to-image      0.056     1       0         1        1\n"
        "zeus-1.0-image-to-video      0.33     1       1         0        0\n"
        "total                       0.193     2       1         1        1\n"
    )
    assert as_csv(report) == (
        "model,rows,charged_usd,refunded_usd,net_usd,in_doubt_usd,"
        "submitting,processing,ready,done,failed,rejected,in_doubt,lost,skipped,simulated,"
        "attempts,refunds,drifted,drift_usd,lost_usd,outputs,usd_per_output,"
        "outputs_kept,outputs_rejected,keep_rate,usd_per_kept,tz\r\n"
        "hera-1.0-text-to-image,3,0.056,0.00,0.056,0.112,0,0,0,1,0,0,1,0,1,,2,0,0,0.00,0.00,1,0.056,,,,,UTC\r\n"
        "zeus-1.0-image-to-video,2,0.63,-0.30,0.33,0.00,0,0,0,1,1,0,0,0,0,,2,1,1,0.03,0.00,1,0.33,,,,,UTC\r\n"
    )
    document = json.loads(as_json(report))
    assert document["format_version"] == 1
    assert document["groups"][1] == {
        "group": VIDEO,
        "rows": 2,
        "charged_usd": "0.63",
        "refunded_usd": "-0.30",
        "net_usd": "0.33",
        "in_doubt_usd": "0.00",
        "states": {"done": 1, "failed": 1},
        "attempts": 2,
        "refunds": 1,
        "drifted": 1,
        "drift_usd": "0.03",
        "lost_usd": "0.00",
        "outputs": 1,
        "usd_per_output": "0.33",
        "outputs_kept": None,
        "outputs_rejected": None,
        "keep_rate": None,
        "usd_per_kept": None,
    }
    assert (document["by"], document["tz"], document["since"], document["until"]) == ("model", "UTC", None, None)
    assert document["total"]["net_usd"] == "0.386"


@pytest.mark.parametrize(
    ("by", "counts"),
    [
        ("day", {"2026-01-31": 1, "2026-02-01": 3, None: 1}),
        ("month", {"2026-01": 1, "2026-02": 3, None: 1}),
        ("state", {"done": 2, "failed": 1, "in_doubt": 1, "skipped": 1}),
        ("run", {"spring": 5}),
        ("tag:client", {"=acme": 1, "acme": 1, None: 3}),
        ("tag:none", {None: 5}),
    ],
)
def test_groups(spring: Path, by: str, counts: dict[str | None, int]) -> None:
    for charges in (run_charges(spring), file_charges(spring / LEDGER_NAME)):
        report = cost_report((by,), Reported(charges))
        assert {name: sums.rows for (name,), sums in report.groups} == counts
        assert list(counts) == [name for (name,), _ in report.groups]
        assert report.total.net == Decimal("0.386")


def test_folder_and_file_tell_the_same(spring: Path) -> None:
    def known(charge: Charge) -> tuple[str, int, str]:
        return charge.item_id, charge.attempt, charge.digest

    of_folder = [replace(charge, picks=None) for charge in run_charges(spring)]
    assert sorted(of_folder, key=known) == sorted(file_charges(spring / LEDGER_NAME), key=known)


def test_a_charge_says_what_was_listed_and_when_each_thing_happened(tmp_path: Path) -> None:
    with journal_of(tmp_path, [item("four", num_images=4), item("odd"), item("no")]) as journal:
        buyer = Buyer(journal)
        buyer.done("four", outputs=4, cost="0.06")
        journal.db.execute("UPDATE attempt SET error_type = 'unknown_format'")
        buyer.fail("no", None)
    write_ledger("spring", tmp_path)
    for charges in (run_charges(tmp_path), file_charges(tmp_path / LEDGER_NAME)):
        four, no = sorted(charges, key=lambda charge: charge.item_id)
        assert (four.estimated, four.charged, four.outputs) == (Decimal("0.056"), Decimal("0.06"), 4)
        assert (four.flags, four.account, four.refunded_at) == (("unknown_format",), "f00d", None)
        assert (no.outputs, no.flags, no.refunded_at) == (0, (), no.completed_at)
        assert four.completed_at is not None
        assert no.refunded_at is not None


def test_a_purchase_given_twice_counts_once(spring: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.csv"
    shutil.copy(spring / LEDGER_NAME, copy)
    once = cost_report(("model",), Reported(run_charges(spring)))
    twice = cost_report(
        ("model",), Reported([*run_charges(spring), *file_charges(copy), *file_charges(spring / LEDGER_NAME)])
    )
    assert (twice.total, twice.groups, twice.repeated) == (once.total, once.groups, 10)


def test_another_run_of_the_same_name_is_another_purchase(spring: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "spring"
    with journal_of(other, [item("mug", tags={"client": "acme"})]) as journal:
        Buyer(journal, datetime(2026, 3, 1, tzinfo=UTC)).done("mug")
    report = cost_report(("run",), Reported([*run_charges(spring), *run_charges(other)]))
    assert (report.total.rows, report.total.net, report.repeated) == (6, Decimal("0.442"), 0)


def test_another_request_in_a_run_of_the_same_name_is_another_purchase(tmp_path: Path) -> None:
    """Same run, item, attempt and second, and no job ids: only the digest tells them apart."""
    for place, prompt in (("one", "A mug"), ("two", "A jug")):
        with journal_of(tmp_path / place / "spring", [item("mug", prompt)]) as journal:
            Buyer(journal).doubt("mug", "reset")
    both = [*run_charges(tmp_path / "one" / "spring"), *run_charges(tmp_path / "two" / "spring")]
    report = cost_report(("run",), Reported(both))
    assert (report.total.rows, report.total.in_doubt, report.repeated) == (2, Decimal("0.112"), 0)


def test_a_purchase_that_was_renamed_since_counts_once(spring: Path) -> None:
    before = list(file_charges(spring / LEDGER_NAME))
    after = [replace(charge, item_id=f"new-{charge.item_id}", attempt=charge.attempt + 1) for charge in before]
    bought = [charge for charge in before if charge.job_id]
    assert cost_report(("model",), Reported([*after, *bought])).repeated == len(bought) == 3


def edited(path: Path, old: str, new: str) -> Path:
    text = path.read_bytes().decode()
    assert old in text
    path.write_bytes(text.replace(old, new, 1).encode())
    return path


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("item_id,attempt", "attempt,item_id", 1, "expected column item_id, got 'attempt'"),
        ("run,", "id\x1b[2J,", 1, "expected column run, got 'id [2J'"),
        ("tag_client", "client", 1, "unknown column 'client'"),
        ("0.056,0.056,", "0.056,0.056 $,", 2, "charged_usd '0.056 $' is not an amount"),
        ("0.056,0.056,", "0.056,NaN,", 2, "charged_usd 'NaN' is not an amount"),
        ("0.056,0.056,", "0.056,1e9,", 2, "charged_usd '1e9' is not an amount"),
        ("0.056,0.056,", "0.056,0.057,", 2, "net_usd 0.056 is not"),
        (",done,", ",Done,", 2, "state 'Done' is none of"),
        ("mug,1,", "mug,one,", 2, "attempt 'one' is not a whole number"),
        ("spin,1", "spin,1,", 3, "33 cells where the header has 32"),
        ("-0.30", "'-0.30", 3, 'refunded_usd "\'-0.30" is not an amount'),
        ("2026-02-01T00:00:00Z", "01.02.2026 00:00", 2, "accepted_at '01.02.2026 00:00' is not a time"),
        ("A mug", '"A "mug"', 2, "expected after"),
        (",m.yaml:3,1,,", ",m.yaml:3,1,perhaps,", 2, "simulated 'perhaps' is neither empty nor true"),
    ],
)
def test_a_bad_cell_is_named(spring: Path, old: str, new: str, line: int, message: str) -> None:
    path = edited(spring / LEDGER_NAME, old, new)
    with pytest.raises(UsageError) as caught:
        list(file_charges(path))
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert message in str(caught.value)


def test_lines_are_those_of_the_file_where_prompts_have_several(tmp_path: Path) -> None:
    with journal_of(tmp_path, [item("a", "one\ntwo\r\nthree"), item("b")]) as journal:
        Buyer(journal).done("a")
        Buyer(journal).done("b")
    write_ledger("spring", tmp_path)
    path = edited(tmp_path / LEDGER_NAME, "b,1,done", "b,1,gone")
    with pytest.raises(UsageError, match=r"ledger\.csv:5: state 'gone'"):
        list(file_charges(path))


def test_what_a_spreadsheet_adds_does_no_harm(spring: Path) -> None:
    path = spring / LEDGER_NAME
    expected = list(file_charges(path))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\r\n", b"\n") + b"\n\n")
    assert list(file_charges(path)) == expected


def in_the_earlier_layout(path: Path, account: str | None = None) -> Path:
    """The ledger as it was written before it had `simulated` and `flags`, with all rows of one account if given."""
    with path.open(encoding="utf-8", newline="") as lines:
        header, *rows = list(csv.reader(lines))
    gone = [header.index(name) for name in ("simulated", "flags")]
    header[header.index("catalog_version")] = "tables"
    for row in rows:
        row[header.index("account")] = account or row[header.index("account")]
    with path.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows([cell for n, cell in enumerate(row) if n not in gone] for row in (header, *rows))
    return path


def test_ledgers_of_the_earlier_layout_are_read(spring: Path) -> None:
    expected = list(file_charges(spring / LEDGER_NAME))
    path = in_the_earlier_layout(spring / LEDGER_NAME)
    assert path.read_text(encoding="utf-8").partition("\n")[0].endswith("source,tables,tag_client")
    assert list(file_charges(path)) == expected
    edited(path, ",tables,", ",table,")
    with pytest.raises(UsageError, match="expected column catalog_version, got 'table'"):
        list(file_charges(path))


def test_the_earlier_layout_tells_the_embedded_simulator_by_its_account(spring: Path) -> None:
    path = in_the_earlier_layout(spring / LEDGER_NAME, SIMULATED_KEY.fingerprint)
    assert {charge.simulated for charge in file_charges(path)} == {True}


# ---- pretend money ------------------------------------------------------------------------------------------------


@pytest.fixture
def tried(tmp_path: Path) -> Path:
    """A simulated run with its ledger."""
    folder = tmp_path / "output" / "tried"
    with journal_of(folder, [item("mug"), item("jug")], "tried") as journal:
        journal.note(api=SIMULATOR)
        for id_ in ("mug", "jug"):
            Buyer(journal).done(id_)
    write_ledger("tried", folder)
    return folder


def test_pretended_money_is_in_no_sum_of_real_money(spring: Path, tried: Path) -> None:
    for given in (str(tried), str(tried / LEDGER_NAME), str(Path(shutil.copy(tried / LEDGER_NAME, spring / "t.csv")))):
        result = called(str(spring), given, "--format", "json")
        document = json.loads(result.stdout)
        assert (document["total"]["rows"], document["total"]["net_usd"]) == (5, "0.386")
        assert (document["simulated"], document["left_out"]) == (False, 2)
        assert result.stderr == "2 simulated rows left out; --simulated reports them\n"
        asked = called(str(spring), given, "--format", "json", "--simulated")
        document = json.loads(asked.stdout)
        assert (document["simulated"], document["total"]["rows"], document["total"]["net_usd"]) == (True, 2, "0.112")
        assert asked.stderr == ""


def test_each_row_of_a_csv_report_says_what_it_is(spring: Path, tried: Path) -> None:
    def marks(*arguments: str) -> set[str]:
        return {row["simulated"] for row in csv.DictReader(io.StringIO(called(*arguments, "--format", "csv").stdout))}

    assert marks(str(spring), str(tried)) == {""}
    assert marks(str(spring), str(tried), "--simulated") == {"true"}


def test_a_table_of_nothing_but_simulated_runs_shows_them_under_a_heading(spring: Path, tried: Path) -> None:
    result = called(str(tried))
    heading, *table = result.stdout.splitlines()
    assert heading == "simulated: these rows are pretend money"
    assert table[-1].split()[:4] == ["total", "2", "0.112", "0.112"]
    assert result.stderr == ""
    assert called(str(tried), "--simulated").stdout == result.stdout
    assert "simulated" not in called(str(spring)).stdout


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_program_that_adds_up_money_gets_none_that_is_pretended(tried: Path, form: str) -> None:
    result = called(str(tried), "--format", form)
    assert "0.112" not in result.stdout
    assert result.stderr == "2 simulated rows left out; --simulated reports them\n"


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"a;b;c\n1;2;3\n", b"\x00" * 300])
def test_what_is_no_ledger_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"x\.csv"):
        list(file_charges(path))


def test_long_texts_are_read_back(tmp_path: Path) -> None:
    with journal_of(tmp_path, [item("a", "mug " * 60_000)]) as journal:
        Buyer(journal).done("a")
    write_ledger("spring", tmp_path)
    assert [charge.item_id for charge in file_charges(tmp_path / LEDGER_NAME)] == ["a"]


def test_a_hostile_group_does_nothing_to_terminal_or_spreadsheet(spring: Path) -> None:
    charges = [replace(charge, tags={"client": "=\x1b[2J" + "x" * 300}) for charge in run_charges(spring)]
    report = cost_report(("tag:client",), Reported(charges))
    assert "\x1b" not in as_table(report)
    assert max(map(len, as_table(report).splitlines())) < 150
    assert list(rows(as_csv(report)))[1].startswith("'= [2J")


def called(*arguments: str, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(command, arguments, standalone_mode=False, env={"BATCHGEN_OUTPUT": None, **(env or {})})


def test_command_takes_folders_names_and_files(spring: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    by_folder = called(str(spring))
    assert by_folder.return_value == 0
    assert "total                       5         4    0.686     -0.30  0.386" in by_folder.stdout
    for given in ("spring", "output/spring", "output/spring/ledger.csv"):
        assert called(given).stdout == by_folder.stdout
    assert called("spring", "--format", "csv", "--by", "run").stdout_bytes.count(b"\r\n") == 2


def test_command_says_what_was_given_twice(spring: Path) -> None:
    result = called(str(spring / LEDGER_NAME), str(spring), "--format", "json")
    assert json.loads(result.stdout)["total"]["rows"] == 5
    assert result.stderr == "5 rows given more than once, counted once\n"


def test_the_journal_counts_where_its_ledger_is_older(spring: Path, tmp_path: Path) -> None:
    old = edited(Path(shutil.copy(spring / LEDGER_NAME, tmp_path / "old.csv")), "mug,1,done", "mug,1,processing")
    result = called(str(old), str(spring), "--by", "state", "--format", "json")
    assert {group["group"] for group in json.loads(result.stdout)["groups"]} == {
        "done",
        "failed",
        "in_doubt",
        "skipped",
    }


def test_command_names_a_tag_that_no_row_has(spring: Path) -> None:
    assert called(str(spring), "--by", "tag:klient").stderr == "no row has the tag klient\n"
    assert called(str(spring), "--by", "tag:client").stderr == ""


@pytest.mark.parametrize("by", ["week", "tag", "tag:", "Model", ""])
def test_an_unknown_group_is_refused(spring: Path, by: str) -> None:
    result = called(str(spring), "--by", by)
    assert isinstance(result.exception, UsageError)
    assert "choose model, day, month, state, run or tag:NAME" in str(result.exception)


def test_a_folder_without_a_journal_is_refused(tmp_path: Path) -> None:
    assert isinstance(called(str(tmp_path)).exception, RunFolderError)


def test_states_of_the_report_are_those_of_a_ledger() -> None:
    assert set(State) - set(ROW_STATES) == {State.PENDING}
