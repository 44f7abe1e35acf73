"""The loop of a run: it starts the submissions, polls and downloads that may start, then waits for a change."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from batchgen.core.errors import BatchgenError, OutsideError
from batchgen.core.records import State
from batchgen.core.text import plural
from batchgen.journal import Attempt, Listing
from batchgen.policy.stopping import Stop
from batchgen.scheduler.fetcher import Fetcher
from batchgen.scheduler.judging.judge import JUDGE_PATIENCE, Judge
from batchgen.scheduler.poller import Poller
from batchgen.scheduler.run_state import RunState, log
from batchgen.scheduler.submitter import Submitter
from batchgen.scheduler.superseded import restore_files
from batchgen.scheduler.tracked_job import TrackedJob
from batchgen.scheduler.workers import Home, NoWorkers, Workers

_POST_GRACE = 15.0
"""Seconds to wait for the answers to POSTs when the run stops: without its answer, a submission is in doubt."""
_GRACE = 2.0
"""Seconds to wait for polls and downloads when the run stops."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended: why it stopped early, if it did, with one sentence for the user."""

    stop: Stop | None
    detail: str
    failures: int
    """Items that failed, were rejected or lost in this invocation, including those no longer in the manifest."""
    advice: str | None = None
    """One sentence if another concurrency would have been better."""
    clock: str | None = None
    """One sentence if our clock and the provider's differ."""
    source_expired: int = 0
    """Items that stay pending, since the provider no longer has a file that they need."""


class Scheduler:
    """Buys and fetches the items that the journal lists, until all have ended or there is a reason to stop."""

    def __init__(self, run_state: RunState, workers: Workers | None = None) -> None:
        """`workers` are others that buy items for it; None: it buys alone."""
        self.run_state = run_state
        self._judge = Judge(run_state)
        self._fetcher = Fetcher(run_state, self._judge)
        self._poller = Poller(run_state, self._fetcher)
        self._submitter = Submitter(run_state, self._poller)
        self._workers = workers or NoWorkers()
        self._drain_until: float | None = None
        self._judge_until: float | None = None

    def interrupt(self) -> None:
        """Stop soon: submit nothing more, wait for the answers to POSTs, and record them."""
        self.run_state.stop(Stop.INTERRUPTED, "interrupted")

    def interrupt_now(self) -> None:
        """As `interrupt`, without waiting for answers: what was sent and has none yet is in doubt."""
        self.interrupt()
        self._submitter.abandon_requests()
        self._workers.abandon()

    async def run(self) -> Ending:
        """Run to the end. Raises what a task raised: DiskError, RunFolderError, or a bug."""
        run_state, loop = self.run_state, asyncio.get_running_loop()
        await self._resume()
        await self._submitter.queue.begin()
        self._workers.begin(self._home())
        while True:
            run_state.wake.clear()
            deadlines = list(self._check_deadlines())
            if run_state.stopping or self._finished():
                break
            due = [self._submitter.start(), self._poller.start(), self._fetcher.start(), self._workers.start()]
            due += deadlines
            self._judge.start(nearly_finished=self._nearly_finished)
            times = [moment for moment in due if moment is not None]
            # Also for a time that has passed already: the tasks get their turn first.
            timer = loop.call_at(min(times), run_state.wake.set) if times else None
            await run_state.wake.wait()
            if timer is not None:
                timer.cancel()
        await self._stop_tasks()
        if run_state.unrecorded and isinstance(run_state.error, BatchgenError):
            raise OutsideError(
                f"{run_state.error}; accepted but not in the journal: {', '.join(run_state.unrecorded)};"
                " the next run adds them from receipts.jsonl; if they are in doubt then, give these ids to `batchgen"
                " resolve`"
            ) from run_state.error
        if run_state.error is not None:
            raise run_state.error
        await self._say_what_is_left()
        # If the provider was ever too busy, that says more about its limits than its queue does.
        advice = (
            run_state.queue_stats.advice(run_state.policy.settings.concurrency)
            if not run_state.submission_backoff.until
            else None
        )
        return Ending(
            run_state.stopped_because, run_state.stop_detail, run_state.failures, advice, run_state.clock,
            self._submitter.chains.expired,
        )  # fmt: skip

    async def _say_what_is_left(self) -> None:
        """Give the reason where everything else is finished, and items or outputs are left."""
        run_state = self.run_state
        if self._fetcher.not_fetched:
            run_state.stop(Stop.OUTAGE, f"{plural(self._fetcher.not_fetched, 'output')} could not be downloaded")
        if self._submitter.left_pending:
            count = plural(self._submitter.left_pending, "item")
            run_state.stop(Stop.OUTAGE, f"the API was too busy for {count}, which stay pending")
        self._submitter.room.stop_for_left_items()
        chains = self._submitter.chains
        if chains.unanswered:
            count = plural(chains.unanswered, "item")
            run_state.stop(Stop.OUTAGE, f"the API did not give the addresses that {count} need, which stay pending")
        pictures = self._submitter.pictures
        if pictures.left:
            count = plural(pictures.left, "item")
            reason = f"the local pictures of {count} cannot be sent, which stay pending ({pictures.first_reason})"
            run_state.stop(Stop.ASSETS, reason)
        self._workers.stop_for_left_items()
        if run_state.stopped_because is None:
            await self._submitter.queue.stop_for_left_items()
        await self._stop_for_picks()

    async def _stop_for_picks(self) -> None:
        """Say so where everything else is finished, and items wait for a person."""
        run_state = self.run_state
        if run_state.stopped_because is not None or not run_state.policy.buying:
            return
        if waiting := await run_state.record(run_state.ports.journal.waiting_for_picks):
            run_state.stop(
                Stop.WAITING_FOR_PICK,
                f"{plural(waiting, 'item')} {'waits' if waiting == 1 else 'wait'} until outputs are picked:"
                " `batchgen picks` says which",
            )

    async def _resume(self) -> None:
        """Continue what earlier invocations left: learned durations, jobs in flight, files to fetch."""
        run_state, journal = self.run_state, self.run_state.ports.journal
        await restore_files(run_state.ports.store, journal, run_state.ports.record, run_state.ports.wait)
        for model, price_key, seconds in await run_state.record(journal.durations):
            run_state.durations.add(model, price_key, seconds)
        utc, now = run_state.ports.utc_now(), run_state.now
        for attempt in await run_state.record(lambda: list(journal.unsettled(State.PROCESSING))):
            age = (utc - attempt.accepted_at).total_seconds() if attempt.accepted_at else 0.0
            self._poller.resume(TrackedJob(attempt, now - max(0.0, age), working_since=now))
        if run_state.policy.ask_lost:
            for attempt in await run_state.record(lambda: list(journal.lost_jobs())):
                self._poller.poll_lost(TrackedJob(attempt, now, working_since=now))
        for attempt, listing in await run_state.record(lambda: list(journal.ready())):
            self._go_on_fetching(attempt, listing)

    def _home(self) -> Home:
        def take_back(attempt: Attempt) -> None:
            run_state.spawn(self._go_on_with(attempt))

        run_state = self.run_state
        submitter = self._submitter
        return Home(
            take_back, self._fetcher.finished, submitter.check_doubts, posts=lambda: len(submitter.posts),
            held=lambda: submitter.queue.held,
        )  # fmt: skip

    async def _go_on_with(self, attempt: Attempt) -> None:
        """Go on with a purchase that another process has left behind."""
        run_state, journal, now = self.run_state, self.run_state.ports.journal, self.run_state.now
        if attempt.state is State.PROCESSING:
            self._poller.resume(TrackedJob(attempt, now, working_since=now, bought_now=True))
        elif attempt.state is State.READY:
            self._go_on_fetching(attempt, await run_state.record(journal.listing, attempt))

    def _go_on_fetching(self, attempt: Attempt, listing: Listing) -> None:
        now = self.run_state.now
        self._fetcher.add(attempt, listing, attempt.expires_at)
        if listing.awaited:
            self._poller.resume_incomplete(TrackedJob(attempt, now, working_since=now), listing)

    @property
    def _submitted(self) -> bool:
        """Whether nothing more will be submitted."""
        return (self._submitter.idle and self._workers.idle) or self.run_state.stopped_because is not None

    def _finished(self) -> bool:
        return self._nearly_finished and self._judge.idle and not self.run_state.tasks

    @property
    def _nearly_finished(self) -> bool:
        """Whether everything but the judge has finished."""
        return self._submitted and self._poller.idle and self._fetcher.idle and self._workers.quiet

    def _check_deadlines(self) -> Iterable[float | None]:
        """Yield the deadlines of the run, an outage, a busy provider and the drain; stop the run if one has passed."""
        run_state, settings = self.run_state, self.run_state.policy.settings
        run_state.compare_clocks()
        until = None if self._submitted else run_state.policy.until
        if until is not None:
            seconds = until.seconds_left(run_state.ports.utc_now())
            if seconds <= 0:
                self._submitter.queue.stop_until()
            yield run_state.now + seconds
        asking = not (self._submitted and self._poller.idle)
        # If only downloads are left, no answer of the API could end an outage.
        outage = run_state.api_health.stops_at(settings.give_up_after) if asking else None
        if outage is not None and run_state.now >= outage:
            waited = run_state.now - (run_state.api_health.troubled_since or 0.0)
            run_state.stop(
                Stop.UNREACHABLE, f"the API could not be reached for {waited:.0f} s: {run_state.unreachable_reason}"
            )
        yield outage
        too_busy = run_state.submission_backoff.stops_at(settings.give_up_after) if not self._submitted else None
        if too_busy is not None and run_state.now >= too_busy:
            run_state.stop(Stop.OUTAGE, f"the API was too busy for {settings.give_up_after:.0f} s to accept anything")
        yield too_busy
        working = self._submitter.posts or not (self._submitted and self._fetcher.idle and self._workers.quiet)
        if working or not self._poller.only_parked:
            self._drain_until = None
        elif self._drain_until is None:
            self._drain_until = run_state.now + settings.drain
        elif run_state.now >= self._drain_until:
            run_state.drained = True
            run_state.stop(Stop.DRAIN, "only jobs that are far slower than usual are left; they are paid for and kept")
        yield self._drain_until
        yield self._judge_deadline()

    def _judge_deadline(self) -> float | None:
        """Return when the judge is not waited for any more; close it if that has passed."""
        held = self._submitter.queue.judging and self.run_state.stopped_because is None
        if held or not self._nearly_finished or self._judge.idle:
            self._judge_until = None
        elif self._judge_until is None:
            self._judge_until = self.run_state.now + JUDGE_PATIENCE
        elif self.run_state.now >= self._judge_until:
            self._judge.close()
            return None
        return self._judge_until

    async def _stop_tasks(self) -> None:
        """Wait for the answers to POSTs; cancel the rest, which is cheap to repeat."""
        run_state = self.run_state
        workers = asyncio.create_task(self._workers.stop())
        if posts := set(self._submitter.posts):
            log.info("waiting for answers to %s", plural(len(posts), "submission"))
            await asyncio.wait(posts, timeout=_POST_GRACE)
            self._submitter.abandon_requests()
            await asyncio.wait(posts)
        await workers
        if run_state.tasks:
            await asyncio.wait(run_state.tasks, timeout=_GRACE)
        leftover = list(run_state.tasks)
        for task in leftover:
            task.cancel()
        await asyncio.gather(*leftover, return_exceptions=True)
