"""A run's part in the limits that runs share, which most runs have none of: then nothing of it is loaded."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from batchgen.core.clock import UtcNow, utc_now
from batchgen.core.text import dollars, printable
from batchgen.journal import Journal, is_simulated
from batchgen.policy.budget_port import Budget
from batchgen.session.sharing.shared import Sharing
from batchgen.settings import Settings
from batchgen.shared_limits import SharedLimits
from batchgen.shared_limits.amounts import amount_of

if TYPE_CHECKING:
    from batchgen.shared_limits.orders import Crossed


def sharing(
    journal: Journal, limits: SharedLimits, tell: Callable[[str], None], now: UtcNow = utc_now
) -> AbstractContextManager[Sharing | None]:
    """Have an open run take part in the limits of its output folder while the block runs; None where there are none.

    What all runs in the folder have spent in the month is counted first, and this run's share once more at the end.
    Simulated money does not count. Raises DiskError, RunFolderError.
    """
    if not limits.shares or is_simulated(journal.facts()):
        return nullcontext()
    from batchgen.session.sharing.taking_part import take_part

    return take_part(journal, limits, tell, now)


def open_budget(
    journal: Journal, settings: Settings, shared: Sharing | None, warn: Callable[["Crossed"], None]
) -> AbstractAsyncContextManager[Budget]:
    """Give the budget of a run: its own, or with claims in the shared books."""
    if shared is None:
        return nullcontext(journal.budget(settings.max_cost, settings.budget))
    from batchgen.session.sharing.taking_part import open_shared_budget

    return open_shared_budget(journal, settings, shared, warn)


def crossed_text(crossed: "Crossed") -> str:
    """Return the warning that a budget has passed a percentage, as one sentence."""
    return (
        f"{crossed.percent} % of the month's budget{_of(crossed.scope)} is reached ({crossed.month}):"
        f" {dollars(amount_of(crossed.committed))} of {dollars(amount_of(crossed.limit))} is spent, reserved or in"
        " doubt, of all runs in the output folder"
    )


def _of(scope: str) -> str:
    return f" for {printable(scope, 100)}" if scope else ""
