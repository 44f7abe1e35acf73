"""The one place where errors become messages and exit codes (DESIGN, "Commands")."""

import sys
import tempfile
import traceback
from pathlib import Path

import click

from batchgen.cli import commands
from batchgen.errors import BatchgenError, ManifestError, OutsideError, RunFolderError, UsageError
from batchgen.text import printable

EXIT_CODES: tuple[tuple[type[BatchgenError], int], ...] = ((UsageError, 2), (OutsideError, 5), (RunFolderError, 6))
BUG = 70
INTERRUPTED = 130


def main() -> None:
    """Run the program and exit with its code."""
    sys.exit(guarded(sys.argv[1:]))


def guarded(arguments: list[str]) -> int:
    """Run one command line and return its exit code; every error becomes one message on stderr."""
    try:
        code = commands.main(arguments, prog_name="batchgen", standalone_mode=False)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.Abort:
        return INTERRUPTED
    except click.ClickException as error:
        error.show(sys.stderr)
        return 2
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of the output went away (`batchgen models | head`): nothing is wrong here.
        sys.stderr.close()
        return 0
    except BatchgenError as error:
        _show(error)
        return next(code for kind, code in EXIT_CODES if isinstance(error, kind))
    except Exception:  # noqa: BLE001 - the outermost place: what nobody expected is a bug, and is said to be one
        click.echo(f"batchgen: this is a bug; what is known of it is in {_bug_report()}", err=True)
        return BUG
    return code if isinstance(code, int) else 0


def _show(error: BatchgenError) -> None:
    if isinstance(error, ManifestError):
        from batchgen.manifest import format_problems

        click.echo(format_problems(error), err=True)
    click.echo(f"{click.style('error:', fg='red', bold=True)} {printable(str(error), 4000)}", err=True)


def _bug_report() -> Path:
    """Write the traceback, without the values of variables, and return where."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="batchgen-bug-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
    ) as out:
        out.write(traceback.format_exc())
    return Path(out.name)
