"""A night in virtual time: faults, a budget, and an empty account in the middle of it."""

import gc
import json
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from benchmarks.measure import in_memory, part, run
from benchmarks.table import Row

IN_FLIGHT = 500


def rows(folder: Path, items: int) -> Iterator[Row]:
    """Play a night of so many items, and check every promise at each of its steps."""
    with in_memory(folder) as place:
        used = run(part("overnight", items, place / "night"))
    night = used.json()
    shown = (
        f"{night['hours']:.1f} h in {used.wall:.0f} s; {night['states']}; {night['polls'] / items:.1f} polls,"
        f" {night['commits'] / items:.1f} commits and {used.cpu / items * 1e3:.2f} ms CPU an item, {used.peak:.0f} MiB"
    )
    ends = f"it stopped for: {', '.join(night['words'])}"
    yield Row(f"virtual night of {items:,} items: broken promises", shown, ends, float(night["broken"]), most=0)


def play(items: int, folder: Path) -> dict[str, object]:
    """Play the night: the budget of the evening ends, then the account is empty, then the rest is finished."""
    from decimal import Decimal

    from batchgen.settings import Settings
    from batchgen.virtual import Duration, Fault, FaultPlan, Offer, World, episodes, make_items
    from batchgen.virtual.harness import MODEL

    commits = _counted_commits()
    gc.disable()  # the provider's books only grow, and to look through them again and again finds nothing

    rates = {
        Fault.UNAVAILABLE: 0.01, Fault.BUSY: 0.001, Fault.FAILED: 0.01, Fault.SLOW: 0.001,
        Fault.POLL_ERROR: 0.01, Fault.OUTPUTS_LATE: 0.005, Fault.TRUNCATED: 0.005, Fault.LATE_FILE: 0.005,
        Fault.LOST_ANSWER: 0.0005,
    }  # fmt: skip
    evening = Settings(concurrency=IN_FLIGHT, budget=Decimal("0.05") * items / 3, max_in_doubt=items)
    offer = Offer(durations={MODEL: Duration(60.0, 0.3)})
    world = World(folder, make_items(items), seed=1, settings=evening, faults=FaultPlan(rates), offer=offer)
    outcomes = [world.invoke()]
    # Half way through the next third, the account is empty.
    empty = world.clock.seconds + 60.0 * items / IN_FLIGHT / 6
    world.provider.follow(FaultPlan(rates, episodes(empty, empty + 60.0, [Fault.NO_BALANCE])))
    outcomes.append(world.invoke())
    world.provider.follow(FaultPlan(rates))
    # What is left are jobs a hundred times as slow as others, for which a run waits an hour.
    while outcomes[-1].word is not None:
        outcomes.append(world.invoke(settings=Settings(concurrency=IN_FLIGHT, max_in_doubt=items)))
    words = [outcome.word or "all has ended" for outcome in outcomes]
    counts = {str(state): count for state, count in outcomes[-1].counts.items() if count}
    polls = world.provider.polls
    states = ", ".join(f"{count:,} {state}" for state, count in sorted(counts.items()))
    return {
        "hours": world.clock.seconds / 3600, "states": states, "polls": polls, "commits": next(commits), "words": words,
        "broken": len(world.violations), "first": world.violations[:3],
    }  # fmt: skip


def _counted_commits() -> Iterator[int]:
    """Return what counts the commits from now on: its next value is how many there were."""
    from batchgen.journal import Journal

    numbers, commit = count(), Journal.commit

    def counted(self: Journal) -> None:
        next(numbers)
        commit(self)

    Journal.commit = counted  # type: ignore[method-assign]  # nothing else sees each of them
    return numbers


def main() -> None:
    """Play it and print how it ended as JSON."""
    print(json.dumps(play(int(sys.argv[1]), Path(sys.argv[2]))))


if __name__ == "__main__":
    main()
