"""What attempts cost: the one rule by which the money of an attempt counts, and the one sum of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Protocol

from batchgen.core.records import UNANSWERED

_ZERO = Decimal(0)


def total(amounts: Iterable[Decimal | None]) -> Decimal | None:
    """Return the sum of amounts, USD; None, which is unknown, if one of them is."""
    known = list(amounts)
    return None if None in known else sum(filter(None, known), _ZERO)


def times(amount: Decimal | None, count: int) -> Decimal | None:
    """Return what so many items of one price cost, USD; None if the price is unknown."""
    return None if amount is None else amount * count


def parsed(amount: str | None) -> Decimal | None:
    """Return an amount as an item table has it, USD; None if it is unknown."""
    return None if amount is None else Decimal(amount)


class Amounts(Protocol):
    """Money that was charged, came back (negative), or may have been charged, USD."""

    @property
    def charged(self) -> Decimal: ...
    @property
    def refunded(self) -> Decimal: ...
    @property
    def in_doubt(self) -> Decimal: ...


@dataclass(frozen=True, slots=True)
class Cost:
    """The money of one attempt, USD, with the signs of the ledger."""

    estimated: Decimal
    charged: Decimal
    refunded: Decimal
    """Negative or 0."""
    in_doubt: Decimal


@lru_cache(maxsize=4096)  # prices are few
def cost_of(state: str, estimated: str, reserved: str, charged: str | None, refunded: str | None) -> Cost:
    """Return the money of one attempt as the journal has it; what is not known counts as 0, so that sums are exact.

    An attempt without an answer may have been charged what was reserved for it.
    """
    return Cost(
        estimated=Decimal(estimated),
        charged=Decimal(charged) if charged is not None else _ZERO,
        refunded=-Decimal(refunded) if refunded is not None else _ZERO,
        in_doubt=Decimal(reserved) if state in UNANSWERED else _ZERO,
    )


@dataclass(slots=True)
class CostSum:
    """A running sum, USD, with the signs of the ledger."""

    rows: int = 0
    charged: Decimal = _ZERO
    refunded: Decimal = _ZERO
    """Negative or 0."""
    in_doubt: Decimal = _ZERO

    @property
    def net(self) -> Decimal:
        """What the account paid."""
        return self.charged + self.refunded

    def add(self, amounts: Amounts, rows: int = 1) -> None:
        """Add what so many rows of the same amounts cost."""
        self.rows += rows
        self.charged += amounts.charged * rows
        self.refunded += amounts.refunded * rows
        self.in_doubt += amounts.in_doubt * rows
