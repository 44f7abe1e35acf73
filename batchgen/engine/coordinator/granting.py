"""Gives leave to buy: one item, once, to one start.

Leave is an intent in the coordinator's journal and receipts before anybody hears of it. So an item that a start may buy
is never lent to another one, whatever becomes of that start, of this process, or of the engine between them.
"""

import asyncio
import math
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from batchgen.core.records import State
from batchgen.engine.coordinator.starts import Lent, Start
from batchgen.engine.messages import Ask, Granted
from batchgen.journal import PurchaseName, Work
from batchgen.policy.budget_port import CapReached, Grant, NotYet, Purchase
from batchgen.policy.stopping import Stop
from batchgen.scheduler import RunState
from batchgen.scheduler.pending.room import cap_text, stop_at_cap
from batchgen.scheduler.workers import Home

_LOOK_AGAIN = 5.0
"""Seconds between two looks for room below the month's budget, while jobs are in flight that may be refunded."""


@dataclass(slots=True)
class Given:
    """What a start gets for its questions."""

    granted: list[Granted]
    left: list[int]
    """Items, by key, that are asked for in vain in this invocation."""


class Granting:
    """The money and the places of the account, for those who buy for this run."""

    def __init__(self, run_state: RunState, home: Home) -> None:
        self._run_state = run_state
        self._home = home
        self._left_for_budget: tuple[CapReached, str, Decimal] | None = None
        """The last budget of a month that had no room for an item, with that item's id and price (USD)."""

    async def give(self, start: Start, all_starts: Collection[Start]) -> Given:
        """Answer what a start has asked and may have now; the rest waits. On disk when this returns.

        Raises DiskError.
        """
        given = Given([], [])
        chosen = list(self._reserve(start, all_starts))
        results = await asyncio.gather(*(self._record(start, ask, work, grant) for ask, work, grant in chosen))
        for (ask, _, _), result in zip(chosen, results, strict=True):
            if isinstance(result, Granted):
                given.granted.append(result)
            elif isinstance(result, CapReached):
                given.left.append(ask.item)
                start.items.pop(ask.item)
        return given

    def _reserve(self, start: Start, all_starts: Collection[Start]) -> "list[tuple[Ask, Work, Grant]]":
        """Reserve places and money for the questions that can be answered now."""
        run_state, budget, chosen = self._run_state, self._run_state.budget, []
        fair = self._fair_share(all_starts)
        for ask in list(start.waiting.values()):
            if not self._may_grant() or start.places >= fair:
                break
            if run_state.now < start.not_before.get(ask.item, 0.0) or not budget.may_submit(ask.price_key):
                continue
            work = start.items[ask.item][1]
            price = budget.expected(ask.price_key, work.item.model, work.item.estimated)
            grant = budget.reserve(work.key, ask.price_key, price)
            if isinstance(grant, CapReached):
                stop_at_cap(run_state, grant, work.item.id, price)
                break
            del start.waiting[ask.item]
            start.places += 1
            run_state.in_flight += 1
            run_state.lent += 1
            chosen.append((ask, work, grant))
        return chosen

    def _may_grant(self) -> bool:
        run_state = self._run_state
        if run_state.stopped_because is not None or self._home.held() or not run_state.ports.holds():
            return False
        posts = self._home.posts()
        if run_state.is_enough(posts):
            if not posts:
                run_state.stop_at_max_new()
            return False
        probe_at = run_state.api_health.probe_at
        if probe_at is not None and (posts or run_state.lent or run_state.now < probe_at):
            return False  # too many doubts in a row: one request at a time
        return run_state.in_flight < run_state.policy.settings.concurrency

    def _fair_share(self, all_starts: Collection[Start]) -> int:
        """Return how many places a start may occupy: as many as others, where several ask for more."""
        wanting = sum(bool(start.waiting) for start in all_starts)
        return math.ceil(self._run_state.policy.settings.concurrency / max(1, wanting))

    async def _record(self, start: Start, ask: Ask, work: Work, grant: Grant) -> Granted | CapReached | None:
        """Make a reservation good and write the intent; None where the question has to wait."""
        run_state, ports, policy = self._run_state, self._run_state.ports, self._run_state.policy
        now = ports.utc_now()
        refusal = await run_state.budget.secure(grant, Purchase(work.item.id, work.attempts + 1, work.item.tags, now))
        if refusal is not None or start.fenced or run_state.stopped_because is not None:
            self._give_back(start, grant)
            return self._refused(start, ask, work, grant, refusal)
        attempt = await run_state.record(
            ports.journal.record_intent, work, policy.account, policy.catalog_version, now,
            reserved=grant.amount, price_key=ask.price_key, lent_to=start.name,
        )  # fmt: skip
        run_state.state_changed(work, State.PENDING, State.SUBMITTING)
        run_state.api_health = run_state.api_health.sent(grant.amount)
        start.attempts.add(attempt.key)
        start.lent[attempt.purchase] = Lent(attempt, start.items.pop(work.key)[0])
        name = PurchaseName(attempt.key, attempt.purchase, attempt.number)
        return Granted(work.key, name, grant.amount)

    def _give_back(self, start: Start, grant: Grant) -> None:
        run_state = self._run_state
        run_state.budget.release(grant)
        start.places -= 1
        run_state.in_flight -= 1
        run_state.lent -= 1

    def _refused(
        self, start: Start, ask: Ask, work: Work, grant: Grant, refusal: CapReached | NotYet | None
    ) -> CapReached | None:
        """Put a question off, or return why it is asked in vain."""
        run_state = self._run_state
        if isinstance(refusal, CapReached) and refusal.scope:
            self._left_for_budget = refusal, work.item.id, grant.amount
            return refusal
        start.waiting[ask.item] = ask
        if isinstance(refusal, NotYet):
            start.not_before[ask.item] = run_state.now + refusal.seconds
        elif refusal is not None:
            start.not_before[ask.item] = run_state.now + _LOOK_AGAIN
            stop_at_cap(run_state, refusal, work.item.id, grant.amount)
        return None

    def stop_for_left_items(self) -> None:
        """Say so where items were left since the month's budget for their tag has no room."""
        if self._left_for_budget is not None:
            self._run_state.stop(Stop.MONTH, cap_text(*self._left_for_budget))
