"""`batchgen ledger --format focus`: charges and refunds by the rules of FOCUS 1.2."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.bought import Buyer, item, journal_of
from support.readers.focus import Row, focus_faults

from batchgen.api import Job, JobStatus
from batchgen.cli.runs.ledger import command
from batchgen.core.errors import UsageError
from batchgen.journal import SIMULATOR
from batchgen.ledger import LEDGER_NAME, write_ledger
from batchgen.ledger.charges import run_charges
from batchgen.ledger.costs import cost_report
from batchgen.ledger.focus import FocusRows
from batchgen.ledger.period import Period
from batchgen.ledger.reported import Reported

EVENING = datetime(2026, 10, 31, 22, 30, tzinfo=UTC)
TAGS = {"client": "acme", "title": '=He said "ü", twice'}


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """A run over the end of October, with a refund on the same evening, one in November, a loss and a doubt."""
    folder = tmp_path / "output" / "night"
    with journal_of(folder, [item(f"mug-{n}", tags=TAGS if n else {}) for n in range(7)], "night") as journal:
        buyer = Buyer(journal, EVENING)
        buyer.done("mug-0", outputs=4)
        buyer.fail("mug-1", "no")
        buyer.lose("mug-2", "gone")
        buyer.doubt("mug-3", "reset")
        late = buyer.accept("mug-4", "0.07")
        buyer.now += timedelta(hours=2)
        journal.fail(late, Job(str(late.job_id), JobStatus.FAILED), 9, 1000, buyer.tick())
        buyer.reject("mug-5", "no")
        buyer.skip("mug-6")
    write_ledger("night", folder)
    return folder


def called(*arguments: object) -> Result:
    return CliRunner().invoke(command, [*map(str, arguments), "--format", "focus"], standalone_mode=False)


def rows_of(text: str) -> list[Row]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_it_keeps_to_the_rules_and_sums_to_what_was_paid(night: Path) -> None:
    for given in (night, night / LEDGER_NAME):
        result = called(given)
        assert focus_faults(result.stdout) == []
        billed = [Decimal(row["BilledCost"]) for row in rows_of(result.stdout)]
        assert sum(billed) == cost_report(("model",), Reported(run_charges(night))).total.net == Decimal("0.112")
        assert len(billed) == 6
        assert "1 item in doubt ($0.056) left out" in result.stderr


def test_a_refund_is_a_negative_row_of_its_own(night: Path) -> None:
    charge, refund = (row for row in rows_of(called(night).stdout) if row["x_ItemId"] == "mug-1")
    assert (charge["BilledCost"], refund["BilledCost"]) == ("0.056", "-0.056")
    assert (refund["ListCost"], refund["PricingQuantity"], refund["ListUnitPrice"]) == ("-0.056", "-1.0", "0.056")
    assert (refund["ChargeCategory"], refund["ChargeClass"]) == ("Usage", ""), "it belongs to the same month"
    assert (charge["x_JobId"], charge["x_OutputCount"]) == (refund["x_JobId"], "0")


def test_the_refund_of_an_earlier_month_is_a_correction(night: Path) -> None:
    def months(zone: str) -> list[tuple[str, str]]:
        rows = [row for row in rows_of(called(night, "--tz", zone).stdout) if row["x_ItemId"] == "mug-4"]
        return [(row["BillingPeriodStart"], row["ChargeClass"]) for row in rows]

    assert months("UTC") == [("2026-10-01T00:00:00Z", ""), ("2026-11-01T00:00:00Z", "Correction")]
    assert months("Asia/Tokyo") == [("2026-10-31T15:00:00Z", ""), ("2026-10-31T15:00:00Z", "")]
    assert focus_faults(called(night, "--tz", "Asia/Tokyo").stdout) == []


def test_what_drifted_is_billed_and_listed(night: Path) -> None:
    row = next(row for row in rows_of(called(night).stdout) if row["x_ItemId"] == "mug-4")
    assert (row["BilledCost"], row["ListCost"]) == ("0.07", "0.056")


def test_tags_are_json_and_absent_ones_null(night: Path) -> None:
    rows = {row["x_ItemId"]: row["Tags"] for row in rows_of(called(night).stdout)}
    assert rows["mug-0"] == ""
    assert json.loads(rows["mug-1"]) == TAGS


def test_period_and_selection_count(night: Path) -> None:
    november = rows_of(called(night, "--since", "2026-11").stdout)
    assert [(row["x_ItemId"], row["BilledCost"]) for row in november] == [("mug-4", "-0.07")]
    assert {row["x_ItemId"] for row in rows_of(called(night, "--only", "mug-[12]").stdout)} == {"mug-1", "mug-2"}


def test_pretend_money_is_that_of_no_provider(night: Path, tmp_path: Path) -> None:
    with journal_of(tmp_path / "pretended", [item("mug")], "pretended") as journal:
        journal.note(api=SIMULATOR)
        Buyer(journal, EVENING).done("mug")
    both = called(night, tmp_path / "pretended")
    assert {row["ProviderName"] for row in rows_of(both.stdout)} == {"Api18.dev"}
    assert "1 simulated row left out" in both.stderr
    (row,) = rows_of(called(night, tmp_path / "pretended", "--simulated").stdout)
    assert (row["ProviderName"], row["x_Simulated"]) == ("batchgen simulator", "true")


@pytest.mark.parametrize("option", ["--by=model", "--as-bought=list.csv", "--match={ledger}", "--check"])
def test_options_that_do_not_fit_are_refused(night: Path, option: str) -> None:
    error = called(night, option.format(ledger=night / LEDGER_NAME)).exception
    assert error is not None
    assert "focus" in str(error) or "printed as" in str(error)


def test_a_charge_without_time_or_account_has_no_row_to_be_guessed(night: Path) -> None:
    charge = next(iter(run_charges(night)))
    for lacking, what in (
        (replace(charge, submitted_at=None, accepted_at=None), "time"),
        (replace(charge, account=""), "account"),
    ):
        with pytest.raises(UsageError, match=f"has no {what}, which FOCUS needs"):
            list(FocusRows(Reported([lacking])))


def test_a_month_at_the_end_of_the_calendar_is_out_of_range() -> None:
    with pytest.raises(UsageError, match="out of range"):
        Period().month_around(datetime(9999, 12, 1, tzinfo=UTC))


# ---- the rules themselves find faults -----------------------------------------------------------------------------

SPOILT: list[tuple[str, Callable[[Row], object]]] = [
    ("BilledCost: null", lambda row: row.update(BilledCost="")),
    ("BilledCost: $1 has another format", lambda row: row.update(BilledCost="$1")),
    ("BilledCost: +1 has another format", lambda row: row.update(BilledCost="+1")),
    ("BillingCurrency: usd has another format", lambda row: row.update(BillingCurrency="usd")),
    ("ChargeCategory: Refund is not allowed", lambda row: row.update(ChargeCategory="Refund")),
    ("ChargeClass: Refund is not allowed", lambda row: row.update(ChargeClass="Refund")),
    ("ServiceName: blank", lambda row: row.update(ServiceName=" ")),
    ("ChargePeriodEnd: 2026-10-31 has another format", lambda row: row.update(ChargePeriodEnd="2026-10-31")),
    ("the charge period has an end", lambda row: row.update(ChargePeriodEnd=row["ChargePeriodStart"])),
    ("the charge period is within", lambda row: row.update(BillingPeriodEnd="2026-10-02T00:00:00Z")),
    ("ListCost is quantity times price", lambda row: row.update(ListCost="9")),
    ("ContractedCost without a price is BilledCost", lambda row: row.update(ContractedCost="9")),
    ("EffectiveCost without commitments", lambda row: row.update(EffectiveCost="9")),
    ("usage has quantity, price and SKU", lambda row: row.update(SkuId="")),
    ("a unit is there with its quantity", lambda row: row.update(PricingUnit="")),
    ("a purchase is not usage-based", lambda row: row.update(ChargeCategory="Purchase")),
    ("Tags: keys are not unique", lambda row: row.update(Tags='{"a": "b", "a": "c"}')),
    ("Tags: a is an object or array", lambda row: row.update(Tags='{"a": ["b"]}')),
    ("Tags: not an object", lambda row: row.update(Tags='"b"')),
    ("PublisherName is missing", lambda row: row.pop("PublisherName")),
    ("Refund is no column", lambda row: row.update(Refund="")),
    ("columns of our own are among", lambda row: row.update(RegionId=row.get("RegionId", ""))),
]


@pytest.mark.parametrize(("fault", "spoil"), SPOILT, ids=[fault for fault, _ in SPOILT])
def test_the_rules_find_faults(night: Path, fault: str, spoil: Callable[[Row], object]) -> None:
    rows = rows_of(called(night, "--only", "mug-0").stdout)
    for row in rows:
        spoil(row)
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    assert any(fault in found for found in focus_faults(out.getvalue()))
