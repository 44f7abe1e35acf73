"""Polling: all jobs wait in one queue by time, and only a poll that is being sent is a task."""

from batchgen.api import Found, Job, JobStatus, PollAnswer, Unauthorized, Unavailable, Unknown
from batchgen.core.text import printable
from batchgen.journal import Listing
from batchgen.policy.absence import Absence
from batchgen.policy.polling import first_poll, next_poll, timeout_of
from batchgen.policy.retry import retry_delay
from batchgen.policy.stopping import Stop
from batchgen.scheduler.fetcher import Fetcher
from batchgen.scheduler.pricing import update_price
from batchgen.scheduler.run_state import RunState, log
from batchgen.scheduler.settler import Settler
from batchgen.scheduler.ticks import Ticks
from batchgen.scheduler.tracked_job import TrackedJob

_PARKED_INTERVAL = 60.0
"""Seconds between two polls of a parked job."""
_TRIES_FOR_LOST = 3
"""How often a lost job is polled without an answer, so that it does not hold up the run."""


class Poller:
    """Polls jobs when they may have ended, and settles those that have."""

    def __init__(self, run_state: RunState, fetcher: Fetcher) -> None:
        self._run_state = run_state
        self._settler = Settler(run_state, fetcher, self._poll_at)
        self._due: Ticks[TrackedJob] = Ticks()
        self._active = 0

    @property
    def idle(self) -> bool:
        """Whether no job is left to poll."""
        return not self._due and not self._active

    @property
    def only_parked(self) -> bool:
        """Whether all jobs that are left are parked."""
        return 0 < self._run_state.parked == len(self._due) + self._active

    def add(self, tracked: TrackedJob) -> None:
        """A job was just accepted: poll it when it may have ended."""
        durations = self._run_state.durations_of(tracked.attempt)
        self._poll_at(tracked, tracked.submitted + first_poll(durations, self._run_state.policy.settings.poll_min))

    def poll_now(self, tracked: TrackedJob) -> None:
        """A job was just accepted: poll it at once, for what its answer did not say."""
        self._poll_at(tracked, self._run_state.now)

    def resume(self, tracked: TrackedJob) -> None:
        """Poll a job of an earlier invocation soon, but not all of them in the same instant."""
        self._run_state.in_flight += 1
        if tracked.attempt.price_key:
            self._run_state.budget.watch(tracked.attempt.work.key, tracked.attempt.price_key)
        spread = self._run_state.policy.settings.poll_min * self._run_state.ports.random.random()
        self._poll_at(tracked, self._run_state.now + spread)

    def poll_lost(self, tracked: TrackedJob) -> None:
        """Poll a lost job once more."""
        tracked.lost, tracked.holds_slot = True, False
        self._poll_at(tracked, self._run_state.now)

    def resume_incomplete(self, tracked: TrackedJob, listing: Listing) -> None:
        """Poll a completed job of an earlier invocation for the outputs that it has not listed yet."""
        tracked.missing_outputs, tracked.holds_slot = listing.awaited, False
        self._poll_at(tracked, self._run_state.now)

    async def settle(self, tracked: TrackedJob, job: Job) -> None:
        """Record how a job ended, and pass its outputs to the fetcher."""
        await self._settler.settle(tracked, job)

    def start(self) -> float | None:
        """Start the polls that are due; return the loop time of the next one."""
        now, at_once = self._run_state.now, self._run_state.policy.shares.polls
        while self._active < at_once and (tracked := self._due.take(now)) is not None:
            self._active += 1
            self._run_state.spawn(self._poll(tracked))
        return self._due.next() if self._active < at_once else None

    def _poll_at(self, tracked: TrackedJob, due: float) -> None:
        self._due.add(tracked, due)

    async def _poll(self, tracked: TrackedJob) -> None:
        try:
            job_id = tracked.attempt.job_id
            assert job_id is not None  # noqa: S101 - for the type checker: what was accepted has an id
            tracked.polls += 1
            tracked.polled = self._run_state.now
            await self._handle_answer(tracked, await self._run_state.ports.api.poll(job_id))
        finally:
            self._active -= 1

    async def _handle_answer(self, tracked: TrackedJob, answer: PollAnswer) -> None:
        run_state = self._run_state
        if isinstance(answer, Found | Unknown):
            tracked.failed_polls = 0
            run_state.api_health = run_state.api_health.reached()
        if isinstance(answer, Found):
            await self._found(tracked, answer.job)
        elif isinstance(answer, Unknown):
            await self._unknown(tracked)
        elif isinstance(answer, Unauthorized):
            run_state.stop(Stop.KEY, f"the API refuses the key ({printable(answer.error_type)}): check API18_KEY")
            self._poll_at(tracked, run_state.now + run_state.policy.settings.poll_max)
        else:
            self._not_answered(tracked, answer)

    async def _found(self, tracked: TrackedJob, job: Job) -> None:
        run_state = self._run_state
        if tracked.missing_outputs:
            await self._settler.add_outputs(tracked, job)
            return
        if tracked.lost and not await self._settler.restore_lost(tracked, job):
            return
        self._update_age(tracked, job)
        await update_price(run_state, tracked, job)
        if job.status is not JobStatus.PROCESSING:
            await self.settle(tracked, job)
            return
        if tracked.absence != Absence():
            tracked.absence = Absence()
            await run_state.record(run_state.ports.journal.record_absence, tracked.attempt, tracked.absence)
        tracked.no_output = Absence()
        self._still_processing(tracked)

    async def _unknown(self, tracked: TrackedJob) -> None:
        run_state = self._run_state
        if tracked.lost:
            return
        if tracked.missing_outputs:
            await self._settler.add_outputs(tracked, None)
            return
        tracked.absence = tracked.absence.again()
        if tracked.absence.certain:
            if tracked.attempt.account == run_state.policy.account or run_state.expired(tracked.attempt.expires_at):
                await self._settler.lose(tracked, "the provider no longer knows the job")
                return
            self._park(tracked, "is unknown to this account; another account bought it")
        await run_state.record(run_state.ports.journal.record_absence, tracked.attempt, tracked.absence)
        self._park_if_slow(tracked)
        wait = _PARKED_INTERVAL if tracked.parked else tracked.absence.next_wait(run_state.policy.settings.poll_max)
        tracked.absence = tracked.absence.wait(wait)
        self._poll_at(tracked, run_state.now + wait)

    def _not_answered(self, tracked: TrackedJob, answer: Unavailable) -> None:
        run_state = self._run_state
        tracked.failed_polls += 1
        run_state.unreachable_reason = printable(answer.reason)
        api_health = run_state.api_health
        run_state.api_health = (
            api_health.failing(run_state.now) if answer.reached else api_health.unreachable(run_state.now)
        )
        if tracked.lost and tracked.failed_polls >= _TRIES_FOR_LOST:
            return
        delay = retry_delay(tracked.failed_polls, run_state.ports.random.random(), answer.retry_after)
        if not tracked.lost:
            self._park_if_slow(tracked)
        least = _PARKED_INTERVAL if tracked.parked else run_state.policy.settings.poll_min
        self._poll_at(tracked, run_state.now + max(delay, least))

    def _still_processing(self, tracked: TrackedJob) -> None:
        run_state, settings = self._run_state, self._run_state.policy.settings
        durations = run_state.durations_of(tracked.attempt)
        # Counted from when the poll was sent: a slow answer must not delay the next poll.
        age = tracked.polled - tracked.submitted
        if not self._park_if_slow(tracked):
            self._unpark(tracked)
        wait = next_poll(durations, age, settings.poll_min, settings.poll_max)
        self._poll_at(tracked, tracked.polled + (_PARKED_INTERVAL if tracked.parked else wait))

    def _update_age(self, tracked: TrackedJob, job: Job) -> None:
        """Use the provider's times to tell how long a job that was taken over has been working."""
        run_state, offset = self._run_state, self._run_state.ports.api.clock_offset
        if tracked.taken_over and offset is not None and job.created_at is not None:
            age = (run_state.ports.utc_now() + offset - job.created_at).total_seconds()
            tracked.working_since = min(tracked.working_since, run_state.now - age)

    def _park_if_slow(self, tracked: TrackedJob) -> bool:
        """Park a job that is older than its timeout, and return whether it is.

        Its age comes from no clock of ours, which may be wrong. Its expiry does not matter: while the provider works
        on a job, it has not expired.
        """
        durations = self._run_state.durations_of(tracked.attempt)
        timeout = timeout_of(durations, self._run_state.policy.settings.job_timeout)
        slow = self._run_state.now - tracked.working_since > timeout
        if slow:
            self._park(tracked, "is slow")
        return slow

    def _unpark(self, tracked: TrackedJob) -> None:
        """A parked job is processing, and not older than its timeout after all: it takes a slot again."""
        if tracked.parked:
            tracked.parked = False
            self._run_state.parked -= 1
            self._run_state.in_flight += 1
            tracked.holds_slot = True

    def _park(self, tracked: TrackedJob, why: str) -> None:
        """Free the slot of a job that may take very long; from now on it is polled rarely."""
        if tracked.parked:
            return
        tracked.parked = True
        self._run_state.parked += 1
        self._run_state.in_flight -= tracked.holds_slot
        tracked.holds_slot = False
        self._run_state.budget.unwatch(tracked.attempt.work.key)
        item = tracked.attempt.work.item
        log.warning("%s %s (job %s): parked, and polled rarely", item.id, why, tracked.attempt.job_id)
