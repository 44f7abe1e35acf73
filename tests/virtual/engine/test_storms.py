"""Everything at once, in virtual time: faults of the API, workers that die and stand still, lost messages, a
coordinator that is killed, caps and few places; and stops, which reach all workers soon.

`CREW_SEEDS` says how many stories are played.
"""

import asyncio
import os
import random
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from support.engine.crew import Action, Crew, CrewWorld
from support.worlds import Log, calm, in_memory, strike

from batchgen.core.records import State
from batchgen.provider import Fault
from batchgen.settings import Settings
from batchgen.virtual import Duration, FaultPlan, Offer, make_dependant, make_items
from batchgen.virtual.harness import MODEL

STORIES = int(os.environ.get("CREW_SEEDS", "4"))
FAULTS = (
    Fault.NOT_SENT, Fault.LOST_BEFORE, Fault.LOST_ANSWER, Fault.GARBLED, Fault.SAME_ID, Fault.FOREIGN_ANSWER,
    Fault.BARE_ANSWER, Fault.COST_MISSING, Fault.BUSY, Fault.UNAVAILABLE, Fault.REJECTED, Fault.FAILED, Fault.SLOW,
    Fault.EMPTY, Fault.OUTPUTS_LATE, Fault.FEWER_OUTPUTS, Fault.POLL_ERROR, Fault.POLL_UNKNOWN, Fault.LATE_FILE,
    Fault.TRUNCATED, Fault.GONE,
)  # fmt: skip


@pytest.fixture
def folder() -> Iterator[Path]:
    with in_memory() as memory:
        yield memory


def troubles(draws: random.Random) -> Iterator[tuple[float, Action]]:
    """What befalls workers: one of them dies, or stands still for a while, again and again."""

    def kill(crew: Crew) -> None:
        if living := crew.living():
            crew.kill(draws.choice(living))

    def freeze(crew: Crew) -> None:
        if living := crew.living():
            process = draws.choice(living).process
            process.freeze()
            asyncio.get_running_loop().call_later(draws.choice((1.0, 4.0, 8.0, 60.0)), process.thaw)

    for _ in range(draws.randint(0, 12)):
        yield draws.uniform(0, 240), draws.choice((kill, freeze))


@pytest.mark.parametrize("seed", range(1, 1 + STORIES))
def test_a_storm(folder: Path, seed: int) -> None:
    draws = random.Random(f"storm {seed}")
    rates = {fault: draws.choice((0.02, 0.05)) for fault in FAULTS if draws.random() < 0.5}
    cap = draws.choice((None, Decimal("1.50")))
    settings = Settings(
        concurrency=draws.choice((1, 5, 12)), max_cost=cap, max_in_doubt=1000, max_new=draws.choice((None, None, 25)),
        submit=draws.choice(("poll", "poll", "wait")),
    )  # fmt: skip
    offer = Offer(durations={MODEL: Duration(30.0, 0.4)}, latency=(0.02, 0.4))
    items = make_items(48, outputs=draws.choice((1, 2)))
    if draws.random() < 0.3:
        items += [make_dependant(f"d{n}", (source, 1)) for n, source in enumerate(items[:12])]
    world = CrewWorld(
        folder / "run", items, workers=draws.choice((1, 2, 4)), seed=seed,
        settings=settings, offer=offer, faults=FaultPlan(rates, ()),
    )  # fmt: skip
    crew = {"loses": draws.choice((0.0, 0.1)), "hides": draws.random() < 0.3, "reruns": draws.random() < 0.3}
    for _ in range(draws.randint(0, 3)):
        world.hire(*troubles(draws), crew=crew, crash_at=draws.randint(20, 800))
        assert world.violations == []
    world.hire(*troubles(draws), crew=crew)
    assert world.violations == []
    calm(world)
    last = world.hire(settings=Settings(concurrency=8, max_in_doubt=1000))
    assert world.violations == []
    assert last.word is None
    assert not last.counts.keys() & {State.SUBMITTING, State.PROCESSING, State.READY}
    assert world.settled()
    assert world.forgotten() == 0


@pytest.mark.parametrize(("fault", "word"), [(Fault.UNAUTHORIZED, "key"), (Fault.NO_BALANCE, "balance")])
def test_what_stops_one_worker_stops_all_within_two_seconds(folder: Path, fault: Fault, word: str) -> None:
    offer = Offer(durations={MODEL: Duration(20.0, 0.2)}, latency=(0.02, 0.2))
    world = CrewWorld(
        folder / "run", make_items(200), workers=4, settings=Settings(concurrency=40), offer=offer,
        faults=FaultPlan({}, (strike(fault, start=30.0),)),
    )  # fmt: skip
    log = Log(world)
    outcome = world.hire()
    assert world.violations == []
    assert outcome.word == word
    kinds = ("submit", "poll") if fault is Fault.UNAUTHORIZED else ("submit",)
    first = min(at for kind in kinds for at in log.times(kind) if at >= 30.0)
    assert max(log.times("submit")) <= first + 2.0
