"""Money as the shared books hold it: whole billionths of a dollar, so that SQL sums it exactly."""

from decimal import ROUND_CEILING, Decimal

_UNITS = 10**9


def units(amount: Decimal) -> int:
    """Return an amount in USD in billionths, rounded up."""
    return int((amount * _UNITS).to_integral_value(ROUND_CEILING))


def amount_of(count: int) -> Decimal:
    """Return billionths as an amount in USD."""
    return Decimal(count) / _UNITS
