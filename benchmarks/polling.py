"""Makespan, polls and lag of polling policies in virtual time.

The goal's case is played by the scheduler itself, over the API in memory. The table of distributions comes from a model
of its loop (places that are filled again when a poll sees the end of a job), which asks the same decision functions
and takes milliseconds a job less; on the goal's case both must agree.
"""

import heapq
import json
import math
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.measure import in_memory, part, run
from benchmarks.table import Row

IN_FLIGHT = 50
POLL_MIN, POLL_MAX = 2.0, 5.0
MEDIANS = (10.0, 60.0, 300.0)
MACHINES = 40
_TRAVEL = 0.04
"""Seconds of one request, as in the scheduler's run."""


@dataclass(frozen=True, slots=True)
class Race:
    """The result of a policy."""

    makespan: float
    """Over the ideal: the same jobs in the same order, each place filled again the moment it is free."""
    polls: float
    """For each job."""
    lag: float
    """Seconds from a job's end to the poll that sees it, on average."""


def rows(folder: Path, jobs: int) -> Iterator[Row]:
    """Measure the goal's case with the scheduler, and the distributions with the model."""
    with in_memory(folder) as place:
        learned, fixed = (
            Race(**run(part("polling", "scheduler", policy, jobs, place)).json()) for policy in ("learned", "fixed 2 s")
        )
    case = f"60 s jobs, {IN_FLIGHT} in flight, {jobs:,} jobs"
    beside = f"fixed 2 s: {fixed.makespan:.4f} × ideal, {fixed.polls:.1f} polls a job, lag {fixed.lag:.2f} s"
    yield Row(f"makespan over ideal, {case}", f"{learned.makespan:.4f}", beside, learned.makespan, most=1.02)
    yield Row(f"polls, {case}", f"{learned.polls:.1f} a job", beside, learned.polls / fixed.polls, most=0.65)
    yield Row(f"lag, {case}", f"{learned.lag:.2f} s", beside, learned.lag / fixed.lag, most=1.1)
    model = run(part("polling", "model", jobs)).json()
    for name, races in model.items():
        ours, steady, *_ = raced = [Race(**race) for race in races.values()]
        shown = [f"{policy}: {race.makespan:.3f}, {race.polls:.1f}" for policy, race in zip(races, raced, strict=True)]
        against = "; ".join(shown[1:])
        measured = f"{ours.makespan:.3f} × ideal, {ours.polls:.1f} polls"
        yield Row(f"model: {name}", measured, against, ours.polls / steady.polls)
    for median, races in run(part("polling", "crowds", jobs)).json().items():
        shown = [f"{crowd} in flight: {makespan:.3f}, {polls:.1f} polls" for crowd, (makespan, polls) in races.items()]
        what = f"model: over-submitting to {MACHINES} machines, lognormal, {median} s, best makespan"
        yield Row(what, "; ".join(shown[1:]), shown[0], min(makespan for makespan, _ in races.values()))
    with in_memory(folder) as place:
        first, second = run(part("polling", "twice", jobs // 20, place)).json()
    what = f"polls, {jobs // 20:,} jobs of 60 s, in a folder that knows as many"
    yield Row(what, f"{second:.1f} a job", f"in a new folder: {first:.1f}", second / first)


# ---- the scheduler itself ------------------------------------------------------------------------------------------


def played(policy: str, jobs: int, folder: Path) -> Race:
    """Run the scheduler over the API in memory."""
    from batchgen.scheduler import poller
    from batchgen.settings import Settings
    from batchgen.virtual import Duration, Offer, World, make_items
    from batchgen.virtual.harness import MODEL

    if policy != "learned":
        for name in ("first_poll", "next_poll"):
            setattr(poller, name, lambda *_: 2.0)
    offer = Offer(durations={MODEL: Duration(60.0, 0.3)}, latency=(_TRAVEL, _TRAVEL))
    world = World(folder / policy, make_items(jobs), seed=7, settings=Settings(concurrency=IN_FLIGHT), offer=offer)
    outcome = world.invoke()
    assert outcome.exit_code == 0
    assert not world.violations
    booked = list(world.provider.books.jobs.values())
    told = world.provider.observed.jobs
    lag = sum(told[job.id].end_seen - job.ends_at for job in booked) / jobs
    ideal = _ideal(job.ends_at - job.created_at for job in booked)
    return Race(outcome.seconds / ideal, world.provider.polls / jobs, lag)


def twice(jobs: int, folder: Path) -> tuple[float, float]:
    """Return the polls a job of two runs in one folder, each of as many jobs."""
    from batchgen.settings import Settings
    from batchgen.virtual import Duration, Offer, World, make_items
    from batchgen.virtual.harness import MODEL

    offer = Offer(durations={MODEL: Duration(60.0, 0.3)}, latency=(_TRAVEL, _TRAVEL))
    world = World(folder / "twice", make_items(jobs), seed=7, settings=Settings(concurrency=IN_FLIGHT), offer=offer)
    world.invoke()
    first = world.provider.polls
    world.items = make_items(jobs, name="later")
    world.invoke()
    return first / jobs, (world.provider.polls - first) / jobs


def _ideal(durations: Iterator[float]) -> float:
    places = [0.0] * IN_FLIGHT
    for seconds in durations:
        heapq.heapreplace(places, places[0] + seconds)
    return max(places)


# ---- the model -----------------------------------------------------------------------------------------------------


class Learned:
    """The policy of batchgen."""

    def __init__(self) -> None:
        from batchgen.policy.polling import Durations, first_poll, next_poll

        self._durations = Durations()
        self._first, self._next = first_poll, next_poll

    def first(self) -> float:
        """Return the age at the first poll."""
        return self._first(self._durations, POLL_MIN)

    def next(self, age: float, _: int) -> float:
        """Return seconds from a poll at this age to the next."""
        return self._next(self._durations, age, POLL_MIN, POLL_MAX)

    def ended(self, took: float) -> None:
        """A job took this long."""
        self._durations.add(took)


class Fixed:
    """The same wait every time, or one that grows."""

    def __init__(self, wait: Callable[[int], float]) -> None:
        self._wait = wait

    def first(self) -> float:
        return self._wait(0)

    def next(self, _: float, number: int) -> float:
        return self._wait(number)

    def ended(self, took: float) -> None:
        """Learn nothing."""


POLICIES: dict[str, Callable[[], Learned | Fixed]] = {
    "learned": Learned,
    "fixed 2 s": lambda: Fixed(lambda _: 2.0),
    "fixed 5 s": lambda: Fixed(lambda _: 5.0),
    "exponential": lambda: Fixed(lambda number: min(60.0, 2.0 * 1.5**number)),
}


def lognormal(median: float, draws: random.Random) -> float:
    """Return seconds, as waiting times are."""
    return median * math.exp(draws.gauss(0.0, 0.3))


def two_modes(median: float, draws: random.Random) -> float:
    """Return seconds of a warm machine, or of one that starts first."""
    return (median * 0.6 if draws.random() < 0.7 else median * 2.0) * math.exp(draws.gauss(0.0, 0.1))


def slow_tail(median: float, draws: random.Random) -> float:
    """Return seconds, one in twenty of them five times as long."""
    return median * math.exp(draws.gauss(0.0, 0.2)) * (5.0 if draws.random() < 0.05 else 1.0)


SHAPES = {"lognormal": lognormal, "two modes": two_modes, "slow tail": slow_tail}


def modelled(
    policy: Learned | Fixed, work: list[float], machines: int | None = None, in_flight: int = IN_FLIGHT
) -> Race:
    """Play one policy over jobs that take so long; with `machines`, the provider works on so many and queues others."""
    free = [0.0] * machines if machines is not None else []
    polls: list[tuple[float, int, float, float, int]] = []
    waiting = iter(enumerate(work))
    asked = 0
    lag = finished = 0.0
    taken: list[float] = []

    def submit(now: float) -> None:
        for number, seconds in waiting:
            start = now + _TRAVEL / 2
            ends = (max(start, free[0]) if free else start) + seconds
            if free:
                heapq.heapreplace(free, ends)
            taken.append(ends - start)
            heapq.heappush(polls, (now + policy.first(), number, now, ends, 1))
            return

    for _ in range(in_flight):
        submit(0.0)
    while polls:
        now, number, since, ends, times = heapq.heappop(polls)
        asked += 1
        seen = now + _TRAVEL / 2
        if seen >= ends:
            lag += seen - ends
            policy.ended(ends - since)
            finished = max(finished, now + _TRAVEL)
            submit(now + _TRAVEL)
        else:
            wait = policy.next(now + _TRAVEL - since, times)
            heapq.heappush(polls, (now + wait, number, since, ends, times + 1))
    return Race(finished / _best(work, machines or in_flight), asked / len(work), lag / len(work))


def _best(work: list[float], machines: int) -> float:
    places = [0.0] * machines
    for seconds in work:
        heapq.heapreplace(places, places[0] + seconds)
    return max(places)


def _model(jobs: int) -> dict[str, dict[str, dict[str, float]]]:
    found = {}
    for median in MEDIANS:
        for name, shape in (*SHAPES.items(), (f"queueing provider, {MACHINES} machines", lognormal)):
            draws = random.Random(f"{name} {median}")
            work = [shape(median, draws) for _ in range(jobs)]
            machines = MACHINES if name.startswith("queueing") else None
            races = {policy: asdict(modelled(make(), work, machines)) for policy, make in POLICIES.items()}
            found[f"{name}, {median:g} s"] = races
    return found


def _crowds(jobs: int) -> dict[str, dict[int, tuple[float, float]]]:
    """Return makespan over ideal and polls a job, by the jobs in flight at a provider of so many machines."""
    found: dict[str, dict[int, tuple[float, float]]] = {}
    for median in MEDIANS:
        draws = random.Random(f"crowds {median}")
        work = [lognormal(median, draws) for _ in range(jobs)]
        races = {crowd: modelled(Learned(), work, MACHINES, crowd) for crowd in (40, 42, 44, 50, 80)}
        found[f"{median:g}"] = {crowd: (race.makespan, race.polls) for crowd, race in races.items()}
    return found


def main() -> None:
    """Play one side and print it as JSON."""
    if sys.argv[1] == "model":
        print(json.dumps(_model(int(sys.argv[2]))))
    elif sys.argv[1] == "crowds":
        print(json.dumps(_crowds(int(sys.argv[2]))))
    elif sys.argv[1] == "twice":
        print(json.dumps(twice(int(sys.argv[2]), Path(sys.argv[3]))))
    else:
        print(json.dumps(asdict(played(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])))))


if __name__ == "__main__":
    main()
