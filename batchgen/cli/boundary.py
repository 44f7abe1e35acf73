"""The one place where errors become messages and exit codes."""

import gc
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import click

from batchgen.cli.output import painted, presentation_of
from batchgen.cli.process import interrupt_on, interruptions, stopping_signals
from batchgen.cli.root import commands
from batchgen.core.credentials import without_keys
from batchgen.core.errors import (
    BUG,
    INTERRUPTED,
    BatchgenError,
    DeclinedError,
    DiskError,
    ManifestError,
    exit_code_of,
)
from batchgen.core.streams import Outlet
from batchgen.core.text import printable

FORMAT_VERSION = 1
"""Of the object that tells an error where JSON is asked for."""


def main() -> None:
    """Run the program and exit with its code."""
    sys.stdout = cast("Any", Outlet(sys.stdout, matters=True))
    sys.stderr = cast("Any", Outlet(sys.stderr, matters=False))
    # As Ctrl-C, so that whatever is under way is tidied up (a run handles all of them by itself).
    interrupt_on(*(number for number in stopping_signals() if signal.getsignal(number) is not signal.SIG_IGN))
    code = guarded(sys.argv[1:])
    gc.freeze()  # what the end of the process frees anyway is not searched for garbage before, several times
    sys.exit(code)


def guarded(arguments: list[str]) -> int:
    """Run one command line and return its exit code.

    Every error becomes one message on stderr, and where JSON is asked for also an object on stdout.
    """
    interruptions().clear()
    wanted = presentation_of(arguments, os.environ)
    try:
        code = commands.main(arguments, prog_name="batchgen", standalone_mode=False, color=wanted.color)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except BaseException as error:  # noqa: BLE001 - the outermost place
        failure = _failure_of(error)
        click.echo(painted(failure.shown), err=True, color=wanted.color)
        if wanted.as_json:
            _print_json(failure)
        return failure.exit_code
    return code if isinstance(code, int) else 0


@dataclass(frozen=True, slots=True)
class _Failure:
    """How a command ended that did not return."""

    exit_code: int
    message: str
    shown: str
    """The message for people, with its label and what belongs around it."""
    manifest: ManifestError | None = None


def _failure_of(error: BaseException) -> _Failure:
    """Return what an exception means. Raises it where it is none that ends a command."""
    if isinstance(error, (click.Abort, KeyboardInterrupt)) or (isinstance(error, Exception) and interruptions()):
        return _Failure(INTERRUPTED, "interrupted", "interrupted")
    if isinstance(error, click.ClickException):
        return _misused(error)
    if isinstance(error, BatchgenError) and exit_code_of(error) != BUG:
        return _expected(error)
    if isinstance(error, Exception):  # what nobody expected is a bug, and is said to be one
        message = f"this is a bug; details are {_bug_report(error)}"
        return _Failure(BUG, message, f"batchgen: {message}")
    raise error


def _expected(error: BatchgenError) -> _Failure:
    message = _safe(str(error))
    label = "" if isinstance(error, DeclinedError) else "error: "
    if not isinstance(error, ManifestError):
        return _Failure(exit_code_of(error), message, label + message)
    from batchgen.manifest import format_problems

    return _Failure(exit_code_of(error), message, f"{format_problems(error)}\n{label}{message}", error)


def _misused(error: click.ClickException) -> _Failure:
    """Return a command line that click does not understand, in the words and the form of all other errors."""
    context = getattr(error, "ctx", None)
    if isinstance(error, click.exceptions.NoArgsIsHelpError) or context is None:
        message = _safe(error.format_message(), keep_lines=True)
        label = "" if isinstance(error, click.exceptions.NoArgsIsHelpError) else "error: "
        return _Failure(2, message, label + message)
    if isinstance(error, click.NoSuchOption):
        near = " or ".join(sorted(error.possibilities or ()))
        message = _safe(f"there is no option {error.option_name}{f'; did you mean {near}?' if near else ''}")
    else:
        # As one sentence in the form of all other errors.
        text = " ".join(_safe(error.format_message()).split()).rstrip(".")
        text = text.replace(". Did you mean", "; did you mean").replace(". Choose from:", "; choose from")
        message = text[:1].lower() + text[1:]
    usage = " ".join(context.command.collect_usage_pieces(context))
    path = context.command_path
    return _Failure(2, message, f"error: {message}\nusage: {path} {usage}   (all options: {path} --help)")


def _safe(text: str, *, keep_lines: bool = False) -> str:
    lines = text.splitlines() if keep_lines else [text]
    return without_keys("\n".join(printable(line, 100_000) for line in lines))


def _print_json(failure: _Failure) -> None:
    """Print an error for programs, unless the command has begun to print: no second document follows a first one."""
    import json

    if isinstance(sys.stdout, Outlet) and sys.stdout.used:
        return
    problems = failure.manifest.problems if failure.manifest is not None else ()
    content = {
        "format_version": FORMAT_VERSION,
        "error": failure.message,
        "exit_code": failure.exit_code,
        "problems": [
            {"file": one.file, "line": one.line, "column": one.column, "message": one.message} for one in problems
        ],
        "more": failure.manifest.more if failure.manifest is not None else 0,
    }
    click.echo(json.dumps(content, indent=2))
    with suppress(DiskError):  # the error itself is told already
        sys.stdout.flush()


def _bug_report(error: Exception) -> str:
    """Write the traceback, without the values of variables, and return where it is, as the end of a sentence."""
    import traceback

    # Exceptions of libraries may contain any value they were given.
    report = without_keys("".join(traceback.format_exception(error)))
    try:
        return f"in {_written(report)}"
    except OSError:
        shown = "\n".join(printable(line) for line in report.splitlines())
        return f"below, because no log could be written:\n{shown}"


def _written(report: str) -> Path:
    import tempfile

    with tempfile.NamedTemporaryFile(
        "w", prefix="batchgen-bug-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
    ) as out:
        out.write(report)
    return Path(out.name)
