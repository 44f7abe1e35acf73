"""The budget of a run that buys alone. It holds the current `BudgetTracker`, and nothing else replaces it."""

from collections.abc import Mapping
from decimal import Decimal

from batchgen.policy.budget import BudgetTracker, Charge, Money
from batchgen.policy.budget_port import CapReached, Grant, NotYet, Purchase


class LocalBudget:
    """See `batchgen.policy.budget_port.Budget`."""

    def __init__(self, tracker: BudgetTracker) -> None:
        self._tracker = tracker

    def expected(self, price_key: str, model: str, estimated: Decimal) -> Decimal:
        return self._tracker.expected(price_key, model, estimated)

    def needs_confirmation(self, price_key: str) -> bool:
        return self._tracker.needs_confirmation(price_key)

    def may_submit(self, price_key: str) -> bool:
        return self._tracker.may_submit(price_key)

    def reserve(self, item: int, price_key: str, amount: Decimal) -> Grant | CapReached:
        tracker = self._tracker
        match tracker.exceeded(amount):
            case "max_cost":
                return CapReached("max_cost", tracker.max_cost or Decimal(0), tracker.life.committed)
            case "budget":
                return CapReached("budget", tracker.budget or Decimal(0), tracker.invocation.committed)
            case None:
                self._tracker = tracker.reserve(item, price_key, amount)
        return Grant(item, price_key, amount)

    async def secure(self, grant: Grant, purchase: Purchase) -> CapReached | NotYet | None:  # noqa: ARG002 - the port's
        return None

    async def flush(self) -> None:
        pass

    def release(self, grant: Grant) -> None:
        self._tracker = self._tracker.release(grant.item, grant.amount)

    def charge(self, grant: Grant, charged: Decimal) -> None:
        self._tracker = self._tracker.charge(grant.amount, charged)

    def doubt(self, grant: Grant) -> None:
        self._tracker = self._tracker.doubt(grant.item, grant.amount)

    def confirm(self, price_key: str, model: str, estimated: Decimal, price: Decimal) -> None:
        self._tracker = self._tracker.confirm(price_key, model, estimated, price)

    def correct(self, item: int, before: Charge, after: Charge, *, bought_now: bool) -> None:  # noqa: ARG002 - the port's
        self._tracker = self._tracker.correct(before, after, bought_now=bought_now)

    def refund(self, item: int, charge: Charge, *, bought_now: bool) -> None:  # noqa: ARG002 - the port's
        self._tracker = self._tracker.refund(charge, bought_now=bought_now)

    def watch(self, item: int, price_key: str) -> None:
        self._tracker = self._tracker.watch(item, price_key)

    def unwatch(self, item: int) -> None:
        self._tracker = self._tracker.unwatch(item)

    def ended(self, item: int) -> None:
        self.unwatch(item)

    @property
    def life(self) -> Money:
        return self._tracker.life

    @property
    def invocation(self) -> Money:
        return self._tracker.invocation

    @property
    def confirmed(self) -> Mapping[str, Decimal]:
        return self._tracker.prices.confirmed

    @property
    def unconfirmed(self) -> Mapping[int, str]:
        return self._tracker.unconfirmed

    def left(self) -> Decimal | None:
        return self._tracker.left()
