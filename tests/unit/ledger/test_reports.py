"""Cost reports by time, by two groups, with outputs and picks; what tells purchases apart."""

import csv
import io
import json
import shutil
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.bought import Buyer, item, journal_of

from batchgen.api import Job, JobStatus
from batchgen.cli.runs.ledger import command
from batchgen.core.errors import UsageError
from batchgen.ledger import LEDGER_NAME, write_ledger
from batchgen.ledger.charges import Charge, file_charges, run_charges
from batchgen.ledger.costs import CostReport, Sums, cost_report
from batchgen.ledger.focus import FocusRows
from batchgen.ledger.period import read_period
from batchgen.ledger.reported import Reported
from batchgen.picks import Choice, Pick, append_picks

CLIENTS = ("acme", "bolt")
EVENING = datetime(2026, 10, 31, 22, 30, tzinfo=UTC)
"""In Berlin half an hour before the end of the month, since summer time ended on the 25th."""


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """A run over the end of October, with a refund that comes in November."""
    folder = tmp_path / "output" / "night"
    items = [item(f"{client}-{n}", tags={"client": client}) for client in CLIENTS for n in range(4)]
    with journal_of(folder, items, "night") as journal:
        buyer = Buyer(journal, EVENING)
        buyer.done("acme-0", outputs=4)
        buyer.doubt("acme-1", "reset")
        buyer.lose("acme-2", "gone")
        late = buyer.accept("bolt-0", "0.07")
        buyer.now += timedelta(hours=2)
        journal.fail(late, Job(str(late.job_id), JobStatus.FAILED), 9, 1000, buyer.tick())
        buyer.done("bolt-1", outputs=2, cost="0.05")
        buyer.reject("bolt-2", "no")
        buyer.skip("bolt-3")
    write_ledger("night", folder)
    return folder


def called(*arguments: object) -> Result:
    return CliRunner().invoke(
        command, [str(a) for a in arguments], standalone_mode=False, env={"BATCHGEN_OUTPUT": None}
    )


def reported(*arguments: object) -> dict[str, dict[str, object]]:
    """The groups of a report as JSON, by name, and `total`."""
    result = called(*arguments, "--format", "json")
    assert result.exception is None, result.exception
    document = json.loads(result.stdout)
    return {"total": document["total"], **{str(group["group"]): group for group in document["groups"]}}


def test_a_refund_counts_on_the_day_it_was_given(night: Path) -> None:
    found = reported(night, "--by", "month")
    october, november = found["2026-10"], found["2026-11"]
    assert (october["charged_usd"], october["refunded_usd"], october["net_usd"]) == ("0.182", "0.00", "0.182")
    assert (november["charged_usd"], november["refunded_usd"], november["net_usd"]) == ("0.05", "-0.07", "-0.02")
    assert (october["attempts"], october["refunds"], november["attempts"], november["refunds"]) == (4, 0, 2, 1)
    assert october["states"] == {"done": 1, "failed": 1, "in_doubt": 1, "lost": 1}, "a refund is no second attempt"
    assert found["None"]["states"] == {"skipped": 1}


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns"])
@pytest.mark.parametrize("by", [("day",), ("month",), ("model", "day"), ("tag:client", "month"), ("state", "run")])
def test_groups_add_up_to_the_total(night: Path, by: tuple[str, ...], zone: str) -> None:
    for charges in (run_charges(night), file_charges(night / LEDGER_NAME)):
        report = cost_report(by, Reported(charges, period=read_period(None, None, zone)))
        for name in (
            "rows",
            "attempts",
            "refunds",
            "charged",
            "refunded",
            "in_doubt",
            "drifted",
            "drift",
            "lost",
            "outputs",
        ):
            assert sum(getattr(sums, name) for _, sums in report.groups) == getattr(report.total, name)
        assert (report.total.rows, report.total.net) == (7, Decimal("0.162"))


def test_months_that_follow_each_other_add_up(night: Path) -> None:
    zone = ("--tz", "Europe/Berlin")
    october = reported(night, "--until", "2026-11", *zone)["total"]
    november = reported(night, "--since", "2026-11", "--until", "2026-12", *zone)["total"]
    whole = reported(night)["total"]
    assert whole["rows"] == 7, "with the skipped item, which was at no time"
    assert (october["rows"], november["rows"]) == (4, 2)
    for name in ("net_usd", "charged_usd", "refunded_usd", "in_doubt_usd", "drift_usd", "lost_usd"):
        assert sum(Decimal(str(part[name])) for part in (october, november)) == Decimal(str(whole[name]))


def test_a_day_is_that_of_the_time_zone(night: Path) -> None:
    assert set(reported(night, "--by", "day")) == {"total", "2026-10-31", "2026-11-01", "None"}
    assert set(reported(night, "--by", "day", "--tz", "Pacific/Kiritimati")) == {"total", "2026-11-01", "None"}


def test_the_table_names_the_zone_and_the_period(night: Path) -> None:
    by_day = called(night, "--by", "day", "--tz", "Europe/Berlin").stdout
    assert by_day.startswith("day (Europe/Berlin)  rows")
    lines = called(
        night, "--since", "2026-11", "--until", "2026-11-01T01:00", "--tz", "Europe/Berlin"
    ).stdout.splitlines()
    assert lines[0] == "from 2026-11-01 00:00:00 until before 2026-11-01 01:00:00 (Europe/Berlin)"
    assert reported(night, "--since", "2026-11-01T00:00:00+01:00")["total"]["attempts"] == 2


def test_bounds_are_half_open(night: Path) -> None:
    def attempts(*bounds: str) -> object:
        return reported(night, *bounds)["total"]["attempts"]

    accepted = "2026-10-31T22:30:02Z"  # the first charge
    assert attempts("--since", accepted) == attempts("--since", "2026-10-31T22:30:01Z")
    assert attempts("--until", accepted) == 0
    assert attempts("--until", "2026-10-31T22:30:03Z") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--since", "yesterday"), "--since: 'yesterday' is not a date or time"),
        (("--since", "2026-13"), "--since: '2026-13' is not a date or time: month must be"),
        (("--since", "2026-13"), "--since: "),
        (("--until", "2026-02-30"), "--until: "),
        (("--since", "0001-01", "--tz", "Europe/Berlin"), "--since: 0001-01 is out of range"),
        (("--until", "20260230"), "--until: '20260230' is not a date or time"),
        (("--since", "2026-12", "--until", "2026-12"), "--until 2026-12 must be later than --since 2026-12"),
        (("--tz", "Europe/Berlim"), "did you mean Europe/Berlin"),
        (("--tz", "../../etc/passwd"), "is not a time zone"),
        (("--tz", ""), "is not a time zone"),
        (("--by", "model", "--by", "day", "--by", "run"), "give it once, or twice"),
        (("--by", "model", "--by", "model"), "give it once, or twice"),
        (("--only", "tag:client"), "select a tag with tag:NAME=VALUE"),
    ],
)
def test_what_cannot_be_meant_is_refused(night: Path, arguments: tuple[str, ...], message: str) -> None:
    error = called(night, *arguments).exception
    assert isinstance(error, UsageError)
    assert message in str(error)


def test_two_groups_are_two_columns(night: Path) -> None:
    arguments = (night, "--by", "tag:client", "--by", "state")
    rows = list(csv.reader(io.StringIO(called(*arguments, "--format", "csv").stdout, newline="")))
    assert rows[0][:3] == ["tag:client", "state", "rows"]
    assert [row[:3] for row in rows[1:3]] == [["acme", "done", "1"], ["acme", "in_doubt", "1"]]
    document = json.loads(called(*arguments, "--format", "json").stdout)
    assert document["by"] == ["tag:client", "state"]
    assert document["groups"][0]["group"] == ["acme", "done"]
    lines = called(*arguments).stdout.splitlines()
    assert lines[0].split()[:3] == ["tag:client", "state", "rows"]
    assert lines[1].split()[:3] == ["acme", "done", "1"]


@pytest.mark.parametrize("by", [("model",), ("run",), ("model", "day"), ("tag:client", "tag:" + "x" * 80)])
def test_a_table_stays_within_a_hundred_columns(night: Path, by: tuple[str, ...]) -> None:
    pick(night, "acme-0", 1, "keep")
    shown = called(night, *(word for name in by for word in ("--by", name))).stdout
    assert max(map(len, shown.splitlines())) <= 100
    assert "keep rate" in shown


def test_only_some_items_are_reported(night: Path) -> None:
    assert reported(night, "--only", "tag:client=bolt")["total"]["rows"] == 4
    assert reported(night, "--only", "acme-*", "--only", "bolt-1")["total"]["rows"] == 4
    assert reported(night, "--only", "nothing")["total"]["rows"] == 0


# ---- what came of it ----------------------------------------------------------------------------------------------


def pick(folder: Path, item_id: str, output: int, choice: Choice) -> None:
    (digest,) = {charge.digest for charge in run_charges(folder) if charge.item_id == item_id}
    append_picks(folder, [Pick(item_id, digest, output, f"{output:064x}", choice)])


def sums_of(report: CostReport) -> dict[str | None, Sums]:
    return {names[0]: sums for names, sums in report.groups}


def test_losses_drift_and_the_cost_of_an_output(night: Path) -> None:
    found = reported(night, "--by", "tag:client")
    acme, bolt = found["acme"], found["bolt"]
    assert (acme["lost_usd"], acme["drifted"], acme["drift_usd"]) == ("0.056", 0, "0.00")
    assert (acme["net_usd"], acme["outputs"], acme["usd_per_output"]) == ("0.112", 4, "0.028")
    assert (bolt["drifted"], bolt["drift_usd"]) == (2, "0.008"), "0.014 more and 0.006 less"
    assert reported(night, "--only", "bolt-2")["total"]["usd_per_output"] is None, "nothing delivered: unknown, not 0"


def test_the_cost_of_a_kept_output(night: Path) -> None:
    assert reported(night, "--by", "tag:client")["acme"]["outputs_kept"] is None, "nobody has picked yet"
    pick(night, "acme-0", 1, "keep")
    pick(night, "acme-0", 2, "reject")
    found = reported(night, "--by", "tag:client")
    acme, bolt = found["acme"], found["bolt"]
    assert (acme["outputs_kept"], acme["outputs_rejected"], acme["keep_rate"], acme["usd_per_kept"]) == (
        1,
        1,
        "0.25",
        "0.112",
    )
    assert (bolt["outputs_kept"], bolt["outputs_rejected"], bolt["keep_rate"], bolt["usd_per_kept"]) == (None,) * 4
    assert found["total"]["usd_per_kept"] == "0.162"


def test_where_all_was_rejected_none_is_kept_and_none_has_a_price(night: Path) -> None:
    for output in range(1, 5):
        pick(night, "acme-0", output, "reject")
    acme = reported(night, "--by", "tag:client")["acme"]
    assert (acme["outputs_kept"], acme["keep_rate"], acme["usd_per_kept"]) == (0, "0.00", None)


def test_picks_of_a_ledger_file_are_not_known(night: Path, tmp_path: Path) -> None:
    pick(night, "acme-0", 1, "keep")
    both = cost_report(("tag:client",), Reported([*run_charges(night), *file_charges(night / LEDGER_NAME)]))
    assert sums_of(both)["acme"].outputs_kept == 1, "the folder is asked first"
    other = Path(shutil.copy(night / LEDGER_NAME, tmp_path / "other.csv"))
    renamed = [replace(charge, run="other") for charge in file_charges(other)]
    mixed = sums_of(cost_report(("tag:client",), Reported([*run_charges(night), *renamed])))["acme"]
    assert (mixed.outputs, mixed.outputs_kept, mixed.keep_rate) == (8, None, None)


def test_a_pick_of_another_file_does_not_count(night: Path) -> None:
    pick(night, "acme-0", 1, "keep")
    with_picks = next(charge for charge in run_charges(night) if charge.item_id == "acme-0")
    append_picks(night, [Pick("acme-0", with_picks.digest, 1, "ab" * 32, "keep")])
    found = next(charge for charge in run_charges(night) if charge.item_id == "acme-0")
    assert (with_picks.picks, found.picks) != (found.picks, None)
    assert with_picks.picks is not None
    assert found.picks is not None
    assert (with_picks.picks.kept, found.picks.kept) == (1, 0)


# ---- size -----------------------------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_charges(night: Path) -> None:
    """Python's own; that of the table of purchases seen is bounded by its page cache."""
    charge = next(charge for charge in run_charges(night) if charge.item_id == "acme-0")

    def many(count: int) -> Iterator[Charge]:
        return (replace(charge, item_id=f"item-{n:05}", job_id=f"job-{n:05}") for n in range(count))

    def peak(use: Callable[[Reported], object], count: int) -> int:
        tracemalloc.start()
        try:
            use(Reported(many(count)))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    for use in (
        lambda reported: cost_report(("model", "day"), reported),
        lambda reported: deque(FocusRows(reported), 0),
    ):
        _first, few, more = (peak(use, count) for count in (1100, 1100, 2600))  # the first one fills caches
        assert more < few + 10_000


# ---- what is one purchase -----------------------------------------------------------------------------------------


@pytest.fixture
def twins(tmp_path: Path) -> Iterator[list[Path]]:
    """Two runs of one name, in different output folders, that bought the same item in the same second."""
    folders = [tmp_path / place / "spring" for place in ("one", "two")]
    for number, folder in enumerate(folders):
        with journal_of(folder, [item("mug")]) as journal:
            attempt = Buyer(journal, EVENING).intend("mug")
            job = Job(f"job-of-{number}", JobStatus.PROCESSING, cost=Decimal("0.05") + number)
            journal.accept(attempt, job, b"{}", EVENING + timedelta(seconds=2))
        write_ledger("spring", folder)
    return folders


def test_two_jobs_are_two_purchases_though_all_else_is_the_same(twins: list[Path]) -> None:
    files = [folder / LEDGER_NAME for folder in twins]
    for given in (twins, files, [*twins, *files], [*files, *files]):
        assert reported(*given)["total"]["charged_usd"] == "1.10"


def test_a_copied_run_folder_is_one(night: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(night, copy)
    result = called(night, copy, "--format", "json")
    assert json.loads(result.stdout)["total"] == reported(night)["total"]
    assert result.stderr == "7 rows given more than once, counted once\n"


def test_a_copy_from_before_the_job_was_known_is_the_same_purchase(twins: list[Path]) -> None:
    known = [charge for folder in twins for charge in run_charges(folder)]
    before = [replace(charge, job_id="") for charge in known[:1]]
    assert cost_report(("run",), Reported([*known, *before])).total.rows == 2
    assert cost_report(("run",), Reported([*before, *known])).total.rows == 2
    assert cost_report(("run",), Reported([*before, *before, *known, *known])).total.rows == 2


def test_a_job_that_a_spreadsheet_took_for_a_number_is_the_same_purchase(twins: list[Path]) -> None:
    (charge,) = run_charges(twins[0])
    digits = replace(charge, job_id="12345678901234567890")
    for mangled in ("1.23457E+19", "12345678901234500000", "1,23457E+19"):
        assert cost_report(("run",), Reported([digits, replace(charge, job_id=mangled)])).total.rows == 1
