"""The one place where errors become messages and exit codes."""

import io
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any, cast

import click

from batchgen.cli.process import interrupt_on, stopping_signals
from batchgen.cli.root import commands
from batchgen.core.errors import BatchgenError, ManifestError, OutsideError, RunFolderError, UsageError
from batchgen.core.streams import Outlet
from batchgen.core.text import printable

EXIT_CODES: tuple[tuple[type[BatchgenError], int], ...] = ((UsageError, 2), (OutsideError, 5), (RunFolderError, 6))
BUG = 70
INTERRUPTED = 130
_KEYS = re.compile(r"api18_\w+")


def main() -> None:
    """Run the program and exit with its code."""
    sys.stdout = cast("Any", Outlet(sys.stdout, matters=True))
    sys.stderr = cast("Any", Outlet(sys.stderr, matters=False))
    # As Ctrl-C, so that whatever is under way is tidied up (a run handles all of them by itself).
    interrupt_on(*(number for number in stopping_signals() if number is not signal.SIGINT))
    sys.exit(guarded(sys.argv[1:]))


def guarded(arguments: list[str]) -> int:
    """Run one command line and return its exit code; every error becomes one message on stderr."""
    try:
        code = commands.main(arguments, prog_name="batchgen", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        click.echo(_without_keys(shown.getvalue()), err=True, nl=False)
        return 2
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BatchgenError as error:
        _show(error)
        return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), BUG)
    except Exception:  # noqa: BLE001 - the outermost place: what nobody expected is a bug, and is said to be one
        click.echo(f"batchgen: this is a bug; details are {_bug_report()}", err=True)
        return BUG
    return code if isinstance(code, int) else 0


def _show(error: BatchgenError) -> None:
    if isinstance(error, ManifestError):
        from batchgen.manifest import format_problems

        click.echo(format_problems(error), err=True)
    # https://no-color.org: a NO_COLOR that is set and not empty means none; else click leaves colours to terminals.
    colour = False if os.environ.get("NO_COLOR") else None
    label = click.style("error:", fg="red", bold=True)
    click.echo(f"{label} {_without_keys(printable(str(error), 100_000))}", err=True, color=colour)


def _without_keys(text: str) -> str:
    """Return `text` without anything that looks like a key: it may have been given in the wrong place."""
    return _KEYS.sub("api18_***", text)


def _bug_report() -> str:
    """Write the traceback, without the values of variables, and return where it is, as the end of a sentence."""
    import traceback

    # Exceptions of libraries may contain any value they were given.
    report = _without_keys(traceback.format_exc())
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
