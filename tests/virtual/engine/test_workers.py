"""A run on workers, in virtual time: whatever befalls them, nothing is bought twice and nothing is forgotten."""

import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from support.engine.crew import Crew, CrewWorld
from support.worlds import in_memory

from batchgen.core.records import State
from batchgen.engine.tells import cancelled
from batchgen.settings import Settings
from batchgen.virtual import Duration, Offer, make_dependant, make_items
from batchgen.virtual.harness import MODEL

OFFER = Offer(durations={MODEL: Duration(60.0, 0.2)}, latency=(0.02, 0.4))


def seeds(few: int) -> range:
    """Return so many seeds, or as many as `CREW_SEEDS` says."""
    return range(1, 1 + int(os.environ.get("CREW_SEEDS", few)))


@pytest.fixture
def folder() -> Iterator[Path]:
    with in_memory() as memory:
        yield memory


def world_of(folder: Path, items: int = 60, *, workers: int = 3, seed: int = 1, **settings: object) -> CrewWorld:
    if "max_cost" in settings:
        settings["max_cost"] = Decimal(str(settings["max_cost"]))
    given = Settings(**{"concurrency": 12, **settings})  # type: ignore[arg-type]
    return CrewWorld(folder / "run", make_items(items), workers=workers, seed=seed, settings=given, offer=OFFER)


def test_workers_buy_everything_once(folder: Path) -> None:
    world = world_of(folder)
    outcome = world.hire()
    assert world.violations == []
    assert outcome.exit_code == 0
    assert outcome.counts == {State.DONE: 60}
    assert len(world.provider.books.jobs) == 60
    assert len({running.start for running in world.crew.running}) >= 3


def kill_one(crew: Crew) -> None:
    if living := crew.living():
        crew.kill(living[0])


def freeze_one(seconds: float) -> object:
    def action(crew: Crew) -> None:
        import asyncio

        if living := crew.living():
            living[0].process.freeze()
            asyncio.get_running_loop().call_later(seconds, living[0].process.thaw)

    return action


def bought(world: CrewWorld) -> int:
    return len(world.provider.books.jobs)


@pytest.mark.parametrize("hides", [False, True])
@pytest.mark.parametrize("seed", seeds(2))
def test_workers_that_are_killed(folder: Path, seed: int, hides: bool) -> None:
    """Where the coordinator sees what a worker left, only requests that had left without an answer are in doubt."""
    world = world_of(folder, seed=seed)
    outcome = world.hire(*((0.3 + 7.3 * n, kill_one) for n in range(12)), crew={"hides": hides})
    assert world.violations == []
    counts = outcome.counts
    assert counts.get(State.DONE, 0) + counts.get(State.IN_DOUBT, 0) == 60
    assert bought(world) <= 60
    assert outcome.exit_code in (0, 4)
    if not hides:
        assert counts.get(State.IN_DOUBT, 0) <= 16


@pytest.mark.parametrize("seconds", [2.0, 6.0, 40.0, 300.0])
@pytest.mark.parametrize("seed", seeds(2))
def test_workers_that_stand_still_and_come_back(folder: Path, seed: int, seconds: float) -> None:
    world = world_of(folder, seed=seed)
    outcome = world.hire(*((0.05 + 13.7 * n, freeze_one(seconds)) for n in range(8)))
    assert world.violations == []
    counts = outcome.counts
    assert counts.get(State.DONE, 0) + counts.get(State.IN_DOUBT, 0) == 60
    assert bought(world) <= 60
    if seconds < 4:
        assert counts == {State.DONE: 60}


@pytest.mark.parametrize("seed", seeds(2))
def test_messages_and_answers_that_are_lost(folder: Path, seed: int) -> None:
    world = world_of(folder, seed=seed)
    outcome = world.hire(crew={"loses": 0.2})
    assert world.violations == []
    assert outcome.counts == {State.DONE: 60}
    assert bought(world) == 60


@pytest.mark.parametrize("seed", seeds(1))
def test_tickets_that_run_again_after_they_have_ended(folder: Path, seed: int) -> None:
    world = world_of(folder, seed=seed)
    outcome = world.hire(crew={"reruns": True})
    assert world.violations == []
    assert outcome.counts == {State.DONE: 60}
    assert bought(world) == 60


def test_an_engine_that_dies_while_its_workers_live(folder: Path) -> None:
    """They finish what they were given; then the run says why it stops."""
    world = world_of(folder, items=900)

    def dies(crew: Crew) -> None:
        crew.lost = "the scheduler is gone"

    outcome = world.hire((10.0, dies))
    assert world.violations == []
    assert outcome.word == "engine"
    assert outcome.exit_code == 5
    assert 100 < outcome.counts[State.DONE] < 900
    assert outcome.counts[State.DONE] + outcome.counts[State.PENDING] == 900
    again = world.hire()
    assert world.violations == []
    assert again.counts == {State.DONE: 900}
    assert bought(world) == 900


def test_workers_that_can_do_nothing_end_the_run_with_a_word(folder: Path) -> None:
    """They cannot reach the coordinator, say: the engine would run one ticket after another for ever."""
    world = world_of(folder)
    outcome = world.hire(crew={"unable": True})
    assert outcome.word == "engine"
    assert outcome.counts == {State.PENDING: 60}
    assert outcome.seconds < 60


def test_a_coordinator_that_stood_still_takes_nobody_for_dead(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As a laptop that sleeps: its workers may have tried to reach it all the time."""
    world = world_of(folder)
    outcome = world.hire((20.0, lambda crew: crew.world.clock.advance(60.0)), crew={"hides": True})
    assert world.violations == []
    assert outcome.counts == {State.DONE: 60}
    assert "is gone" not in caplog.text


def test_items_that_need_outputs_of_others_are_bought_by_the_coordinator(folder: Path) -> None:
    sources = make_items(20)
    dependants = [make_dependant(f"d{n}", (source, 1)) for n, source in enumerate(sources)]
    settings = Settings(concurrency=6)
    world = CrewWorld(folder / "run", [*sources, *dependants], settings=settings, offer=OFFER)
    outcome = world.hire((0.6, kill_one), (70.0, kill_one))
    assert world.violations == []
    counts = outcome.counts
    assert counts[State.DONE] + counts.get(State.IN_DOUBT, 0) + counts.get(State.PENDING, 0) == 40
    assert counts[State.DONE] >= 30


@pytest.mark.parametrize("hides", [False, True])
def test_a_cap_holds_over_all_workers(folder: Path, hides: bool) -> None:
    world = world_of(folder, max_cost="1.00")
    outcome = world.hire((20.0, kill_one), (40.0, kill_one), crew={"hides": hides, "loses": 0.1})
    assert world.violations == []
    assert outcome.word == "max_cost"
    assert bought(world) <= 20


def test_a_limit_of_new_jobs_holds_over_all_workers(folder: Path) -> None:
    world = world_of(folder, max_new=17)
    outcome = world.hire()
    assert world.violations == []
    assert outcome.word == "max_new"
    assert bought(world) == 17


def test_an_interruption_ends_all_workers_in_order(folder: Path) -> None:
    world = world_of(folder)
    outcome = world.invoke_with_interruption(30.0)
    assert world.violations == []
    assert outcome.word == "interrupted"
    assert outcome.seconds < 30.0 + 10.0
    assert State.SUBMITTING not in outcome.counts
    assert State.IN_DOUBT not in outcome.counts
    again = world.hire()
    assert world.violations == []
    assert again.counts == {State.DONE: 60}
    assert bought(world) == 60


@pytest.mark.parametrize("crash_at", [40, 200, 400])
@pytest.mark.parametrize("seed", seeds(1))
def test_a_coordinator_that_is_killed_with_all_of_its_workers(folder: Path, seed: int, crash_at: int) -> None:
    """What workers left behind says which requests had left; the next run goes on from there."""
    world = world_of(folder, seed=seed)
    for n in range(4):
        world.hire(crash_at=crash_at + 37 * n)
        assert world.violations == []
    assert world.crashes
    outcome = world.hire()
    assert world.violations == []
    counts = outcome.counts
    assert counts.get(State.DONE, 0) + counts.get(State.IN_DOUBT, 0) == 60
    assert counts.get(State.IN_DOUBT, 0) <= 24
    assert bought(world) <= 60


def kill_at_requests(world: CrewWorld, numbers: set[int]) -> None:
    """Kill all workers when requests with these numbers arrive: they never hear the answers."""
    seen = 0

    def on_event(_: float, *what: object) -> None:
        nonlocal seen
        if what[0] == "submit":
            seen += 1
            if seen in numbers:
                for running in world.crew.living():
                    world.crew.kill(running)

    world.provider.listeners.append(on_event)


@pytest.mark.parametrize("hides", [False, True])
@pytest.mark.parametrize("seed", seeds(2))
def test_workers_that_die_while_their_requests_are_on_their_way(folder: Path, seed: int, hides: bool) -> None:
    world = world_of(folder, seed=seed)
    kill_at_requests(world, {3, 20, 41})
    outcome = world.hire(crew={"hides": hides})
    assert world.violations == []
    counts = outcome.counts
    assert counts[State.IN_DOUBT] >= 3
    assert counts[State.DONE] + counts[State.IN_DOUBT] == 60
    assert bought(world) <= 60
    assert outcome.exit_code == 4


def test_to_lend_again_what_a_lost_worker_may_have_bought_would_buy_it_twice(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the tests above cannot pass by chance."""
    monkeypatch.setattr("batchgen.engine.coordinator.coordinator.doubted", lambda purchase, _: cancelled(purchase))
    world = world_of(folder)
    kill_at_requests(world, {3, 20, 41})
    world.hire(crew={"hides": True})
    assert any("was accepted 2 times" in violation for violation in world.violations)
