"""Workers on this machine, beside the coordinator: a Dask cluster in a process of its own, which starts the others.

The coordinator's own process starts none of them by way of `multiprocessing`, which would run the user's program once
more in each; nor does it share an interpreter with the scheduler. Whoever is not given the certificate that is made for
each run cannot connect: another user of the machine could have the workers run anything.
"""

import asyncio
import json
import os
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from batchgen.core.errors import OutsideError
from batchgen.core.files import disk_errors
from batchgen.core.text import printable

CLOSE = b"close\n"
"""What the process is told in order to end in order; when its standard input ends without it, it just ends."""
_STARTING = 60.0
"""Seconds in which the first worker must be there."""
_CLOSING = 15.0
"""Seconds in which the processes must have ended in order; then they are killed."""
_LOG = "dask.log"


class LocalProcesses:
    """The processes of `local:N`. `is_lost` is called in the event loop where they end by themselves."""

    def __init__(self, workers: int, scratch: Path, is_lost: Callable[[str], None]) -> None:
        self._workers, self._scratch, self._is_lost = workers, scratch, is_lost
        self._folder: Path | None = None
        self._process: Process | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self, environment: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
        """Start them, and return the scheduler's address and what its client needs to be let in.

        Raises OutsideError; then, and when cancelled, none is left. More than one may be on their way yet.
        """
        with disk_errors(self._scratch):
            self._scratch.mkdir(parents=True, exist_ok=True)
            self._folder = Path(tempfile.mkdtemp(prefix="dask-", dir=self._scratch))
        starting = asyncio.ensure_future(_started(self._workers, self._folder, environment))
        try:
            # A start that is cancelled half-way would leave a process that nobody knows.
            self._process = await asyncio.shield(starting)
            said = await _first_line(self._process)
        except TimeoutError as error:
            await self.close(at_once=True)
            raise OutsideError(f"local:{self._workers} did not start within {_STARTING:g} s") from error
        except OSError as error:
            await self.close()
            raise OutsideError(f"local:{self._workers} cannot be started: {error}") from error
        except asyncio.CancelledError:
            self._process = await starting
            await self.close(at_once=True)
            raise
        if "address" not in said:
            reason = _last_line(self._folder)
            await self.close(at_once=True)
            raise OutsideError(f"local:{self._workers} did not start: {reason}")
        self._watching = asyncio.ensure_future(self._watch(self._process))
        return said["address"], said["security"]

    async def close(self, *, at_once: bool = False) -> None:
        """End them, and remove their folder. May be called again, also after a call that was cancelled."""
        if self._watching is not None:
            self._watching.cancel()
        if (process := self._process) is not None:
            await _end(process, 0 if at_once else _CLOSING)
            self._process = None
        if self._folder is not None:
            await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)
            self._folder = None

    async def _watch(self, process: Process) -> None:
        code = await process.wait()
        self._is_lost(f"the processes of local:{self._workers} have ended (exit code {code})")


async def _started(workers: int, folder: Path, environment: Mapping[str, str]) -> Process:
    # Not the working directory first, where a `queue.py` may lie; the package itself may not be installed.
    inherited = {**os.environ, **environment}
    paths = [str(Path(__file__).parents[4]), inherited.get("PYTHONPATH", "")]
    with (folder / _LOG).open("wb") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "batchgen.engine.cluster.local",
            str(workers),
            str(folder),
            stdin=PIPE,
            stdout=PIPE,
            stderr=log,
            env=inherited | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
            start_new_session=True,  # Ctrl-C is for the coordinator, which ends the workers in order
        )


async def _first_line(process: Process) -> dict[str, Any]:
    """Return what the process says once there is a worker; nothing if it has ended. Raises TimeoutError."""
    assert process.stdout  # noqa: S101 - for the type checker: it is a pipe
    async with asyncio.timeout(_STARTING):
        said: dict[str, Any] = json.loads(await process.stdout.readline() or "{}")
    return said


async def _end(process: Process, patience: float) -> None:
    assert process.stdin and process.stdout  # noqa: S101 - for the type checker: both are pipes
    with suppress(ConnectionError):  # it has ended
        process.stdin.write(CLOSE)
        await process.stdin.drain()
    process.stdin.close()
    try:
        async with asyncio.timeout(patience):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):  # it has just ended by itself
            process.kill()  # its children end when it does
        await process.wait()


def _last_line(folder: Path) -> str:
    text = (folder / _LOG).read_text(encoding="utf-8", errors="replace").strip()
    return printable(text.splitlines()[-1], 300) if text else "they gave no reason"
