"""A budget that several spenders share: each is lent small amounts of one cap, and gives back what it does not need."""

from dataclasses import replace
from decimal import Decimal

from batchgen.policy.budget import BudgetTracker, Charge, Money
from batchgen.policy.budget_port import CapReached, Grant
from batchgen.policy.local_budget import LocalBudget

STEP = Decimal("0.50")
"""USD that are lent at a time, if that is enough and there is as much."""


class Lender:
    """Holds the cap that several spenders share. USD; None: no cap."""

    def __init__(self, cap: Decimal | None) -> None:
        self.cap = cap
        self.lent = Decimal(0)

    @property
    def free(self) -> Decimal:
        """What can still be lent."""
        return Decimal(0) if self.cap is None else max(Decimal(0), self.cap - self.lent)

    def lend(self, needed: Decimal) -> Decimal:
        """Lend at least what is needed, and return how much; 0 if there is not enough."""
        amount = min(max(needed, STEP), self.free) if needed <= self.free else Decimal(0)
        self.lent += amount
        return amount


class LentBudget(LocalBudget):
    """See `batchgen.policy.budget_port.Budget`. Its `max_cost` is what it was lent, and not more."""

    def __init__(self, lender: Lender, budget: Decimal | None) -> None:
        super().__init__(BudgetTracker(Money(), None if lender.cap is None else Decimal(0), budget))
        self._lender = lender

    @property
    def spare(self) -> Decimal:
        """What was lent and is not committed, USD."""
        lent = self._tracker.max_cost
        return Decimal(0) if lent is None else lent - self._tracker.life.committed

    def reserve(self, item: int, price_key: str, amount: Decimal) -> Grant | CapReached:
        if self._tracker.exceeded(amount) == "max_cost":
            self._change_lent(self._lender.lend(amount - self.spare))
        answer = super().reserve(item, price_key, amount)
        if isinstance(answer, CapReached):
            self._give_back_from(Decimal(0))
            if answer.cap == "max_cost":
                return replace(answer, limit=self._lender.cap or Decimal(0), committed=self._lender.lent)
        return answer

    def release(self, grant: Grant) -> None:
        super().release(grant)
        self._give_back_from(STEP)

    def charge(self, grant: Grant, charged: Decimal) -> None:
        super().charge(grant, charged)
        self._give_back_from(STEP)

    def correct(self, item: int, before: Charge, after: Charge, *, bought_now: bool) -> None:
        super().correct(item, before, after, bought_now=bought_now)
        self._give_back_from(STEP)

    def refund(self, item: int, charge: Charge, *, bought_now: bool) -> None:
        super().refund(item, charge, bought_now=bought_now)
        self._give_back_from(STEP)

    def give_back(self) -> None:
        """Give back all that is not committed, for other spenders."""
        self._give_back_from(Decimal(0))

    def left(self) -> Decimal | None:
        lent = self._tracker.max_cost
        return (
            self._tracker.left() if lent is None else replace(self._tracker, max_cost=lent + self._lender.free).left()
        )

    def _give_back_from(self, keep: Decimal) -> None:
        """Give back what is spare beyond `keep`. What was charged beyond the lent amount is taken from the lender."""
        change = (keep if self.spare > keep else max(Decimal(0), self.spare)) - self.spare
        if self._tracker.max_cost is not None and change:
            self._lender.lent += change
            self._change_lent(change)

    def _change_lent(self, change: Decimal) -> None:
        if self._tracker.max_cost is not None:
            self._tracker = replace(self._tracker, max_cost=self._tracker.max_cost + change)
