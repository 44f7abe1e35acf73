"""The end of a job at the provider: recorded, counted, learned from, and its outputs passed on."""

from collections.abc import Callable

from batchgen.absence import Absence
from batchgen.api import Job, JobStatus
from batchgen.journal import Listing
from batchgen.records import State
from batchgen.scheduler.board import Board, Flight, log
from batchgen.scheduler.fetcher import Fetcher
from batchgen.text import printable


class Settler:
    """Settles jobs that have ended."""

    def __init__(self, board: Board, fetcher: Fetcher, ask_at: Callable[[Flight, float], None]) -> None:
        """`ask_at` lets a job be asked for at a loop time."""
        self._board = board
        self._fetcher = fetcher
        self._ask_at = ask_at

    async def settle(self, flight: Flight, job: Job) -> None:
        """A job has ended at the provider: record how, and pass its outputs on."""
        board, journal, item = self._board, self._board.seams.journal, flight.attempt.work.item
        if job.status is JobStatus.COMPLETED and not any(job.outputs):
            await self._empty(flight)
            return
        took, certain = self._took(flight, job)
        took_ms = round(took * 1000)
        self._note_queueing(flight, job, took)
        if job.status is JobStatus.FAILED:
            log.warning("%s failed: %s", item.id, printable(job.error or "no reason given"))
            await board.record(journal.fail, flight.attempt, job, flight.polls, took_ms, board.seams.utc_now())
            board.purse = board.purse.refund(flight.attempt.charge, bought_now=flight.bought_now)
            self._ended(flight, State.FAILED)
            board.check_failures()
            return
        ordered = board.terms.outputs(item)
        listing = await board.record(
            journal.complete, flight.attempt, job, flight.polls, took_ms, board.seams.utc_now(), ordered=ordered
        )
        if certain:
            board.durations_of(item.model).add(took)
        self._ended(flight, State.READY)
        self._fetch(flight, listing, job)
        if flight.awaited:
            flight.empty = Absence()
            self._ask_for_more(flight)

    def _fetch(self, flight: Flight, listing: Listing, job: Job) -> None:
        flight.awaited = listing.awaited
        expires = job.expires_at or flight.attempt.expires_at
        self._fetcher.add(flight.attempt, listing, expires, reclaimed=flight.reclaimed)

    def _ask_for_more(self, flight: Flight) -> None:
        flight.empty = flight.empty.again()
        wait = flight.empty.next_wait(self._board.terms.settings.poll_max)
        flight.empty = flight.empty.wait(wait)
        self._ask_at(flight, self._board.now + wait)

    async def complement(self, flight: Flight, job: Job | None) -> None:
        """Fewer outputs were listed than ordered: fetch what is listed now, ask again, and in the end do without.

        `job` is None where the provider does not know the job any more.
        """
        board, journal, attempt = self._board, self._board.seams.journal, flight.attempt
        if self._fetcher.has_lost(attempt):
            self._drop(flight)
            return
        if job is not None and any(job.outputs):
            ordered = board.terms.outputs(attempt.work.item)
            listing = await board.record(journal.list_more, attempt, job, flight.polls, ordered=ordered)
            self._fetch(flight, listing, job)
            if listing.left:
                flight.empty = Absence()
        if not flight.awaited:
            self._drop(flight)
        elif flight.empty.again().certain:
            await self._forgo(flight)
        else:
            self._ask_for_more(flight)

    async def _forgo(self, flight: Flight) -> None:
        board, attempt = self._board, flight.attempt
        ordered = board.terms.outputs(attempt.work.item)
        reason = f"the provider lists {ordered - flight.awaited} of the {ordered} outputs that were ordered"
        log.warning("%s: %s (job %s)", attempt.work.item.id, reason, attempt.job_id)
        done = await board.record(board.seams.journal.forgo, attempt, reason)
        self._drop(flight)
        if done:
            board.moved(attempt.work, State.READY, State.DONE)

    def _drop(self, flight: Flight) -> None:
        """Nothing more is asked about it."""
        if flight.parked:
            self._board.parked -= 1

    async def _empty(self, flight: Flight) -> None:
        """The job was completed, and lists nothing: perhaps it only lists it late."""
        board = self._board
        flight.empty = flight.empty.again()
        if flight.empty.certain:
            await self.lose(flight, "the job was completed without any output")
            return
        wait = flight.empty.next_wait(board.terms.settings.poll_max)
        flight.empty = flight.empty.wait(wait)
        self._ask_at(flight, board.now + wait)

    async def reclaim(self, flight: Flight, job: Job) -> bool:
        """The provider knows a job that counts as lost: take it up where there is something to take up.

        Returns whether that was so.
        """
        board, work = self._board, flight.attempt.work
        if job.status is JobStatus.COMPLETED and not any(job.outputs):
            return False
        await board.record(board.seams.journal.reclaim, flight.attempt)
        board.moved(work, State.LOST, State.PROCESSING)
        flight.lost, flight.reclaimed, flight.absence = False, True, Absence()
        if job.status is JobStatus.PROCESSING:
            flight.slot = True
            board.in_flight += 1
        log.info("%s counted as lost, and the provider knows it again (job %s)", work.item.id, job.id)
        return True

    def _took(self, flight: Flight, job: Job) -> tuple[float, bool]:
        """Return how long the job took, in seconds, and whether that is worth learning from.

        By the provider's clock, which no poll delays, where it tells; but never longer than was waited for the job,
        since a wrong date there would keep all later jobs of the model from being asked for. Of a job that ended
        between two invocations, only the provider can tell.
        """
        waited = self._board.now - flight.accepted
        if job.created_at and job.completed_at and job.completed_at >= job.created_at:
            return min(waited, (job.completed_at - job.created_at).total_seconds()), True
        return waited, flight.bought_now

    def _note_queueing(self, flight: Flight, job: Job, took: float) -> None:
        if job.created_at and job.started_at and job.completed_at and flight.bought_now:
            queued, worked = job.started_at - job.created_at, job.completed_at - job.started_at
            unseen = self._board.now - flight.accepted - took
            self._board.queueing = self._board.queueing.ended(queued.total_seconds(), worked.total_seconds(), unseen)

    async def lose(self, flight: Flight, reason: str) -> None:
        """What was paid for is gone."""
        board = self._board
        log.warning("%s is lost (job %s): %s", flight.attempt.work.item.id, flight.attempt.job_id, reason)
        await board.record(board.seams.journal.lose, flight.attempt, reason, board.seams.utc_now(), polls=flight.polls)
        self._ended(flight, State.LOST)
        board.check_failures()

    def _ended(self, flight: Flight, state: State) -> None:
        self._board.moved(flight.attempt.work, State.PROCESSING, state)
        self._board.purse = self._board.purse.free(flight.attempt.work.key)
        if flight.parked:
            self._board.parked -= 1
        self._board.in_flight -= flight.slot
        flight.parked = flight.slot = False
