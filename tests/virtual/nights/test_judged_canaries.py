"""Items that are bought before all others pass once their files have been looked at, in virtual time."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.worlds import Log, count, run_clean, world_of

from batchgen.core.records import Item, State
from batchgen.judging.checks import Ordered
from batchgen.scheduler import Scheduler
from batchgen.scheduler.judging.judge import JUDGE_PATIENCE
from batchgen.scheduler.judging.judgement import Standards
from batchgen.settings import Settings
from batchgen.virtual import Outcome, World, make_items
from batchgen.virtual.harness import MODEL

BLANK = '{"blank":false}'
"""What the in-memory API's pictures, which are one grey pixel, always miss."""
FROZEN = '{"frozen":false}'
"""What no picture can miss, and what has to be decoded nevertheless."""
SMALL = '{"min_side":2}'
"""What they miss too, and what is known without decoding."""
DECODING = Standards(lambda *_: Ordered(), {MODEL: "image"}, decodes=True)
ONE = Settings(concurrency=8, canary=1)
TWO = Settings(concurrency=8, canary=2)


def judging_world(folder: Path, expect: str, items: Sequence[Item] | None = None, **standards: Any) -> World:
    """A world in which the first two items expect something of their files."""
    items = items or make_items(20)
    expecting = [replace(item, expect=expect) for item in items[:2]]
    world = world_of(folder, [*expecting, *items[2:]], median=30.0)
    world.standards = replace(DECODING, **standards)
    return world


def after(seconds: float) -> Callable[..., Any]:
    """A judge that takes some time for each file."""

    async def decode(function: Callable[..., Any]) -> Any:
        await asyncio.sleep(seconds)
        return function()

    return decode


def detail(outcome: Outcome) -> str:
    return outcome.ending.detail if outcome.ending else ""


@pytest.mark.parametrize(("expect", "flag"), [(SMALL, "small"), (BLANK, "blank")])
def test_one_that_is_flagged_stops_the_run_and_is_named(tmp_path: Path, expect: str, flag: str) -> None:
    world = judging_world(tmp_path, expect)
    outcome = run_clean(world, settings=ONE)
    assert (outcome.exit_code, outcome.word) == (3, "canary")
    assert detail(outcome) == f"1 canary item did not pass: i0 is flagged ({flag})"
    assert outcome.counts == {State.DONE: 1, State.PENDING: 19}
    log = Log(world)
    outcome = run_clean(world, settings=ONE)
    assert (outcome.word, log.times("submit")) == ("canary", [])
    assert run_clean(world, settings=Settings()).counts == {State.DONE: 20}


def test_others_wait_for_the_judge_however_long_it_takes(tmp_path: Path) -> None:
    world = judging_world(tmp_path, FROZEN)
    world.decode = after(2 * JUDGE_PATIENCE)
    log = Log(world)
    outcome = run_clean(world, settings=TWO)
    assert outcome.counts == {State.DONE: 20}
    times = sorted(log.times("submit"))
    assert times[2] > times[1] + 4 * JUDGE_PATIENCE, "both are judged, one after the other"


def test_a_slow_judge_that_finds_something_stops_the_run(tmp_path: Path) -> None:
    world = judging_world(tmp_path, BLANK)
    world.decode = after(2 * JUDGE_PATIENCE)
    outcome = run_clean(world, settings=TWO)
    assert detail(outcome) == "2 canary items did not pass: i0 is flagged (blank); i1 is flagged (blank)"
    assert outcome.counts == {State.DONE: 2, State.PENDING: 18}


@pytest.mark.parametrize("expect", [FROZEN, BLANK])
def test_what_a_run_left_unjudged_is_judged_before_the_next_one_buys(tmp_path: Path, expect: str) -> None:
    world = judging_world(tmp_path, expect)
    world.decode = after(10**6)
    assert run_clean(world, settings=TWO, at=[(300.0, Scheduler.interrupt)]).counts[State.DONE] == 2
    world.decode = after(50.0)
    log = Log(world)
    start = world.clock.seconds
    outcome = run_clean(world, settings=TWO)
    if expect == BLANK:
        assert (outcome.word, log.times("submit")) == ("canary", [])
    else:
        assert outcome.counts == {State.DONE: 20}
        assert min(log.times("submit")) > start + 99


def test_without_a_decoder_they_pass_as_far_as_can_be_judged(tmp_path: Path) -> None:
    world = judging_world(tmp_path, BLANK, decodes=False)
    assert run_clean(world, settings=Settings(concurrency=8, canary=2, max_new=2)).word == "max_new"
    assert run_clean(world, settings=TWO).counts == {State.DONE: 20}
    world = judging_world(tmp_path / "small", '{"blank":false,"min_side":2}', decodes=False)
    assert "i0 is flagged (small)" in detail(run_clean(world, settings=ONE))


def test_one_whose_file_cannot_be_read_is_named(tmp_path: Path) -> None:
    world = judging_world(tmp_path, FROZEN)

    async def unreadable(_: Callable[..., Any]) -> Any:
        raise PermissionError(13, "Permission denied")

    world.decode = unreadable
    outcome = run_clean(world, settings=ONE)
    assert (outcome.exit_code, outcome.word) == (3, "canary")
    assert "i0 could not be judged (its file could not be read" in detail(outcome)
    assert outcome.seconds < JUDGE_PATIENCE
    assert count(outcome, State.PENDING) == 19


@pytest.mark.parametrize("expect", [FROZEN, BLANK])
def test_a_kill_at_any_step_lets_nothing_leave_before_they_are_judged(tmp_path: Path, expect: str) -> None:
    for step in range(1, 80, 3):
        world = judging_world(tmp_path / str(step), expect, make_items(6))
        run_clean(world, settings=TWO, crash_at=step)
        outcome = run_clean(world, settings=TWO)
        jobs = len(world.provider.books.jobs)
        if expect == BLANK:
            assert outcome.word == "canary", step
            assert jobs <= 2, step
        elif outcome.word == "canary":  # a crash leaves what was sent in doubt
            assert "is in doubt" in detail(outcome), step
        else:
            assert (outcome.counts, jobs) == ({State.DONE: 6}, 6), step


def test_a_run_that_does_not_wait_for_the_judge_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from batchgen.scheduler.pending.canaries import Canaries

    monkeypatch.setattr(Canaries, "_to_be_judged", lambda *_: set())
    original = Canaries._on_state

    def on_state(self: Canaries, work: Any, state: State) -> None:
        original(self, work, state)
        if state is State.DONE:
            self._on_judgement(work, ())

    monkeypatch.setattr(Canaries, "_on_state", on_state)
    world = judging_world(tmp_path, FROZEN)
    world.decode = after(100.0)
    world.invoke(settings=TWO)
    assert any("have come as they should" in violation for violation in world.violations)
