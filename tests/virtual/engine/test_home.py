"""What the coordinator buys itself beside its workers: items that need outputs of theirs, and the canaries."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.engine.crew import CrewWorld
from support.worlds import in_memory

from batchgen.core.records import State
from batchgen.settings import Settings
from batchgen.virtual import Duration, Offer, make_items
from batchgen.virtual.harness import MODEL, make_dependant

OFFER = Offer(durations={MODEL: Duration(60.0, 0.2)}, latency=(0.02, 0.4))


@pytest.fixture
def folder() -> Iterator[Path]:
    with in_memory() as memory:
        yield memory


@pytest.mark.parametrize("seed", range(1, 4))
def test_items_that_need_what_workers_bring_are_bought_by_the_coordinator(folder: Path, seed: int) -> None:
    sources = make_items(30)
    fed = [make_dependant(f"fed{n}", (source, 1)) for n, source in enumerate(sources)]
    twice = [make_dependant(f"twice{n}", (source, 1)) for n, source in enumerate(fed[:10])]
    items = [*sources, *fed, *twice]
    world = CrewWorld(folder / "run", items, workers=3, seed=seed, settings=Settings(concurrency=12), offer=OFFER)
    outcome = world.hire()
    assert world.violations == []
    assert outcome.counts == {State.DONE: 70}
    assert len(world.provider.books.jobs) == 70
    assert outcome.exit_code == 0


@pytest.mark.parametrize("seed", range(1, 4))
def test_what_needs_an_item_that_a_worker_lost_waits_for_it(folder: Path, seed: int) -> None:
    """A source in doubt may yet come: what needs it is neither bought nor skipped."""
    sources = make_items(20)
    fed = [make_dependant(f"fed{n}", (source, 1)) for n, source in enumerate(sources)]
    world = CrewWorld(
        folder / "run", [*sources, *fed], workers=3, seed=seed, settings=Settings(concurrency=12), offer=OFFER
    )
    seen = 0

    def on_event(_: float, *what: object) -> None:
        nonlocal seen
        seen += what[0] == "submit"
        if what[0] == "submit" and seen in {3, 12}:
            for running in world.crew.living():
                world.crew.kill(running)

    world.provider.listeners.append(on_event)
    outcome = world.hire(crew={"hides": True})
    assert world.violations == []
    doubted, waiting = outcome.counts[State.IN_DOUBT], outcome.counts.get(State.PENDING, 0)
    assert doubted >= 2
    assert outcome.counts[State.DONE] + doubted + waiting == 40
    assert len(world.provider.books.jobs) <= 40 - waiting


def test_canaries_come_first_and_nobody_else_buys_until_they_are_judged(folder: Path) -> None:
    world = CrewWorld(
        folder / "run", make_items(60), workers=3, settings=Settings(concurrency=12, canary=2), offer=OFFER
    )
    sent: list[float] = []
    world.provider.listeners.append(lambda at, *what: sent.append(at) if what[0] == "submit" else None)
    outcome = world.hire()
    assert world.violations == []
    assert outcome.counts == {State.DONE: 60}
    assert len(world.provider.books.jobs) == 60
    assert sent[2] - sent[1] > 30.0  # two canaries, which take a minute or so, and then all others
    assert {running.start for running in world.crew.running if running.folder.exists()}
