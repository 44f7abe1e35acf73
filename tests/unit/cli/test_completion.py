"""Shell completion, by the shells themselves."""

import os
import pty
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.running import COMMAND, environment

PATIENCE = 30.0
FOUND = {shell: shutil.which(shell) for shell in ("bash", "zsh", "fish")}
SET_UP = {
    "bash": ([], 'eval "$(batchgen completion bash)"'),
    "zsh": (["-f"], 'autoload -U compinit; compinit -u -D; eval "$(batchgen completion zsh)"'),
}


def needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(FOUND[shell] is None, reason=f"{shell} is not installed")


def with_the_command(**more: str) -> dict[str, str]:
    kept = environment(**more)
    return kept | {"PATH": f"{Path(COMMAND).parent}:{kept['PATH']}"}


def completed(words: str, cwd: Path) -> list[str]:
    """Return what the last of these words may become: (kind, text) as the shells' functions read it."""
    given = words.split(" ")
    variables = {"_BATCHGEN_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(given) - 1)}
    done = subprocess.run(
        [COMMAND], cwd=cwd, env=environment(**variables), capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for run in ("spring", "spring.simulated", "summer"):
        (tmp_path / "output" / run).mkdir(parents=True)
        (tmp_path / "output" / run / "journal.sqlite3").touch()
    (tmp_path / "output" / "sprout").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("batchgen st", ["plain,status"]),
        ("batchgen status sp", ["plain,spring", "plain,spring.simulated"]),
        ("batchgen status nothing", ["file,nothing"]),
        ("batchgen ledger spring su", ["plain,summer"]),
        ("batchgen run m", ["file,m"]),
        ("batchgen run --max-c", ["plain,--max-cost"]),
        ("batchgen run --renamed ", ["plain,adopt", "plain,buy"]),
        ("batchgen run --color n", ["plain,never"]),
        ("batchgen models hera-1.0-text", ["plain,hera-1.0-text-to-image"]),
        ("batchgen catalog i", ["plain,import"]),
        ("batchgen completion z", ["plain,zsh"]),
    ],
)
def test_words_are_completed(project: Path, words: str, found: list[str]) -> None:
    assert completed(words, project) == found


def test_the_names_of_commands_are_completed_without_loading_any() -> None:
    script = (
        "import sys, batchgen.cli.boundary as boundary\n"
        "try:\n    boundary.guarded([])\nexcept SystemExit:\n    print(*sys.modules, file=sys.stderr)\n"
    )
    variables = {"_BATCHGEN_COMPLETE": "bash_complete", "COMP_WORDS": "batchgen ", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(**variables), capture_output=True, text=True, timeout=60,
        check=True,
    )  # fmt: skip
    assert "plain,verify" in done.stdout.split()
    loaded = set(done.stderr.split())
    assert "batchgen.cli.root" in loaded
    assert not {"yaml", "sqlite3", "asyncio", "jsonschema", "aiohttp", "batchgen.catalog"} & loaded
    assert not [name for name in loaded if name.startswith(("batchgen.cli.runs.", "batchgen.cli.manifests."))]


@contextmanager
def terminal(command: list[str], cwd: Path) -> Iterator[int]:
    """Start a program on a terminal of its own, and give that terminal."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        command, cwd=cwd, env=with_the_command(TERM="dumb", HOME=str(cwd)), stdin=its, stdout=its, stderr=its,
        start_new_session=True,
    )  # fmt: skip
    os.close(its)
    try:
        yield ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_until(terminal: int, wanted: str) -> str:
    text = ""
    while wanted not in text:
        ready, _, _ = select.select([terminal], [], [], PATIENCE)
        assert ready, f"{wanted!r} does not come: {text}"
        text += os.read(terminal, 65536).decode(errors="replace")
    return text


@pytest.mark.parametrize("shell", [pytest.param(shell, marks=needs(shell)) for shell in SET_UP])
def test_a_person_types_a_tab(shell: str, tmp_path: Path) -> None:
    options, set_up = SET_UP[shell]
    start = [FOUND[shell] or "", *(["--norc", "--noprofile"] if shell == "bash" else options), "-i"]
    with terminal(start, tmp_path) as typed:
        os.write(typed, f"{set_up}; echo rea''dy\n".encode())
        read_until(typed, "\nready" if shell == "zsh" else "ready\r\n")
        # `completion` is put in by the tab; what the command prints proves that it was.
        os.write(typed, b"batchgen comp\tfish\n")
        assert "function _batchgen_completion" in read_until(typed, "function _batchgen_completion")


@needs("fish")
def test_fish_completes(tmp_path: Path) -> None:
    script = 'batchgen completion fish | source; complete -C "batchgen stat"'
    done = subprocess.run(
        [FOUND["fish"] or "", "--no-config", "-c", script],
        cwd=tmp_path, env=with_the_command(HOME=str(tmp_path)), capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.split("\t")[0].strip() == "status", done.stderr
