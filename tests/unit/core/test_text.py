"""Text from elsewhere, money, and moments, as they are shown."""

import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.text import plural, printable, stamp, usd

TEXT = st.text(st.characters(), max_size=80)


def test_printable_keeps_what_people_write() -> None:
    assert printable("Ein Becher, 一个杯子 🎨 – “sharp”") == "Ein Becher, 一个杯子 🎨 – “sharp”"


@pytest.mark.parametrize(
    "hostile",
    ["\x1b[2J", "a\nb", "a\rb", "a\tb", "\x9b31m", "\u202egnp.exe", "\u2066x\u2069", "\ufeff", "\u2028", "\ud83c"],
)
def test_printable_makes_blanks_of_what_commands_a_terminal(hostile: str) -> None:
    shown = printable(hostile)
    assert len(shown) == len(hostile)
    assert " " in shown
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in shown)


@given(TEXT, st.integers(1, 40))
def test_printable_is_one_bounded_line_of_storable_text(text: str, limit: int) -> None:
    shown = printable(text, limit)
    assert len(shown) == min(len(text), limit)
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")
    assert shown.endswith("…") or len(text) <= limit


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("0", "0.00"), ("-0", "0.00"), ("-0.000", "0.00"), ("0.06", "0.06"), ("0.060", "0.06"), ("1.056", "1.056"),
     ("-0.3", "-0.30"), ("-0.001", "-0.001"), ("1E+3", "1000.00"), ("1E-7", "0.0000001"), ("1234567.5", "1234567.50")],
)  # fmt: skip
def test_usd(amount: str, shown: str) -> None:
    assert usd(Decimal(amount)) == shown


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9))
def test_usd_loses_nothing_and_has_cents(amount: Decimal) -> None:
    shown = usd(amount)
    assert Decimal(shown) == amount
    assert len(shown.partition(".")[2]) >= 2
    assert set(shown) <= set("-.0123456789")


def test_a_stamp_is_utc_cut_to_the_second() -> None:
    assert stamp(datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == "2026-01-31T23:59:59Z"
    assert stamp(datetime(2026, 2, 1, 0, 30, tzinfo=timezone(timedelta(hours=1)))) == "2026-01-31T23:30:00Z"
    assert stamp(datetime(1, 1, 1, tzinfo=UTC)) == "0001-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 items"), (1, "1 item"), (2, "2 items"), (1_000_000, "1,000,000 items")]
)
def test_plural(count: int, shown: str) -> None:
    assert plural(count, "item") == shown
