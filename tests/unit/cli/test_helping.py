"""The help of single commands: groups that hold every option, and examples that are command lines of batchgen."""

import shlex
from pathlib import Path

import click
import pytest
from support.running import batchgen

from batchgen.cli.helping import EXAMPLES, LEDGER_GROUPS, RUN_GROUPS
from batchgen.cli.root import COMMANDS, commands

WIDTH = 80
NAMES = [name for name in EXAMPLES if name.split()[0] in COMMANDS]


def command_named(name: str) -> click.Command:
    found: click.Command = commands
    for word in name.split():
        assert isinstance(found, click.Group)
        below = found.get_command(None, word)  # type: ignore[arg-type]
        assert below is not None
        found = below
    return found


@pytest.mark.parametrize("name", ["run", "plan", "collect", "ledger"])
def test_every_option_has_its_place(name: str) -> None:
    groups = LEDGER_GROUPS if name == "ledger" else RUN_GROUPS
    grouped = [option for _, names in groups for option in names]
    assert len(grouped) == len(set(grouped))
    options = {option.name for option in command_named(name).params if isinstance(option, click.Option)}
    assert options - set(grouped) == {"color"}


def test_no_group_names_an_option_that_is_gone() -> None:
    options = {option.name for name in ("run", "plan", "collect") for option in command_named(name).params}
    assert {option for _, names in RUN_GROUPS for option in names} <= options
    ledger = {option.name for option in command_named("ledger").params}
    assert {option for _, names in LEDGER_GROUPS for option in names} <= ledger


def test_every_command_has_examples() -> None:
    # That of `completion` are in its text, since they are lines of other programs.
    assert set(COMMANDS) - {name.split()[0] for name in EXAMPLES} == {"completion"}


@pytest.mark.parametrize(("name", "line"), [(name, line) for name in NAMES for line, _ in EXAMPLES[name]])
def test_an_example_is_a_command_line(name: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bill.csv").touch()
    words = shlex.split(line.split(" > ", maxsplit=1)[0])
    assert words[: 1 + len(name.split())] == ["batchgen", *name.split()]
    context = command_named(name).make_context(name, words[1 + len(name.split()) :])
    assert context.params


@pytest.mark.parametrize("name", NAMES)
def test_the_help_fits_its_width_and_ends_with_the_examples(name: str, tmp_path: Path) -> None:
    shown = batchgen(*name.split(), "--help", cwd=tmp_path, COLUMNS="80").stdout
    assert max(map(len, shown.splitlines())) <= WIDTH
    assert shown.rstrip().splitlines()[-1].strip().startswith(EXAMPLES[name][-1][0])
