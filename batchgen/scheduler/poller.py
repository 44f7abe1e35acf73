"""Polling: one set of ticks for all jobs, and a task only for a request that is under way."""

from batchgen.absence import Absence
from batchgen.api import Found, Job, JobStatus, PollAnswer, Unauthorized, Unavailable, Unknown
from batchgen.halting import Stop
from batchgen.journal import Listing
from batchgen.polling import first_poll, next_poll, timeout_of
from batchgen.retry import retry_delay
from batchgen.scheduler.board import Board, Flight, log
from batchgen.scheduler.fetcher import Fetcher
from batchgen.scheduler.pricing import hear_price
from batchgen.scheduler.settling import Settler
from batchgen.scheduler.ticks import Ticks
from batchgen.text import printable

_PARKED_INTERVAL = 60.0
"""Seconds between two polls of a parked job."""
_TRIES_FOR_LOST = 3
"""How often a lost job is asked for while no answer comes: it holds up nothing else."""


class Poller:
    """Asks how jobs stand, when it is worth it, and settles those that have ended."""

    def __init__(self, board: Board, fetcher: Fetcher) -> None:
        self._board = board
        self._settler = Settler(board, fetcher, self._ask_at)
        self._due: Ticks[Flight] = Ticks()
        self._active = 0

    @property
    def idle(self) -> bool:
        """Whether no job is left to ask about."""
        return not self._due and not self._active

    @property
    def only_parked(self) -> bool:
        """Whether all jobs that are left are parked."""
        return 0 < self._board.parked == len(self._due) + self._active

    def add(self, flight: Flight) -> None:
        """A job was accepted just now."""
        durations = self._board.durations_of(flight.attempt.work.item.model)
        self._ask_at(flight, flight.accepted + first_poll(durations, self._board.terms.settings.poll_min))

    def ask_now(self, flight: Flight) -> None:
        """A job was accepted just now, and something is to be learned from it at once."""
        self._ask_at(flight, self._board.now)

    def resume(self, flight: Flight) -> None:
        """A job of an earlier invocation: ask soon, but not all of them in the same instant."""
        self._board.in_flight += 1
        if flight.attempt.price_key:
            self._board.purse = self._board.purse.watch(flight.attempt.work.key, flight.attempt.price_key)
        spread = self._board.terms.settings.poll_min * self._board.seams.random.random()
        self._ask_at(flight, self._board.now + spread)

    def ask_again(self, flight: Flight) -> None:
        """A job that counts as lost: ask once whether it is there after all."""
        flight.lost, flight.slot = True, False
        self._ask_at(flight, self._board.now)

    def complement(self, flight: Flight, listing: Listing) -> None:
        """A job of an earlier invocation that is ready and lacks outputs: go on asking for them."""
        flight.awaited, flight.slot = listing.awaited, False
        self._ask_at(flight, self._board.now)

    async def settle(self, flight: Flight, job: Job) -> None:
        """A job has ended at the provider: record how, and pass its outputs on."""
        await self._settler.settle(flight, job)

    def start(self) -> float | None:
        """Start the polls that are due; return the loop time of the next one."""
        now, at_once = self._board.now, self._board.terms.shares.polls
        while self._active < at_once and (flight := self._due.take(now)) is not None:
            self._active += 1
            self._board.spawn(self._ask(flight))
        return self._due.next() if self._active < at_once else None

    def _ask_at(self, flight: Flight, due: float) -> None:
        self._due.add(flight, due)

    async def _ask(self, flight: Flight) -> None:
        try:
            job_id = flight.attempt.job_id
            assert job_id is not None  # noqa: S101 - for the type checker: what was accepted has an id
            flight.polls += 1
            flight.asked = self._board.now
            await self._obey(flight, await self._board.seams.api.poll(job_id))
        finally:
            self._active -= 1

    async def _obey(self, flight: Flight, answer: PollAnswer) -> None:
        board = self._board
        if isinstance(answer, Found | Unknown):
            flight.failures = 0
            board.weather = board.weather.reached()
        if isinstance(answer, Found):
            await self._found(flight, answer.job)
        elif isinstance(answer, Unknown):
            await self._unknown(flight)
        elif isinstance(answer, Unauthorized):
            board.halt(Stop.KEY, f"the API refuses the key ({printable(answer.error_type)}): check API18_KEY")
            self._ask_at(flight, board.now + board.terms.settings.poll_max)
        else:
            self._not_answered(flight, answer)

    async def _found(self, flight: Flight, job: Job) -> None:
        board = self._board
        if flight.awaited:
            await self._settler.complement(flight, job)
            return
        if flight.lost and not await self._settler.reclaim(flight, job):
            return
        self._learn_age(flight, job)
        await hear_price(board, flight, job)
        if job.status is not JobStatus.PROCESSING:
            await self.settle(flight, job)
            return
        if flight.absence != Absence():
            flight.absence = Absence()
            await board.record(board.seams.journal.miss, flight.attempt, flight.absence)
        flight.empty = Absence()
        self._still_processing(flight)

    async def _unknown(self, flight: Flight) -> None:
        board = self._board
        if flight.lost:
            return
        if flight.awaited:
            await self._settler.complement(flight, None)
            return
        flight.absence = flight.absence.again()
        if flight.absence.certain:
            if flight.attempt.account == board.terms.account or board.expired(flight.attempt.expires_at):
                await self._settler.lose(flight, "the provider does not know the job any more")
                return
            self._park(flight, "is unknown to this account, and another one bought it")
        await board.record(board.seams.journal.miss, flight.attempt, flight.absence)
        self._park_if_slow(flight)
        wait = _PARKED_INTERVAL if flight.parked else flight.absence.next_wait(board.terms.settings.poll_max)
        flight.absence = flight.absence.wait(wait)
        self._ask_at(flight, board.now + wait)

    def _not_answered(self, flight: Flight, answer: Unavailable) -> None:
        board = self._board
        flight.failures += 1
        board.trouble = printable(answer.reason)
        weather = board.weather
        board.weather = weather.failing(board.now) if answer.reached else weather.unreachable(board.now)
        if flight.lost and flight.failures >= _TRIES_FOR_LOST:
            return
        delay = retry_delay(flight.failures, board.seams.random.random(), answer.retry_after)
        if not flight.lost:
            self._park_if_slow(flight)
        least = _PARKED_INTERVAL if flight.parked else board.terms.settings.poll_min
        self._ask_at(flight, board.now + max(delay, least))

    def _still_processing(self, flight: Flight) -> None:
        board, settings = self._board, self._board.terms.settings
        durations = board.durations_of(flight.attempt.work.item.model)
        # From one question to the next: what an answer takes is no reason to learn of the end later.
        age = flight.asked - flight.accepted
        if not self._park_if_slow(flight):
            self._unpark(flight)
        wait = next_poll(durations, age, settings.poll_min, settings.poll_max)
        self._ask_at(flight, flight.asked + (_PARKED_INTERVAL if flight.parked else wait))

    def _learn_age(self, flight: Flight, job: Job) -> None:
        """By the provider's clock, a job of an earlier invocation may be known to be older than this invocation."""
        board, offset = self._board, self._board.seams.api.clock_offset
        if not flight.bought_now and offset is not None and job.created_at is not None:
            age = (board.seams.utc_now() + offset - job.created_at).total_seconds()
            flight.since = min(flight.since, board.now - age)

    def _park_if_slow(self, flight: Flight) -> bool:
        """Park a job for its age, whatever its polls say; return whether it is too old.

        Not by our clock, which may be wrong, nor by its expiry: what the provider works on has not expired.
        """
        durations = self._board.durations_of(flight.attempt.work.item.model)
        old = self._board.now - flight.since > timeout_of(durations, self._board.terms.settings.job_timeout)
        if old:
            self._park(flight, "is slow")
        return old

    def _unpark(self, flight: Flight) -> None:
        """A parked job turns out to be at work, within its normal time: it takes its place again."""
        if flight.parked:
            flight.parked = False
            self._board.parked -= 1
            self._board.in_flight += 1
            flight.slot = True

    def _park(self, flight: Flight, why: str) -> None:
        """Free the slot of a job that may take for ever; it is still asked for, rarely."""
        if flight.parked:
            return
        flight.parked = True
        self._board.parked += 1
        self._board.in_flight -= flight.slot
        flight.slot = False
        self._board.purse = self._board.purse.free(flight.attempt.work.key)
        item = flight.attempt.work.item
        log.warning("%s %s (job %s): parked, and polled rarely", item.id, why, flight.attempt.job_id)
