"""Fetching: outputs in the order in which they expire, a limited number at a time."""

import asyncio
import heapq
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count

from batchgen.api import OutputError, OutputGone, OutputMissing, OutputRefused
from batchgen.core.errors import DescriptorsError, StoreError
from batchgen.core.records import State
from batchgen.core.text import printable
from batchgen.download import Memory, OutputUnfamiliar, fetch, stem_of
from batchgen.journal import Attempt, Listing, PendingOutput
from batchgen.journal.delivered import Verdict
from batchgen.policy.absence import ALMOST, Absence
from batchgen.policy.retry import RETRY_AFTER_CAP, retry_delay
from batchgen.policy.stopping import Stop
from batchgen.scheduler.judging.judge import Judge
from batchgen.scheduler.judging.judgement import first_findings
from batchgen.scheduler.run_state import RunState, log
from batchgen.scheduler.superseded import move_aside, move_earlier_files_aside

_TRIES = 10
"""Downloads of one output in an invocation. After that it is left to the next run, which tries again."""
_LONGEST_WAIT = 120.0
"""Seconds between two downloads of one output, long enough to outlast an outage of some minutes."""
_FOREVER = datetime(9999, 1, 1, tzinfo=UTC)


class _Download:
    """One output to be fetched."""

    __slots__ = ("absence", "attempt", "expires", "failures", "output", "outputs", "seen", "was_lost")

    def __init__(
        self, attempt: Attempt, output: PendingOutput, outputs: int, expires: datetime, *, was_lost: bool
    ) -> None:
        self.attempt = attempt
        self.output = output
        self.outputs = outputs
        """How many outputs the job has."""
        self.expires = expires
        self.failures = 0
        self.was_lost = was_lost
        self.absence = ALMOST if was_lost else Absence()
        """The failures in a row that said it is gone."""
        self.seen: str | None = None
        """SHA-256 of the last arrival, if its format is unknown."""


def _host(download: _Download) -> str:
    # Not parsed: even in an odd address, equal texts mean the same host.
    return download.output.url.split("/", 3)[2] if "//" in download.output.url else ""


class Fetcher:
    """Downloads, checks and records outputs."""

    def __init__(self, run_state: RunState, judge: Judge) -> None:
        self._run_state = run_state
        self._judge = judge
        self._waiting: list[tuple[datetime, int, _Download]] = []
        self._retries: list[tuple[float, int, _Download]] = []
        self._order = count()
        self._receiving = 0
        self._syncing = 0
        """Outputs whose bytes have all arrived, and which only wait for the disk."""
        self._paused_hosts: dict[str, float] = {}
        """Until when (loop time) nothing is downloaded from a host, since one of its answers said so."""
        self._lost: set[int] = set()
        """Attempts with an output that is gone."""
        self._memory = Memory()
        self._moving = asyncio.Lock()
        """Two files that are moved aside at the same time must not get the same name."""
        self.not_fetched = 0
        """Outputs that could not be fetched in this invocation."""

    @property
    def idle(self) -> bool:
        """Whether no output is left to fetch."""
        return not (self._waiting or self._retries or self._receiving or self._syncing)

    def add(self, attempt: Attempt, listing: Listing, expires: datetime | None, *, was_lost: bool = False) -> None:
        """Fetch the outputs of a completed job that are not on disk yet.

        If the job `was_lost`, one answer that an output is gone is enough, and it is not counted as a failure again.
        """
        for output in listing.left:
            self._run_state.waiting_files += 1
            self._queue(_Download(attempt, output, listing.highest, expires or _FOREVER, was_lost=was_lost))

    def has_lost(self, attempt: Attempt) -> bool:
        """Return whether an output of the attempt was found to be gone in this invocation."""
        return attempt.key in self._lost

    def start(self) -> float | None:
        """Start what may start now; return the loop time of the next retry."""
        run_state = self._run_state
        while self._retries and self._retries[0][0] <= run_state.now:
            self._queue(heapq.heappop(self._retries)[2])
        shares = run_state.policy.shares
        downloads = min(run_state.policy.settings.downloads, shares.downloads)
        while self._waiting and self._receiving < downloads and self._syncing < shares.syncing:
            if run_state.ports.store.full:  # the end of an upload wakes the loop
                break
            download = heapq.heappop(self._waiting)[2]
            paused_until = self._paused_hosts.get(_host(download), 0.0)
            if run_state.now < paused_until:
                heapq.heappush(self._retries, (paused_until, next(self._order), download))
                continue
            self._receiving += 1
            run_state.spawn(self._fetch(download))
        return self._retries[0][0] if self._retries else None

    def _queue(self, download: _Download) -> None:
        heapq.heappush(self._waiting, (download.expires, next(self._order), download))

    async def _fetch(self, download: _Download) -> None:
        run_state = self._run_state
        syncing = False

        def received() -> None:
            nonlocal syncing
            syncing = True
            self._receiving -= 1
            self._syncing += 1
            run_state.wake.set()

        try:
            await self._fetch_and_record(download, received)
        except OutputRefused:
            run_state.stop(Stop.KEY, "the API refuses the key for a download: check API18_KEY")
        except StoreError as error:
            run_state.stop(Stop.STORE, f"{error}; the next run fetches what is paid for")
        except OutputError as error:
            await self._failed(download, error)
        finally:
            if syncing:
                self._syncing -= 1
            else:
                self._receiving -= 1

    async def _fetch_and_record(self, download: _Download, received: Callable[[], None]) -> None:
        run_state, ports = self._run_state, self._run_state.ports
        attempt, item = download.attempt, download.attempt.work.item

        async def aside(path: str) -> None:
            async with self._moving:
                await move_aside(ports.store, path, ports.journal, ports.record, ports.wait)

        # If the item was edited meanwhile, its name is left to the new purchase.
        outdated = not attempt.work.requested and await run_state.record(ports.journal.has_successor, attempt.work)
        path = f"{item.path}~{item.digest[:8]}" if outdated else item.path
        try:
            if attempt.number > 1:
                async with self._moving:
                    await move_earlier_files_aside(ports.store, attempt, ports.journal, ports.record, ports.wait)
            number = download.output.number
            fetched = await fetch(
                ports.api, download.output.url, ports.store, stem_of(path, number, download.outputs), number,
                kind=run_state.policy.kinds.get(item.model), move_aside=aside, offload=ports.offload,
                memory=self._memory, upload=ports.upload, received=received, seen=download.seen,
            )  # fmt: skip
        except DescriptorsError as error:
            raise OutputError(str(error)) from error  # tried again later, as any download
        file, standards = fetched.file, run_state.policy.standards
        findings = first_findings(standards, item, attempt.scale, fetched.facts)
        verdict = await run_state.record(ports.journal.record_delivery, attempt, file, findings)
        if outdated:
            await aside(file.path)
        else:
            run_state.file_arrived(file)
        run_state.waiting_files -= 1
        if not file.familiar:
            log.warning(
                "%s: %s has an unknown format; it came twice the same and is kept unchanged", item.id, file.path
            )
        if verdict is not None:
            run_state.state_changed(attempt.work, State.READY, State.DONE)
            log.debug("%s is done", item.id)
            self.finished(attempt, verdict)

    def finished(self, attempt: Attempt, verdict: Verdict) -> None:
        """All files of a purchase are on disk: what was found about them is told now, or once the judge has looked."""
        if verdict.complete or not self._run_state.policy.standards.can_judge(attempt.work.item):
            self._run_state.judged(attempt.work, verdict.flags)
        else:
            self._judge.add(attempt.key)

    async def _failed(self, download: _Download, error: OutputError) -> None:
        run_state, item = self._run_state, download.attempt.work.item
        download.failures += 1
        if error.retry_after is not None:
            until = run_state.now + min(error.retry_after, RETRY_AFTER_CAP)
            self._paused_hosts[_host(download)] = max(until, self._paused_hosts.get(_host(download), until))
        gone = isinstance(error, OutputGone) or (
            isinstance(error, OutputMissing) and run_state.expired(download.expires)
        )
        if gone:
            download.absence = download.absence.again()
        if isinstance(error, OutputUnfamiliar):
            download.seen = error.sha256
        log.warning("%s: output %d: %s", item.id, download.output.number, printable(str(error)))
        if download.absence.certain:
            await self._lose(download, str(error))
        elif download.failures >= _TRIES:
            run_state.waiting_files -= 1
            self.not_fetched += 1
        else:
            # At least half of the wait: a file that is late needs time.
            draw = 0.5 + run_state.ports.random.random() / 2
            wait = retry_delay(download.failures, draw, error.retry_after, cap=_LONGEST_WAIT)
            download.absence = download.absence.wait(wait if gone else 0.0)
            heapq.heappush(self._retries, (run_state.now + wait, next(self._order), download))

    async def _lose(self, download: _Download, reason: str) -> None:
        """An output is gone for good: the item is lost. Recorded once, even if several of its outputs are gone."""
        run_state = self._run_state
        run_state.waiting_files -= 1
        if download.attempt.key in self._lost:
            return
        self._lost.add(download.attempt.key)
        message = f"output {download.output.number}: {printable(reason)}"
        await run_state.record(run_state.ports.journal.lose, download.attempt, message, run_state.ports.utc_now())
        run_state.state_changed(download.attempt.work, State.READY, State.LOST)
        if not download.was_lost:
            run_state.count_failure()
