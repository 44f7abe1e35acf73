"""The command line's frame: help, names, and what may be loaded for it."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.running import ROOT, batchgen, environment, installed

from batchgen.cli.boundary import guarded
from batchgen.cli.helptext import HELP
from batchgen.cli.root import COMMANDS, commands


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_says_what_the_list_says(name: str) -> None:
    command = commands.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    assert (command.help or "").splitlines()[0] == COMMANDS[name]


def test_each_command_file_is_listed() -> None:
    files = {path.stem for path in (ROOT / "batchgen" / "cli").glob("*/*.py")} - {"__init__"}
    assert files == set(COMMANDS)


def test_the_help_that_is_kept_is_the_one_that_would_be_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert guarded(["--help"]) == 0
    assert capsys.readouterr().out == HELP
    assert installed("--help", cwd=tmp_path).stdout == installed("-h", cwd=tmp_path).stdout == HELP


def test_the_help_is_shown_without_loading_the_command_line() -> None:
    script = "import sys\nsys.argv[1:] = ['--help']\nfrom batchgen.__main__ import main\nmain()\nprint(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, timeout=60, check=True
    )
    assert result.stdout.startswith(HELP)
    assert not {"click", "inspect", "dataclasses", "decimal", "batchgen.cli.root"} & set(result.stdout.split())


def test_a_wrong_command_is_answered_with_the_near_one(tmp_path: Path) -> None:
    result = batchgen("verfy", cwd=tmp_path)
    assert result.returncode == 2
    assert "did you mean `verify`?" in result.stderr


QUICKSTART = str(ROOT / "manifests" / "quickstart.yaml")
HEAVY = ("aiohttp", "yaml", "jsonschema", "jsonschema_rs", "tqdm", "asyncio", "sqlite3", "PIL", "av", "uvloop")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        (["--help"], set()),
        (["--version"], set()),
        (["run", "--help"], set()),
        (["models"], set()),
        (["status", "nowhere"], {"yaml", "sqlite3"}),
        (["ledger", "nowhere"], {"sqlite3", "asyncio"}),
        (["plan", QUICKSTART], {"yaml", "sqlite3", "jsonschema", "jsonschema_rs", "asyncio"}),
        (["validate", QUICKSTART], {"yaml", "sqlite3", "jsonschema", "jsonschema_rs"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_start_up_imports_stay_light(arguments: list[str], allowed: set[str]) -> None:
    script = (
        "import sys\nfrom batchgen.cli.boundary import guarded\n"
        f"guarded({arguments!r})\nprint(*sys.modules, file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, timeout=60, check=True
    )
    imported = set(result.stderr.split())
    assert "batchgen" in imported
    assert not (imported & set(HEAVY)) - allowed
