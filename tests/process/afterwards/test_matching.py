"""`batchgen ledger --match`, against the simulator's own bill."""

import csv
import json
from pathlib import Path

import pytest
from support.bought import Buyer, item, journal_of
from support.running import FAST, Simulated, batchgen, simulator

from batchgen.ledger import write_ledger

MANIFEST = """\
version: 1
name: job
defaults: {model: hera-1.0-text-to-image}
items:
""" + "".join(f"  - {{id: mug-{n}, prompt: Mug number {n}}}\n" for n in range(12))
FAULTS = ("--fault", "lost_answer=0.6", "--fault", "failed=0.3", "--fault", "drift=0.5", "--fault", "cost_low=0.2")


def write_bill(path: Path, api: Simulated) -> None:
    """The bill of the simulator's account, with refunds as rows of their own."""
    with path.open("w", encoding="utf-8-sig", newline="") as out:
        writer = csv.writer(out, delimiter=";")
        writer.writerow(["Date", "Job ID", "Amount"])
        for job in api.jobs():
            writer.writerow([job["created_at"], job["id"], f"${job['cost']}"])
            if job["refunded"] != "0":
                writer.writerow([job["completed_at"], job["id"], f"-${job['refunded']}"])
        writer.writerow(["", "Total", api.account()["net"]])


def matched(folder: Path, *options: str) -> tuple[int, dict[str, object]]:
    result = batchgen("ledger", "job.yaml", "--match", "bill.csv", "--format", "json", *options, cwd=folder)
    return result.returncode, json.loads(result.stdout)


def test_a_night_with_faults_agrees_with_the_bill_once_its_doubts_are_settled(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(MANIFEST, encoding="utf-8")
    limits = {"BATCHGEN_MAX_IN_DOUBT": "50", "BATCHGEN_MAX_COST": "100"}
    with simulator("--speed", "1000", "--media", "tiny", *FAULTS) as api:
        ran = batchgen("run", "job.yaml", "--base-url", api.url, *FAST, cwd=tmp_path, **limits)
        assert ran.returncode == 4, ran.stderr
        write_bill(tmp_path / "bill.csv", api)
        code, found = matched(tmp_path, "--settle", "doubts.csv")
        assert code == 1
        assert found["only_in_books"] == found["differing"] == []
        unknown = {entry["job_id"] for entry in found["only_in_bill"]}
        with (tmp_path / "doubts.csv").open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines))
        assert len(rows) == len(found["doubts"]) > 0
        assert {row["how"] for row in rows} == {""}, "no answer named a job, so nothing is filled in"
        by_prompt = {json.loads(job["body"])["prompt"]: job for job in api.jobs()}
        for row in rows:
            job = by_prompt[f"Mug number {row['item_id'].removeprefix('mug-')}"]
            row["how"], row["job_id"] = "job", job["id"]
            assert job["id"] in unknown or job["refunded"] != "0"
        with (tmp_path / "doubts.csv").open("w", encoding="utf-8", newline="") as out:
            writer = csv.DictWriter(out, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        settled = batchgen("resolve", "job.yaml", "--import", "doubts.csv", cwd=tmp_path)
        assert settled.returncode == 0, settled.stderr
        batchgen("collect", "job.yaml", *FAST[:4], "--quiet", cwd=tmp_path)
        write_bill(tmp_path / "bill.csv", api)
        code, found = matched(tmp_path)
        assert (code, found["agrees"], found["doubts"]) == (0, True, [])
        assert found["books"]["net_usd"] == found["bill"]["net_usd"]
        # The ledger file alone says the same.
        ledger = tmp_path / "output" / "job" / "ledger.csv"
        assert batchgen("ledger", ledger, "--match", "bill.csv", cwd=tmp_path).returncode == 0


@pytest.fixture
def doubtful(tmp_path: Path) -> Path:
    """A run with a doubt whose answer named a job, one without, and one purchase."""
    folder = tmp_path / "output" / "spring"
    with journal_of(folder, [item("mug"), item("vase"), item("jug")]) as journal:
        buyer = Buyer(journal)
        buyer.done("jug")
        journal.doubt(buyer.intend("mug"), "the answer names job -j9", b'{"id": "-j9", "status": "processing"}')
        journal.doubt(buyer.intend("vase"), "HTTP 200, but it cannot be read", b"<html>")
    write_ledger("spring", folder)
    (tmp_path / "bill.csv").write_text("job_id,amount\njob-jug-1,0.056\n-j9,0.056\n", encoding="utf-8")
    return folder


PERIOD = ("--since", "2026-01-31", "--until", "2026-02-02")


def test_what_the_bill_settles_is_ready_for_import(doubtful: Path, tmp_path: Path) -> None:
    result = batchgen("ledger", doubtful, "--match", "bill.csv", "--settle", "settled.csv", *PERIOD, cwd=tmp_path)
    assert result.returncode == 1
    assert "only in the bill\n  -j9  0.056\n" in result.stdout
    assert "spring: mug, attempt 1, 0.056, 2026-02-01T00:00:02Z  is job -j9: " in result.stdout
    assert "spring: vase, attempt 1, 0.056, 2026-02-01T00:00:03Z  was probably not charged: " in result.stdout
    assert "2 items in doubt written to settled.csv, 1 of them settled by the bill" in result.stderr
    with (tmp_path / "settled.csv").open(encoding="utf-8", newline="") as lines:
        mug, vase = csv.DictReader(lines)
    assert (mug["item_id"], mug["how"], mug["job_id"]) == ("mug", "job", "'-j9")
    assert (vase["item_id"], vase["how"], vase["job_id"]) == ("vase", "", "")
    assert vase["note"].startswith("not-charged? ")
    again = batchgen("ledger", doubtful, "--match", "bill.csv", "--settle", "settled.csv", cwd=tmp_path)
    assert again.returncode == 2
    assert "settled.csv exists already" in again.stderr


def test_an_answer_that_showed_another_job_settles_nothing(doubtful: Path, tmp_path: Path) -> None:
    with journal_of(doubtful, [item("mug"), item("vase"), item("jug"), item("pan")]) as journal:
        foreign = b'{"id": "j7", "status": "processing", "input": {"prompt": "Somebody else\'s"}}'
        journal.doubt(Buyer(journal).intend("pan"), "the answer names job j7, which is not the job ordered", foreign)
    with (tmp_path / "bill.csv").open("a", encoding="utf-8") as bill:
        bill.write("j7,0.056\n")
    result = batchgen("ledger", doubtful, "--match", "bill.csv", "--settle", "settled.csv", cwd=tmp_path)
    assert "spring: pan, attempt 1, 0.056, 2026-01-31T23:59:59Z  stays open: " in result.stdout, result.stdout
    assert "3 items in doubt written to settled.csv, 1 of them settled by the bill" in result.stderr


def test_differences_as_csv(doubtful: Path, tmp_path: Path) -> None:
    result = batchgen("ledger", doubtful, "--match", "bill.csv", "--format", "csv", *PERIOD, cwd=tmp_path)
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert [(row["finding"], row["job_id"]) for row in rows] == [
        ("only_in_bill", "'-j9"),
        ("doubt_job", "'-j9"),
        ("doubt_maybe_not_charged", ""),
    ]


def test_a_copy_of_the_books_counts_once(doubtful: Path, tmp_path: Path) -> None:
    (tmp_path / "bill.csv").write_text("Id,Net\njob-jug-1,0.056\n", encoding="utf-8")
    columns = ("--job-column", "id", "--amount-column", "net")
    ledger = doubtful / "ledger.csv"
    assert batchgen("ledger", doubtful, ledger, "--match", "bill.csv", *columns, cwd=tmp_path).returncode == 0
    assert "0.056  1 job" in batchgen("ledger", ledger, "--match", "bill.csv", *columns, cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--settle", "settled.csv", "output/spring/ledger.csv"), "--settle writes the items in doubt of one run"),
        (("--match", "bill.csv", "--amount-column", "net"), "bill.csv:1: there is no column 'net'"),
        (("--settle", "settled.csv"), "--settle belongs to --match"),
        (("--job-column", "id"), "--job-column belongs to --match"),
        (("--match", "bill.csv", "--by", "day"), "--by does not go with --match"),
        (("--match", "bill.csv", "--check"), "--match does not go with --check"),
    ],
)
def test_what_does_not_fit_together(doubtful: Path, tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    words = (
        options if "--match" in options or message.endswith("belongs to --match") else ("--match", "bill.csv", *options)
    )
    result = batchgen("ledger", doubtful, *words, cwd=tmp_path)
    assert result.returncode == 2
    assert message in result.stderr
