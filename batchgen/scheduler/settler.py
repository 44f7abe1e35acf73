"""The end of a job at the provider: recorded, counted, learned from, and its outputs passed on."""

from collections.abc import Callable

from batchgen.api import Job, JobStatus
from batchgen.core.records import State
from batchgen.core.text import printable
from batchgen.journal import Listing
from batchgen.policy.absence import Absence
from batchgen.scheduler.fetcher import Fetcher
from batchgen.scheduler.run_state import RunState, TrackedJob, log


class Settler:
    """Settles jobs that have ended."""

    def __init__(self, run_state: RunState, fetcher: Fetcher, ask_at: Callable[[TrackedJob, float], None]) -> None:
        """`ask_at` lets a job be asked for at a loop time."""
        self._run_state = run_state
        self._fetcher = fetcher
        self._ask_at = ask_at

    async def settle(self, tracked: TrackedJob, job: Job) -> None:
        """A job has ended at the provider: record how, and pass its outputs on."""
        run_state, journal, item = self._run_state, self._run_state.ports.journal, tracked.attempt.work.item
        if job.status is JobStatus.COMPLETED and not any(job.outputs):
            await self._empty(tracked)
            return
        took, certain = self._took(tracked, job)
        took_ms = round(took * 1000)
        self._note_queueing(tracked, job, took)
        if job.status is JobStatus.FAILED:
            log.warning("%s failed: %s", item.id, printable(job.error or "no reason given"))
            await run_state.record(
                journal.fail, tracked.attempt, job, tracked.polls, took_ms, run_state.ports.utc_now()
            )
            run_state.budget.refund(tracked.attempt.charge, bought_now=tracked.bought_now)
            self._ended(tracked, State.FAILED)
            run_state.check_failures()
            return
        ordered = run_state.policy.outputs(item)
        listing = await run_state.record(
            journal.complete, tracked.attempt, job, tracked.polls, took_ms, run_state.ports.utc_now(), ordered=ordered
        )
        if certain:
            run_state.durations_of(item.model).add(took)
        self._ended(tracked, State.READY)
        self._fetch(tracked, listing, job)
        if tracked.awaited:
            tracked.empty = Absence()
            self._ask_for_more(tracked)

    def _fetch(self, tracked: TrackedJob, listing: Listing, job: Job) -> None:
        tracked.awaited = listing.awaited
        expires = job.expires_at or tracked.attempt.expires_at
        self._fetcher.add(tracked.attempt, listing, expires, reclaimed=tracked.reclaimed)

    def _ask_for_more(self, tracked: TrackedJob) -> None:
        tracked.empty = tracked.empty.again()
        wait = tracked.empty.next_wait(self._run_state.policy.settings.poll_max)
        tracked.empty = tracked.empty.wait(wait)
        self._ask_at(tracked, self._run_state.now + wait)

    async def complement(self, tracked: TrackedJob, job: Job | None) -> None:
        """Fewer outputs were listed than ordered: fetch what is listed now, ask again, and in the end do without.

        `job` is None where the provider no longer knows the job.
        """
        run_state, journal, attempt = self._run_state, self._run_state.ports.journal, tracked.attempt
        if self._fetcher.has_lost(attempt):
            self._drop(tracked)
            return
        if job is not None and any(job.outputs):
            ordered = run_state.policy.outputs(attempt.work.item)
            listing = await run_state.record(journal.list_more_outputs, attempt, job, tracked.polls, ordered=ordered)
            self._fetch(tracked, listing, job)
            if listing.left:
                tracked.empty = Absence()
        if not tracked.awaited:
            self._drop(tracked)
        elif tracked.empty.again().certain:
            await self._forgo(tracked)
        else:
            self._ask_for_more(tracked)

    async def _forgo(self, tracked: TrackedJob) -> None:
        run_state, attempt = self._run_state, tracked.attempt
        ordered = run_state.policy.outputs(attempt.work.item)
        reason = f"the provider lists {ordered - tracked.awaited} of {ordered} ordered outputs"
        log.warning("%s: %s (job %s)", attempt.work.item.id, reason, attempt.job_id)
        done = await run_state.record(run_state.ports.journal.accept_fewer_outputs, attempt, reason)
        self._drop(tracked)
        if done:
            run_state.moved(attempt.work, State.READY, State.DONE)

    def _drop(self, tracked: TrackedJob) -> None:
        """Nothing more is asked about it."""
        if tracked.parked:
            self._run_state.parked -= 1

    async def _empty(self, tracked: TrackedJob) -> None:
        """The job was completed, and lists nothing: perhaps it only lists it late."""
        run_state = self._run_state
        tracked.empty = tracked.empty.again()
        if tracked.empty.certain:
            await self.lose(tracked, "the job completed without any output")
            return
        wait = tracked.empty.next_wait(run_state.policy.settings.poll_max)
        tracked.empty = tracked.empty.wait(wait)
        self._ask_at(tracked, run_state.now + wait)

    async def reclaim(self, tracked: TrackedJob, job: Job) -> bool:
        """The provider knows a job that counts as lost: take it up where there is something to take up.

        Returns whether that was so.
        """
        run_state, work = self._run_state, tracked.attempt.work
        if job.status is JobStatus.COMPLETED and not any(job.outputs):
            return False
        await run_state.record(run_state.ports.journal.restore_lost, tracked.attempt)
        run_state.moved(work, State.LOST, State.PROCESSING)
        tracked.lost, tracked.reclaimed, tracked.absence = False, True, Absence()
        if job.status is JobStatus.PROCESSING:
            tracked.slot = True
            run_state.in_flight += 1
        log.info("%s was lost, but the provider knows it again (job %s)", work.item.id, job.id)
        return True

    def _took(self, tracked: TrackedJob, job: Job) -> tuple[float, bool]:
        """Return how long the job took, in seconds, and whether that is worth learning from.

        By the provider's clock, which no poll delays, where it tells; but never longer than was waited for the job,
        since a wrong date there would keep all later jobs of the model from being asked for. Of a job that ended
        between two invocations, only the provider can tell.
        """
        waited = self._run_state.now - tracked.accepted
        if job.created_at and job.completed_at and job.completed_at >= job.created_at:
            return min(waited, (job.completed_at - job.created_at).total_seconds()), True
        return waited, tracked.bought_now

    def _note_queueing(self, tracked: TrackedJob, job: Job, took: float) -> None:
        if job.created_at and job.started_at and job.completed_at and tracked.bought_now:
            queued, worked = job.started_at - job.created_at, job.completed_at - job.started_at
            unseen = self._run_state.now - tracked.accepted - took
            self._run_state.queue_stats = self._run_state.queue_stats.ended(
                queued.total_seconds(), worked.total_seconds(), unseen
            )

    async def lose(self, tracked: TrackedJob, reason: str) -> None:
        """What was paid for is gone."""
        run_state = self._run_state
        log.warning("%s is lost (job %s): %s", tracked.attempt.work.item.id, tracked.attempt.job_id, reason)
        await run_state.record(
            run_state.ports.journal.lose, tracked.attempt, reason, run_state.ports.utc_now(), polls=tracked.polls
        )
        self._ended(tracked, State.LOST)
        run_state.check_failures()

    def _ended(self, tracked: TrackedJob, state: State) -> None:
        self._run_state.moved(tracked.attempt.work, State.PROCESSING, state)
        self._run_state.budget.free(tracked.attempt.work.key)
        if tracked.parked:
            self._run_state.parked -= 1
        self._run_state.in_flight -= tracked.slot
        tracked.parked = tracked.slot = False
