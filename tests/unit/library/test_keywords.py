"""The keywords of Python and the options of the command are the same."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import pytest

from batchgen.cli.manifests import plan
from batchgen.cli.runs import run
from batchgen.library.keywords import VARIABLES, PlanKeywords, RunKeywords, options_of

SHOWN_ONLY = {"as_json", "quiet", "with_items", "detailed_exitcode", "color"}
"""How the commands print."""


def option_names(command: click.Command) -> set[str]:
    names = {parameter.name for parameter in command.params if isinstance(parameter, click.Option)}
    return {"run" if name == "name" else str(name) for name in names} - SHOWN_ONLY


def test_run_takes_every_option_of_the_command() -> None:
    assert set(RunKeywords.__annotations__) == option_names(run.command) | {"key"}


def test_plan_takes_every_option_of_the_command() -> None:
    assert set(PlanKeywords.__annotations__) == option_names(plan.command)


@pytest.mark.parametrize("command", [run.command, plan.command])
def test_the_environment_stands_in_for_the_same_options(command: click.Command) -> None:
    named = {str(option.name): option.envvar for option in command.params if option.envvar is not None}
    assert named == {name: VARIABLES[name] for name in named}
    assert command is plan.command or set(named) == set(VARIABLES)


def test_keywords_are_what_the_command_would_be_given() -> None:
    options = options_of(
        {
            "run": "spring", "output": Path("out"), "only": "mug*", "again": ["a", "b"], "retry": ["failed", "lost"],
            "skip_bought": Path("x.csv"), "max_cost": Decimal("1.50"), "budget": "2", "concurrency": 4, "poll_min": 0.5,
        }
    )  # fmt: skip
    assert (options["name"], options["output"], options["only"]) == ("spring", "out", ("mug*",))
    assert (options["again"], options["retry"], options["skip_bought"]) == (("a", "b"), "failed,lost", (Path("x.csv"),))
    assert [options[name] for name in ("max_cost", "budget", "concurrency", "poll_min", "poll_max")] == [
        "1.50", "2", "4", "0.5", None,
    ]  # fmt: skip
    assert options_of({"retry": "failed"})["retry"] == "failed"
    assert options_of({"start_at": datetime(2026, 11, 26, 22, tzinfo=UTC)})["start_at"] == "2026-11-26T22:00:00+00:00"
    assert options_of({"until": "07:00"})["until"] == "07:00"


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"max_cost": 1.5}, "max_cost must be text or Decimal, not float: 1.5"),
        ({"budget": True}, "budget must be text or Decimal, not bool: True"),
        ({"yes": "no"}, "yes must be True or False, not str: 'no'"),
        ({"buy_again": 1}, "buy_again must be True or False, not int: 1"),
        ({"concurrency": False}, "concurrency must be a number, not bool: False"),
        ({"maxcost": "1"}, "there is no option 'maxcost'"),
    ],
)
def test_what_cannot_be_meant_is_a_type_error(keywords: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        options_of(keywords)


def test_a_plan_takes_no_option_of_buying() -> None:
    with pytest.raises(TypeError, match="there is no option 'yes'"):
        options_of({"yes": True}, planning=True)
