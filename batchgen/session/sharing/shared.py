"""What a run shares with others."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchgen.core.clock import UtcNow
from batchgen.shared_limits import SharedLimits

if TYPE_CHECKING:
    from batchgen.shared_limits.books import SharedBooks
    from batchgen.shared_limits.orders import Claim


@dataclass(frozen=True, slots=True)
class Sharing:
    """The limits that a run shares, the shared books, and the run's name in them."""

    limits: SharedLimits
    books: "SharedBooks"
    run: str
    utc_now: UtcNow
    going_on: "tuple[Claim, ...]"
    """The jobs of earlier invocations."""
