"""The seam to the owner of a run's money: one process by itself, or a coordinator for several that buy side by side.

Nothing is spent without a grant. A grant ends in exactly one of three ways: given back, charged, or in doubt.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol

from batchgen.policy.budget import Charge, Money

Cap = Literal["max_cost", "budget"]


@dataclass(frozen=True, slots=True)
class Grant:
    """Money that one purchase may spend."""

    item: int
    """The item that it is for, by its key in the journal."""
    price_key: str
    """See `batchgen.policy.budget.Prices`."""
    amount: Decimal
    """USD; what the purchase is expected to cost."""


@dataclass(frozen=True, slots=True)
class CapReached:
    """Why there is no grant: the next purchase would exceed a cap."""

    cap: Cap
    limit: Decimal
    """USD."""
    committed: Decimal
    """What is spent, reserved, or in doubt of it, USD."""


class Budget(Protocol):
    """The money of one run. Called on the run's event loop only; nothing here waits.

    A holder that must ask others first asks ahead of time, and grants only what it has been granted.
    """

    # ---- before a purchase ----

    def expected(self, price_key: str, model: str, estimated: Decimal) -> Decimal:
        """Return what a purchase is expected to cost, USD: the catalogue price, or more where answers said so."""
        ...

    def needs_confirmation(self, price_key: str) -> bool:
        """Return whether there is a cap, and no answer has confirmed this price yet."""
        ...

    def may_submit(self, price_key: str) -> bool:
        """Return whether a request with this price key may leave beside those that are open; the caps apart."""
        ...

    def reserve(self, item: int, price_key: str, amount: Decimal) -> Grant | CapReached:
        """Reserve what a purchase is expected to cost, or say which cap it would pass. USD."""
        ...

    # ---- how a grant ends ----

    def release(self, grant: Grant) -> None:
        """Give a grant back: the purchase was certainly not charged."""
        ...

    def charge(self, grant: Grant, charged: Decimal) -> None:
        """The purchase was accepted at this price (USD); what is left of the grant is free again."""
        ...

    def doubt(self, grant: Grant) -> None:
        """The purchase may have been charged: the grant counts until this is settled."""
        ...

    # ---- what is learned afterwards ----

    def confirm(self, price_key: str, model: str, estimated: Decimal, price: Decimal) -> None:
        """An answer has confirmed what purchases of a price key cost, USD."""
        ...

    def correct(self, before: Charge, after: Charge, *, bought_now: bool) -> None:
        """The API names another price for a job than before; `bought_now`: by this invocation."""
        ...

    def refund(self, charge: Charge, *, bought_now: bool) -> None:
        """The API gave a charge back; `bought_now`: bought by this invocation."""
        ...

    def watch(self, item: int, price_key: str) -> None:
        """A job of an earlier invocation is open: its price may still have to be confirmed."""
        ...

    def unwatch(self, item: int) -> None:
        """A job is open no longer, or nothing can be learned from it soon."""
        ...

    # ---- how it stands ----

    @property
    def life(self) -> Money:
        """What the run folder has spent since it began."""
        ...

    @property
    def invocation(self) -> Money:
        """What this invocation has spent."""
        ...

    @property
    def confirmed(self) -> Mapping[str, Decimal]:
        """By price key, the price that an answer has confirmed last, USD."""
        ...

    @property
    def unconfirmed(self) -> Mapping[int, str]:
        """The price keys of open requests and jobs whose price is not confirmed, by item."""
        ...

    def left(self) -> Decimal | None:
        """Return what may still be spent (USD), or None without any cap."""
        ...
