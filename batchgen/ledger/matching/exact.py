"""Sums of money that are exact or an error, however many there are."""

from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow

_EXACT = Context(prec=80, traps=[Inexact, InvalidOperation, Overflow])


def exact_sum(one: Decimal, other: Decimal) -> Decimal:
    """Return the sum, USD. Raises decimal.Inexact instead of rounding."""
    return _EXACT.add(one, other)
