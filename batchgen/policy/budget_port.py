"""The port to the money of a run, which one process holds alone or several share.

Nothing is spent without a grant that was secured. A grant ends in exactly one of three ways: given back, charged, or in
doubt.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol

from batchgen.policy.budget import Charge, Money

Cap = Literal["max_cost", "budget", "month"]


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
    scope: str = ""
    """What the cap is for, as `client=acme`; empty: for everything."""


@dataclass(frozen=True, slots=True)
class NotYet:
    """Why a grant cannot be used now: others that share a limit have to come first."""

    seconds: float
    """After which to ask again."""
    everything: bool
    """Whether that goes for all purchases, or for those with unconfirmed prices only."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """What a grant is wanted for, as others that share a limit know it."""

    item_id: str
    attempt: int
    """From 1."""
    tags: tuple[tuple[str, str], ...]
    at: datetime
    """When it is made, as the journal will say: it counts in the month of this moment."""


class Budget(Protocol):
    """The money of one run. Called on the run's event loop only; nothing here waits but `secure`.

    Where several processes share a cap, each is lent amounts of it ahead of time, grants only from these, and gives
    back what it does not need. So the cap holds without a question to others for each item.
    """

    # ---- before a purchase ----

    def expected(self, price_key: str, model: str, estimated: Decimal) -> Decimal:
        """Return what a purchase is expected to cost, USD: the catalogue price, or more if answers said so."""
        ...

    def needs_confirmation(self, price_key: str) -> bool:
        """Return whether there is a cap, and no answer has confirmed this price yet."""
        ...

    def may_submit(self, price_key: str) -> bool:
        """Return whether a request with this price key may leave beside those that are open. Caps are not checked."""
        ...

    def reserve(self, item: int, price_key: str, amount: Decimal) -> Grant | CapReached:
        """Reserve what a purchase is expected to cost, or say which cap it would pass. USD."""
        ...

    async def secure(self, grant: Grant, purchase: Purchase) -> CapReached | NotYet | None:
        """Make a grant good with the other runs that share a limit, and return None once that is on disk.

        Called before the intent is recorded. Any other answer says why not; the grant is then to be given back. Raises
        DiskError.
        """
        ...

    async def flush(self) -> None:
        """Tell the other runs that share a limit what has become of grants. Raises DiskError."""
        ...

    # ---- how a grant ends ----

    def release(self, grant: Grant) -> None:
        """Give a grant back: the purchase was certainly not charged."""
        ...

    def charge(self, grant: Grant, charged: Decimal) -> None:
        """The purchase was accepted at this price (USD); what is left of the grant is free again."""
        ...

    def doubt(self, grant: Grant) -> None:
        """The purchase may have been charged: the grant counts until that is resolved."""
        ...

    # ---- afterwards ----

    def confirm(self, price_key: str, model: str, estimated: Decimal, price: Decimal) -> None:
        """An answer has confirmed what purchases of a price key cost, USD."""
        ...

    def correct(self, item: int, before: Charge, after: Charge, *, bought_now: bool) -> None:
        """The API names another price for an item's job than before; `bought_now`: by this invocation."""
        ...

    def refund(self, item: int, charge: Charge, *, bought_now: bool) -> None:
        """The API gave the charge for an item's job back; `bought_now`: bought by this invocation."""
        ...

    def watch(self, item: int, price_key: str) -> None:
        """A job of an earlier invocation is still open: its price may need confirmation."""
        ...

    def unwatch(self, item: int) -> None:
        """A job is parked: others need not wait for its price, nor for its place."""
        ...

    def ended(self, item: int) -> None:
        """A job has ended: as `unwatch`, for good."""
        ...

    # ---- the current state ----

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
