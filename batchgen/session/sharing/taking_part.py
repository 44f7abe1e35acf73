"""A run among others that share limits: it takes part while it runs, and claims money before it buys."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from batchgen.core.clock import UtcNow, utc_now
from batchgen.core.errors import BatchgenError
from batchgen.core.text import dollars, printable
from batchgen.journal import Journal, is_simulated
from batchgen.policy.budget_port import Budget
from batchgen.session.sharing.counting import count_others, count_run, known_run, leave, tell_of_the_gone
from batchgen.settings import Settings
from batchgen.shared_limits import SharedBooks, SharedBudget, SharedLimits, month_at, open_books
from batchgen.shared_limits.amounts import amount_of
from batchgen.shared_limits.orders import Claim, Crossed
from batchgen.shared_limits.writer import BooksWriter

log = logging.getLogger("batchgen")


@dataclass(frozen=True, slots=True)
class Sharing:
    """The limits that a run shares, the shared books, and the run's name in them."""

    limits: SharedLimits
    books: SharedBooks
    run: str
    utc_now: UtcNow
    going_on: tuple[Claim, ...]
    """The jobs of earlier invocations."""


@contextmanager
def sharing(
    journal: Journal, limits: SharedLimits, tell: Callable[[str], None], now: UtcNow = utc_now
) -> Iterator[Sharing | None]:
    """Have an open run take part in the limits of its output folder while the block runs; None where there are none.

    What all runs in the folder have spent in the month is counted first, and this run's share once more at the end.
    Simulated money does not count. Raises DiskError, RunFolderError.
    """
    if not limits.shares or is_simulated(journal.facts()):
        yield None
        return
    folder = journal.path.parent.resolve()
    with open_books(folder.parent) as books:
        month = month_at(now(), limits.zone)
        count_others(books, limits, month, folder, tell)
        known = known_run(books, journal, folder)
        claims = count_run(books, known, journal, limits, month)
        tell_of_the_gone(books, month, tell)
        try:
            yield Sharing(limits, books, known.id, now, claims)
        finally:
            leave(books, known, journal, limits, month_at(now(), limits.zone))


@asynccontextmanager
async def open_budget(
    journal: Journal, settings: Settings, shared: Sharing | None, warn: Callable[[Crossed], None]
) -> AsyncIterator[Budget]:
    """Give the budget of a run: its own, or with claims in the shared books."""
    if shared is None:
        yield journal.budget(settings.max_cost, settings.budget)
        return
    tracker = journal.budget_tracker(settings.max_cost, settings.budget, shared=shared.limits.has_budget)
    async with BooksWriter(shared.books, shared.run, shared.limits, shared.utc_now) as serve:
        budget = SharedBudget(tracker, shared.limits, serve, warn=warn, going_on=shared.going_on)
        try:
            yield budget
        finally:
            try:
                await budget.flush()
            except BatchgenError as error:  # it must not hide how the run ended; its journal is counted next
                log.warning("the month's budget: %s", error)


def crossed_text(crossed: Crossed) -> str:
    """Return the warning that a budget has passed a percentage, as one sentence."""
    return (
        f"{crossed.percent} % of the month's budget{_of(crossed.scope)} is reached ({crossed.month}):"
        f" {dollars(amount_of(crossed.committed))} of {dollars(amount_of(crossed.limit))} is spent, reserved or in"
        " doubt, of all runs in the output folder"
    )


def _of(scope: str) -> str:
    return f" for {printable(scope, 100)}" if scope else ""
