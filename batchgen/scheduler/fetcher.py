"""Fetching: outputs in the order in which they expire, so many at a time, beside submission and polling."""

import asyncio
import heapq
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count

from batchgen.api import OutputError, OutputGone, OutputMissing, OutputRefused
from batchgen.core.errors import DescriptorsError
from batchgen.core.records import State
from batchgen.core.text import printable
from batchgen.download import OutputUnfamiliar, fetch, stem_of
from batchgen.journal import Attempt, Listing, PendingOutput
from batchgen.policy.absence import ALMOST, Absence
from batchgen.policy.retry import RETRY_AFTER_CAP, retry_delay
from batchgen.policy.stopping import Stop
from batchgen.scheduler.run_state import RunState, log
from batchgen.scheduler.superseded import make_way, retire_earlier

_TRIES = 10
"""Downloads of one output per invocation; what is left then stays paid for, and the next run tries again."""
_LONGEST_WAIT = 120.0
"""Seconds between two downloads of one output: all of them together outlast an outage of some minutes."""
_FOREVER = datetime(9999, 1, 1, tzinfo=UTC)


class _Fetch:
    """One output to be fetched."""

    __slots__ = ("absence", "attempt", "expires", "failures", "output", "outputs", "reclaimed", "seen")

    def __init__(
        self, attempt: Attempt, output: PendingOutput, outputs: int, expires: datetime, *, reclaimed: bool
    ) -> None:
        self.attempt = attempt
        self.output = output
        self.outputs = outputs
        self.expires = expires
        self.failures = 0
        self.reclaimed = reclaimed
        self.absence = ALMOST if reclaimed else Absence()
        """Failures that said that it is gone."""
        self.seen: str | None = None
        """SHA-256 of what arrived last, where its format is not known."""


def _host(job: _Fetch) -> str:
    # Not parsed: whatever the server made the address of, equal texts mean the same place.
    return job.output.url.split("/", 3)[2] if "//" in job.output.url else ""


class Fetcher:
    """Downloads, checks and keeps outputs."""

    def __init__(self, run_state: RunState) -> None:
        self._run_state = run_state
        self._waiting: list[tuple[datetime, int, _Fetch]] = []
        self._later: list[tuple[float, int, _Fetch]] = []
        self._order = count()
        self._receiving = 0
        self._settling = 0
        """Outputs whose bytes are all here, and which only wait for the disk."""
        self._held: dict[str, float] = {}
        """Until when (loop time) a host wants to be left alone: all downloads there, not only the one that it told."""
        self._lost: set[int] = set()
        self._moving = asyncio.Lock()
        """Two files that make way at the same time must not be given the same place."""
        self.given_up = 0
        """Outputs that could not be fetched in this invocation."""

    @property
    def idle(self) -> bool:
        """Whether no output is left to fetch."""
        return not (self._waiting or self._later or self._receiving or self._settling)

    def add(self, attempt: Attempt, listing: Listing, expires: datetime | None, *, reclaimed: bool = False) -> None:
        """The outputs of a job are ready: fetch those that are left.

        Of a `reclaimed` job, which counted as lost before, it is no news that an output is gone.
        """
        for output in listing.left:
            self._run_state.waiting_files += 1
            self._queue(_Fetch(attempt, output, listing.highest, expires or _FOREVER, reclaimed=reclaimed))

    def has_lost(self, attempt: Attempt) -> bool:
        """Whether an output of the attempt was found to be gone in this invocation."""
        return attempt.key in self._lost

    def start(self) -> float | None:
        """Start what may start now; return the loop time of the next retry."""
        run_state = self._run_state
        while self._later and self._later[0][0] <= run_state.now:
            self._queue(heapq.heappop(self._later)[2])
        shares = run_state.policy.shares
        downloads = min(run_state.policy.settings.downloads, shares.downloads)
        while self._waiting and self._receiving < downloads and self._settling < shares.settling:
            fetch_ = heapq.heappop(self._waiting)[2]
            held = self._held.get(_host(fetch_), 0.0)
            if run_state.now < held:
                heapq.heappush(self._later, (held, next(self._order), fetch_))
                continue
            self._receiving += 1
            run_state.spawn(self._fetch(fetch_))
        return self._later[0][0] if self._later else None

    def _queue(self, fetch_: _Fetch) -> None:
        heapq.heappush(self._waiting, (fetch_.expires, next(self._order), fetch_))

    async def _fetch(self, job: _Fetch) -> None:
        run_state = self._run_state
        settling = False

        def received() -> None:
            nonlocal settling
            settling = True
            self._receiving -= 1
            self._settling += 1
            run_state.wake.set()

        try:
            await self._keep(job, received)
        except OutputRefused:
            run_state.halt(Stop.KEY, "the API refuses the key for a download: check API18_KEY")
        except OutputError as error:
            await self._failed(job, error)
        finally:
            if settling:
                self._settling -= 1
            else:
                self._receiving -= 1

    async def _keep(self, job: _Fetch, received: Callable[[], None]) -> None:
        run_state, ports, work, item = self._run_state, self._run_state.ports, job.attempt.work, job.attempt.work.item

        async def aside(path: str) -> None:
            async with self._moving:
                await make_way(ports.store, path, ports.journal, ports.record)

        # What was edited while it was under way keeps out of its successor's way.
        outdated = not work.requested and await run_state.record(ports.journal.has_successor, work)
        path = f"{item.path}~{item.digest[:8]}" if outdated else item.path
        try:
            if job.attempt.number > 1:
                async with self._moving:
                    await retire_earlier(ports.store, job.attempt, ports.journal, ports.record)
            file = await fetch(
                ports.api, job.output.url, ports.store, stem_of(path, job.output.number, job.outputs),
                job.output.number, kind=run_state.policy.kinds.get(item.model), make_way=aside, offload=ports.offload,
                received=received, seen=job.seen,
            )  # fmt: skip
        except DescriptorsError as error:
            raise OutputError(str(error)) from error  # to be tried again, as what is late
        last = await run_state.record(ports.journal.record_file, job.attempt, file)
        if outdated:
            await aside(file.path)
        run_state.waiting_files -= 1
        if not file.familiar:
            log.warning(
                "%s: %s has an unknown format; it came twice the same and is kept unchanged", item.id, file.path
            )
        if last:
            run_state.moved(job.attempt.work, State.READY, State.DONE)
            log.debug("%s is done", item.id)

    async def _failed(self, job: _Fetch, error: OutputError) -> None:
        run_state, item = self._run_state, job.attempt.work.item
        job.failures += 1
        if error.retry_after is not None:
            until = run_state.now + min(error.retry_after, RETRY_AFTER_CAP)
            self._held[_host(job)] = max(until, self._held.get(_host(job), until))
        gone = isinstance(error, OutputGone) or (isinstance(error, OutputMissing) and run_state.expired(job.expires))
        if gone:
            job.absence = job.absence.again()
        if isinstance(error, OutputUnfamiliar):
            job.seen = error.sha256
        log.warning("%s: output %d: %s", item.id, job.output.number, printable(str(error)))
        if job.absence.certain:
            await self._lose(job, str(error))
        elif job.failures >= _TRIES:
            run_state.waiting_files -= 1
            self.given_up += 1
        else:
            # Half of the wait is certain: a file that is late needs time, not a lucky draw.
            draw = 0.5 + run_state.ports.random.random() / 2
            wait = retry_delay(job.failures, draw, error.retry_after, cap=_LONGEST_WAIT)
            job.absence = job.absence.wait(wait if gone else 0.0)
            heapq.heappush(self._later, (run_state.now + wait, next(self._order), job))

    async def _lose(self, job: _Fetch, reason: str) -> None:
        """One output is gone for good: the item is lost, once, whichever of its outputs says so first."""
        run_state = self._run_state
        run_state.waiting_files -= 1
        if job.attempt.key in self._lost:
            return
        self._lost.add(job.attempt.key)
        message = f"output {job.output.number}: {printable(reason)}"
        await run_state.record(run_state.ports.journal.lose, job.attempt, message, run_state.ports.utc_now())
        run_state.moved(job.attempt.work, State.READY, State.LOST)
        if not job.reclaimed:
            run_state.check_failures()
