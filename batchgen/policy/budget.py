"""The money that is spent, reserved or in doubt, and whether one more job fits below the caps: pure decisions."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_CEILING, Decimal
from typing import Literal

_ZERO = Decimal(0)
_PRECISION = Decimal("0.000001")
"""USD. Reservations are added and subtracted a million times: they must stay exact."""


@dataclass(frozen=True, slots=True)
class Money:
    """Sums in USD, changed by copy. What may have been charged counts until it is known that it was not."""

    charged: Decimal = _ZERO
    """The latest prices that the API named, as in the ledger."""
    refunded: Decimal = _ZERO
    reserved: Decimal = _ZERO
    """Expected prices of requests that wait for their answer."""
    in_doubt: Decimal = _ZERO
    """Expected prices of requests without a clear answer."""
    surplus: Decimal = _ZERO
    """By how much earlier prices of jobs were higher than the latest ones: the highest price of a job counts."""

    @property
    def committed(self) -> Decimal:
        """What counts against a cap: charged + surplus + reserved + in doubt − refunded."""
        return self.charged + self.surplus + self.reserved + self.in_doubt - self.refunded

    def reserve(self, price: Decimal) -> "Money":
        """A request is about to be sent."""
        return replace(self, reserved=self.reserved + price)

    def release(self, reserved: Decimal) -> "Money":
        """A request was certainly not charged."""
        return replace(self, reserved=self.reserved - reserved)

    def charge(self, reserved: Decimal, charged: Decimal) -> "Money":
        """A request was accepted at this price."""
        return replace(self, reserved=self.reserved - reserved, charged=self.charged + charged)

    def doubt(self, reserved: Decimal) -> "Money":
        """A request may have been charged: its expected price counts."""
        return replace(self, reserved=self.reserved - reserved, in_doubt=self.in_doubt + reserved)

    def correct(self, before: "Charge", after: "Charge") -> "Money":
        """The API named the first price of a job, or another one than before."""
        return replace(
            self,
            charged=self.charged + after.charged - before.charged,
            surplus=self.surplus + after.surplus - before.surplus,
        )

    def refund(self, charge: "Charge") -> "Money":
        """The provider refunded a charge: no part of it counts any longer."""
        return replace(self, refunded=self.refunded + charge.charged, surplus=self.surplus - charge.surplus)


@dataclass(frozen=True, slots=True)
class Charge:
    """What one job cost, USD."""

    charged: Decimal
    """The latest price that the API named; if it named none, the expected one."""
    surplus: Decimal = _ZERO
    """By how much an earlier price was higher: it counts against the caps too, until the charge is refunded."""

    @property
    def counted(self) -> Decimal:
        """The highest price that the API named."""
        return self.charged + self.surplus

    def corrected(self, told: Decimal, *, first: bool) -> "Charge":
        """Return the charge after the API has named this price, for the `first` time or after another one."""
        return Charge(told, _ZERO if first else max(_ZERO, self.counted - told))


@dataclass(frozen=True, slots=True)
class Prices:
    """What the provider's answers said about prices, beyond the catalogue. USD.

    A price key names what is priced: a model and the values of the parameters that its price depends on.
    """

    confirmed: Mapping[str, Decimal] = field(default_factory=dict)
    """By price key, the price of the latest purchase that an answer confirmed."""
    surcharges: Mapping[str, Decimal] = field(default_factory=dict)
    """By model, the highest ratio of charge to estimate: its other prices are expected to be as much higher."""

    def expected(self, key: str, model: str, estimated: Decimal) -> Decimal:
        """Return what to reserve for a job: the higher of the latest confirmed price and the catalogue price.

        If no price of its key was confirmed, a model that charged more than the catalogue price is expected to do so
        again.
        """
        if (confirmed := self.confirmed.get(key)) is not None:
            return max(confirmed, estimated)
        ratio = self.surcharges.get(model)
        return estimated if ratio is None else (estimated * ratio).quantize(_PRECISION, ROUND_CEILING)

    def confirm(self, key: str, model: str, estimated: Decimal, price: Decimal) -> "Prices":
        """Return the prices after an answer confirmed this one."""
        after = self if self.confirmed.get(key) == price else replace(self, confirmed={**self.confirmed, key: price})
        if price <= estimated or not estimated:
            return after
        ratio = max(price / estimated, self.surcharges.get(model, _ZERO))
        return replace(after, surcharges={**self.surcharges, model: ratio})


@dataclass(frozen=True, slots=True)
class BudgetTracker:
    """The money of a run folder since it began, and of this invocation, with their caps (None: no cap).

    Under a cap, only one request whose price is unconfirmed may be open: if it turns out more expensive than expected,
    the cap is exceeded by that one job, and not by as many as may be in flight.
    """

    life: Money
    max_cost: Decimal | None
    budget: Decimal | None
    invocation: Money = Money()
    prices: Prices = Prices()
    unconfirmed: Mapping[int, str] = field(default_factory=dict)
    """The price keys of open requests and jobs whose price is unconfirmed, by item (its key in the journal)."""
    shared: bool = False
    """Whether there is a cap beside these, which other runs share."""

    def expected(self, key: str, model: str, estimated: Decimal) -> Decimal:
        """See `Prices.expected`."""
        return self.prices.expected(key, model, estimated)

    def needs_confirmation(self, key: str) -> bool:
        """Return whether there is a cap, and no answer has confirmed this price yet."""
        capped = self.shared or self.max_cost is not None or self.budget is not None
        return capped and key not in self.prices.confirmed

    def may_submit(self, key: str) -> bool:
        """Return whether a request with this price key may leave beside those that are open. Caps are not checked."""
        return not self.unconfirmed or not self.needs_confirmation(key)

    def exceeded(self, price: Decimal) -> Literal["max_cost", "budget"] | None:
        """Return the cap that one more job of this expected price would exceed, or None if it fits."""
        if self.max_cost is not None and self.life.committed + price > self.max_cost:
            return "max_cost"
        if self.budget is not None and self.invocation.committed + price > self.budget:
            return "budget"
        return None

    def left(self) -> Decimal | None:
        """Return what may still be committed (USD), or None without any cap."""
        rooms = []
        if self.max_cost is not None:
            rooms.append(self.max_cost - self.life.committed)
        if self.budget is not None:
            rooms.append(self.budget - self.invocation.committed)
        return max(_ZERO, min(rooms)) if rooms else None

    def watch(self, item: int, key: str) -> "BudgetTracker":
        """A request or job is open: if its price is unconfirmed, no other such request may leave beside it."""
        return replace(self, unconfirmed={**self.unconfirmed, item: key}) if self.needs_confirmation(key) else self

    def unwatch(self, item: int) -> "BudgetTracker":
        """It has ended, or is parked: the next one may leave."""
        if item not in self.unconfirmed:
            return self
        return replace(self, unconfirmed={other: key for other, key in self.unconfirmed.items() if other != item})

    def reserve(self, item: int, key: str, price: Decimal) -> "BudgetTracker":
        """See `Money.reserve` and `watch`; `price` as returned by `expected`."""
        reserved = replace(self, life=self.life.reserve(price), invocation=self.invocation.reserve(price))
        return reserved.watch(item, key)

    def release(self, item: int, price: Decimal) -> "BudgetTracker":
        """See `Money.release`."""
        released = replace(self, life=self.life.release(price), invocation=self.invocation.release(price))
        return released.unwatch(item)

    def doubt(self, item: int, price: Decimal) -> "BudgetTracker":
        """See `Money.doubt`. It confirms no price, and counts with what was reserved."""
        doubted = replace(self, life=self.life.doubt(price), invocation=self.invocation.doubt(price))
        return doubted.unwatch(item)

    def charge(self, price: Decimal, charged: Decimal) -> "BudgetTracker":
        """See `Money.charge`. If the answer named no price, it is still unconfirmed."""
        return replace(self, life=self.life.charge(price, charged), invocation=self.invocation.charge(price, charged))

    def confirm(self, key: str, model: str, estimated: Decimal, price: Decimal) -> "BudgetTracker":
        """An answer confirmed the price: see `Prices.confirm`. All that is open under its key is confirmed with it."""
        prices = self.prices.confirm(key, model, estimated, price)
        open_still = {item: other for item, other in self.unconfirmed.items() if other != key}
        return replace(self, prices=prices, unconfirmed=open_still)

    def correct(self, before: Charge, after: Charge, *, bought_now: bool) -> "BudgetTracker":
        """See `Money.correct`. A job of an earlier invocation does not count against this one's budget."""
        invocation = self.invocation.correct(before, after) if bought_now else self.invocation
        return replace(self, life=self.life.correct(before, after), invocation=invocation)

    def refund(self, charge: Charge, *, bought_now: bool) -> "BudgetTracker":
        """See `Money.refund`. It frees budget only for what this invocation bought."""
        invocation = self.invocation.refund(charge) if bought_now else self.invocation
        return replace(self, life=self.life.refund(charge), invocation=invocation)
