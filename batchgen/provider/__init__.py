"""The simulated provider: what it accepts, charges, works on, refunds and forgets, and every way it can go wrong.

Pure state; the time is passed in. It has two front ends: `batchgen.simulator` over HTTP and, in virtual time,
`batchgen.virtual.memory_api`.
"""

from batchgen.provider.books import Account, Books, Totals
from batchgen.provider.faults import Dice, Episode, Fault, Faults
from batchgen.provider.jobs import Order, ProviderJob
from batchgen.provider.provider import Acceptance, Naming, NoCreditError, Provider

__all__ = [
    "Acceptance",
    "Account",
    "Books",
    "Dice",
    "Episode",
    "Fault",
    "Faults",
    "Naming",
    "NoCreditError",
    "Order",
    "Provider",
    "ProviderJob",
    "Totals",
]
