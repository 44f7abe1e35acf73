"""Whose clock counts: the provider's, for what expires; none but the one that measures the run, for what is slow."""

from datetime import timedelta
from pathlib import Path

import pytest
from support.worlds import Log, calm, count, run_clean, strike, world_of

from batchgen.core.records import State
from batchgen.journal import Journal
from batchgen.scheduler import Scheduler
from batchgen.virtual import Fault, World, make_items

AHEAD = timedelta(days=30)


def most_open(world: World) -> int:
    """The most jobs that were at work at the provider at the same time."""
    jobs = world.provider.books.jobs.values()
    return max(sum(other.created_at <= job.created_at < other.ends_at for other in jobs) for job in jobs)


@pytest.mark.parametrize("dated", [True, False])
def test_a_clock_ahead_of_every_expiry_parks_nothing(tmp_path: Path, dated: bool) -> None:
    world = world_of(tmp_path, make_items(30), concurrency=4, median=60.0)
    world.ahead, world.provider.dated = AHEAD, dated
    log = Log(world)
    assert run_clean(world).counts == {State.DONE: 30}
    assert most_open(world) == 4
    # Neither are they polled as rarely as parked ones.
    assert len(log.times("poll")) > 100


@pytest.mark.parametrize("dated", [True, False])
def test_a_clock_that_jumped_between_two_runs_parks_nothing(tmp_path: Path, dated: bool) -> None:
    world = world_of(tmp_path, make_items(12), concurrency=4, median=300.0)
    world.provider.dated = dated
    run_clean(world, at=[(30.0, Scheduler.interrupt)])
    world.ahead = AHEAD
    assert run_clean(world).counts == {State.DONE: 12}
    assert most_open(world) == 4


def test_a_job_of_an_earlier_run_is_as_old_as_the_provider_says(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(1), strike(Fault.STUCK), concurrency=1, job_timeout=600.0, drain=60.0)
    run_clean(world, at=[(30.0, Scheduler.interrupt)])
    world.clock.advance(3600)
    outcome = run_clean(world)
    assert (outcome.exit_code, outcome.word) == (3, "drain")
    assert outcome.seconds < 100


def test_the_difference_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    world = world_of(tmp_path, make_items(5), concurrency=2)
    run_clean(world)
    assert "clock" not in caplog.text
    world = world_of(tmp_path / "ahead", make_items(5), concurrency=2)
    world.ahead = timedelta(minutes=3)
    outcome = run_clean(world)
    (told,) = [record for record in caplog.records if "clock" in record.getMessage()]
    assert "180 s ahead" in told.getMessage()
    assert outcome.ending is not None
    assert outcome.ending.clock == told.getMessage()


def unknown_to_this_account(tmp_path: Path, *, past_expiry: float, ahead: timedelta = timedelta(0)) -> World:
    """A job that another account bought, asked for so many seconds after its expiry by the provider's clock."""
    world = world_of(tmp_path, make_items(1), strike(Fault.STUCK), concurrency=1, drain=30.0)
    run_clean(world, account="another", at=[(20.0, Scheduler.interrupt)])
    (job,) = world.provider.books.jobs.values()
    world.clock.advance(job.expires_at - world.clock.seconds + past_expiry)
    world.ahead = ahead
    return world


def test_ten_minutes_behind_its_expiry_a_job_is_still_waited_for(tmp_path: Path) -> None:
    # Clocks differ, and giving a paid job up too early costs its price, while to ask on costs a poll.
    world = unknown_to_this_account(tmp_path, past_expiry=200.0)
    assert count(run_clean(world), State.PROCESSING) == 1
    world.clock.advance(600.0)
    assert count(run_clean(world), State.LOST) == 1


@pytest.mark.parametrize("dated", [True, False])
def test_a_job_is_expired_by_the_providers_clock_alone(tmp_path: Path, dated: bool) -> None:
    world = unknown_to_this_account(tmp_path, past_expiry=-86400.0, ahead=timedelta(days=2))
    world.provider.dated = dated
    assert count(run_clean(world), State.PROCESSING) == 1


def test_a_file_that_is_missing_is_gone_by_the_providers_clock_alone(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(3), strike(Fault.LATE_FILE), concurrency=3)
    world.ahead = AHEAD
    world.provider.core.late_file = 10**6
    assert run_clean(world).counts == {State.READY: 3}
    calm(world)
    world.provider.core.forget_files()
    assert run_clean(world).counts == {State.DONE: 3}


def test_a_parked_job_that_turns_out_to_be_at_work_takes_its_place_again(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(8), concurrency=2, median=1500.0, sigma=0.05)
    run_clean(world, at=[(20.0, Scheduler.interrupt)])
    # Bought with an older key of the account, and for some minutes the provider does not know them.
    calm(world, strike(Fault.POLL_UNKNOWN, "job1", end=900.0), strike(Fault.POLL_UNKNOWN, "job2", end=900.0))
    seen: list[int] = []

    def older_key(journal: Journal) -> None:
        journal.db.execute("UPDATE attempt SET account = 'an older key'")

    def look(scheduler: Scheduler) -> None:
        seen.append(scheduler.run_state.in_flight)

    world.invoke(before=older_key, at=[(850.0, look), (1100.0, look), (1200.0, Scheduler.interrupt)])
    assert seen == [2, 4]
