"""The embedded simulator: a process of its own, beside the run, that never outlives it."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batchgen.core.credentials import SIMULATED_KEY
from batchgen.core.errors import OutsideError, UsageError

STATE_NAME = "simulator.sqlite3"
"""The simulator's books, in the run folder: a run that is resumed finds its jobs again."""
_SPEED = "30"
_PATIENCE = 30.0
"""Seconds that the process gets to start."""


@contextmanager
def simulator(folder: Path, catalog: Path | None = None) -> Iterator[str]:
    """Run a simulator with its books in `folder` and the parameter tables in `catalog`, and give its base URL.

    It reads its standard input and ends when that closes, which the kernel sees to even when this process is killed; it
    has a session of its own, so that Ctrl-C is this process's alone to handle.
    """
    command = [sys.executable, "-m", "batchgen", "simulate", "--port", "0", "--speed", _SPEED, "--balance", "1000000"]
    command += ["--key", SIMULATED_KEY.reveal(), "--state", str(folder / STATE_NAME), "--until-stdin-closes", "--quiet"]
    environment = {name: value for name, value in os.environ.items() if name != "BATCHGEN_CATALOG"}
    if catalog is not None:
        command += ["--catalog", str(catalog)]
    process = subprocess.Popen(  # noqa: S603 - our own program, with arguments of our own
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    assert process.stdin and process.stdout and process.stderr  # noqa: S101 - for the type checker: all are pipes
    try:
        ready, _, _ = select.select([process.stdout], [], [], _PATIENCE)
        line = process.stdout.readline() if ready else ""
        url = line.strip()
        if not url.startswith("http://"):
            process.kill()
            message = process.stderr.read().strip().removeprefix("error: ")
            if process.wait() == 2:
                raise UsageError(message)
            raise OutsideError(f"the simulator did not start: {message or 'it gave no reason'}")
        yield url
    finally:
        process.stdin.close()
        process.stdout.close()
        process.stderr.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
