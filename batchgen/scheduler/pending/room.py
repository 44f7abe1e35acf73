"""Room for purchases: what happens where a cap, or a limit that other runs share, leaves none."""

from datetime import datetime
from decimal import Decimal

from batchgen.core.text import printable, usd
from batchgen.journal import Work
from batchgen.policy.budget_port import CapReached, Grant, NotYet, Purchase
from batchgen.policy.stopping import Stop
from batchgen.scheduler.pending.items import PendingItems
from batchgen.scheduler.pending.queue import QueuedItem
from batchgen.scheduler.run_state import RunState

_INTERVAL = 5.0
"""Seconds between two looks for room below the month's budget, while jobs are in flight that may be refunded."""
_STOPS = {"max_cost": Stop.MAX_COST, "budget": Stop.BUDGET, "month": Stop.MONTH}


class Room:
    """Secures grants, and puts items off that find no room."""

    def __init__(self, run_state: RunState, queue: PendingItems) -> None:
        self._run_state = run_state
        self._queue = queue
        self._reached: tuple[CapReached, str, Decimal] | None = None
        self._no_place_until = self._no_room_until = 0.0
        self.left_pending = 0
        """Items that stay pending since the month's budget for their tag has no room; other items go on."""

    @property
    def held_until(self) -> float:
        """The loop time before which nothing is submitted."""
        # Once no job of ours is left that may be refunded, there is nothing to wait for.
        return max(self._no_place_until, self._no_room_until if self._run_state.in_flight else 0.0)

    async def secure(self, queued: QueuedItem, work: Work, grant: Grant, at: datetime) -> bool:
        """Make a grant good with the runs that share a limit; return False where the item was put off.

        `at` is when it is bought.
        """
        run_state, item = self._run_state, work.item
        purchase = Purchase(item.id, work.attempts + 1, item.tags, at)
        refusal = await run_state.budget.secure(grant, purchase)
        if refusal is None:
            return True
        run_state.budget.release(grant)
        run_state.in_flight -= 1
        if isinstance(refusal, NotYet):
            self._queue.retry(queued, run_state.now + refusal.seconds)
            if refusal.everything:
                self._no_place_until = run_state.now + refusal.seconds
        elif refusal.scope:
            self.left_pending += 1
            self._reached = refusal, item.id, grant.amount
        else:
            self._queue.retry(queued, run_state.now)
            self._no_room_until = run_state.now + _INTERVAL
            self.cap_reached(refusal, item.id, grant.amount)
        return False

    def cap_reached(self, reached: CapReached, item_id: str, price: Decimal) -> None:
        """The next item does not fit: stop, unless a job in flight may still be refunded."""
        stop_at_cap(self._run_state, reached, item_id, price)

    def stop_for_left_items(self) -> None:
        """Say so where items were left behind since the month's budget for their tag has no room."""
        if self._reached is not None:
            self._run_state.stop(Stop.MONTH, cap_text(*self._reached))


def stop_at_cap(run_state: RunState, reached: CapReached, item_id: str, price: Decimal) -> None:
    """Stop a run for a cap that the next item, at this price (USD), does not fit below.

    Unless a job is in flight, which may still be refunded.
    """
    if not run_state.in_flight:
        run_state.stop(_STOPS[reached.cap], cap_text(reached, item_id, price))


def cap_text(reached: CapReached, item_id: str, price: Decimal) -> str:
    """Return one sentence on a cap that has no room for an item at this price (USD)."""
    if reached.cap == "month":
        name = f"the month's budget{f' for {printable(reached.scope, 100)}' if reached.scope else ''}"
        spent = "is spent, reserved or in doubt, of all runs in the output folder"
    else:
        name, spent = reached.cap, "is spent or in doubt"
    return (
        f"{name} is ${usd(reached.limit)}; ${usd(reached.committed)} of it {spent}, and the next item, {item_id},"
        f" would cost ${usd(price)}"
    )
