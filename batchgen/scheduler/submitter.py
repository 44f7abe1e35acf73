"""Submission: first the intent goes to disk, then the POST leaves, then the answer goes to disk."""

import asyncio
from dataclasses import replace
from typing import TypeVar

from batchgen.api import (
    Accepted,
    Busy,
    Job,
    JobStatus,
    NoBalance,
    NotSent,
    Rejected,
    SubmitAnswer,
    Unauthorized,
    Unclear,
)
from batchgen.core.errors import BatchgenError
from batchgen.core.records import Item, State
from batchgen.core.text import plural, printable, usd
from batchgen.journal import Attempt, receipt_of
from batchgen.policy.budget_port import CapReached, Grant
from batchgen.policy.echo import differences
from batchgen.policy.retry import AdaptiveLimit, retry_delay
from batchgen.policy.stopping import Stop
from batchgen.scheduler.chains import Addressed, AskAgain, Chains, LeftPending, both_sides
from batchgen.scheduler.pending import PendingItems, QueuedItem
from batchgen.scheduler.pending.room import Room
from batchgen.scheduler.pictures import Pictures, SentBody
from batchgen.scheduler.poller import Poller
from batchgen.scheduler.pricing import confirm_price
from batchgen.scheduler.run_state import RunState, log
from batchgen.scheduler.tracked_job import TrackedJob

_Found = TypeVar("_Found", Addressed, SentBody)
_BACKLOG_OF_DOWNLOADS = 2000
"""Buy nothing new while more outputs than this wait to be fetched: outputs must not expire before that."""
_LEASE_INTERVAL = 0.5
"""Seconds between two looks at a lease that was not renewed in time."""
_BALANCE_INTERVAL = 60.0
"""Seconds between two submissions while the balance is empty and the run waits for it; a 402 costs nothing."""


class Submitter:
    """Submits pending items in the manifest's order, as many at once as the adaptive limit and the budget allow."""

    def __init__(self, run_state: RunState, poller: Poller) -> None:
        self._run_state = run_state
        self._poller = poller
        self._adaptive_limit = AdaptiveLimit.full(run_state.policy.settings.concurrency)
        self.queue = PendingItems(run_state)
        self.room = Room(run_state, self.queue)
        self._chains = Chains(run_state, self.queue.free)
        self.pictures = Pictures(run_state)
        self._busy_answers: dict[int, int] = {}
        """By item, the busy answers in a row."""
        self.posts: set[asyncio.Task[None]] = set()
        """The submissions that are running. They are never cancelled: their answers tell what was charged."""
        self._requests: dict[asyncio.Task[SubmitAnswer], None] = {}
        """Their requests that were sent, oldest first."""
        self.left_pending = 0
        """Items that stay pending because the API was too busy for them `max_attempts` times."""
        self._differences_told: set[str] = set()
        """How answers differed from their requests; each difference is logged once."""

    @property
    def chains(self) -> Chains:
        """The items that need outputs of others."""
        return self._chains

    @property
    def idle(self) -> bool:
        """Whether nothing is left to submit, now or later."""
        return self.queue.idle

    def abandon_requests(self) -> None:
        """Wait no longer for answers: what was sent is in doubt."""
        for request in self._requests:
            request.cancel()

    def start(self) -> float | None:
        """Start what may start now; return the loop time at which more may, or None if that depends on an answer."""
        run_state = self._run_state
        while run_state.stopped_because is None:
            self.queue.read_ahead()
            if (blocked_until := self._blocked_until()) is not None:
                return blocked_until or None
            queued = self.queue.take()
            if queued is None:
                return self.queue.next_due()
            item, budget = queued.work.item, run_state.budget
            # A request that is held open until its job ends would delay all others with unconfirmed prices as long.
            wait = run_state.policy.settings.submit == "wait" and not budget.needs_confirmation(queued.price_key)
            price = budget.expected(queued.price_key, item.model, item.estimated)
            grant = budget.reserve(queued.work.key, queued.price_key, price)
            if isinstance(grant, CapReached):
                self.queue.put_back(queued)
                self.room.cap_reached(grant, item.id, price)
                return None
            self._submit(queued, grant, wait=wait)
        return None

    def _blocked_until(self) -> float | None:
        """Return None if a submission may start now, else the loop time to look again (0: after the next change)."""
        run_state = self._run_state
        if len(self.posts) >= run_state.policy.shares.posts:
            return 0.0
        if run_state.in_flight >= self._adaptive_limit.allowed or run_state.waiting_files > _BACKLOG_OF_DOWNLOADS:
            return 0.0
        if run_state.is_enough(len(self.posts)):
            if not (self.posts or self.queue.reading or self.idle):
                run_state.stop_at_max_new()
            return 0.0
        if not run_state.ports.holds():
            return run_state.now + _LEASE_INTERVAL
        hold = max(self.room.held_until, run_state.submission_backoff.until)
        if run_state.now < hold:
            return hold
        probe_at = run_state.api_health.probe_at
        if probe_at is not None and (self.posts or run_state.now < probe_at):
            return 0.0 if self.posts else probe_at
        return None

    def _submit(self, queued: QueuedItem, grant: Grant, *, wait: bool) -> None:
        run_state = self._run_state
        run_state.in_flight += 1
        task = run_state.spawn(self._post(queued, grant, wait=wait))
        self.posts.add(task)
        task.add_done_callback(self.posts.discard)

    async def _post(self, queued: QueuedItem, grant: Grant, *, wait: bool) -> None:
        run_state = self._run_state
        policy, ports = run_state.policy, run_state.ports
        addressed = self._usable(await self._addressed(queued), queued, grant)
        if addressed is None:
            return
        body = self._usable(await self.pictures.body(addressed.work), queued, grant)
        if body is None:
            return
        work, now = addressed.work, ports.utc_now()
        if not await self.room.secure(queued, work, grant, now):
            return
        attempt = await run_state.record(
            ports.journal.record_intent, work, policy.account, policy.catalog_version, now,
            reserved=grant.amount, price_key=queued.price_key, inputs=addressed.inputs,
        )  # fmt: skip
        run_state.state_changed(work, State.PENDING, State.SUBMITTING)
        if run_state.stopped_because is not None:
            await self._cancel_intent(attempt)
            return
        if self._is_crowded():
            await self._cancel_intent(attempt)
            self.queue.retry(queued, run_state.now)
            return
        sent, run_state.api_health = run_state.now, run_state.api_health.sent(grant.amount)
        answer = body.without_secrets(await self._answer(work.item.model, body.text, wait=wait))
        if isinstance(answer, Rejected) and addressed.inputs:
            answer = replace(answer, message=both_sides(addressed.inputs, answer))
        try:
            await self._handle_answer(attempt, queued, answer, sent)
        except BatchgenError:
            if isinstance(answer, Accepted):
                self._save_receipt(attempt, answer)
            raise

    async def _addressed(self, queued: QueuedItem) -> Addressed | AskAgain | LeftPending:
        """Return an item with the addresses of the outputs that it needs."""
        return await self._chains.address(queued.work) if queued.work.item.inputs else Addressed(queued.work, ())

    def _usable(self, found: _Found | AskAgain | LeftPending, queued: QueuedItem, grant: Grant) -> _Found | None:
        """Return what was found for an item; None if it cannot be submitted now, and is put back or left."""
        run_state = self._run_state
        if not isinstance(found, AskAgain | LeftPending):
            return found
        run_state.budget.release(grant)
        run_state.in_flight -= 1
        if isinstance(found, AskAgain):
            self.queue.retry(queued, run_state.now + found.wait)
        else:
            self.queue.forget(queued.work.key)
        return None

    def _is_crowded(self) -> bool:
        """Whether parked or lost jobs have taken slots again while an intent was being recorded."""
        return self._run_state.in_flight > self._run_state.policy.settings.concurrency

    def _save_receipt(self, attempt: Attempt, answer: Accepted) -> None:
        """An acceptance could not be recorded: save its job id where possible. The intent is in the journal."""
        run_state, name = self._run_state, f"{attempt.work.item.id} as job {answer.job.id}"
        run_state.unrecorded.append(name)
        log.error("accepted but not recorded: %s", name)
        try:
            run_state.ports.journal.write_receipt(receipt_of(attempt, answer.job, run_state.ports.utc_now()))
        except BatchgenError as error:
            log.error("its receipt could not be written either: %s", error)

    async def _answer(self, model: str, body: str, *, wait: bool) -> SubmitAnswer:
        """Send the request and return its answer; nothing but `abandon_requests` interrupts it."""
        policy = self._run_state.policy
        endpoint = policy.endpoints[model] if policy.settings.endpoint == "model" else "/v1/generate"
        request = asyncio.create_task(self._run_state.ports.api.submit(body, endpoint, wait=wait))
        self._requests[request] = None
        try:
            await asyncio.wait([request])
        finally:
            del self._requests[request]
        return Unclear("the program stopped before the answer came") if request.cancelled() else request.result()

    async def _handle_answer(self, attempt: Attempt, queued: QueuedItem, answer: SubmitAnswer, sent: float) -> None:
        """Record what an answer says of its attempt, and act on it."""
        run_state, journal, item = self._run_state, self._run_state.ports.journal, queued.work.item
        if isinstance(answer, Accepted):
            await self._accepted(attempt, answer, sent)
        elif isinstance(answer, Unclear):
            reason = printable(answer.reason)
            await run_state.record(journal.doubt, attempt, reason, answer.raw)
            self._doubted(attempt, reason)
        elif isinstance(answer, Rejected):
            message = printable(answer.message, 2000)
            log.warning("%s was rejected: %s: %s", item.id, printable(answer.error_type), message)
            await run_state.record(journal.reject, attempt, answer.error_type, message, run_state.ports.utc_now())
            run_state.budget.release(attempt.grant)
            run_state.api_health = run_state.api_health.definite()
            run_state.submission_backoff = run_state.submission_backoff.answered()
            self._submission_ended(attempt, State.REJECTED)
            run_state.count_failure()
        else:
            await self._cancel_intent(attempt)
            self._handle_refusal(queued, answer)

    def _doubted(self, attempt: Attempt, reason: str) -> None:
        """Count an attempt that was recorded as in doubt, with the price that was reserved; it confirms no price."""
        run_state, work = self._run_state, attempt.work
        log.warning("%s is in doubt: %s", work.item.id, reason)
        run_state.budget.doubt(attempt.grant)
        run_state.api_health = run_state.api_health.unclear(run_state.now, attempt.reserved)
        self._submission_ended(attempt, State.IN_DOUBT)
        run_state.bought += 1
        self.check_doubts()

    async def _cancel_intent(self, attempt: Attempt) -> None:
        """Take back an intent that was certainly not charged: the item is pending again."""
        run_state = self._run_state
        await run_state.record(run_state.ports.journal.cancel_intent, attempt)
        run_state.budget.release(attempt.grant)
        self._submission_ended(attempt, State.PENDING)

    async def _accepted(self, attempt: Attempt, answer: Accepted, sent: float) -> None:
        run_state, item = self._run_state, attempt.work.item
        now = run_state.ports.utc_now()
        accepted = await run_state.record_paid(
            lambda: receipt_of(attempt, answer.job, now),
            run_state.ports.journal.accept_or_doubt, attempt, answer.job, answer.raw, now,
        )  # fmt: skip
        if isinstance(accepted, str):
            self._doubted(attempt, accepted)
            return
        self._log_differences(item, answer.job)
        run_state.budget.charge(attempt.grant, accepted.charge.charged)
        if accepted.named_price is not None:
            confirm_price(run_state, accepted)
        run_state.api_health = run_state.api_health.definite()
        run_state.submission_backoff = run_state.submission_backoff.answered()
        self._adaptive_limit = self._adaptive_limit.accepted()
        self._busy_answers.pop(attempt.work.key, None)
        run_state.bought += 1
        self.queue.forget(attempt.work.key)
        run_state.state_changed(attempt.work, State.SUBMITTING, State.PROCESSING)
        log.info("%s was accepted as job %s for $%s", item.id, answer.job.id, usd(accepted.charge.charged))
        tracked = TrackedJob(accepted, sent)
        if attempt.work.key in run_state.budget.unconfirmed:
            self._poller.poll_now(tracked)  # for the price, which the answer did not name
        elif answer.job.status is JobStatus.PROCESSING:
            self._poller.add(tracked)
        else:
            await self._poller.settle(tracked, answer.job)

    def _log_differences(self, item: Item, job: Job) -> None:
        for difference in differences(item.body, job.input):
            if difference not in self._differences_told:
                self._differences_told.add(difference)
                log.warning("%s: the answer (job %s) %s; it is accepted anyway", item.id, job.id, difference)

    def _submission_ended(self, attempt: Attempt, state: State) -> None:
        self._run_state.state_changed(attempt.work, State.SUBMITTING, state)
        self._run_state.in_flight -= 1
        if state is not State.PENDING:
            self._busy_answers.pop(attempt.work.key, None)
            self.queue.forget(attempt.work.key)

    def _handle_refusal(self, queued: QueuedItem, answer: NotSent | Busy | Unauthorized | NoBalance) -> None:
        """Decide when an item that was certainly not charged is submitted again."""
        run_state = self._run_state
        if isinstance(answer, Unauthorized):
            run_state.stop(Stop.KEY, f"the API refuses the key ({printable(answer.error_type)}): check API18_KEY")
        elif isinstance(answer, NoBalance) and run_state.policy.wait_for_balance:
            log.warning("the balance is used up; trying again in %.0f s", _BALANCE_INTERVAL)
            run_state.api_health = run_state.api_health.definite()
            run_state.submission_backoff = run_state.submission_backoff.answered().wait(
                run_state.now, _BALANCE_INTERVAL
            )
            self.queue.retry(queued, run_state.submission_backoff.until)
        elif isinstance(answer, NoBalance):
            run_state.stop(Stop.BALANCE, _BALANCE.get(answer.error_type, printable(answer.message)))
        elif isinstance(answer, NotSent) and not run_state.ports.holds():
            self.queue.retry(queued, run_state.now)  # that is why, and it says nothing of the API
        elif isinstance(answer, NotSent):
            run_state.api_health = run_state.api_health.not_sent(run_state.now)
            run_state.unreachable_reason = printable(answer.reason)
            self.queue.retry(queued, run_state.now)
        else:
            self._back_off(queued, answer)

    def _back_off(self, queued: QueuedItem, answer: Busy) -> None:
        """The provider is busy: all submissions wait, and this item is retried unless it was too often."""
        run_state, work = self._run_state, queued.work
        run_state.api_health = run_state.api_health.definite()
        self._adaptive_limit = self._adaptive_limit.busy(run_state.now)
        draw = run_state.ports.random.random()
        run_state.submission_backoff = run_state.submission_backoff.busy(
            run_state.now, retry_delay(run_state.submission_backoff.streak + 1, draw, answer.retry_after)
        )
        tries = self._busy_answers[work.key] = self._busy_answers.get(work.key, 0) + 1
        if tries >= run_state.policy.settings.max_attempts:
            log.warning("%s stays pending: the API was busy %d times", work.item.id, tries)
            del self._busy_answers[work.key]
            self.left_pending += 1
        else:
            draw = run_state.ports.random.random()
            self.queue.retry(queued, run_state.now + retry_delay(tries, draw, answer.retry_after))

    def check_doubts(self) -> None:
        """Stop the run where too much is in doubt."""
        run_state, settings = self._run_state, self._run_state.policy.settings
        caps = [cap for cap in (settings.max_cost, settings.budget) if cap is not None]
        if run_state.api_health.too_many_doubts(settings.max_in_doubt, min(caps, default=None)):
            run_state.stop(
                Stop.DOUBTS,
                f"{plural(run_state.api_health.doubts, 'submission')} had no clear answer and may have been charged"
                f" (up to ${usd(run_state.api_health.doubt_usd)}), more than max_in_doubt or a tenth of the cap"
                " allows; check the provider's billing before you continue",
            )


_BALANCE = {
    "insufficient_balance": "the account's balance is used up: add credits on the provider's Billing page",
    "paid_balance_required": "the account has promotional credit only, which the API cannot use: add paid credit",
}
