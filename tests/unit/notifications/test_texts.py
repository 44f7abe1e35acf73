"""What notifications say."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from batchgen.core.records import State
from batchgen.notifications.texts import alert_text, cut, end_text, ping_body, variables, webhook_body
from batchgen.policy.budget import Money
from batchgen.policy.stopping import Stop
from batchgen.session.summary import FIGURES, figures_now
from batchgen.settings import SETTINGS

AT = datetime(2026, 11, 27, 6, 30, tzinfo=UTC)
REFUSED = figures_now(None) | {"exit_code": 2}
NIGHT = figures_now("spring", {State.DONE: 1898, State.FAILED: 2, State.IN_DOUBT: 1}, Money()) | {
    "net_usd": "106.29", "exit_code": 4, "drifted": 0,
}  # fmt: skip


def test_a_sentence_on_the_end_has_counts_and_money() -> None:
    assert end_text("spring", NIGHT) == (
        "spring finished, with charges in doubt (exit code 4). 1,898 of 1,901 done, 2 failed, 1 in doubt; $106.29 net"
    )


def test_a_run_that_never_began_has_neither() -> None:
    assert end_text("spring.yaml", REFUSED) == "spring.yaml refused, nothing was bought (exit code 2)"


def test_a_limit_is_named_and_pretend_money_is_called_so() -> None:
    stopped = NIGHT | {"exit_code": 3, "stopped_because": "max_cost", "simulated": True}
    assert end_text("spring", stopped).startswith("spring stopped: max cost (exit code 3). 1,898 of")
    assert end_text("spring", stopped).endswith("$106.29 of pretend money net")


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5, 6, 70, 130])
def test_every_exit_code_has_words(code: int) -> None:
    assert " ended" not in end_text("spring", REFUSED | {"exit_code": code})


@pytest.mark.parametrize("figures", [NIGHT, REFUSED], ids=["night", "refused"])
def test_a_webhook_has_the_same_keys_always(figures: dict[str, Any]) -> None:
    body = json.loads(webhook_body("end", AT, "a sentence", figures))
    assert set(body) == {*FIGURES, "event", "at", "text"}
    assert (body["format_version"], body["event"], body["at"]) == (1, "end", "2026-11-27T06:30:00Z")
    assert (body["run"], body["text"], body["exit_code"]) == (figures["run"], "a sentence", figures["exit_code"])


def test_an_alert_has_its_sentence_and_how_the_run_stands() -> None:
    assert alert_text("spring", "submissions are paused", NIGHT).startswith("spring: submissions are paused. 1,898 of")


def test_the_body_of_a_ping_has_a_line_for_each_figure_that_is_known() -> None:
    lines = ping_body("a sentence", NIGHT, ["2 failed: hera"]).decode().splitlines()
    assert lines[0] == "a sentence"
    assert {"run: spring", "done: 1898", "net_usd: 106.29", "simulated: false", "2 failed: hera"} <= set(lines)
    assert not [line for line in lines if "None" in line or "missing_files" in line]


def test_a_long_body_is_cut_at_a_line() -> None:
    body = ping_body("a sentence", NIGHT, [f"{number:04} é" * 20 for number in range(1000)])
    assert 9_700 < len(body) <= 10_000
    lines = body.decode().splitlines()
    assert lines[-1] == "(cut)"
    assert lines[-2] == lines[-2][:6] * 20


def test_a_body_of_just_the_limit_is_not_cut() -> None:
    assert cut(b"a\nb\n", 4) == b"a\nb\n"
    assert cut(b"a\nb\nccccc\n", 9) == b"a\n(cut)\n"
    assert cut(b"x" * 20, 10) == b"(cut)\n"


def test_a_command_is_given_every_figure_as_a_variable() -> None:
    given = variables(NIGHT, at=AT, text="a sentence", folder="/out/spring")
    assert given["BATCHGEN_RUN"] == "spring"
    assert given["BATCHGEN_RUN_FOLDER"] == "/out/spring"
    assert (given["BATCHGEN_EXIT_CODE"], given["BATCHGEN_NET_USD"]) == ("4", "106.29")
    assert (given["BATCHGEN_SIMULATED"], given["BATCHGEN_STOPPED_BECAUSE"]) == ("false", "")
    assert set(given) == {
        f"BATCHGEN_{name.upper()}" for name in (*FIGURES, "event", "at", "text", "run_folder")
    } - {"BATCHGEN_FORMAT_VERSION"}  # fmt: skip


def test_no_variable_for_a_command_is_one_that_sets_something() -> None:
    """Else a run that the command starts would take the figures of this one for its settings."""
    others = {"BATCHGEN_OUTPUT", "BATCHGEN_BASE_URL", "BATCHGEN_CATALOG", "BATCHGEN_PROXY", "BATCHGEN_REGISTER"}
    assert not set(variables(NIGHT, at=AT, text="", folder="")) & ({setting.variable for setting in SETTINGS} | others)


@pytest.mark.parametrize("stop", Stop)
def test_the_reason_of_every_stop_is_told_in_words(stop: Stop) -> None:
    text = end_text("spring", NIGHT | {"exit_code": stop.exit_code, "stopped_because": stop.word})
    assert text.startswith("spring ")
    assert "_" not in text.split("(", maxsplit=1)[0]
