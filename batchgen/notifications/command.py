"""The command that is run when a run has ended."""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from batchgen.core.credentials import VARIABLE

TIME_LIMIT = 600.0
"""Seconds that a command may take."""
_GRACE = 5.0
"""Seconds between asking a command to end and ending it."""
_TERMINATE, _KILL = 15, 9  # POSIX, kill(1): the numbers of SIGTERM and SIGKILL
_KEPT = 4000
"""Bytes of its output that are kept, from the end."""
ON_EXIT_VARIABLE = "BATCHGEN_ON_EXIT"
_NOT_HANDED_ON = (VARIABLE, ON_EXIT_VARIABLE)
"""The key; and the command itself, which would call itself if it started another run."""


@dataclass(frozen=True, slots=True)
class CommandEnd:
    """How a command ended."""

    output: str
    """The end of what it wrote to its output and its errors."""
    problem: str | None
    """What went wrong; None: nothing."""


def run_command(
    command: str,
    given: bytes,
    variables: Mapping[str, str],
    environment: Mapping[str, str],
    limit: float,
) -> CommandEnd:
    """Run a command line of the shell with `given` as its standard input, for at most `limit` seconds.

    It is the user's own line, from the command line or the environment, so a shell reads it as it would in a terminal:
    variables, pipes and quotes work. Figures reach it as variables, and are never pasted into its text. It has no
    terminal, and the signals of ours do not reach it. Raises OSError where it cannot be started.
    """
    handed_on = {name: value for name, value in environment.items() if name not in _NOT_HANDED_ON}
    # Files in place of pipes: a command that does not read its input, or whose children outlive it, holds nothing up.
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as output:
        stdin.write(given)
        stdin.seek(0)
        process = subprocess.Popen(  # noqa: S603 - to run it is what was asked for
            ["/bin/sh", "-c", command],
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**handed_on, **variables},
            start_new_session=True,
        )
        try:
            problem = _waited(process, limit)
        except BaseException:
            _end(process)
            raise
        size = output.seek(0, os.SEEK_END)
        output.seek(max(0, size - _KEPT))
        return CommandEnd(output.read().decode(errors="replace"), problem)


def _waited(process: subprocess.Popen[bytes], limit: float) -> str | None:
    """Wait for a command, and return what went wrong, if anything did."""
    try:
        code = process.wait(limit)
    except subprocess.TimeoutExpired:
        _end(process)
        return f"it was ended: it took longer than {limit:g} s"
    if code:
        return f"it ended by signal {-code}" if code < 0 else f"it ended with exit code {code}"
    return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command and what it has started: first it is asked to, then it is made to."""
    if process.poll() is None:  # not waited for yet, so the number is still its own
        with suppress(ProcessLookupError):
            os.killpg(process.pid, _TERMINATE)
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, _KILL)
        process.wait()
