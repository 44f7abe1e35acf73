"""What to do next: one step for each state of things, with the command that does it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from batchgen.core.records import State
from batchgen.policy.stopping import Stop
from batchgen.standing.next_steps import Situation, Step, format_steps, next_steps, steps_json

RUN = "batchgen run m.yaml"
LEFT = {State.DONE: 2, State.PENDING: 3}


def situation(**more: Any) -> Situation:
    return Situation(folder=Path("/out/my run"), command=RUN, **more)


def commands(**more: Any) -> list[str]:
    return [step.command for step in next_steps(situation(**more))]


def test_commands_that_ask_the_api_reach_it() -> None:
    reach = "--proxy http://proxy.example:3128"
    assert commands(reach=reach, missing=1) == [f"batchgen verify '/out/my run' --refetch {reach}"]
    slow = {"counts": {State.PROCESSING: 1}, "stopped_because": "drain"}
    assert commands(reach=reach, **slow) == [f"batchgen collect '/out/my run' {reach}"]


def test_nothing_is_left_of_a_finished_run() -> None:
    assert next_steps(situation(counts={State.DONE: 5})) == ()
    assert format_steps(()) == []


@pytest.mark.parametrize(
    ("more", "command"),
    [
        ({"counts": {State.IN_DOUBT: 1}}, "batchgen resolve '/out/my run' --export doubts.csv"),
        ({"counts": LEFT, "stopped_because": "max_cost"}, f"{RUN} --max-cost USD"),
        ({"counts": LEFT, "stopped_because": "balance"}, RUN),
        ({"counts": LEFT, "killed": True}, RUN),
        ({"counts": LEFT}, RUN),
        ({"counts": {State.PROCESSING: 1}, "stopped_because": "interrupted"}, RUN),
        ({"counts": {State.PROCESSING: 1}, "stopped_because": "drain"}, "batchgen collect '/out/my run'"),
        ({"counts": LEFT, "waiting": 3, "stopped_because": "waiting_for_pick"}, "batchgen view '/out/my run'"),
        ({"counts": LEFT, "waiting": 3, "running": True}, "batchgen view '/out/my run'"),
        ({"counts": LEFT, "source_expired": 3}, f"{RUN} --retry source --yes"),
        ({"missing": 1}, "batchgen verify '/out/my run' --refetch"),
        ({"fewer": 1}, "batchgen verify '/out/my run' --refetch"),
        ({"unjudged": 1}, "batchgen check '/out/my run'"),
        ({"failures": 1}, ""),
    ],
    ids=str,
)
def test_one_command_for_each_state_of_things(more: dict[str, Any], command: str) -> None:
    assert commands(**more) == [command]


@pytest.mark.parametrize("word", sorted({stop.word for stop in Stop}))
def test_each_reason_to_stop_leads_on(word: str) -> None:
    (step,) = next_steps(situation(counts=LEFT, stopped_because=word))
    assert step.command.startswith("batchgen ")
    assert not step.text.endswith((".", ":"))
    assert next_steps(situation(counts={State.DONE: 5}, stopped_because=word)) == (), "it had nothing left to do"


def test_doubts_come_first_and_all_that_applies_is_told() -> None:
    counts = LEFT | {State.IN_DOUBT: 2}
    now = {"counts": counts, "stopped_because": "budget", "waiting": 1, "missing": 1, "fewer": 1, "unjudged": 1}
    assert [command.split()[1] for command in commands(**now)] == [
        "resolve", "run", "view", "verify", "verify", "check",
    ]  # fmt: skip


def test_while_it_runs_it_waits_for_picks_alone() -> None:
    counts = LEFT | {State.IN_DOUBT: 2}
    assert commands(counts=counts, running=True, unjudged=3) == []


def test_failures_of_items_that_the_manifest_still_has_are_told_elsewhere() -> None:
    assert commands(counts={State.FAILED: 1}, failures=1) == []


def test_for_people_a_command_has_a_line_of_its_own() -> None:
    steps = [Step("look at this", "batchgen status x"), Step("Mind the gap")]
    assert format_steps(steps) == ["next: look at this:", "  batchgen status x", "next: Mind the gap"]
    assert steps_json(steps) == [
        {"text": "look at this", "command": "batchgen status x"},
        {"text": "Mind the gap", "command": None},
    ]


def test_it_says_until_when_a_pick_is_of_use() -> None:
    (step,) = next_steps(
        situation(counts=LEFT, waiting=3, kept_until=datetime(2026, 1, 31, 20, tzinfo=UTC), running=True)
    )
    assert "until 2026-01-31T20:00:00Z" in step.text
