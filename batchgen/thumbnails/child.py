"""The process that makes thumbnails, from the side of those who want them. A file that kills it harms nobody else."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path

from batchgen.core.credentials import VARIABLE
from batchgen.media.thumbnail import NoThumbnailError

_CREDENTIALS = (VARIABLE, "AWS_", "AZURE_", "GOOGLE_")
"""Variables that begin so are not for a process that reads what others made."""
TIME_LIMIT = 60.0
"""Seconds that one file may take; what is decoded of it takes a few."""
_GRACE = 2.0
"""Seconds in which the process ends when its standard input does; after them it is killed."""


class CrashedError(NoThumbnailError):
    """The process ended, or had to be ended, over a file."""


class Child:
    """One process, which makes one thumbnail after the other. It is started when it is needed, also after a crash."""

    def __init__(self, time_limit: float = TIME_LIMIT) -> None:
        self._time_limit = time_limit
        self._start: asyncio.Task[Process] | None = None

    async def make(self, source: Path, target: Path) -> None:
        """Make the thumbnail of `source` at `target`.

        Raises NoThumbnailError where that cannot be done, CrashedError among them, and OSError where the process cannot
        be started.
        """
        request = json.dumps({"source": str(source), "target": str(target)}) + "\n"
        try:
            async with asyncio.timeout(self._time_limit):
                answer = await _answer(await self._running(), request.encode())
        except TimeoutError as error:
            await self.stop()
            raise CrashedError(f"it took longer than {self._time_limit:g} s") from error
        except BaseException:
            await self.stop()  # its next answer would be to this request
            raise
        if not answer:
            code = await self.stop()
            raise CrashedError(f"it ended the process that decodes (exit code {code})")
        reason = json.loads(answer)["error"]
        if reason is not None:
            raise NoThumbnailError(reason)

    async def _running(self) -> Process:
        if self._start is None:
            self._start = asyncio.create_task(_started())
        # A start that is cancelled half-way would leave a process that nobody knows.
        return await asyncio.shield(self._start)

    async def stop(self) -> int | None:
        """End the process, if there is one, and return its exit code; it may be started again.

        May be called once more where an earlier call was cancelled.
        """
        if self._start is None:
            return None
        try:
            process = await asyncio.shield(self._start)
        except OSError:
            self._start = None  # it could not be started, which `make` has told
            return None
        assert process.stdin and process.stdout  # noqa: S101 - for the type checker: both are pipes
        process.stdin.close()
        try:
            async with asyncio.timeout(_GRACE):
                await process.stdout.read()
        except TimeoutError:
            with suppress(ProcessLookupError):  # it has just ended by itself
                process.kill()
            await process.stdout.read()
        code = await process.wait()
        self._start = None
        return code


async def _started() -> Process:
    # Not the working directory first, where a `queue.py` may lie; the package itself may not be installed.
    paths = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_CREDENTIALS)}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        "batchgen.thumbnails",
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        env=environment,
        start_new_session=True,  # Ctrl-C is for the program, not for its helper
    )


async def _answer(process: Process, request: bytes) -> bytes:
    """Return the line that answers a request; empty if the process has ended."""
    assert process.stdin and process.stdout  # noqa: S101 - for the type checker: both are pipes
    try:
        process.stdin.write(request)
        await process.stdin.drain()
    except ConnectionError:
        return b""
    return await process.stdout.readline()
