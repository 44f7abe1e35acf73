"""What happens when a job has ended at the provider: recorded, counted, and its outputs passed to the fetcher."""

from collections.abc import Callable
from dataclasses import replace

from batchgen.api import Job, JobStatus
from batchgen.core.records import State
from batchgen.core.text import printable
from batchgen.journal import Listing
from batchgen.policy.absence import Absence
from batchgen.scheduler.fetcher import Fetcher
from batchgen.scheduler.run_state import RunState, log
from batchgen.scheduler.tracked_job import TrackedJob


class Settler:
    """Records how jobs ended."""

    def __init__(self, run_state: RunState, fetcher: Fetcher, poll_at: Callable[[TrackedJob, float], None]) -> None:
        """`poll_at` schedules a poll of a job at a loop time."""
        self._run_state = run_state
        self._fetcher = fetcher
        self._poll_at = poll_at

    async def settle(self, tracked: TrackedJob, job: Job) -> None:
        """Record how a job ended, and pass its outputs to the fetcher."""
        run_state, journal, item = self._run_state, self._run_state.ports.journal, tracked.attempt.work.item
        if job.status is JobStatus.COMPLETED and not any(job.outputs):
            await self._completed_without_output(tracked)
            return
        seconds, reliable = self._duration(tracked, job)
        milliseconds = round(seconds * 1000)
        self._record_queue_stats(tracked, job, seconds)
        if job.status is JobStatus.FAILED:
            log.warning("%s failed: %s", item.id, printable(job.error or "no reason given"))
            await run_state.record(
                journal.fail, tracked.attempt, job, tracked.polls, milliseconds, run_state.ports.utc_now()
            )
            run_state.budget.refund(tracked.attempt.work.key, tracked.attempt.charge, bought_now=tracked.bought_now)
            self._job_ended(tracked, State.FAILED)
            run_state.count_failure()
            return
        ordered = run_state.policy.outputs(item)
        listing = await run_state.record(
            journal.complete, tracked.attempt, job, tracked.polls, milliseconds, run_state.ports.utc_now(),
            ordered=ordered,
        )  # fmt: skip
        if job.scale != tracked.attempt.scale:  # only a simulator says so
            tracked.attempt = replace(tracked.attempt, scale=job.scale)
        if reliable:
            run_state.durations.add(item.model, tracked.attempt.price_key, seconds)
        self._job_ended(tracked, State.READY)
        self._fetch_outputs(tracked, listing, job)
        if tracked.missing_outputs:
            tracked.no_output = Absence()
            self._poll_for_more(tracked)

    def _fetch_outputs(self, tracked: TrackedJob, listing: Listing, job: Job) -> None:
        tracked.missing_outputs = listing.awaited
        expires = job.expires_at or tracked.attempt.expires_at
        self._fetcher.add(tracked.attempt, listing, expires, was_lost=tracked.was_lost)

    def _poll_for_more(self, tracked: TrackedJob) -> None:
        tracked.no_output = tracked.no_output.again()
        wait = tracked.no_output.next_wait(self._run_state.policy.settings.poll_max)
        tracked.no_output = tracked.no_output.wait(wait)
        self._poll_at(tracked, self._run_state.now + wait)

    async def add_outputs(self, tracked: TrackedJob, job: Job | None) -> None:
        """Fetch the outputs that a completed job lists by now; ask again for missing ones, and at last accept fewer.

        `job` is None if the provider no longer knows the job.
        """
        run_state, journal, attempt = self._run_state, self._run_state.ports.journal, tracked.attempt
        if self._fetcher.has_lost(attempt):
            self._stop_polling(tracked)
            return
        if job is not None and any(job.outputs):
            ordered = run_state.policy.outputs(attempt.work.item)
            listing = await run_state.record(journal.list_more_outputs, attempt, job, tracked.polls, ordered=ordered)
            self._fetch_outputs(tracked, listing, job)
            if listing.left:
                tracked.no_output = Absence()
        if not tracked.missing_outputs:
            self._stop_polling(tracked)
        elif tracked.no_output.again().certain:
            await self._accept_fewer_outputs(tracked)
        else:
            self._poll_for_more(tracked)

    async def _accept_fewer_outputs(self, tracked: TrackedJob) -> None:
        run_state, attempt = self._run_state, tracked.attempt
        ordered = run_state.policy.outputs(attempt.work.item)
        reason = f"the provider lists {ordered - tracked.missing_outputs} of {ordered} ordered outputs"
        log.warning("%s: %s (job %s)", attempt.work.item.id, reason, attempt.job_id)
        done = await run_state.record(run_state.ports.journal.accept_fewer_outputs, attempt, reason)
        self._stop_polling(tracked)
        if done:
            run_state.state_changed(attempt.work, State.READY, State.DONE)
            self._fetcher.finished(attempt, await run_state.record(run_state.ports.journal.verdict_of, attempt.key))

    def _stop_polling(self, tracked: TrackedJob) -> None:
        """Do not poll a completed job again."""
        if tracked.parked:
            self._run_state.parked -= 1

    async def _completed_without_output(self, tracked: TrackedJob) -> None:
        """Poll again, since a completed job may list its outputs late; at last the item is lost."""
        if tracked.no_output.again().certain:
            await self.lose(tracked, "the job completed without any output")
        else:
            self._poll_for_more(tracked)

    async def restore_lost(self, tracked: TrackedJob, job: Job) -> bool:
        """Continue with a lost job that the provider knows again, unless it was completed without any output.

        Returns whether it is continued.
        """
        run_state, work = self._run_state, tracked.attempt.work
        if job.status is JobStatus.COMPLETED and not any(job.outputs):
            return False
        await run_state.record(run_state.ports.journal.restore_lost, tracked.attempt)
        run_state.state_changed(work, State.LOST, State.PROCESSING)
        tracked.lost, tracked.was_lost, tracked.absence = False, True, Absence()
        if job.status is JobStatus.PROCESSING:
            tracked.holds_slot = True
            run_state.in_flight += 1
        log.info("%s was lost, but the provider knows it again (job %s)", work.item.id, job.id)
        return True

    def _duration(self, tracked: TrackedJob, job: Job) -> tuple[float, bool]:
        """Return how long the job took, in seconds, and whether that is reliable enough to learn from.

        By the provider's times if it states them, since our polls come late; but at most as long as we waited, since
        a wrong time would delay the polls of all later jobs like it. If a job of an earlier invocation states no
        times, how long it took is not known.
        """
        waited = self._run_state.now - tracked.submitted
        if job.created_at and job.completed_at and job.completed_at >= job.created_at:
            return min(waited, (job.completed_at - job.created_at).total_seconds()), True
        return waited, tracked.bought_now

    def _record_queue_stats(self, tracked: TrackedJob, job: Job, seconds: float) -> None:
        if job.created_at and job.started_at and job.completed_at and tracked.bought_now:
            queued, worked = job.started_at - job.created_at, job.completed_at - job.started_at
            unseen = self._run_state.now - tracked.submitted - seconds
            self._run_state.queue_stats = self._run_state.queue_stats.ended(
                queued.total_seconds(), worked.total_seconds(), unseen
            )

    async def lose(self, tracked: TrackedJob, reason: str) -> None:
        """Record that the job or its outputs are gone, although they are paid for."""
        run_state = self._run_state
        log.warning("%s is lost (job %s): %s", tracked.attempt.work.item.id, tracked.attempt.job_id, reason)
        await run_state.record(
            run_state.ports.journal.lose, tracked.attempt, reason, run_state.ports.utc_now(), polls=tracked.polls
        )
        self._job_ended(tracked, State.LOST)
        run_state.count_failure()

    def _job_ended(self, tracked: TrackedJob, state: State) -> None:
        self._run_state.state_changed(tracked.attempt.work, State.PROCESSING, state)
        self._run_state.budget.ended(tracked.attempt.work.key)
        if tracked.parked:
            self._run_state.parked -= 1
        self._run_state.in_flight -= tracked.holds_slot
        tracked.parked = tracked.holds_slot = False
