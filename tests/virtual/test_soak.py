"""Safety and liveness: many seeds of faults, crashes and resumes, and a crash at every single step of a small run."""

from pathlib import Path

import pytest
from support.worlds import calm, count, in_memory, run_clean, world_of

from batchgen.core.records import State
from batchgen.virtual import Fault, make_items
from batchgen.virtual.soak import night, soak


@pytest.mark.parametrize("seed", range(24))
def test_no_promise_is_broken_and_all_ends(seed: int) -> None:
    with in_memory() as folder:
        story = soak(seed, 30, folder / "run")
    assert story.violations == ()
    assert (story.double_charges, story.forgotten) == (0, 0)
    assert sum(story.counts.values()) == 30


@pytest.mark.parametrize("seed", range(16))
def test_no_promise_of_chains_is_broken_and_all_ends(seed: int) -> None:
    with in_memory() as folder:
        story = soak(seed, 40, folder / "run", chained=True)
    assert story.violations == ()
    assert (story.double_charges, story.forgotten) == (0, 0)
    assert sum(story.counts.values()) == 40


def test_a_night_of_chains_keeps_every_promise() -> None:
    """`python -m batchgen.virtual --night --seeds 1 --items 20000` plays it in full."""
    with in_memory() as folder:
        story = night(0, 300, folder / "run")
    assert story.violations == ()
    assert (story.double_charges, story.forgotten, story.crashes) == (0, 0, 1)
    assert sum(story.counts.values()) == 300
    assert story.counts[State.DONE] >= 280


SMALL = {"concurrency": 2, "median": 4.0}


def steps_of_a_small_run(folder: Path, rates: dict[Fault, float]) -> int:
    world = world_of(folder, make_items(3, outputs=2), rates=rates, **SMALL)
    return run_clean(world).steps


@pytest.mark.parametrize(
    "rates",
    [
        {},
        {
            Fault.FAILED: 0.5,
            Fault.TRUNCATED: 0.3,
            Fault.UNAVAILABLE: 0.3,
            Fault.LOST_ANSWER: 0.3,
            Fault.POLL_ERROR: 0.3,
        },
    ],
    ids=["calm", "faults"],
)
def test_a_crash_at_any_step_buys_nothing_twice_and_forgets_nothing(rates: dict[Fault, float]) -> None:
    with in_memory() as folder:
        steps = steps_of_a_small_run(folder / "whole", rates)
        assert steps > 30
        in_doubt = 0
        for step in range(1, steps + 1):
            world = world_of(folder / str(step), make_items(3, outputs=2), rates=rates, **SMALL)
            assert run_clean(world, crash_at=step).ending is None
            # A second crash, while the resume takes up what the first one left.
            run_clean(world, crash_at=12)
            calm(world)
            outcome = run_clean(world)
            assert outcome.exit_code in (0, 1, 4)
            in_doubt += count(outcome, State.IN_DOUBT)
        # Crashes while an answer was on its way were among them.
        assert in_doubt > 3
