"""The loop over submissions, polls and downloads: it starts what may start, then sleeps until something changes."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from batchgen.core.errors import BatchgenError, OutsideError
from batchgen.core.records import State
from batchgen.core.text import plural
from batchgen.policy.polling import Durations
from batchgen.policy.stopping import Stop
from batchgen.scheduler.fetcher import Fetcher
from batchgen.scheduler.poller import Poller
from batchgen.scheduler.run_state import RunState, TrackedJob, log
from batchgen.scheduler.submitter import Submitter
from batchgen.scheduler.superseded import restore

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

    def __init__(self, run_state: RunState) -> None:
        self.run_state = run_state
        self._fetcher = Fetcher(run_state)
        self._poller = Poller(run_state, self._fetcher)
        self._submitter = Submitter(run_state, self._poller)
        self._drain_until: float | None = None

    def interrupt(self) -> None:
        """End soon: submit nothing more, let POSTs under way be answered, record."""
        self.run_state.halt(Stop.INTERRUPTED, "interrupted")

    def interrupt_now(self) -> None:
        """As `interrupt`, without waiting for answers: what was sent and has none yet is in doubt."""
        self.interrupt()
        self._submitter.abandon()

    async def run(self) -> Ending:
        """Run to the end. Raises what a part raised: DiskError, RunFolderError, or a bug."""
        run_state, loop = self.run_state, asyncio.get_running_loop()
        await self._resume()
        while True:
            run_state.wake.clear()
            watched = list(self._watch())
            if run_state.winding_down or self._finished():
                break
            due = [self._submitter.start(), self._poller.start(), self._fetcher.start(), *watched]
            times = [moment for moment in due if moment is not None]
            # A time that has passed already is looked at in the next turn, after the tasks had theirs.
            timer = loop.call_at(min(times), run_state.wake.set) if times else None
            await run_state.wake.wait()
            if timer is not None:
                timer.cancel()
        await self._wind_down()
        if run_state.unrecorded and isinstance(run_state.error, BatchgenError):
            raise OutsideError(
                f"{run_state.error}; accepted but not in the journal: {', '.join(run_state.unrecorded)};"
                " the next run adds them from receipts.jsonl; if they are in doubt then, give these ids to `batchgen"
                " resolve`"
            ) from run_state.error
        if run_state.error is not None:
            raise run_state.error
        if self._fetcher.given_up:
            run_state.halt(Stop.OUTAGE, f"{plural(self._fetcher.given_up, 'output')} could not be downloaded")
        if self._submitter.left_pending:
            count = plural(self._submitter.left_pending, "item")
            run_state.halt(Stop.OUTAGE, f"the API was too busy for {count}, which stay pending")
        # A provider that was ever too busy says more about its limits than its queue does.
        advice = (
            run_state.queue_stats.advice(run_state.policy.settings.concurrency)
            if not run_state.submission_backoff.until
            else None
        )
        return Ending(run_state.stop, run_state.detail, run_state.failures, advice, run_state.clock)

    async def _resume(self) -> None:
        """Take up what earlier invocations left: learned durations, jobs in flight, files to fetch."""
        run_state, journal = self.run_state, self.run_state.ports.journal
        await restore(run_state.ports.store, journal, run_state.ports.record)
        for model, seen in (await run_state.record(journal.durations)).items():
            run_state.durations[model] = Durations(seen)
        utc, now = run_state.ports.utc_now(), run_state.now
        for attempt in await run_state.record(lambda: list(journal.unsettled(State.PROCESSING))):
            age = (utc - attempt.accepted_at).total_seconds() if attempt.accepted_at else 0.0
            self._poller.resume(TrackedJob(attempt, now - max(0.0, age), since=now))
        if run_state.policy.ask_lost:
            for attempt in await run_state.record(lambda: list(journal.lost_jobs())):
                self._poller.ask_again(TrackedJob(attempt, now, since=now))
        for attempt, listing in await run_state.record(lambda: list(journal.ready())):
            self._fetcher.add(attempt, listing, attempt.expires_at)
            if listing.awaited:
                self._poller.complement(TrackedJob(attempt, now, since=now), listing)

    @property
    def _submitted(self) -> bool:
        """Whether nothing more will be submitted."""
        return self._submitter.idle or self.run_state.stop is not None

    def _finished(self) -> bool:
        return self._submitted and self._poller.idle and self._fetcher.idle and not self.run_state.busy

    def _watch(self) -> Iterable[float | None]:
        """Yield the deadlines of an outage, of a busy provider and of the drain, and stop where one has passed."""
        run_state, settings = self.run_state, self.run_state.policy.settings
        run_state.compare_clocks()
        asking = not (self._submitted and self._poller.idle)
        # Where only downloads are left, no answer could end an outage any more.
        gives_up = run_state.api_health.gives_up_at(settings.give_up_after) if asking else None
        if gives_up is not None and run_state.now >= gives_up:
            waited = run_state.now - (run_state.api_health.troubled_since or 0.0)
            run_state.halt(Stop.UNREACHABLE, f"the API could not be reached for {waited:.0f} s: {run_state.trouble}")
        yield gives_up
        too_busy = run_state.submission_backoff.gives_up_at(settings.give_up_after) if not self._submitted else None
        if too_busy is not None and run_state.now >= too_busy:
            run_state.halt(Stop.OUTAGE, f"the API was too busy for {settings.give_up_after:.0f} s to accept anything")
        yield too_busy
        waiting = self._submitter.posts or not (self._submitted and self._fetcher.idle)
        if waiting or not self._poller.only_parked:
            self._drain_until = None
        elif self._drain_until is None:
            self._drain_until = run_state.now + settings.drain
        elif run_state.now >= self._drain_until:
            run_state.drained = True
            run_state.halt(Stop.DRAIN, "only jobs that are far slower than usual are left; they are paid for and kept")
        yield self._drain_until

    async def _wind_down(self) -> None:
        """End what is under way: answers to POSTs are waited for, the rest is cheap to repeat."""
        run_state = self.run_state
        if posts := set(self._submitter.posts):
            log.info("waiting for answers to %s", plural(len(posts), "submission"))
            await asyncio.wait(posts, timeout=_POST_GRACE)
            self._submitter.abandon()
            await asyncio.wait(posts)
        if run_state.tasks:
            await asyncio.wait(run_state.tasks, timeout=_GRACE)
        leftover = list(run_state.tasks)
        for task in leftover:
            task.cancel()
        await asyncio.gather(*leftover, return_exceptions=True)
