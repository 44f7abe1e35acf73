"""The boundary: every error becomes one message and one exit code."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest
from support.running import handlers_put_back

from batchgen.cli import boundary
from batchgen.cli.boundary import guarded
from batchgen.cli.process import interrupt_on
from batchgen.core.errors import (
    BUG,
    BatchgenError,
    ConsentNeeded,
    DeclinedError,
    DescriptorsError,
    DiskError,
    ManifestError,
    OutsideError,
    Problem,
    RunFolderError,
    StoreError,
    UsageError,
)
from batchgen.journal.database import JournalLockedError
from batchgen.lease import LeaseLostError

CODES: dict[type[BatchgenError], int] = {
    UsageError: 2,
    ManifestError: 2,
    ConsentNeeded: 2,
    DeclinedError: 2,
    OutsideError: 5,
    DiskError: 5,
    StoreError: 5,
    DescriptorsError: 5,
    JournalLockedError: 5,
    RunFolderError: 6,
    LeaseLostError: 6,
}


def tree(kind: type[BatchgenError]) -> Iterator[type[BatchgenError]]:
    for below in kind.__subclasses__():
        yield below
        yield from tree(below)


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Callable[[], object]], int]:
    """Gives the exit code of a command that does this; logs of bugs go to the test's own folder."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def end(what: Callable[[], object]) -> int:
        monkeypatch.setattr(boundary, "commands", click.Command("batchgen", callback=what))
        return guarded([])

    return end


def raising(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        raise error

    return command


def an_error(kind: type[BatchgenError], text: str) -> BatchgenError:
    return ManifestError([Problem("m.yaml", 3, 5, text, "  prompt:")]) if kind is ManifestError else kind(text)


Ending = Callable[[Callable[[], object]], int]

# ---- the error tree ------------------------------------------------------------------------------------------------


def test_every_class_of_the_tree_is_known_here() -> None:
    assert set(tree(BatchgenError)) == set(CODES)


@pytest.mark.parametrize("kind", CODES, ids=lambda kind: kind.__name__)
def test_an_expected_error_is_one_message_and_its_code(
    ending: Ending, capsys: pytest.CaptureFixture[str], kind: type[BatchgenError]
) -> None:
    assert ending(raising(an_error(kind, "the text; do this next"))) == CODES[kind]
    out, err = capsys.readouterr()
    assert out == ""
    assert "the text; do this next" in err
    assert err.count("error:") == (kind is not DeclinedError), "a question that was answered with no is no error"
    assert "Traceback" not in err


def test_every_problem_of_a_manifest_is_shown_at_its_place(ending: Ending, capsys: pytest.CaptureFixture[str]) -> None:
    problems = [Problem("m.yaml", line, 5, f"fault {line}", "  prompt: x") for line in (3, 8)]
    assert ending(raising(ManifestError(problems, more=40))) == 2
    err = capsys.readouterr().err
    assert "m.yaml:3:5: fault 3" in err
    assert "m.yaml:8:5: fault 8" in err
    assert "error: 42 problems in the manifest" in err


def test_hostile_text_in_a_message_commands_no_terminal(ending: Ending, capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(raising(OutsideError("says \x1b[2J\nerror: all is lost\u202e " + "x" * 200_000))) == 5
    err = capsys.readouterr().err
    assert err.startswith("error: says  [2J error: all is lost  xxx")
    assert len(err.splitlines()) == 1
    assert len(err) < 100_100


@pytest.mark.parametrize(("no_color", "coloured"), [("1", False), ("", True), (None, True)])
def test_no_color_is_honoured_on_a_terminal(
    ending: Ending,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    no_color: str | None,
    coloured: bool,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    ending(raising(UsageError("no")))
    assert ("\x1b[" in capsys.readouterr().err) is coloured


# ---- bugs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [ValueError("odd"), AssertionError(), KeyError("x"), MemoryError(), RecursionError(), OSError(5, "odd"),
     ExceptionGroup("two", [ValueError("odd")]), BatchgenError("nobody raises the root itself")],
    ids=repr,
)  # fmt: skip
def test_anything_else_is_a_bug(ending: Ending, error: Exception) -> None:
    assert ending(raising(error)) == BUG == 70


def test_a_bug_names_its_log_which_holds_the_traceback_and_no_values(
    ending: Ending, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def command() -> None:
        secret = "api18_" + "s" * 16
        raise RuntimeError(f"after {len(secret)} characters \ud800")

    assert ending(command) == 70
    err = capsys.readouterr().err
    found = re.fullmatch(r"batchgen: this is a bug; details are in (.+\.log)\n", err)
    assert found
    log = Path(found[1])
    assert log.parent == tmp_path
    text = log.read_text(encoding="utf-8")
    assert "RuntimeError: after 22 characters \\ud800" in text
    assert "in command" in text
    assert "ssss" not in text
    assert log.stat().st_mode & 0o077 == 0, "for its owner's eyes"


def test_a_bug_whose_log_cannot_be_written_is_told_at_once(
    ending: Ending, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    assert ending(raising(ValueError("odd \x1b[2J"))) == 70
    err = capsys.readouterr().err
    assert "no log could be written" in err
    assert "ValueError: odd  [2J" in err


# ---- other ends ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("result", "code"), [(None, 0), (0, 0), (4, 4), ("x", 0)])
def test_what_a_command_returns_is_the_exit_code(ending: Ending, result: object, code: int) -> None:
    assert ending(lambda: result) == code


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_an_interruption_is_130(ending: Ending, error: BaseException) -> None:
    assert ending(raising(error)) == 130


@pytest.mark.parametrize("swallowed", [False, True])
def test_an_interruption_in_a_function_that_a_database_calls_is_one_too(
    ending: Ending, capsys: pytest.CaptureFixture[str], *, swallowed: bool
) -> None:
    """SQLite turns whatever such a function raises into an error of its own."""

    def command() -> None:
        with closing(sqlite3.connect(":memory:")) as db:
            db.create_function("interrupted", 0, lambda: os.kill(os.getpid(), signal.SIGTERM))
            try:
                db.execute("SELECT interrupted()").fetchall()
            except sqlite3.OperationalError as error:
                if swallowed:
                    raise RunFolderError("the journal cannot be read") from error
                raise

    with handlers_put_back():
        interrupt_on(signal.SIGTERM)
        assert ending(command) == 130
        assert ending(raising(RunFolderError("the journal cannot be read"))) == 6, "the next command is another one"
    assert capsys.readouterr().err.splitlines()[0] == "interrupted"


def test_clicks_own_complaints_are_usage_errors(ending: Ending, capsys: pytest.CaptureFixture[str]) -> None:
    assert ending(raising(click.UsageError("no such thing"))) == 2
    assert "no such thing" in capsys.readouterr().err
    assert ending(raising(click.FileError("x", "no"))) == 2


def test_an_exit_keeps_its_code(ending: Ending) -> None:
    assert ending(raising(click.exceptions.Exit(10))) == 10


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["rum"], "did you mean `run`?"),
        (["xyzzy"], "the commands are:"),
        (["run"], "error: missing argument 'MANIFEST'\n"),
        (["completion"], "error: missing argument 'SHELL'; choose from bash, zsh, fish\n"),
    ],
)
def test_a_mistyped_command_line_is_a_usage_error_with_a_hint(
    capsys: pytest.CaptureFixture[str], arguments: list[str], hint: str
) -> None:
    assert guarded(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert hint in err


# ---- the output goes away ------------------------------------------------------------------------------------------

_COMMAND = """
import sys
import click
from batchgen.cli import boundary

def command():
    for _ in range(10_000):
        click.echo("a line of output")
    sys.stdout.write("what no echo flushes")
    return 3

boundary.commands = click.Command("batchgen", callback=command)
boundary.main()
"""


def ended(stdout: int, unbuffered: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND], stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_away_is_no_error_and_takes_no_exit_code_away(unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert ended(writer, unbuffered) == (3, "")
    finally:
        os.close(writer)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_an_output_that_is_full_is_told(unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        assert ended(full.fileno(), unbuffered) == (5, "error: cannot write the output: No space left on device\n")
