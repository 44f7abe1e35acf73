"""As many outputs as were ordered: what is listed late is waited for, and what never comes is said."""

from contextlib import closing
from pathlib import Path

import pytest
from support.worlds import Log, calm, run_clean, strike, world_of

from batchgen.core.records import State
from batchgen.journal import Journal
from batchgen.scheduler import Scheduler
from batchgen.virtual import Fault, World, make_items


def names(world: World) -> list[str]:
    return sorted(path.name for path in (world.folder / "files").iterdir())


def ends(world: World) -> list[tuple[str, str | None]]:
    with closing(Journal(world.folder)) as journal:
        return journal.db.execute("SELECT state, error_type FROM attempt ORDER BY key").fetchall()


def test_outputs_that_are_listed_late_are_waited_for_and_the_first_is_fetched_meanwhile(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(2, outputs=3), strike(Fault.OUTPUTS_ONE_BY_ONE), concurrency=1)
    log = Log(world)
    outcome = run_clean(world)
    assert (outcome.exit_code, outcome.counts) == (0, {State.DONE: 2})
    assert len(names(world)) == 6
    assert ends(world) == [("done", None)] * 2
    job = world.provider.books.jobs["job1"]
    assert log.times("file", "job1/1")[0] < job.listed_at - 20
    # Nothing waits for them: the place at the provider is free.
    assert world.provider.books.jobs["job2"].created_at < job.listed_at


@pytest.mark.parametrize("outputs", [2, 3])
def test_fewer_outputs_than_ordered_are_said(tmp_path: Path, outputs: int) -> None:
    world = world_of(tmp_path, make_items(2, outputs=outputs), strike(Fault.FEWER_OUTPUTS, '"i0"'), concurrency=2)
    log = Log(world)
    outcome = run_clean(world)
    assert (outcome.exit_code, outcome.counts) == (1, {State.DONE: 2})
    assert ends(world) == [("done", "fewer_outputs"), ("done", None)]
    # Also an only one has its number, since several were ordered.
    assert [name for name in names(world) if name.startswith("i0")] == [f"i0@{n}.png" for n in range(1, outputs)]
    asked = [at for at in log.times("poll", "job1") if at >= world.provider.books.jobs["job1"].ends_at]
    assert len(asked) >= 5
    assert asked[-1] - asked[0] >= 180
    # It is an end, and said by every later run as well.
    assert run_clean(world).exit_code == 1


def test_addresses_keep_their_numbers(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(1, outputs=3), strike(Fault.FIRST_OUTPUT_MISSING), concurrency=1)
    assert run_clean(world).exit_code == 1
    assert names(world) == ["i0@2.png", "i0@3.png"]


def test_more_outputs_than_ordered_are_kept(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(1, outputs=2), strike(Fault.MORE_OUTPUTS), concurrency=1)
    outcome = run_clean(world)
    assert (outcome.exit_code, outcome.counts) == (0, {State.DONE: 1})
    assert names(world) == ["i0@1.png", "i0@2.png", "i0@3.png"]


def test_a_run_that_was_interrupted_meanwhile_goes_on_asking(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(2, outputs=3), strike(Fault.OUTPUTS_ONE_BY_ONE), concurrency=2, median=60.0,
                     sigma=0.0)  # fmt: skip
    outcome = run_clean(world, at=[(75.0, Scheduler.interrupt)])
    assert outcome.counts == {State.READY: 2}
    assert names(world) == ["i0@1.png", "i1@1.png"]
    assert run_clean(world).counts == {State.DONE: 2}
    assert len(names(world)) == 6


@pytest.mark.parametrize("fault", [Fault.POLL_ERROR, Fault.POLL_UNKNOWN])
def test_a_run_ends_also_where_nobody_answers_about_the_rest(tmp_path: Path, fault: Fault) -> None:
    world = world_of(
        tmp_path, make_items(2, outputs=3), strike(Fault.FEWER_OUTPUTS, '"i0"'), strike(Fault.STUCK, '"i1"'),
        strike(fault, "job1", start=80.0), concurrency=2, median=60.0, sigma=0.0, job_timeout=300.0, drain=100.0,
    )  # fmt: skip
    outcome = run_clean(world)
    assert (outcome.exit_code, outcome.word) == (3, "drain")
    assert outcome.seconds < 1500


def test_an_output_that_is_gone_while_others_are_awaited_makes_the_item_lost(tmp_path: Path) -> None:
    world = world_of(
        tmp_path, make_items(2, outputs=3), strike(Fault.FEWER_OUTPUTS), strike(Fault.GONE, "job1/1"),
        concurrency=2,
    )  # fmt: skip
    outcome = run_clean(world)
    assert outcome.counts == {State.LOST: 1, State.DONE: 1}
    assert outcome.exit_code == 1
    calm(world)
    world.provider.core.forget_files()
    assert run_clean(world).counts == {State.DONE: 2}


def test_a_crash_at_any_step_loses_no_output(tmp_path: Path) -> None:
    def begun(folder: Path) -> World:
        return world_of(folder, make_items(1, outputs=2), strike(Fault.OUTPUTS_ONE_BY_ONE), concurrency=1, median=3.0)

    steps = run_clean(begun(tmp_path / "whole")).steps
    for step in range(1, steps + 1):
        world = begun(tmp_path / str(step))
        run_clean(world, crash_at=step)
        outcome = run_clean(world)
        assert outcome.counts in ({State.DONE: 1}, {State.IN_DOUBT: 1})
        assert outcome.counts == {State.IN_DOUBT: 1} or len(names(world)) == 2
