"""What was paid for is given up late, and taken up again where the provider knows it after all."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from support.worlds import Log, calm, count, run_clean, strike, world_of

from batchgen.core.records import State
from batchgen.journal import Journal
from batchgen.policy.absence import Absence
from batchgen.scheduler import Scheduler
from batchgen.virtual import Fault, World, make_items
from batchgen.virtual.checks import consent_to


def test_a_job_that_is_unknown_for_seconds_is_not_lost(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(1), strike(Fault.POLL_UNKNOWN, start=10, end=130), concurrency=1,
                     poll_min=0.05, poll_max=0.1)  # fmt: skip
    log = Log(world)
    assert run_clean(world).counts == {State.DONE: 1}
    assert len([at for at in log.times("poll") if 10 <= at < 130]) > 10


def test_an_unknown_job_is_asked_for_again_soon_then_every_fifteen_seconds(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(1), strike(Fault.POLL_UNKNOWN, start=10), concurrency=1, latency=(0.0, 0.0))
    log = Log(world)
    assert run_clean(world).counts == {State.LOST: 1}
    gaps = [round(gap, 1) for gap in log.gaps("poll") if gap > 2.5]
    assert gaps[:2] == [5.0, 10.0]
    assert set(gaps[2:]) == {15.0}
    assert 180 <= sum(gaps) < 200


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(days=30)])
def test_misses_are_counted_across_runs_and_the_time_between_them_is_not(tmp_path: Path, ahead: timedelta) -> None:
    world = world_of(tmp_path, make_items(1), strike(Fault.POLL_UNKNOWN, start=10), concurrency=1, median=5000.0)
    world.ahead = ahead
    asked = []
    for _ in range(3):
        log = Log(world)
        outcome = run_clean(world, at=[(65.0, Scheduler.interrupt)])
        asked.append(len(log.times("poll")))
        assert outcome.counts == {State.PROCESSING: 1}
        world.clock.advance(86400.0)
    outcome = run_clean(world)
    assert outcome.counts == {State.LOST: 1}
    # Three minutes of asking in all, of which the earlier runs have done most.
    assert 0 < outcome.seconds < 100


def test_a_job_that_is_seen_again_counts_anew(tmp_path: Path) -> None:
    world = world_of(
        tmp_path, make_items(1), strike(Fault.POLL_UNKNOWN, start=10, end=170),
        strike(Fault.POLL_UNKNOWN, start=200, end=360), concurrency=1, median=400.0, sigma=0.01,
    )  # fmt: skip
    assert run_clean(world).counts == {State.DONE: 1}
    with closing(Journal(world.folder)) as journal:
        assert journal.db.execute("SELECT misses, missed_ms FROM attempt").fetchall() == [(0, 0)]


def test_an_absence_is_certain_after_five_answers_over_three_minutes() -> None:
    absence, answers = Absence(), 0
    while not absence.certain:
        absence, answers = absence.again(), answers + 1
        absence = absence.wait(absence.next_wait(0.1))
    assert absence.seconds >= 180
    assert answers > 5
    slow = Absence()
    for _ in range(4):
        slow = slow.wait(3600.0).again()
    assert not slow.certain
    assert slow.again().certain
    # Waits that nobody kept count for nothing.
    assert not Absence(100, 179.0).again().certain


def lost(tmp_path: Path, fault: Fault = Fault.POLL_UNKNOWN, outputs: int = 1) -> World:
    world = world_of(tmp_path, make_items(4, outputs=outputs), strike(fault, "job2"), concurrency=4)
    assert run_clean(world).counts == {State.DONE: 3, State.LOST: 1}
    return world


@pytest.mark.parametrize("fault", [Fault.POLL_UNKNOWN, Fault.GONE])
@pytest.mark.parametrize("outputs", [1, 3])
def test_every_run_asks_again_for_lost_jobs_and_takes_up_what_is_there(
    tmp_path: Path, fault: Fault, outputs: int
) -> None:
    world = lost(tmp_path, fault, outputs)
    calm(world)
    world.provider.core.forget_files()
    log = Log(world)
    assert run_clean(world).counts == {State.DONE: 4}
    assert not log.times("submit")
    assert not run_clean(world).run_state.failures


@pytest.mark.parametrize("fault", [Fault.POLL_UNKNOWN, Fault.GONE])
def test_what_is_still_gone_stays_lost_at_once(tmp_path: Path, fault: Fault) -> None:
    world = lost(tmp_path, fault)
    log = Log(world)
    outcome = run_clean(world, settings=world.settings)
    assert outcome.counts == {State.DONE: 3, State.LOST: 1}
    assert outcome.exit_code == 1
    assert outcome.seconds < 10
    assert len(log.times("poll")) == 1


def test_collect_asks_where_it_is_told_to(tmp_path: Path) -> None:
    world = lost(tmp_path)
    calm(world)
    assert count(run_clean(world, buying=False), State.LOST) == 1
    assert run_clean(world, buying=False, ask_lost=True).counts == {State.DONE: 4}


def test_a_lost_job_that_has_failed_meanwhile_is_refunded(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(2), strike(Fault.FAILED, '"i1"'), strike(Fault.POLL_UNKNOWN),
                     concurrency=2)  # fmt: skip
    assert run_clean(world).counts == {State.LOST: 2}
    calm(world)
    assert run_clean(world).counts == {State.DONE: 1, State.FAILED: 1}


def test_a_lost_job_that_is_still_at_work_is_waited_for(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(3), strike(Fault.POLL_UNKNOWN, end=300.0), concurrency=3, median=2000.0)
    assert run_clean(world).counts == {State.LOST: 3}
    world.clock.advance(300.0)
    assert run_clean(world).counts == {State.DONE: 3}


def test_a_lost_item_that_is_asked_for_no_longer_is_taken_up_as_well(tmp_path: Path) -> None:
    world = lost(tmp_path)
    with closing(Journal(world.folder)) as journal:
        (item,) = journal.db.execute("SELECT id FROM item WHERE state = 'lost'").fetchone()
    world.items = [i for i in world.items if i.id != item]
    calm(world)
    assert run_clean(world).counts == {State.DONE: 3}
    with closing(Journal(world.folder)) as journal:
        assert journal.db.execute("SELECT state FROM item WHERE id = ?", (item,)).fetchone() == ("done",)


def test_an_api_that_does_not_answer_holds_nobody_up_for_lost_jobs(tmp_path: Path) -> None:
    world = lost(tmp_path)
    calm(world, strike(Fault.POLL_ERROR))
    outcome = run_clean(world)
    assert outcome.exit_code == 1
    assert outcome.seconds < 60


def test_an_output_is_gone_only_after_minutes(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(2), strike(Fault.GONE), concurrency=2, median=10.0)
    log = Log(world)
    outcome = run_clean(world)
    assert outcome.counts == {State.LOST: 2}
    times = log.times("file", "job1/")
    assert len(times) >= 5
    assert times[-1] - times[0] >= 180


def test_a_completed_job_without_outputs_is_lost_only_after_minutes(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(1), strike(Fault.EMPTY), concurrency=1, median=10.0, sigma=0.0)
    log = Log(world)
    assert run_clean(world).counts == {State.LOST: 1}
    ended = [at for at in log.times("poll") if at >= 10.0]
    assert len(ended) >= 5
    assert ended[-1] - ended[0] >= 180


def test_jobs_that_take_their_places_again_never_make_more_open_at_a_submission(tmp_path: Path) -> None:
    # The harness looks at each submission; answers to the questions for lost jobs come while intents are written.
    for seed in range(6):
        world = world_of(tmp_path / str(seed), make_items(2), strike(Fault.POLL_UNKNOWN, end=400.0), concurrency=2,
                         median=5000.0, seed=seed)  # fmt: skip
        assert run_clean(world).counts == {State.LOST: 2}
        world.clock.advance(500.0)
        world.items += make_items(4, name="more")
        world.consented = consent_to(world.items)
        run_clean(world, at=[(100.0, Scheduler.interrupt)])
