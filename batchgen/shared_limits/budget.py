"""The budget of a run that shares limits with others: its own caps first, then a claim in the shared books."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from batchgen.policy.budget import BudgetTracker, Charge
from batchgen.policy.budget_port import CapReached, Grant, NotYet, Purchase
from batchgen.policy.local_budget import LocalBudget
from batchgen.shared_limits.amounts import amount_of, units
from batchgen.shared_limits.limits import SharedLimits
from batchgen.shared_limits.months import month_at
from batchgen.shared_limits.orders import Answer, Changes, Claim, Crossed, Order

Serve = Callable[[Order], Awaitable[Answer | None]]
"""Has the shared books serve an order; returns once that is on disk."""


@dataclass(slots=True)
class _Open:
    """A claim of this invocation, or of an earlier one whose job goes on."""

    month: str
    scopes: tuple[str, ...]
    reserved: int


class SharedBudget(LocalBudget):
    """See `batchgen.policy.budget_port.Budget`."""

    def __init__(
        self, tracker: BudgetTracker, limits: SharedLimits, serve: Serve, *,
        warn: Callable[[Crossed], None], going_on: Sequence[Claim] = (),
    ) -> None:  # fmt: skip
        """`warn` hears once in a month, of all runs, that a budget has passed a percentage; `going_on` are the jobs of
        earlier invocations."""
        super().__init__(tracker)
        self._limits = limits
        self._serve = serve
        self._warn = warn
        self._open = {claim.item: _Open(claim.month, claim.scopes, 0) for claim in going_on}
        unconfirmed = {claim.item: claim.price_key for claim in going_on if claim.price_key}
        self._unconfirmed_claims = {item for item, key in unconfirmed.items() if self.needs_confirmation(key)}
        self._changes = Changes(confirmed=set(unconfirmed) - self._unconfirmed_claims)
        self._price_of_others_until = 0.0
        """Until when (loop time) another run waits for the price of a purchase to be confirmed."""
        self._full: dict[str, CapReached] = {}
        """By tag, the budgets of a month that had no room for a purchase; for the rest of the invocation."""
        self._left: Decimal | None = None

    async def secure(self, grant: Grant, purchase: Purchase) -> CapReached | NotYet | None:
        scopes = self._limits.scopes_of(purchase.tags)
        month = month_at(purchase.at, self._limits.zone).name
        for scope in scopes:
            full = self._full.get(f"{month} {scope}")
            if full is not None and full.committed + grant.amount > full.limit:
                return full
        unconfirmed = self.needs_confirmation(grant.price_key)
        claim = Claim(grant.item, purchase, month, scopes, units(grant.amount), grant.price_key if unconfirmed else "")
        answer = await self._serve((self._taken_changes(), claim))
        assert answer is not None  # noqa: S101 - for the type checker: there was a claim
        for crossed in answer.crossed:
            self._warn(crossed)
        self._left = None if answer.left is None else amount_of(answer.left)
        if answer.refusal is None:
            self._open[grant.item] = _Open(month, scopes, answer.reserved)
            if unconfirmed:
                self._unconfirmed_claims.add(grant.item)
        elif isinstance(answer.refusal, NotYet):
            if not answer.refusal.everything:
                self._price_of_others_until = asyncio.get_running_loop().time() + answer.refusal.seconds
        elif answer.refusal.scope:
            self._full[f"{month} {answer.refusal.scope}"] = answer.refusal
        return answer.refusal

    async def flush(self) -> None:
        """Let the shared books know what has changed, and that the run goes on. Raises DiskError."""
        await self._serve((self._taken_changes(), None))

    def _taken_changes(self) -> Changes:
        taken, self._changes = self._changes, Changes()
        return taken

    def may_submit(self, price_key: str) -> bool:
        waits = self._price_of_others_until and asyncio.get_running_loop().time() < self._price_of_others_until
        return not (waits and self.needs_confirmation(price_key)) and super().may_submit(price_key)

    def release(self, grant: Grant) -> None:
        super().release(grant)
        if (claim := self._open.pop(grant.item, None)) is not None:
            self._changes.add(claim.month, claim.scopes, reserved=-claim.reserved)
            self._forget(grant.item)

    def charge(self, grant: Grant, charged: Decimal) -> None:
        super().charge(grant, charged)
        claim = self._open[grant.item]
        self._changes.add(claim.month, claim.scopes, charged=units(charged), reserved=-claim.reserved)
        claim.reserved = 0

    def doubt(self, grant: Grant) -> None:
        super().doubt(grant)
        claim = self._open.pop(grant.item)
        self._changes.add(claim.month, claim.scopes, in_doubt=claim.reserved, reserved=-claim.reserved)
        self._forget(grant.item)

    def confirm(self, price_key: str, model: str, estimated: Decimal, price: Decimal) -> None:
        super().confirm(price_key, model, estimated, price)
        known = {item for item in self._unconfirmed_claims if item not in self.unconfirmed}
        self._unconfirmed_claims -= known
        self._changes.confirmed |= known
        self._changes.prices[price_key] = units(price)

    def correct(self, item: int, before: Charge, after: Charge, *, bought_now: bool) -> None:
        super().correct(item, before, after, bought_now=bought_now)
        if (claim := self._open.get(item)) is not None:
            self._changes.add(claim.month, claim.scopes, charged=units(after.counted) - units(before.counted))

    def refund(self, item: int, charge: Charge, *, bought_now: bool) -> None:
        super().refund(item, charge, bought_now=bought_now)
        if (claim := self._open.get(item)) is not None:
            self._changes.add(claim.month, claim.scopes, charged=-units(charge.counted))
            self._full.clear()  # there may be room again

    def unwatch(self, item: int) -> None:
        super().unwatch(item)
        self._unconfirmed_claims.discard(item)
        if item in self._open:
            self._changes.parked.add(item)

    def ended(self, item: int) -> None:
        super().unwatch(item)
        if self._open.pop(item, None) is not None:
            self._forget(item)

    def _forget(self, item: int) -> None:
        self._unconfirmed_claims.discard(item)
        self._changes.freed.add(item)

    def left(self) -> Decimal | None:
        rooms = [room for room in (super().left(), self._left) if room is not None]
        return min(rooms, default=None)
