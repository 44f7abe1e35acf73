"""Submission: the intent first, then the POST, then the answer on disk before anything else happens."""

import asyncio
from decimal import Decimal

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
from batchgen.core.errors import BatchgenError, DiskError
from batchgen.core.records import Item, State
from batchgen.core.text import plural, printable, usd
from batchgen.journal import Attempt, receipt_of
from batchgen.policy.budget_port import CapReached, Grant
from batchgen.policy.echo import differences
from batchgen.policy.retry import AdaptiveLimit, retry_delay
from batchgen.policy.stopping import Stop
from batchgen.scheduler.poller import Poller
from batchgen.scheduler.pricing import learn_price
from batchgen.scheduler.run_state import RunState, TrackedJob, log
from batchgen.scheduler.submission_queue import Order, Queue

_PAGE = 256
"""Pending items read from the journal at a time: memory does not grow with the manifest."""
_BACKLOG_OF_DOWNLOADS = 2000
"""Outputs waiting to be fetched beyond which nothing new is bought: results must not expire unfetched."""

_BALANCE_INTERVAL = 60.0
"""Seconds between two submissions while an empty balance is waited for; a 402 costs nothing."""


class Submitter:
    """Takes pending items in the manifest's order and submits them, as many at once as pace and money allow."""

    def __init__(self, run_state: RunState, poller: Poller) -> None:
        self._run_state = run_state
        self._poller = poller
        self._adaptive_limit = AdaptiveLimit.full(run_state.policy.settings.concurrency)
        self._queue = Queue()
        self._behind = -1
        """Position in the manifest up to which pending items were read."""
        self._exhausted = not run_state.policy.buying
        self._reading = False
        self._tries: dict[int, int] = {}
        """Busy answers in this invocation, by item; an entry goes with the item's first other answer."""
        self.posts: set[asyncio.Task[None]] = set()
        """The submissions under way: never cancelled, because their answers cost money."""
        self._requests: dict[asyncio.Task[SubmitAnswer], None] = {}
        """The requests of these that are on their way, oldest first."""
        self.left_pending = 0
        """Items that the API was too busy for, as often as `max_attempts` allows."""
        self._bought = 0
        self._told: set[str] = set()
        """How answers of this run differed from their orders: each is worth one line."""

    @property
    def idle(self) -> bool:
        """Whether nothing is left to submit, now or later."""
        return self._exhausted and self._queue.empty

    def abandon(self) -> None:
        """Wait no longer for the answers under way: what may have been accepted is in doubt."""
        for request in self._requests:
            request.cancel()

    def start(self) -> float | None:
        """Start what may start now; return the loop time at which more may, or None when only an answer can tell."""
        run_state = self._run_state
        while run_state.stop is None:
            if self._queue.wants_page and not self._exhausted and not self._reading:
                self._reading = True
                run_state.spawn(self._read())
            if (wait := self._gate()) is not None:
                return wait or None
            order = self._queue.take(run_state.now, run_state.budget.may_leave)
            if order is None:
                return self._queue.next_due(run_state.now)
            item, budget = order.work.item, run_state.budget
            # Held open for a whole generation, a request would keep all others waiting whose price is not confirmed.
            wait = run_state.policy.settings.submit == "wait" and not budget.unproven(order.price_key)
            price = budget.expected(order.price_key, item.model, item.estimated)
            grant = budget.reserve(order.work.key, order.price_key, price)
            if isinstance(grant, CapReached):
                self._queue.put_back(order)
                self._at_cap(grant, order, price)
                return None
            self._submit(order, grant, wait=wait)
        return None

    def _gate(self) -> float | None:
        """Return None when a submission may start now, else the loop time to look again (a past one: when woken)."""
        run_state, settings = self._run_state, self._run_state.policy.settings
        if len(self.posts) >= run_state.policy.shares.posts:
            return 0.0
        if run_state.in_flight >= self._adaptive_limit.allowed or run_state.waiting_files > _BACKLOG_OF_DOWNLOADS:
            return 0.0
        if settings.max_new is not None and self._bought + len(self.posts) >= settings.max_new:
            if not (self.posts or self._reading or self.idle):
                run_state.halt(Stop.MAX_NEW, f"{plural(self._bought, 'new job')} submitted, as many as max_new allows")
            return 0.0
        if run_state.now < run_state.submission_backoff.until:
            return run_state.submission_backoff.until
        probe_at = run_state.api_health.probe_at
        if probe_at is not None and (self.posts or run_state.now < probe_at):
            return 0.0 if self.posts else probe_at
        return None

    def _at_cap(self, reached: CapReached, order: Order, price: Decimal) -> None:
        """The next item does not fit: wait while something under way may still give money back, then stop."""
        if self._run_state.in_flight:
            return
        self._run_state.halt(
            Stop.MAX_COST if reached.cap == "max_cost" else Stop.BUDGET,
            f"{reached.cap} is ${usd(reached.limit)}; ${usd(reached.committed)} of it is spent or in doubt, and the"
            f" next item, {order.work.item.id}, would cost ${usd(price)}",
        )

    async def _read(self) -> None:
        try:
            rows = await self._run_state.record(self._run_state.ports.journal.pending, self._behind, _PAGE)
        finally:
            self._reading = False
        self._exhausted = len(rows) < _PAGE
        if rows:
            self._behind = rows[-1][0]
            key_of = self._run_state.policy.price_key
            self._queue.extend(Order(position, work, key_of(work.item)) for position, work in rows)

    def _submit(self, order: Order, grant: Grant, *, wait: bool) -> None:
        run_state = self._run_state
        run_state.api_health = run_state.api_health.sent(grant.amount)
        run_state.in_flight += 1
        task = run_state.spawn(self._post(order, grant, wait=wait))
        self.posts.add(task)
        task.add_done_callback(self.posts.discard)

    async def _post(self, order: Order, grant: Grant, *, wait: bool) -> None:
        run_state, policy, journal, work = (
            self._run_state,
            self._run_state.policy,
            self._run_state.ports.journal,
            order.work,
        )
        attempt = await run_state.record(
            journal.record_intent,
            work,
            policy.account,
            policy.catalog_version,
            run_state.ports.utc_now(),
            reserved=grant.amount,
            price_key=order.price_key,
        )
        run_state.moved(work, State.PENDING, State.SUBMITTING)
        if run_state.stop is not None:
            await self._release(attempt)
            return
        if self._is_crowded():
            await self._release(attempt)
            self._queue.retry(order, run_state.now)
            return
        sent = run_state.now
        answer = await self._answer(work.item, wait=wait)
        try:
            await self._obey(attempt, order, answer, sent)
        except BatchgenError:
            if isinstance(answer, Accepted):
                self._keep_id(attempt, answer)
            raise

    def _is_crowded(self) -> bool:
        """Whether jobs that counted as parked or lost have taken their places again while an intent was written."""
        return self._run_state.in_flight > self._run_state.policy.settings.concurrency

    def _keep_id(self, attempt: Attempt, answer: Accepted) -> None:
        """An acceptance could not be recorded: keep its id wherever that can be done. The journal has the intent."""
        run_state, name = self._run_state, f"{attempt.work.item.id} as job {answer.job.id}"
        run_state.unrecorded.append(name)
        log.error("accepted but not recorded: %s", name)
        try:
            run_state.ports.journal.write_receipt(receipt_of(attempt, answer.job, run_state.ports.utc_now()))
        except DiskError as error:
            log.error("its receipt could not be written either: %s", error)

    async def _answer(self, item: Item, *, wait: bool) -> SubmitAnswer:
        """Send the request and return its answer; only `abandon` can cut it off."""
        policy = self._run_state.policy
        endpoint = policy.endpoints[item.model] if policy.settings.endpoint == "model" else "/v1/generate"
        request = asyncio.create_task(self._run_state.ports.api.submit(item.body, endpoint, wait=wait))
        self._requests[request] = None
        try:
            await asyncio.wait([request])
        finally:
            del self._requests[request]
        return Unclear("the program stopped before the answer came") if request.cancelled() else request.result()

    async def _obey(self, attempt: Attempt, order: Order, answer: SubmitAnswer, sent: float) -> None:
        """Do with an attempt what its answer says (DESIGN, section 5)."""
        run_state, journal, item = self._run_state, self._run_state.ports.journal, order.work.item
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
            self._settled(attempt, State.REJECTED)
            run_state.check_failures()
        else:
            await self._release(attempt)
            self._put_back(order, answer)

    def _doubted(self, attempt: Attempt, reason: str) -> None:
        """An attempt is recorded as in doubt: it counts with what was reserved, and confirms no price."""
        run_state, work = self._run_state, attempt.work
        log.warning("%s is in doubt: %s", work.item.id, reason)
        run_state.budget.doubt(attempt.grant)
        run_state.api_health = run_state.api_health.unclear(run_state.now, attempt.reserved)
        self._settled(attempt, State.IN_DOUBT)
        self._bought += 1
        self._check_doubts()

    async def _release(self, attempt: Attempt) -> None:
        """Certainly not charged: as if it had never been tried."""
        run_state = self._run_state
        await run_state.record(run_state.ports.journal.cancel_intent, attempt)
        run_state.budget.release(attempt.grant)
        self._settled(attempt, State.PENDING)

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
        self._tell_differences(item, answer.job)
        run_state.budget.charge(attempt.grant, accepted.charge.charged)
        if accepted.named_price is not None:
            learn_price(run_state, accepted)
        run_state.api_health = run_state.api_health.definite()
        run_state.submission_backoff = run_state.submission_backoff.answered()
        self._adaptive_limit = self._adaptive_limit.accepted()
        self._tries.pop(attempt.work.key, None)
        self._bought += 1
        run_state.moved(attempt.work, State.SUBMITTING, State.PROCESSING)
        log.info("%s was accepted as job %s for $%s", item.id, answer.job.id, usd(accepted.charge.charged))
        tracked = TrackedJob(accepted, sent)
        if attempt.work.key in run_state.budget.unconfirmed:
            self._poller.ask_now(tracked)  # for its price, which the answer did not name
        elif answer.job.status is JobStatus.PROCESSING:
            self._poller.add(tracked)
        else:
            await self._poller.settle(tracked, answer.job)

    def _tell_differences(self, item: Item, job: Job) -> None:
        for difference in differences(item.body, job.input):
            if difference not in self._told:
                self._told.add(difference)
                log.warning("%s: the answer (job %s) %s; it is accepted anyway", item.id, job.id, difference)

    def _settled(self, attempt: Attempt, state: State) -> None:
        self._run_state.moved(attempt.work, State.SUBMITTING, state)
        self._run_state.in_flight -= 1
        if state is not State.PENDING:
            self._tries.pop(attempt.work.key, None)

    def _put_back(self, order: Order, answer: NotSent | Busy | Unauthorized | NoBalance) -> None:
        """An item that was certainly not charged is pending again."""
        run_state, work = self._run_state, order.work
        if isinstance(answer, Unauthorized):
            run_state.halt(Stop.KEY, f"the API refuses the key ({printable(answer.error_type)}): check API18_KEY")
        elif isinstance(answer, NoBalance) and run_state.policy.wait_for_balance:
            log.warning("the balance is used up; asking again in %.0f s", _BALANCE_INTERVAL)
            run_state.api_health = run_state.api_health.definite()
            run_state.submission_backoff = run_state.submission_backoff.answered().wait(
                run_state.now, _BALANCE_INTERVAL
            )
            self._queue.retry(order, run_state.submission_backoff.until)
        elif isinstance(answer, NoBalance):
            run_state.halt(Stop.BALANCE, _BALANCE.get(answer.error_type, printable(answer.message)))
        elif isinstance(answer, NotSent):
            run_state.api_health = run_state.api_health.not_sent(run_state.now)
            run_state.trouble = printable(answer.reason)
            self._queue.retry(order, run_state.now)
        else:
            run_state.api_health = run_state.api_health.definite()
            self._adaptive_limit = self._adaptive_limit.busy(run_state.now)
            draw = run_state.ports.random.random()
            run_state.submission_backoff = run_state.submission_backoff.busy(
                run_state.now, retry_delay(run_state.submission_backoff.streak + 1, draw, answer.retry_after)
            )
            tries = self._tries[work.key] = self._tries.get(work.key, 0) + 1
            if tries >= run_state.policy.settings.max_attempts:
                log.warning("%s stays pending: the API was busy %d times", work.item.id, tries)
                del self._tries[work.key]
                self.left_pending += 1
            else:
                draw = run_state.ports.random.random()
                self._queue.retry(order, run_state.now + retry_delay(tries, draw, answer.retry_after))

    def _check_doubts(self) -> None:
        run_state, settings = self._run_state, self._run_state.policy.settings
        caps = [cap for cap in (settings.max_cost, settings.budget) if cap is not None]
        if run_state.api_health.too_many_doubts(settings.max_in_doubt, min(caps, default=None)):
            run_state.halt(
                Stop.DOUBTS,
                f"{plural(run_state.api_health.doubts, 'submission')} had no clear answer and may have been charged"
                f" (up to ${usd(run_state.api_health.doubt_usd)}), more than max_in_doubt or a tenth of the cap"
                " allows; check the provider's billing before you continue",
            )


_BALANCE = {
    "insufficient_balance": "the account's balance is used up: add credits on the provider's Billing page",
    "paid_balance_required": "the account has promotional credit only, which the API cannot use: add paid credit",
}
