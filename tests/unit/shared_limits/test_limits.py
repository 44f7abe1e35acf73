"""`batchgen.toml` and the months of a time zone."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.errors import UsageError
from batchgen.shared_limits import SharedLimits, read_limits
from batchgen.shared_limits.amounts import amount_of, units
from batchgen.shared_limits.months import is_in, month_at

ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "Asia/Kathmandu"])


def written(tmp_path: Path, text: str) -> SharedLimits:
    (tmp_path / "batchgen.toml").write_text(text, encoding="utf-8")
    return read_limits(tmp_path / "output")


def test_without_the_file_nothing_is_shared(tmp_path: Path) -> None:
    limits = read_limits(tmp_path / "output")
    assert (limits, limits.shares) == (SharedLimits(), False)


def test_everything_that_can_be_set(tmp_path: Path) -> None:
    limits = written(
        tmp_path,
        "[budget]\nmonth = 500.00\nwarn = [100, 50, 80]\ntz = 'Europe/Berlin'\n"
        "[budget.tags.client]\nacme = 200\n'smith & co' = 1.5\n[account]\nconcurrency = 24\n",
    )
    assert limits.budgets() == {"": Decimal(500), "client=acme": Decimal(200), "client=smith & co": Decimal("1.5")}
    assert (limits.warn, limits.zone, limits.concurrency) == ((50, 80, 100), ZoneInfo("Europe/Berlin"), 24)
    assert limits.scopes_of({"client": "acme", "sku": "1"}) == ("", "client=acme")
    assert limits.scopes_of((("client", "other"),)) == ("",)


def test_an_amount_never_passes_through_a_float(tmp_path: Path) -> None:
    assert written(tmp_path, "[budget]\nmonth = 0.100000001\n").month == Decimal("0.100000001")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[budgets]\n", "unknown key `budgets`: did you mean `budget`?"),
        ("[budget]\nzone = 'UTC'\n", "unknown key `budget.zone`: there are month, warn, tz, tags"),
        ("budget = 5\n", "`budget` must be a table"),
        ("[budget]\nmonth = '5'\n", "`budget.month` must be an amount"),
        ("[budget]\nmonth = true\n", "`budget.month` must be an amount"),
        ("[budget]\nmonth = nan\n", "`budget.month` must be an amount"),
        ("[budget]\nmonth = 1e30\n", "`budget.month` must be an amount"),
        ("[budget]\nmonth = 0.1234567891\n", "at most 9 digits"),
        ("[budget]\nwarn = [0]\n", "percentages"),
        ("[budget]\nwarn = 50\n", "percentages"),
        ("[budget]\nwarn = [101]\n", "percentages"),
        ("[budget]\ntz = 5\n", "time zone"),
        ("[budget]\ntz = '../etc/passwd'\n", "time zone"),
        ("[budget.tags]\nclient = 5\n", "`budget.tags.client` must be a table"),
        ("[budget.tags.client]\nacme = -1\n", "`budget.tags.client.acme` must be an amount"),
        ("[account]\nconcurrency = true\n", "whole number"),
        ("[account]\nconcurrency = 1.5\n", "whole number"),
        ("\x00", "cannot read"),
    ],
)
def test_what_is_wrong_is_named_with_the_file(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=r"batchgen\.toml") as caught:
        written(tmp_path, text)
    assert said in str(caught.value)


@given(st.integers(631152000, 4102444800), ZONES)
def test_each_moment_lies_in_one_month(seconds: int, zone: str) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    month = month_at(moment, ZoneInfo(zone))
    assert is_in(moment, month)
    assert not is_in(moment, month.previous)
    assert month.previous.end.astimezone(UTC) == month.start.astimezone(UTC)
    assert month.name == moment.astimezone(ZoneInfo(zone)).strftime("%Y-%m")


def test_a_month_begins_by_its_own_calendar() -> None:
    midnight = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
    assert month_at(midnight, UTC).name == "2026-11"
    assert month_at(midnight, ZoneInfo("Europe/Berlin")).name == "2026-12"


@given(st.decimals(0, 10**6, places=12))
def test_amounts_are_never_rounded_down(amount: Decimal) -> None:
    assert 0 <= amount_of(units(amount)) - amount < Decimal("0.000000001")
