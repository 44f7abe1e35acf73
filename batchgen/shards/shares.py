"""What a shard may spend and hold in flight: its share of the run's limits, so that the shares are the whole."""

from dataclasses import replace
from decimal import Decimal

from batchgen.core.errors import UsageError
from batchgen.settings import Settings
from batchgen.shards.shard import Shard

_CENTS = 2


def share_of(settings: Settings, shard: Shard) -> Settings:
    """Return the settings of one shard. `max_cost`, `budget` and `concurrency` are divided equally, and exactly.

    What does not divide evenly goes to the first shards. Where `concurrency` is smaller than the number of shards, the
    last ones get none; `refuse_idle_shards` refuses that before anything is bought.
    """
    return replace(
        settings,
        concurrency=_part(settings.concurrency, shard),
        max_cost=None if settings.max_cost is None else _money(settings.max_cost, shard),
        budget=None if settings.budget is None else _money(settings.budget, shard),
    )


def refuse_idle_shards(settings: Settings, shard: Shard) -> None:
    """Raise UsageError where the settings of the whole run leave some of its shards without any job in flight."""
    if settings.concurrency < shard.count:
        raise UsageError(
            f"concurrency is {settings.concurrency} for all {shard.count} shards together, and each needs at least 1:"
            f" set --concurrency to {shard.count} or more, or use fewer shards"
        )


def _money(amount: Decimal, shard: Shard) -> Decimal:
    """Return a share in whole cents, or in as small a unit as the amount itself is written in."""
    exponent = amount.as_tuple().exponent
    digits = max(_CENTS, -exponent if isinstance(exponent, int) else 0)
    return Decimal(_part(int(amount.scaleb(digits)), shard)).scaleb(-digits)


def _part(whole: int, shard: Shard) -> int:
    each, left = divmod(whole, shard.count)
    return each + (shard.index < left)
