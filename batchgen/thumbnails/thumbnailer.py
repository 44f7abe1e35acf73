"""Makes thumbnails beside a program that has other things to do, one at a time, in another process."""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from batchgen.core.text import printable
from batchgen.media.thumbnail import NoThumbnailError, missing_extra
from batchgen.thumbnails.child import Child, CrashedError
from batchgen.thumbnails.place import is_there, thumbnail_path

log = logging.getLogger("batchgen")

_MOST_OFFERED, _MOST_WANTED = 10_000, 256
"""Files that wait at most: those offered, and those that somebody waits for."""
_MOST_LEFT_OUT = 10_000
"""Files that are remembered because no thumbnail can be made of them."""
_IDLE = 15.0
"""Seconds without work after which the process is ended: it holds some 60 MB."""
_CRASHES = 5
"""Crashes in a row after which no more thumbnails are made: it is not the files, then."""
_NO_PROCESS = "the process that makes thumbnails does not work"


@dataclass(slots=True, eq=False)
class _Job:
    source: Path
    target: Path
    sha256: str
    ended: "asyncio.Future[str | None]"
    """Its result: why there is no thumbnail; None: there is one."""
    begun: bool = False


class Thumbnailer:
    """Makes the thumbnails of a run folder. Belongs to one event loop; must be closed.

    What cannot be made is in the log. A file that kills the process is left out, and so is one that cannot be decoded.
    """

    def __init__(self, run_folder: Path, *, processes: int = 1) -> None:
        self._folder, self._processes = run_folder, processes
        self._jobs: dict[str, _Job] = {}
        """Those that have not ended, by the SHA-256 of their files."""
        self._offered: deque[_Job] = deque()
        self._wanted: deque[_Job] = deque()
        self._left_out: dict[str, str] = {}
        """Why no thumbnail was made of a file, by its SHA-256."""
        self._workers: set[asyncio.Task[None]] = set()
        self._children: set[Child] = set()
        """Those that may have a process."""
        self._more = asyncio.Event()
        self._hint = missing_extra("image")
        self._crashes = 0
        self._closing = False

    def offer(self, path: Path, sha256: str) -> None:
        """Have a thumbnail made of the file at `path` when there is time; nothing where there is one already.

        Where very many wait, it is not remembered: `make_thumbnails` makes what is missing.
        """
        target = thumbnail_path(self._folder, sha256)
        full = len(self._offered) >= _MOST_OFFERED
        if full or sha256 in self._jobs or self._refusal(sha256) is not None or is_there(target):
            return
        self._offered.append(self._add(path, target, sha256))

    async def make(self, path: Path, sha256: str) -> Path:
        """Return the thumbnail of the file at `path`, which is made if it is not there; the newest wish comes first.

        Raises NoThumbnailError where it cannot be made, or too many others wait.
        """
        target = thumbnail_path(self._folder, sha256)
        if is_there(target):
            return target
        if (refusal := self._refusal(sha256)) is not None:
            raise NoThumbnailError(refusal)
        job = self._jobs.get(sha256) or self._add(path, target, sha256)
        self._wanted.append(job)
        if len(self._wanted) > _MOST_WANTED:
            self._end(self._wanted.popleft(), "too many others are waited for")
        reason = await asyncio.shield(job.ended)
        if reason is not None:
            raise NoThumbnailError(reason)
        return target

    async def close(self, patience: float = 0.0) -> int:
        """Make what is still to be made for so many seconds at most, end the process, and return how many are left."""
        self._closing = True
        self._more.set()
        if self._workers:
            await asyncio.wait(self._workers, timeout=patience)
        left = len(self._jobs)
        for worker in list(self._workers):
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        for child in list(self._children):  # those whose worker was cut short
            await child.stop()
        for job in list(self._jobs.values()):
            self._end(job, "there was no time for it")
        return left

    def _refusal(self, sha256: str) -> str | None:
        """Return why no thumbnail is made of a file; None: it is worth a try."""
        if self._hint is not None:
            return f"not installed: {self._hint}"
        if self._crashes >= _CRASHES:
            return _NO_PROCESS
        return "no more thumbnails are made" if self._closing else self._left_out.get(sha256)

    def _add(self, path: Path, target: Path, sha256: str) -> _Job:
        job = _Job(path, target, sha256, asyncio.get_running_loop().create_future())
        self._jobs[sha256] = job
        self._more.set()
        if len(self._workers) < self._processes:
            self._start()
        return job

    def _start(self) -> None:
        worker = asyncio.create_task(self._work())
        self._workers.add(worker)
        worker.add_done_callback(self._ended)

    def _ended(self, worker: "asyncio.Task[None]") -> None:
        self._workers.discard(worker)
        if (self._wanted or self._offered) and not self._closing:
            self._start()  # something came while it was on its way out

    async def _work(self) -> None:
        child = Child()
        self._children.add(child)
        try:
            while (job := await self._next()) is not None:
                if not (job.begun or job.ended.done()):
                    await self._make(child, job)
        finally:
            await child.stop()
            self._children.discard(child)

    async def _next(self) -> _Job | None:
        """Return what is to be made next; None if nothing has come for a while."""
        while not (self._wanted or self._offered):
            if self._closing:
                return None
            self._more.clear()
            try:
                async with asyncio.timeout(_IDLE):
                    await self._more.wait()
            except TimeoutError:
                return None
        return self._wanted.pop() if self._wanted else self._offered.popleft()

    async def _make(self, child: Child, job: _Job) -> None:
        job.begun = True
        reason: str | None = "it was stopped"
        try:
            if self._crashes >= _CRASHES:
                raise NoThumbnailError(_NO_PROCESS)
            await child.make(job.source, job.target)
            self._crashes, reason = 0, None
        except (NoThumbnailError, OSError) as error:
            if isinstance(error, CrashedError | OSError):
                self._crashes += 1
            reason = self._leave_out(job, str(error))
        finally:
            self._end(job, reason)

    def _leave_out(self, job: _Job, reason: str) -> str:
        log.info("%s has no thumbnail: %s", printable(job.source.name), reason)
        if len(self._left_out) >= _MOST_LEFT_OUT:
            del self._left_out[next(iter(self._left_out))]
        self._left_out[job.sha256] = reason
        return reason

    def _end(self, job: _Job, reason: str | None) -> None:
        if not job.ended.done():
            job.ended.set_result(reason)
        self._jobs.pop(job.sha256, None)
