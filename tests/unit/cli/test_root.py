"""The command line's frame: help, names, and what may be loaded for it."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.bought import MODEL, Buyer, item, journal_of
from support.running import KEY, ROOT, batchgen, environment, installed

from batchgen.cli.boundary import guarded
from batchgen.cli.helptext import HELP
from batchgen.cli.root import COMMANDS, commands
from batchgen.core.credentials import ApiKey


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


OF_FEW_RUNS = {
    "batchgen.ledger.charges",
    "batchgen.lease",
    "batchgen.lock",
    "batchgen.notifications.delivery",
    "batchgen.session.checks.bought",
    "batchgen.session.shards.holding",
    "batchgen.session.sharing.taking_part",
    "batchgen.shared_limits.books",
    "batchgen.simulator",
    "zoneinfo",
}
"""What a run needs for what it is asked for only: a shard, a lock, a shared limit, a notification, another ledger."""
OF_THOSE_THAT_DO_SOMETHING = {
    "PIL", "aiohttp", "av", "batchgen.page", "batchgen.report.writer", "batchgen.thumbnails.thumbnailer", "http.client",
    "jinja2",
}  # fmt: skip
"""What sends requests, fetches files and shows them."""


@pytest.mark.thorough
def test_a_run_loads_what_it_needs(tmp_path: Path) -> None:
    manifest = tmp_path / "spring.yaml"
    manifest.write_text(
        f"version: 1\nname: spring\nitems:\n  - id: mug\n    model: {MODEL}\n    prompt: A mug\n", encoding="utf-8"
    )
    folder = tmp_path / "output" / "spring"
    with journal_of(folder, [item("mug")]) as journal:
        journal.note(account=ApiKey(KEY).fingerprint)
        Buyer(journal).done("mug")
    (folder / "files").mkdir()
    (folder / "files" / "mug.png").write_bytes(bytes(101))
    first = _loaded_by_run(manifest)
    assert "batchgen.report.writer" in first
    assert not first & (OF_FEW_RUNS | {"aiohttp", "http.client"})
    assert not _loaded_by_run(manifest) & (OF_FEW_RUNS | OF_THOSE_THAT_DO_SOMETHING)
    buying = _loaded_by_run(manifest, "--simulate", "--report", "none")
    assert {"aiohttp", "batchgen.client.http"} <= buying
    assert not buying & (OF_FEW_RUNS | {"batchgen.page", "batchgen.thumbnails.thumbnailer", "jinja2"})


def _loaded_by_run(manifest: Path, *options: str) -> set[str]:
    """The modules that a process has loaded by the end of a run that has finished everything."""
    script = (
        "import sys\nfrom batchgen.cli.boundary import guarded\n"
        f"code = guarded({['run', str(manifest), '--yes', '--json', *options]!r})\n"
        "print(*sys.modules, file=sys.stderr)\nsys.exit(code)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment(API18_KEY=KEY), cwd=manifest.parent, capture_output=True,
        text=True, timeout=60, check=True,
    )  # fmt: skip
    return set(result.stderr.split())
