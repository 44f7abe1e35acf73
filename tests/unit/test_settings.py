"""Settings: flag, variable, manifest, default."""

import re
from dataclasses import fields
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.errors import UsageError
from batchgen.core.limits import Count, Share
from batchgen.settings import BY_NAME, SETTINGS, Settings, parse_setting, resolve_settings, setting_text

# ---- precedence ----------------------------------------------------------------------------------------------------


def test_without_anything_the_defaults_are_in_force() -> None:
    assert resolve_settings({}, {}, {}) == Settings()


@pytest.mark.parametrize(
    ("flags", "environment", "manifest", "concurrency"),
    [
        ({"concurrency": "2"}, {"BATCHGEN_CONCURRENCY": "3"}, {"concurrency": 4}, 2),
        ({"concurrency": None}, {"BATCHGEN_CONCURRENCY": "3"}, {"concurrency": 4}, 3),
        ({}, {"BATCHGEN_CONCURRENCY": ""}, {"concurrency": 4}, 4),
        ({}, {"CONCURRENCY": "9"}, {}, 8),
    ],
)
def test_flag_then_variable_then_manifest_then_default(
    flags: dict[str, Any], environment: dict[str, str], manifest: dict[str, Any], concurrency: int
) -> None:
    assert resolve_settings(flags, environment, manifest).concurrency == concurrency


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.name)
def test_every_setting_is_taken_from_its_flag_and_its_variable(setting: Any) -> None:
    text = (
        setting.choices[-1]
        if setting.choices
        else {"count": "3", "usd": "3.50", "seconds": "3.5", "text": "x", "count_or_share": "3%"}[setting.kind]
    )
    want = parse_setting(setting, text)
    assert want != getattr(Settings(), setting.name)
    for given_settings in (
        resolve_settings({setting.name: text}, {}, {}),
        resolve_settings({}, {setting.variable: text}, {}),
        resolve_settings({}, {}, {setting.name: want}),
    ):
        assert getattr(given_settings, setting.name) == want
    assert setting.variable == f"BATCHGEN_{setting.name.upper()}"
    assert setting.option == "--" + setting.name.replace("_", "-")


def test_other_options_of_a_command_are_no_settings() -> None:
    assert resolve_settings({"output": "x", "yes": True, "name": None}, {}, {}) == Settings()


def test_the_table_and_the_values_have_the_same_names_and_defaults() -> None:
    assert set(BY_NAME) == {field.name for field in fields(Settings)}
    for setting in SETTINGS:
        if told := re.search(r"\(default ([0-9.]+|\$\{id\})\)", setting.help):
            assert str(told[1]) == f"{getattr(Settings(), setting.name):g}" if setting.kind != "text" else "${id}"


# ---- money ---------------------------------------------------------------------------------------------------------


@given(st.decimals(0, 10**9, places=6))
def test_money_is_decimal_and_exact(amount: Decimal) -> None:
    for name in ("max_cost", "budget"):
        parsed = parse_setting(BY_NAME[name], format(amount, "f"))
        assert isinstance(parsed, Decimal)
        assert parsed == amount


@pytest.mark.parametrize(
    ("value", "limit"),
    [
        (5, Count(5)),
        (5.0, Count(5)),
        ("5", Count(5)),
        ("5%", Share(Decimal(5))),
        (" 2.5 % ", Share(Decimal("2.5"))),
        ("0.05%", Share(Decimal("0.05"))),
    ],
)
def test_failures_are_limited_by_number_or_by_share(value: object, limit: Count | Share) -> None:
    assert parse_setting(BY_NAME["max_failures"], value) == limit


def test_a_cap_of_nothing_is_a_cap() -> None:
    assert resolve_settings({"max_cost": "0"}, {}, {}).max_cost == 0


# ---- faults --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("concurrency", "0", "--concurrency must be 1 or larger: '0'"),
        ("concurrency", "1.5", "--concurrency must be a whole number: '1.5'"),
        ("concurrency", "many", "--concurrency must be a whole number: 'many'"),
        ("concurrency", "-1", "--concurrency must be a whole number: '-1'"),
        ("concurrency", "9999999999999", "--concurrency must be a whole number: '9999999999999'"),
        ("max_cost", "-1", "--max-cost must be a number, 0 or larger: '-1'"),
        ("max_cost", "1e3", "--max-cost must be written in plain digits, without an exponent: '1e3'"),
        ("max_cost", "nan", "--max-cost must be a number, 0 or larger: 'nan'"),
        ("max_cost", "1_000", "--max-cost must be a number, 0 or larger: '1_000'"),
        ("max_cost", "$5", "--max-cost must be a number, 0 or larger: '$5'"),
        ("max_cost", "", "--max-cost must be a number, 0 or larger: ''"),
        ("poll_min", "inf", "--poll-min must be a number, 0 or larger: 'inf'"),
        ("job_timeout", "0.5", "--job-timeout must be 1 or larger: '0.5'"),
        ("max_flagged", "0", "--max-flagged must be 1 or larger: '0'"),
        ("max_failures", "0", "--max-failures must be 1 or larger: '0'"),
        ("max_failures", "0%", "--max-failures must be a whole number, or a share such as 5%: '0%'"),
        ("max_failures", "100%", "--max-failures must be a whole number, or a share such as 5%: '100%'"),
        ("max_failures", "5,5%", "--max-failures must be a whole number, or a share such as 5%: '5,5%'"),
        ("max_failures", "0.05", "--max-failures must be a whole number, or a share such as 5%: '0.05'"),
        ("endpoint", "other", "--endpoint must be generate or model: 'other'"),
        ("submit", "", "--submit must be text: ''"),
    ],
)
def test_a_fault_names_the_flag_the_rule_and_the_value(name: str, text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_settings({name: text}, {}, {})
    assert str(caught.value) == message


def test_a_fault_names_the_variable() -> None:
    with pytest.raises(UsageError, match="BATCHGEN_BUDGET must be a number, 0 or larger: 'lots'"):
        resolve_settings({}, {"BATCHGEN_BUDGET": "lots"}, {})


def test_a_variable_is_checked_even_where_a_flag_wins() -> None:
    with pytest.raises(UsageError, match="BATCHGEN_BUDGET"):
        resolve_settings({"budget": "5"}, {"BATCHGEN_BUDGET": "lots"}, {})


def test_the_polls_must_leave_a_range() -> None:
    with pytest.raises(UsageError, match=r"poll_min is 0 s; polls come at least 0\.01 s apart"):
        resolve_settings({"poll_min": "0"}, {}, {})
    with pytest.raises(UsageError, match=r"poll_max \(5 s\) is shorter than poll_min \(9 s\)"):
        resolve_settings({"poll_min": "9"}, {}, {})
    assert resolve_settings({"poll_min": "9", "poll_max": "9"}, {}, {}).poll_min == 9.0


@pytest.mark.parametrize("value", [True, False, None, [], {}, [1]])
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.name)
def test_a_manifest_value_of_another_type_is_refused(setting: Any, value: object) -> None:
    kinds = r"(text|a whole number(, or a share such as 5%)?|a number, 0 or larger)"
    with pytest.raises(ValueError, match=rf"must be {kinds}$"):
        parse_setting(setting, value)


@given(st.text(max_size=12))
def test_any_text_is_a_value_or_a_value_error(text: str) -> None:
    for setting in SETTINGS:
        try:
            parsed = parse_setting(setting, text)
        except ValueError:
            continue
        if setting.kind == "count_or_share":
            assert type(parsed) is Count or type(parsed) is Share
            continue
        assert type(parsed) is {"count": int, "usd": Decimal, "seconds": float, "text": str}[setting.kind]
        assert setting.kind == "text" or parsed >= setting.minimum  # type: ignore[operator]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("drain", "0.00001"),
        ("max_cost", "12.345"),
        ("concurrency", "7"),
        ("max_failures", "7"),
        ("max_flagged", "12"),
        ("max_flagged", "0.5%"),
        ("max_failures", "2.50%"),
    ],
)
def test_a_setting_survives_the_way_through_a_text(name: str, text: str) -> None:
    value = parse_setting(BY_NAME[name], text)
    assert parse_setting(BY_NAME[name], setting_text(value)) == value


@pytest.mark.parametrize("text", ["١٢", "１２", "1_000", "12,5", "-1", "1e3", "0x10", "", ".", "1.2.3", "inf", "nan"])
@pytest.mark.parametrize("name", ["max_cost", "poll_min", "concurrency"])
def test_only_plain_digits_are_a_number(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be "):
        parse_setting(BY_NAME[name], text)


def test_seconds_may_have_as_many_digits_as_a_computer_writes() -> None:
    value = parse_setting(BY_NAME["poll_min"], "0.13333333333333333")
    assert value == 0.13333333333333333
    assert parse_setting(BY_NAME["poll_min"], setting_text(value)) == value
    with pytest.raises(ValueError, match="at most 9 digits after the decimal point"):
        parse_setting(BY_NAME["max_cost"], "0.13333333333333333")
