"""How output looks: JSON or text, colours or none; the flags, the variables, the terminal."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from support.running import batchgen

from batchgen.cli.boundary import guarded
from batchgen.cli.output import Presentation, painted, presentation_of
from batchgen.cli.root import COMMANDS, commands


def all_commands() -> Iterator[tuple[str, click.Command]]:
    for name in COMMANDS:
        command = commands.get_command(None, name)  # type: ignore[arg-type]
        assert command is not None
        if isinstance(command, click.Group):
            yield from ((f"{name} {below}", found) for below, found in command.commands.items())
        else:
            yield name, command


def prints_json(command: click.Command) -> list[str] | None:
    """Return the words that make a command print JSON; None if it has none."""
    for option in command.params:
        if "--json" in option.opts:
            return ["--json"]
        if "--format" in option.opts and "json" in getattr(option.type, "choices", ()):
            return ["--format", "json"]
    return None


WITH_JSON = [(name, words) for name, command in all_commands() if (words := prints_json(command))]

# ---- what the command line asks for --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "as_json"),
    [("plan m.yaml --json", True), ("ledger --format json x", True), ("ledger --format=json x", True),
     ("ledger --format json --format csv x", False), ("plan m.yaml", False), ("plan -- --json", False)],
)  # fmt: skip
def test_json_is_wanted_where_it_is_asked_for(line: str, *, as_json: bool) -> None:
    assert presentation_of(line.split(), {}).as_json is as_json


@pytest.mark.parametrize(
    ("line", "environment", "color"),
    [("status x", {}, None), ("status x", {"NO_COLOR": ""}, None), ("status x", {"NO_COLOR": "0"}, False),
     ("status x", {"TERM": "dumb"}, False), ("status x", {"FORCE_COLOR": "1"}, True),
     ("status x", {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False), ("status x --color always", {"NO_COLOR": "1"}, True),
     ("status x --color=never", {"FORCE_COLOR": "1"}, False), ("status x --color auto", {}, None)],
)  # fmt: skip
def test_colours_follow_the_flag_then_the_variables(
    line: str, environment: dict[str, str], *, color: bool | None
) -> None:
    assert presentation_of(line.split(), environment) == Presentation(as_json=False, color=color)


@pytest.mark.parametrize("name", [name for name, _ in all_commands()])
def test_every_command_takes_color_and_refuses_another_word(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded([*name.split(), "--color", "sometimes"]) == 2
    assert "'sometimes' is not one of 'auto', 'always', 'never'" in capsys.readouterr().err


# ---- colours -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    ["error: no", "next: run it again", "  failed          12", "  in doubt   1", "m.yaml:3:5: a fault",
     "m.yaml:3:5: warning: odd", "    ^"],
)  # fmt: skip
def test_what_a_line_begins_with_is_painted(line: str) -> None:
    assert painted(line) != line
    assert click.unstyle(painted(line)) == line


@pytest.mark.parametrize("line", ["", "spring: 12 items", "  failedness is not a state", "the error: no"])
def test_other_lines_stay_as_they_are(line: str) -> None:
    assert painted(line) == line


def test_colours_go_to_terminals_and_where_they_are_forced(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")

    def err_of(*arguments: str) -> str:
        assert guarded(["status", "nowhere-at-all", *arguments]) == 2
        return capsys.readouterr().err

    assert "\x1b[" not in err_of()
    assert "\x1b[" in err_of("--color", "always")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert "\x1b[" in err_of()
    assert "\x1b[" not in err_of("--color", "never")


# ---- errors for programs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "words"), WITH_JSON, ids=lambda value: value if isinstance(value, str) else "")
def test_a_mistyped_option_is_json_on_stdout_and_a_sentence_on_stderr(
    name: str, words: list[str], tmp_path: Path
) -> None:
    ended = batchgen(*name.split(), *words, "--colr", "always", cwd=tmp_path, FORCE_COLOR="1", NO_COLOR="")
    assert ended.returncode == 2
    told = json.loads(ended.stdout)
    assert told == {"format_version": 1, "error": told["error"], "exit_code": 2, "problems": [], "more": 0}
    assert re.match(r"there is no option --colr; did you mean .*--color\b", told["error"])
    assert "\x1b[" in ended.stderr, "colours are forced, and JSON has none even so"
    error, usage = click.unstyle(ended.stderr).splitlines()
    assert error == f"error: {told['error']}"
    assert usage.startswith(f"usage: batchgen {name} ")


BUT_VALIDATE = [found for found in WITH_JSON if found[0] != "validate"]
"""`validate` prints a verdict for each manifest, also for an absent one."""


@pytest.mark.parametrize(("name", "words"), BUT_VALIDATE, ids=lambda value: value if isinstance(value, str) else "")
def test_an_absent_file_or_run_is_json_on_stdout(name: str, words: list[str], tmp_path: Path) -> None:
    needs = {"diff": 2, "models": 1, "export": 2, "lock": 1}
    check = ["--check"] if name == "lock" else []
    ended = batchgen(*name.split(), *(["absent.yaml"] * needs.get(name, 1)), *words, *check, cwd=tmp_path)
    assert ended.returncode == 2, ended.stderr
    told = json.loads(ended.stdout)
    assert (told["format_version"], told["exit_code"], told["problems"]) == (1, 2, [])
    assert f"error: {told['error']}\n" in ended.stderr


def test_the_problems_of_a_manifest_are_json_with_their_places(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("version: 1\nname: m\nitems:\n  - prompt: x\n    modl: y\n", encoding="utf-8")
    ended = batchgen("plan", "m.yaml", "--json", cwd=tmp_path)
    assert ended.returncode == 2
    told = json.loads(ended.stdout)
    assert told["problems"]
    for problem in told["problems"]:
        assert (problem["file"], problem["line"]) == ("m.yaml", 4) or problem["line"] == 5
        assert f"m.yaml:{problem['line']}:" in ended.stderr
    assert f"error: {told['error']}" in ended.stderr


def test_no_second_document_follows_a_first_one() -> None:
    script = (
        "import click\nfrom batchgen.cli import boundary\nfrom batchgen.core.errors import UsageError\n"
        "def command(as_json):\n    click.echo('{}')\n    raise UsageError('too late')\n"
        "boundary.commands = click.Command('x', callback=command, params=[click.Option(['--json', 'as_json'],"
        " is_flag=True)])\nboundary.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "--json"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "{}\n", "error: too late\n")


def test_a_command_line_without_words_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded([]) == 2
    assert capsys.readouterr().err.startswith("Usage: batchgen [OPTIONS] COMMAND")
