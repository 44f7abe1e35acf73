"""The money that is spent, promised, or may have been spent; and whether one more job fits below the caps."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, Decimal

_ZERO = Decimal(0)
_PRECISION = Decimal("0.000001")
"""USD. Reservations are added and taken away a million times: they must stay exact."""


@dataclass(frozen=True, slots=True)
class Money:
    """USD, changed by copy. Everything that may have been paid counts until it is known that it was not."""

    charged: Decimal = _ZERO
    refunded: Decimal = _ZERO
    reserved: Decimal = _ZERO
    """Expected prices of requests on their way."""
    in_doubt: Decimal = _ZERO

    @property
    def committed(self) -> Decimal:
        """What counts against a cap: charged + reserved + in doubt − refunded."""
        return self.charged + self.reserved + self.in_doubt - self.refunded

    def reserve(self, price: Decimal) -> "Money":
        """A request is about to leave."""
        return replace(self, reserved=self.reserved + price)

    def release(self, reserved: Decimal) -> "Money":
        """It was certainly not charged."""
        return replace(self, reserved=self.reserved - reserved)

    def charge(self, reserved: Decimal, charged: Decimal) -> "Money":
        """It was accepted at this price."""
        return replace(self, reserved=self.reserved - reserved, charged=self.charged + charged)

    def doubt(self, reserved: Decimal, estimated: Decimal) -> "Money":
        """It may have been charged."""
        return replace(self, reserved=self.reserved - reserved, in_doubt=self.in_doubt + estimated)

    def refund(self, amount: Decimal) -> "Money":
        """The provider gave this back."""
        return replace(self, refunded=self.refunded + amount)


@dataclass(frozen=True, slots=True)
class Purse:
    """The money of a run folder's life and of this invocation, with their caps (None: no cap)."""

    life: Money
    max_cost: Decimal | None
    budget: Decimal | None
    invocation: Money = Money()
    surcharges: Mapping[str, Decimal] = field(default_factory=dict)
    """By model, the largest ratio of charge to estimate seen: what its further jobs must be expected to cost."""

    def expected(self, model: str, estimated: Decimal) -> Decimal:
        """Return what a job is reserved with: its estimate, or more where the provider was seen to charge more."""
        ratio = self.surcharges.get(model)
        return estimated if ratio is None else (estimated * ratio).quantize(_PRECISION, ROUND_CEILING)

    def exceeded(self, price: Decimal) -> str | None:
        """Return the name of the cap that one more job of this expected price would break, or None when it fits."""
        if self.max_cost is not None and self.life.committed + price > self.max_cost:
            return "max_cost"
        if self.budget is not None and self.invocation.committed + price > self.budget:
            return "budget"
        return None

    def left(self) -> Decimal | None:
        """Return what may still be committed, or None without any cap."""
        rooms = []
        if self.max_cost is not None:
            rooms.append(self.max_cost - self.life.committed)
        if self.budget is not None:
            rooms.append(self.budget - self.invocation.committed)
        return max(_ZERO, min(rooms)) if rooms else None

    def reserve(self, price: Decimal) -> "Purse":
        """See `Money.reserve`; `price` as returned by `expected`."""
        return replace(self, life=self.life.reserve(price), invocation=self.invocation.reserve(price))

    def release(self, price: Decimal) -> "Purse":
        """See `Money.release`."""
        return replace(self, life=self.life.release(price), invocation=self.invocation.release(price))

    def charge(self, model: str, price: Decimal, estimated: Decimal, charged: Decimal) -> "Purse":
        """See `Money.charge`; learns where the provider charges more than the tables say."""
        after = replace(self, life=self.life.charge(price, charged), invocation=self.invocation.charge(price, charged))
        if charged <= estimated or not estimated:
            return after
        ratio = max(charged / estimated, self.surcharges.get(model, _ZERO))
        return replace(after, surcharges={**self.surcharges, model: ratio})

    def doubt(self, price: Decimal, estimated: Decimal) -> "Purse":
        """See `Money.doubt`. What is in doubt stands at its estimate, as in the ledger."""
        return replace(self, life=self.life.doubt(price, estimated), invocation=self.invocation.doubt(price, estimated))

    def refund(self, amount: Decimal, *, bought_now: bool) -> "Purse":
        """A refund; it makes room in the budget only for what was bought in this invocation."""
        invocation = self.invocation.refund(amount) if bought_now else self.invocation
        return replace(self, life=self.life.refund(amount), invocation=invocation)
