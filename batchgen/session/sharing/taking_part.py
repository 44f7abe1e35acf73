"""A run among others that share limits: it takes part while it runs, and claims money before it buys."""

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from batchgen.core.clock import UtcNow
from batchgen.core.errors import BatchgenError
from batchgen.journal import Journal
from batchgen.policy.budget_port import Budget
from batchgen.session.sharing.counting import count_others, count_run, known_run, leave, tell_of_the_gone
from batchgen.session.sharing.shared import Sharing
from batchgen.settings import Settings
from batchgen.shared_limits import SharedLimits
from batchgen.shared_limits.books import open_books
from batchgen.shared_limits.budget import SharedBudget
from batchgen.shared_limits.months import month_at
from batchgen.shared_limits.orders import Crossed
from batchgen.shared_limits.writer import BooksWriter

log = logging.getLogger("batchgen")


@contextmanager
def take_part(journal: Journal, limits: SharedLimits, tell: Callable[[str], None], now: UtcNow) -> Iterator[Sharing]:
    """See `batchgen.session.sharing.part.sharing`."""
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
async def open_shared_budget(
    journal: Journal, settings: Settings, shared: Sharing, warn: Callable[[Crossed], None]
) -> AsyncIterator[Budget]:
    """See `batchgen.session.sharing.part.open_budget`."""
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
