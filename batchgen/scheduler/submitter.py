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
from batchgen.echo import differences
from batchgen.errors import BatchgenError, DiskError
from batchgen.halting import Stop
from batchgen.journal import Attempt, receipt_of
from batchgen.records import Item, State
from batchgen.retry import Pace, retry_delay
from batchgen.scheduler.board import Board, Flight, log
from batchgen.scheduler.poller import Poller
from batchgen.scheduler.pricing import learn_price
from batchgen.scheduler.queue import Order, Queue
from batchgen.text import plural, printable, usd

_PAGE = 256
"""Pending items read from the journal at a time: memory does not grow with the manifest."""
_BACKLOG_OF_DOWNLOADS = 2000
"""Outputs waiting to be fetched beyond which nothing new is bought: results must not expire unfetched."""

_BALANCE_INTERVAL = 60.0
"""Seconds between two submissions while an empty balance is waited for; a 402 costs nothing."""


class Submitter:
    """Takes pending items in the manifest's order and submits them, as many at once as pace and money allow."""

    def __init__(self, board: Board, poller: Poller) -> None:
        self._board = board
        self._poller = poller
        self._pace = Pace.full(board.terms.settings.concurrency)
        self._queue = Queue()
        self._behind = -1
        """Position in the manifest up to which pending items were read."""
        self._exhausted = not board.terms.buying
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
        board = self._board
        while board.stop is None:
            if self._queue.wants_page and not self._exhausted and not self._reading:
                self._reading = True
                board.spawn(self._read())
            if (wait := self._gate()) is not None:
                return wait or None
            order = self._queue.take(board.now, board.purse.may_leave)
            if order is None:
                return self._queue.next_due(board.now)
            item = order.work.item
            price = board.purse.expected(order.price_key, item.model, item.estimated)
            if (cap := board.purse.exceeded(price)) is not None:
                self._queue.put_back(order)
                self._at_cap(cap, order, price)
                return None
            self._submit(order, price)
        return None

    def _gate(self) -> float | None:
        """Return None when a submission may start now, else the loop time to look again (a past one: when woken)."""
        board, settings = self._board, self._board.terms.settings
        if len(self.posts) >= board.terms.shares.posts:
            return 0.0
        if board.in_flight >= self._pace.allowed or board.waiting_files > _BACKLOG_OF_DOWNLOADS:
            return 0.0
        if settings.max_new is not None and self._bought + len(self.posts) >= settings.max_new:
            if not (self.posts or self._reading or self.idle):
                board.halt(Stop.MAX_NEW, f"{plural(self._bought, 'new job')} submitted, as many as max_new allows")
            return 0.0
        if board.now < board.hold.until:
            return board.hold.until
        probe_at = board.weather.probe_at
        if probe_at is not None and (self.posts or board.now < probe_at):
            return 0.0 if self.posts else probe_at
        return None

    def _at_cap(self, cap: str, order: Order, price: Decimal) -> None:
        """The next item does not fit: wait while something under way may still give money back, then stop."""
        board, settings = self._board, self._board.terms.settings
        if board.in_flight:
            return
        life = cap == "max_cost"
        limit = settings.max_cost if life else settings.budget
        spent = (board.purse.life if life else board.purse.invocation).committed
        board.halt(
            Stop.MAX_COST if life else Stop.BUDGET,
            f"{cap} is ${usd(limit or spent)}; ${usd(spent)} of it are spent or in doubt, and the next item,"
            f" {order.work.item.id}, would cost ${usd(price)}",
        )

    async def _read(self) -> None:
        try:
            rows = await self._board.record(self._board.seams.journal.pending, self._behind, _PAGE)
        finally:
            self._reading = False
        self._exhausted = len(rows) < _PAGE
        if rows:
            self._behind = rows[-1][0]
            key_of = self._board.terms.price_key
            self._queue.extend(Order(position, work, key_of(work.item)) for position, work in rows)

    def _submit(self, order: Order, price: Decimal) -> None:
        board = self._board
        # Held open for a whole generation, a request would keep all others waiting whose price is not confirmed.
        wait = board.terms.settings.submit == "wait" and not board.purse.unproven(order.price_key)
        board.purse = board.purse.reserve(order.work.key, order.price_key, price)
        board.weather = board.weather.sent(price)
        board.in_flight += 1
        task = board.spawn(self._post(order, price, wait=wait))
        self.posts.add(task)
        task.add_done_callback(self.posts.discard)

    async def _post(self, order: Order, price: Decimal, *, wait: bool) -> None:
        board, terms, journal, work = self._board, self._board.terms, self._board.seams.journal, order.work
        attempt = await board.record(
            journal.begin,
            work,
            terms.account,
            terms.tables,
            board.seams.utc_now(),
            reserved=price,
            price_key=order.price_key,
        )
        board.moved(work, State.PENDING, State.SUBMITTING)
        if board.stop is not None:
            await self._release(attempt)
            return
        if self._is_crowded():
            await self._release(attempt)
            self._queue.retry(order, board.now)
            return
        sent = board.now
        answer = await self._answer(work.item, wait=wait)
        try:
            await self._obey(attempt, order, answer, sent)
        except BatchgenError:
            if isinstance(answer, Accepted):
                self._keep_id(attempt, answer)
            raise

    def _is_crowded(self) -> bool:
        """Whether jobs that counted as parked or lost have taken their places again while an intent was written."""
        return self._board.in_flight > self._board.terms.settings.concurrency

    def _keep_id(self, attempt: Attempt, answer: Accepted) -> None:
        """An acceptance could not be recorded: keep its id wherever that can be done. The journal has the intent."""
        board, name = self._board, f"{attempt.work.item.id} as job {answer.job.id}"
        board.unrecorded.append(name)
        log.error("accepted but not recorded: %s", name)
        try:
            board.seams.journal.keep_receipt(receipt_of(attempt, answer.job, board.seams.utc_now()))
        except DiskError as error:
            log.error("its receipt could not be written either: %s", error)

    async def _answer(self, item: Item, *, wait: bool) -> SubmitAnswer:
        """Send the request and return its answer; only `abandon` can cut it off."""
        terms = self._board.terms
        endpoint = terms.endpoints[item.model] if terms.settings.endpoint == "model" else "/v1/generate"
        request = asyncio.create_task(self._board.seams.api.submit(item.body, endpoint, wait=wait))
        self._requests[request] = None
        try:
            await asyncio.wait([request])
        finally:
            del self._requests[request]
        return Unclear("the program ended before the answer came") if request.cancelled() else request.result()

    async def _obey(self, attempt: Attempt, order: Order, answer: SubmitAnswer, sent: float) -> None:
        """Do with an attempt what its answer says (DESIGN, section 5)."""
        board, journal, item = self._board, self._board.seams.journal, order.work.item
        if isinstance(answer, Accepted):
            await self._accepted(attempt, answer, sent)
        elif isinstance(answer, Unclear):
            reason = printable(answer.reason)
            await board.record(journal.doubt, attempt, reason, answer.raw)
            self._doubted(attempt, reason)
        elif isinstance(answer, Rejected):
            message = printable(answer.message, 2000)
            log.warning("%s was rejected: %s: %s", item.id, printable(answer.error_type), message)
            await board.record(journal.reject, attempt, answer.error_type, message, board.seams.utc_now())
            board.purse = board.purse.release(order.work.key, attempt.reserved)
            board.weather = board.weather.definite()
            board.hold = board.hold.answered()
            self._settled(attempt, State.REJECTED)
            board.check_failures()
        else:
            await self._release(attempt)
            self._put_back(order, answer)

    def _doubted(self, attempt: Attempt, reason: str) -> None:
        """An attempt is recorded as in doubt: it counts with what was reserved, and confirms no price."""
        board, work = self._board, attempt.work
        log.warning("%s is in doubt: %s", work.item.id, reason)
        board.purse = board.purse.doubt(work.key, attempt.reserved)
        board.weather = board.weather.unclear(board.now, attempt.reserved)
        self._settled(attempt, State.IN_DOUBT)
        self._bought += 1
        self._check_doubts()

    async def _release(self, attempt: Attempt) -> None:
        """Certainly not charged: as if it had never been tried."""
        board = self._board
        await board.record(board.seams.journal.release, attempt)
        board.purse = board.purse.release(attempt.work.key, attempt.reserved)
        self._settled(attempt, State.PENDING)

    async def _accepted(self, attempt: Attempt, answer: Accepted, sent: float) -> None:
        board, item = self._board, attempt.work.item
        now = board.seams.utc_now()
        accepted = await board.record_paid(
            lambda: receipt_of(attempt, answer.job, now),
            board.seams.journal.take_up, attempt, answer.job, answer.raw, now,
        )  # fmt: skip
        if isinstance(accepted, str):
            self._doubted(attempt, accepted)
            return
        self._tell_differences(item, answer.job)
        board.purse = board.purse.charge(attempt.reserved, accepted.charge.charged)
        if accepted.told is not None:
            learn_price(board, accepted)
        board.weather = board.weather.definite()
        board.hold = board.hold.answered()
        self._pace = self._pace.accepted()
        self._tries.pop(attempt.work.key, None)
        self._bought += 1
        board.moved(attempt.work, State.SUBMITTING, State.PROCESSING)
        log.info("%s was accepted as job %s for $%s", item.id, answer.job.id, usd(accepted.charge.charged))
        flight = Flight(accepted, sent)
        if attempt.work.key in board.purse.unconfirmed:
            self._poller.ask_now(flight)  # for its price, which the answer did not name
        elif answer.job.status is JobStatus.PROCESSING:
            self._poller.add(flight)
        else:
            await self._poller.settle(flight, answer.job)

    def _tell_differences(self, item: Item, job: Job) -> None:
        for difference in differences(item.body, job.input):
            if difference not in self._told:
                self._told.add(difference)
                log.warning("%s: the answer (job %s) %s; it counts all the same", item.id, job.id, difference)

    def _settled(self, attempt: Attempt, state: State) -> None:
        self._board.moved(attempt.work, State.SUBMITTING, state)
        self._board.in_flight -= 1
        if state is not State.PENDING:
            self._tries.pop(attempt.work.key, None)

    def _put_back(self, order: Order, answer: NotSent | Busy | Unauthorized | NoBalance) -> None:
        """An item that was certainly not charged is pending again."""
        board, work = self._board, order.work
        if isinstance(answer, Unauthorized):
            board.halt(Stop.KEY, f"the API refuses the key ({printable(answer.error_type)}): check API18_KEY")
        elif isinstance(answer, NoBalance) and board.terms.wait_for_balance:
            log.warning("the balance is used up; asking again in %.0f s", _BALANCE_INTERVAL)
            board.weather = board.weather.definite()
            board.hold = board.hold.answered().wait(board.now, _BALANCE_INTERVAL)
            self._queue.retry(order, board.hold.until)
        elif isinstance(answer, NoBalance):
            board.halt(Stop.BALANCE, _BALANCE.get(answer.error_type, printable(answer.message)))
        elif isinstance(answer, NotSent):
            board.weather = board.weather.not_sent(board.now)
            board.trouble = printable(answer.reason)
            self._queue.retry(order, board.now)
        else:
            board.weather = board.weather.definite()
            self._pace = self._pace.busy(board.now)
            draw = board.seams.random.random()
            board.hold = board.hold.busy(board.now, retry_delay(board.hold.streak + 1, draw, answer.retry_after))
            tries = self._tries[work.key] = self._tries.get(work.key, 0) + 1
            if tries >= board.terms.settings.max_attempts:
                log.warning("%s stays pending: the API was busy %d times", work.item.id, tries)
                del self._tries[work.key]
                self.left_pending += 1
            else:
                draw = board.seams.random.random()
                self._queue.retry(order, board.now + retry_delay(tries, draw, answer.retry_after))

    def _check_doubts(self) -> None:
        board, settings = self._board, self._board.terms.settings
        caps = [cap for cap in (settings.max_cost, settings.budget) if cap is not None]
        if board.weather.too_many_doubts(settings.max_in_doubt, min(caps, default=None)):
            board.halt(
                Stop.DOUBTS,
                f"{plural(board.weather.doubts, 'submission')} had no clear answer and may have been charged"
                f" (up to ${usd(board.weather.doubt_usd)}), more than max_in_doubt or a tenth of the cap allows;"
                " look at the provider's billing before going on",
            )


_BALANCE = {
    "insufficient_balance": "the account's balance is used up: add credits on the provider's Billing page",
    "paid_balance_required": "the account has promotional credit only, which the API cannot use: add paid credit",
}
