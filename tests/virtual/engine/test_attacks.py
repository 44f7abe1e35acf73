"""A run on workers, attacked in virtual time: what was once wrong with it, and what must not go wrong."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.engine.crew import Crew, CrewWorld, Running
from support.worlds import in_memory

from batchgen.core.records import Item, State
from batchgen.journal import Journal
from batchgen.provider.faults import Episode, Fault
from batchgen.settings import Settings
from batchgen.virtual import Duration, FaultPlan, Offer, make_items
from batchgen.virtual.harness import MODEL, make_dependant
from batchgen.virtual.watching import WatchedRecorder

OFFER = Offer(durations={MODEL: Duration(60.0, 0.2)}, latency=(0.02, 0.4))


@pytest.fixture
def folder() -> Iterator[Path]:
    with in_memory() as memory:
        yield memory


def world_of(
    folder: Path, items: int | Sequence[Item] = 60, *, workers: int = 3, seed: int = 1,
    faults: FaultPlan | None = None, **settings: Any,
) -> CrewWorld:  # fmt: skip
    given = Settings(**{"concurrency": 12, **settings})
    listed = make_items(items) if isinstance(items, int) else items
    return CrewWorld(
        folder / "run", listed, workers=workers, seed=seed, settings=given, offer=OFFER, faults=faults
    )  # fmt: skip


def bought(world: CrewWorld) -> int:
    return len(world.provider.books.jobs)


def chains(count: int) -> list[Item]:
    """Items that workers may buy, each with one that needs it."""
    sources = make_items(count)
    return [item for n, source in enumerate(sources) for item in (source, make_dependant(f"d{n}", (source, 1)))]


def test_an_outage_in_the_middle_is_waited_out_also_by_starts_that_begin_in_it(folder: Path) -> None:
    world = world_of(folder, items=60, faults=FaultPlan({}, (Episode(70.0, 190.0, Fault.NOT_SENT),)))
    outcome = world.hire((80.0, kill_all))
    assert world.violations == []
    assert outcome.word is None
    assert State.PENDING not in outcome.counts


def test_one_job_that_is_stuck_does_not_end_the_run(folder: Path) -> None:
    stuck = FaultPlan({}, (Episode(0.0, 1.0, Fault.STUCK),))
    world = world_of(folder, items=210, workers=1, faults=stuck, job_timeout=150.0, drain=100.0, concurrency=60)
    outcome = world.hire()
    assert world.violations == []
    assert outcome.word == "drain"
    assert State.PENDING not in outcome.counts


@pytest.mark.parametrize(("seed", "most"), [(2, 19), (4, 14)])
def test_max_new_holds_where_the_coordinator_buys_too(folder: Path, seed: int, most: int) -> None:
    world = world_of(folder, [*chains(10), *make_items(30, name="x")], seed=seed, max_new=most)
    outcome = world.hire()
    assert world.violations == []
    assert outcome.word == "max_new"
    assert bought(world) == most


def test_a_run_does_not_end_while_it_is_about_to_lend(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Journal.pending_among

    async def slow(record: WatchedRecorder, operation: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if operation.__name__ == read.__name__:
            await asyncio.sleep(2.0)
        return await watched(record, operation, *args, **options)

    watched = WatchedRecorder.__call__
    monkeypatch.setattr(WatchedRecorder, "__call__", slow)
    world = world_of(folder, items=12, workers=1, concurrency=4)
    # The engine has news all the time, which wakes the run.
    outcome = world.hire((0.12, kill_all), *((n / 2, lambda crew: crew._changed()) for n in range(4, 40)))
    assert world.violations == []
    assert State.PENDING not in outcome.counts


def kill_all(crew: Crew) -> None:
    for running in crew.living():
        crew.kill(running)


def test_doubts_in_a_row_hold_up_all_workers(folder: Path) -> None:
    """As a run that buys alone pauses after three of them, and probes with one request at a time."""
    lost = FaultPlan({}, (Episode(0.0, 40.0, Fault.LOST_ANSWER),))
    world = world_of(folder, items=200, workers=6, faults=lost, max_in_doubt=100)
    outcome = world.hire()
    assert world.violations == []
    assert outcome.counts[State.IN_DOUBT] <= 12 + 6  # what was under way, and probes after 1, 2, 4, 8, 16 s


def test_a_run_that_is_interrupted_does_not_wait_for_the_dead(folder: Path) -> None:
    world = world_of(folder)
    outcome = world.hire((30.0, kill_all), (30.1, interrupt))
    assert world.violations == []
    assert outcome.word == "interrupted"
    assert outcome.seconds < 40


def test_a_second_interruption_does_not_wait_for_who_does_not_answer(folder: Path) -> None:
    def freeze(crew: Crew) -> None:
        for running in crew.living():
            running.process.freeze()

    world = world_of(folder)
    outcome = world.hire((30.0, freeze), (30.5, interrupt), (32.0, interrupt_now))
    assert world.violations == []
    assert outcome.seconds < 40
    assert State.SUBMITTING not in outcome.counts


def interrupt(crew: Crew) -> None:
    crew.world.scheduler.interrupt()


def interrupt_now(crew: Crew) -> None:
    crew.world.scheduler.interrupt_now()


def test_what_a_gone_worker_bought_counts_as_bought_by_this_invocation(folder: Path) -> None:
    """The API names another price for it later, and refunds what fails: that is this invocation's money."""
    world = world_of(folder, items=20, workers=1, concurrency=20, faults=FaultPlan({Fault.FAILED: 1.0}))
    outcome = world.hire((20.0, kill_all))
    assert world.violations == []
    assert outcome.counts[State.FAILED] + outcome.counts.get(State.IN_DOUBT, 0) == 20
    money = outcome.run_state.budget.invocation
    assert money.refunded == money.charged


def test_under_a_cap_nobody_waits_for_the_price_of_a_parked_job(folder: Path) -> None:
    unanswered = (Episode(0.0, 600.0, Fault.COST_MISSING), Episode(0.0, 600.0, Fault.POLL_ERROR))
    world = world_of(folder, items=10, faults=FaultPlan({}, unanswered), job_timeout=100.0, max_cost=Decimal(9))
    meanwhile: list[int] = []
    outcome = world.hire((500.0, lambda _: meanwhile.append(bought(world))))
    assert world.violations == []
    assert outcome.counts == {State.DONE: 10}
    assert meanwhile[0] > 1


def test_a_worker_that_can_do_nothing_does_not_end_the_run_of_the_others(folder: Path) -> None:
    class One(CrewWorld):
        async def work(self, crew: Crew, running: Running) -> None:
            if sum(not other.over for other in crew.running) <= 1:
                await super().work(crew, running)

    items = make_items(330)
    world = One(folder / "run", items, workers=3, seed=1, settings=Settings(concurrency=100), offer=OFFER)
    outcome = world.hire()
    assert world.violations == []
    assert outcome.counts == {State.DONE: 330}
