"""Runs in virtual time that share limits: their folders lie beside each other, and they claim in the same books."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal

from support.worlds import in_memory

from batchgen.core.records import Item
from batchgen.journal import Journal
from batchgen.policy.budget_port import Budget
from batchgen.session.sharing.counting import count_others, count_run, known_run
from batchgen.settings import Settings
from batchgen.shared_limits import SharedLimits
from batchgen.shared_limits.books import SharedBooks, open_books
from batchgen.shared_limits.budget import SharedBudget
from batchgen.shared_limits.months import month_at
from batchgen.shared_limits.orders import Answer, Order
from batchgen.virtual import Duration, Fault, FaultPlan, Offer, World
from batchgen.virtual.harness import MODEL
from batchgen.virtual.watching import CrashPoint


class Sharing(World):
    """A run that shares limits with others, whose folders lie beside its own."""

    limits = SharedLimits()
    books: SharedBooks
    delay = 0.0
    """Seconds until the books answer."""

    def _budget(self, journal: Journal, settings: Settings, crash_point: CrashPoint) -> Budget:
        known, month = known_run(self.books, journal, self.folder), month_at(self._utc_now(), self.limits.zone)
        count_others(self.books, self.limits, month, self.folder, self.violations.append)
        going_on = count_run(self.books, known, journal, self.limits, month)

        async def serve(order: Order) -> Answer | None:
            changes, claim = order
            await crash_point.step()
            if self.delay:
                await asyncio.sleep(self.delay)
            claims = [] if claim is None else [claim]
            answers = self.books.serve(known.id, self.limits, self._now_ms, changes, claims)
            await crash_point.step()
            return answers[0] if answers else None

        tracker = journal.budget_tracker(settings.max_cost, settings.budget, shared=self.limits.has_budget)
        return SharedBudget(tracker, self.limits, serve, warn=lambda _: None, going_on=going_on)

    @property
    def _now_ms(self) -> int:
        return round(self._utc_now().timestamp() * 1000)

    def end(self) -> None:
        """Count once more, as a run does that was not killed."""
        with closing(Journal(self.folder)) as journal:
            known = known_run(self.books, journal, self.folder)
            count_run(self.books, known, journal, self.limits, month_at(self._utc_now(), self.limits.zone))
        with self.books.transaction():
            self.books.leave(known.id)


@contextmanager
def sharing(
    limits: SharedLimits, groups: Sequence[list[Item]], *, seed: int = 0, faults: dict[Fault, float] | None = None
) -> Iterator[list[Sharing]]:
    """Runs beside each other in one output folder, whose clocks go on together."""
    with in_memory() as output, open_books(output) as books:
        worlds = []
        for number, items in enumerate(groups):
            world = Sharing(
                output / f"run-{number}", items, seed=seed + number, settings=Settings(concurrency=4, max_in_doubt=100),
                faults=FaultPlan(faults or {}), offer=Offer(durations={MODEL: Duration(20.0, 0.2)}),
            )  # fmt: skip
            world.limits, world.books = limits, books
            worlds.append(world)
        yield worlds


def net(worlds: Sequence[Sharing]) -> Decimal:
    """What the provider was paid, USD."""
    return sum((world.provider.books.net(world.clock.seconds) for world in worlds), Decimal(0))


def committed(world: Sharing) -> Decimal:
    """What counts against the month's budget, USD."""
    month = month_at(world._utc_now(), world.limits.zone).name
    return Decimal(world.books.committed(month, "")) / 10**9


def checked(worlds: Sequence[Sharing]) -> None:
    """Check that no promise was broken, and that what was paid is counted below the budget."""
    limit = worlds[0].limits.month
    assert limit is not None
    assert [world.violations for world in worlds] == [[] for _ in worlds]
    assert net(worlds) <= committed(worlds[0]) <= limit
