"""The loop over submissions, polls and downloads: it starts what may start, then sleeps until something changes."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from batchgen.errors import BatchgenError, OutsideError
from batchgen.halting import Stop
from batchgen.polling import Durations
from batchgen.records import State
from batchgen.scheduler.board import Board, Flight, log
from batchgen.scheduler.fetcher import Fetcher
from batchgen.scheduler.poller import Poller
from batchgen.scheduler.submitter import Submitter
from batchgen.scheduler.superseded import restore
from batchgen.text import plural

_POST_GRACE = 15.0
"""Seconds that a POST under way gets for its answer when the run is told to end: an unread answer is a doubt."""
_GRACE = 2.0
"""Seconds that polls and downloads under way get to end by themselves."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended: the reason for stopping early, if any, and one sentence on it for the user."""

    stop: Stop | None
    detail: str
    failures: int
    """Items that failed, were rejected or lost in this invocation, whether they are asked for now or not."""
    advice: str | None = None
    """One sentence where another concurrency would have been better."""
    clock: str | None = None
    """One sentence where our clock and the provider's do not agree."""


class Scheduler:
    """Runs what the journal lists until every item has reached an end, or a reason to stop."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self._fetcher = Fetcher(board)
        self._poller = Poller(board, self._fetcher)
        self._submitter = Submitter(board, self._poller)
        self._drain_until: float | None = None

    def interrupt(self) -> None:
        """End soon: submit nothing more, let POSTs under way be answered, record."""
        self.board.halt(Stop.INTERRUPTED, "interrupted")

    async def run(self) -> Ending:
        """Run to the end. Raises what a part raised: DiskError, RunFolderError, or a bug."""
        board, loop = self.board, asyncio.get_running_loop()
        await self._resume()
        while True:
            board.wake.clear()
            watched = list(self._watch())
            if board.winding_down or self._finished():
                break
            due = [self._submitter.start(), self._poller.start(), self._fetcher.start(), *watched]
            times = [moment for moment in due if moment is not None]
            # A time that has passed already is looked at in the next turn, after the tasks had theirs.
            timer = loop.call_at(min(times), board.wake.set) if times else None
            await board.wake.wait()
            if timer is not None:
                timer.cancel()
        await self._wind_down()
        if board.unrecorded and isinstance(board.error, BatchgenError):
            raise OutsideError(
                f"{board.error}; accepted but not in the journal: {', '.join(board.unrecorded)}; the next start takes"
                " them over from receipts.jsonl, or they are in doubt and `batchgen resolve` takes these ids"
            ) from board.error
        if board.error is not None:
            raise board.error
        if self._fetcher.given_up:
            board.halt(Stop.OUTAGE, f"{plural(self._fetcher.given_up, 'output')} could not be downloaded")
        if self._submitter.left_pending:
            count = plural(self._submitter.left_pending, "item")
            board.halt(Stop.OUTAGE, f"the API was too busy for {count}, which stay pending")
        # A provider that was ever too busy says more about its limits than its queue does.
        advice = board.queueing.advice(board.terms.settings.concurrency) if not board.hold.until else None
        return Ending(board.stop, board.detail, board.failures, advice, board.clock)

    async def _resume(self) -> None:
        """Take up what earlier invocations left: learned durations, jobs in flight, files to fetch."""
        board, journal = self.board, self.board.seams.journal
        await restore(board.seams.folder, journal, board.seams.record)
        for model, seen in (await board.record(journal.durations)).items():
            board.durations[model] = Durations(seen)
        utc, now = board.seams.utc_now(), board.now
        for attempt in await board.record(lambda: list(journal.unsettled(State.PROCESSING))):
            age = (utc - attempt.accepted_at).total_seconds() if attempt.accepted_at else 0.0
            self._poller.resume(Flight(attempt, now - max(0.0, age), since=now))
        if board.terms.ask_lost:
            for attempt in await board.record(lambda: list(journal.lost_jobs())):
                self._poller.ask_again(Flight(attempt, now, since=now))
        for attempt, listing in await board.record(lambda: list(journal.ready())):
            self._fetcher.add(attempt, listing, attempt.expires_at)
            if listing.awaited:
                self._poller.complement(Flight(attempt, now, since=now), listing)

    @property
    def _submitted(self) -> bool:
        """Whether nothing more will be submitted."""
        return self._submitter.idle or self.board.stop is not None

    def _finished(self) -> bool:
        return self._submitted and self._poller.idle and self._fetcher.idle and not self.board.busy

    def _watch(self) -> Iterable[float | None]:
        """Yield the deadlines of an outage, of a busy provider and of the drain, and stop where one has passed."""
        board, settings = self.board, self.board.terms.settings
        board.compare_clocks()
        asking = not (self._submitted and self._poller.idle)
        # Where only downloads are left, no answer could end an outage any more.
        gives_up = board.weather.gives_up_at(settings.give_up_after) if asking else None
        if gives_up is not None and board.now >= gives_up:
            waited = board.now - (board.weather.troubled_since or 0.0)
            board.halt(Stop.UNREACHABLE, f"the API could not be reached for {waited:.0f} s: {board.trouble}")
        yield gives_up
        too_busy = board.hold.gives_up_at(settings.give_up_after) if not self._submitted else None
        if too_busy is not None and board.now >= too_busy:
            board.halt(Stop.OUTAGE, f"the API was too busy for {settings.give_up_after:.0f} s to take anything up")
        yield too_busy
        waiting = self._submitter.posts or not (self._submitted and self._fetcher.idle)
        if waiting or not self._poller.only_parked:
            self._drain_until = None
        elif self._drain_until is None:
            self._drain_until = board.now + settings.drain
        elif board.now >= self._drain_until:
            board.drained = True
            board.halt(Stop.DRAIN, "only jobs that are far slower than usual are left; they stay paid for")
        yield self._drain_until

    async def _wind_down(self) -> None:
        """End what is under way: answers to POSTs are waited for, the rest is cheap to repeat."""
        board = self.board
        if posts := set(self._submitter.posts):
            log.info("waiting for the answers to %s", plural(len(posts), "submission"))
            await asyncio.wait(posts, timeout=_POST_GRACE)
            self._submitter.abandon()
            await asyncio.wait(posts)
        if board.tasks:
            await asyncio.wait(board.tasks, timeout=_GRACE)
        leftover = list(board.tasks)
        for task in leftover:
            task.cancel()
        await asyncio.gather(*leftover, return_exceptions=True)
