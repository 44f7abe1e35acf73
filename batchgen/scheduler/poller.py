"""Polling: one set of ticks for all jobs, and a task only for a request that is under way."""

from batchgen.api import Found, Job, JobStatus, PollAnswer, Unauthorized, Unavailable, Unknown
from batchgen.core.text import printable
from batchgen.journal import Listing
from batchgen.policy.absence import Absence
from batchgen.policy.polling import first_poll, next_poll, timeout_of
from batchgen.policy.retry import retry_delay
from batchgen.policy.stopping import Stop
from batchgen.scheduler.fetcher import Fetcher
from batchgen.scheduler.pricing import hear_price
from batchgen.scheduler.run_state import RunState, TrackedJob, log
from batchgen.scheduler.settler import Settler
from batchgen.scheduler.ticks import Ticks

_PARKED_INTERVAL = 60.0
"""Seconds between two polls of a parked job."""
_TRIES_FOR_LOST = 3
"""How often a lost job is asked for while no answer comes: it holds up nothing else."""


class Poller:
    """Asks how jobs stand, when it is worth it, and settles those that have ended."""

    def __init__(self, run_state: RunState, fetcher: Fetcher) -> None:
        self._run_state = run_state
        self._settler = Settler(run_state, fetcher, self._ask_at)
        self._due: Ticks[TrackedJob] = Ticks()
        self._active = 0

    @property
    def idle(self) -> bool:
        """Whether no job is left to ask about."""
        return not self._due and not self._active

    @property
    def only_parked(self) -> bool:
        """Whether all jobs that are left are parked."""
        return 0 < self._run_state.parked == len(self._due) + self._active

    def add(self, tracked: TrackedJob) -> None:
        """A job was accepted just now."""
        durations = self._run_state.durations_of(tracked.attempt.work.item.model)
        self._ask_at(tracked, tracked.accepted + first_poll(durations, self._run_state.policy.settings.poll_min))

    def ask_now(self, tracked: TrackedJob) -> None:
        """A job was accepted just now, and something is to be learned from it at once."""
        self._ask_at(tracked, self._run_state.now)

    def resume(self, tracked: TrackedJob) -> None:
        """A job of an earlier invocation: ask soon, but not all of them in the same instant."""
        self._run_state.in_flight += 1
        if tracked.attempt.price_key:
            self._run_state.budget.watch(tracked.attempt.work.key, tracked.attempt.price_key)
        spread = self._run_state.policy.settings.poll_min * self._run_state.ports.random.random()
        self._ask_at(tracked, self._run_state.now + spread)

    def ask_again(self, tracked: TrackedJob) -> None:
        """A job that counts as lost: ask once whether it is there after all."""
        tracked.lost, tracked.slot = True, False
        self._ask_at(tracked, self._run_state.now)

    def complement(self, tracked: TrackedJob, listing: Listing) -> None:
        """A job of an earlier invocation that is ready and lacks outputs: go on asking for them."""
        tracked.awaited, tracked.slot = listing.awaited, False
        self._ask_at(tracked, self._run_state.now)

    async def settle(self, tracked: TrackedJob, job: Job) -> None:
        """A job has ended at the provider: record how, and pass its outputs on."""
        await self._settler.settle(tracked, job)

    def start(self) -> float | None:
        """Start the polls that are due; return the loop time of the next one."""
        now, at_once = self._run_state.now, self._run_state.policy.shares.polls
        while self._active < at_once and (tracked := self._due.take(now)) is not None:
            self._active += 1
            self._run_state.spawn(self._ask(tracked))
        return self._due.next() if self._active < at_once else None

    def _ask_at(self, tracked: TrackedJob, due: float) -> None:
        self._due.add(tracked, due)

    async def _ask(self, tracked: TrackedJob) -> None:
        try:
            job_id = tracked.attempt.job_id
            assert job_id is not None  # noqa: S101 - for the type checker: what was accepted has an id
            tracked.polls += 1
            tracked.asked = self._run_state.now
            await self._obey(tracked, await self._run_state.ports.api.poll(job_id))
        finally:
            self._active -= 1

    async def _obey(self, tracked: TrackedJob, answer: PollAnswer) -> None:
        run_state = self._run_state
        if isinstance(answer, Found | Unknown):
            tracked.failures = 0
            run_state.api_health = run_state.api_health.reached()
        if isinstance(answer, Found):
            await self._found(tracked, answer.job)
        elif isinstance(answer, Unknown):
            await self._unknown(tracked)
        elif isinstance(answer, Unauthorized):
            run_state.halt(Stop.KEY, f"the API refuses the key ({printable(answer.error_type)}): check API18_KEY")
            self._ask_at(tracked, run_state.now + run_state.policy.settings.poll_max)
        else:
            self._not_answered(tracked, answer)

    async def _found(self, tracked: TrackedJob, job: Job) -> None:
        run_state = self._run_state
        if tracked.awaited:
            await self._settler.complement(tracked, job)
            return
        if tracked.lost and not await self._settler.reclaim(tracked, job):
            return
        self._learn_age(tracked, job)
        await hear_price(run_state, tracked, job)
        if job.status is not JobStatus.PROCESSING:
            await self.settle(tracked, job)
            return
        if tracked.absence != Absence():
            tracked.absence = Absence()
            await run_state.record(run_state.ports.journal.record_absence, tracked.attempt, tracked.absence)
        tracked.empty = Absence()
        self._still_processing(tracked)

    async def _unknown(self, tracked: TrackedJob) -> None:
        run_state = self._run_state
        if tracked.lost:
            return
        if tracked.awaited:
            await self._settler.complement(tracked, None)
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
        self._ask_at(tracked, run_state.now + wait)

    def _not_answered(self, tracked: TrackedJob, answer: Unavailable) -> None:
        run_state = self._run_state
        tracked.failures += 1
        run_state.trouble = printable(answer.reason)
        api_health = run_state.api_health
        run_state.api_health = (
            api_health.failing(run_state.now) if answer.reached else api_health.unreachable(run_state.now)
        )
        if tracked.lost and tracked.failures >= _TRIES_FOR_LOST:
            return
        delay = retry_delay(tracked.failures, run_state.ports.random.random(), answer.retry_after)
        if not tracked.lost:
            self._park_if_slow(tracked)
        least = _PARKED_INTERVAL if tracked.parked else run_state.policy.settings.poll_min
        self._ask_at(tracked, run_state.now + max(delay, least))

    def _still_processing(self, tracked: TrackedJob) -> None:
        run_state, settings = self._run_state, self._run_state.policy.settings
        durations = run_state.durations_of(tracked.attempt.work.item.model)
        # From one question to the next: what an answer takes is no reason to learn of the end later.
        age = tracked.asked - tracked.accepted
        if not self._park_if_slow(tracked):
            self._unpark(tracked)
        wait = next_poll(durations, age, settings.poll_min, settings.poll_max)
        self._ask_at(tracked, tracked.asked + (_PARKED_INTERVAL if tracked.parked else wait))

    def _learn_age(self, tracked: TrackedJob, job: Job) -> None:
        """By the provider's clock, a job of an earlier invocation may be known to be older than this invocation."""
        run_state, offset = self._run_state, self._run_state.ports.api.clock_offset
        if not tracked.bought_now and offset is not None and job.created_at is not None:
            age = (run_state.ports.utc_now() + offset - job.created_at).total_seconds()
            tracked.since = min(tracked.since, run_state.now - age)

    def _park_if_slow(self, tracked: TrackedJob) -> bool:
        """Park a job for its age, whatever its polls say; return whether it is too old.

        Not by our clock, which may be wrong, nor by its expiry: what the provider works on has not expired.
        """
        durations = self._run_state.durations_of(tracked.attempt.work.item.model)
        old = self._run_state.now - tracked.since > timeout_of(durations, self._run_state.policy.settings.job_timeout)
        if old:
            self._park(tracked, "is slow")
        return old

    def _unpark(self, tracked: TrackedJob) -> None:
        """A parked job turns out to be at work, within its normal time: it takes its place again."""
        if tracked.parked:
            tracked.parked = False
            self._run_state.parked -= 1
            self._run_state.in_flight += 1
            tracked.slot = True

    def _park(self, tracked: TrackedJob, why: str) -> None:
        """Free the slot of a job that may take for ever; it is still asked for, rarely."""
        if tracked.parked:
            return
        tracked.parked = True
        self._run_state.parked += 1
        self._run_state.in_flight -= tracked.slot
        tracked.slot = False
        self._run_state.budget.free(tracked.attempt.work.key)
        item = tracked.attempt.work.item
        log.warning("%s %s (job %s): parked, and polled rarely", item.id, why, tracked.attempt.job_id)
