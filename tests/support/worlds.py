"""Small worlds in virtual time, and what tests ask of them."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from batchgen.core.records import Item, State
from batchgen.settings import Settings
from batchgen.virtual import Duration, Episode, Fault, FaultPlan, Offer, Outcome, World, episodes
from batchgen.virtual.harness import MODEL

FOREVER = float("inf")


@contextmanager
def in_memory() -> Iterator[Path]:
    """A folder that needs no disk, where the machine has such a thing: for tests that sync thousands of times."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own is made below it
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


def world_of(
    folder: Path,
    items: Iterable[Item],
    *strikes: Episode,
    seed: int = 1,
    median: float = 60.0,
    sigma: float = 0.2,
    latency: tuple[float, float] = (0.02, 0.1),
    rates: dict[Fault, float] | None = None,
    **settings: Any,
) -> World:
    """A world with these settings and scripted faults."""
    return World(
        folder / "run", items, seed=seed, settings=Settings(**settings), faults=FaultPlan(rates or {}, strikes),
        offer=Offer(durations={MODEL: Duration(median, sigma)}, latency=latency),
    )  # fmt: skip


def strike(fault: Fault, subject: str = "", *, start: float = 0.0, end: float = FOREVER) -> Episode:
    """One fault, always or between two times; only for what contains `subject`."""
    return Episode(start, end, fault, subject)


def calm(world: World, *strikes: Episode) -> None:
    """From now on nothing goes wrong but these."""
    world.provider.follow(FaultPlan(script=strikes))


def storm(faults: Iterable[Fault], *, start: float = 0.0, end: float = FOREVER) -> tuple[Episode, ...]:
    return episodes(start, end, faults)


class Log:
    """What the provider was asked for, with times."""

    def __init__(self, world: World) -> None:
        self.events: list[tuple[float, tuple[Any, ...]]] = []
        world.provider.listeners.append(lambda at, *what: self.events.append((at, what)))

    def times(self, kind: str, subject: str = "") -> list[float]:
        return [at for at, what in self.events if what[0] == kind and subject in str(what[1])]

    def gaps(self, kind: str, subject: str = "") -> list[float]:
        times = self.times(kind, subject)
        return [later - earlier for earlier, later in pairwise(times)]


def run_clean(world: World, **how: Any) -> Outcome:
    """Run once; no promise may be broken."""
    outcome = world.invoke(**how)
    assert not world.violations, world.violations[:5]
    return outcome


def count(outcome: Outcome, state: State) -> int:
    return outcome.counts.get(state, 0)
