"""Every run ends, whatever its jobs, polls and submissions do."""

from pathlib import Path

import pytest
from support.worlds import run_clean, strike, world_of

from batchgen.core.records import State
from batchgen.scheduler import Scheduler
from batchgen.virtual import Fault, Outcome, World, make_items

ROUTES = [Fault.POLL_ERROR, Fault.POLL_LIMITED, Fault.POLL_UNREACHED]


def ended(world: World) -> Outcome:
    """Run once; where a run would never end, it is interrupted after a day."""
    return run_clean(world, at=[(86400.0, Scheduler.interrupt)])


@pytest.mark.parametrize("fault", ROUTES)
def test_a_job_is_parked_by_its_age_whatever_its_polls_say(tmp_path: Path, fault: Fault) -> None:
    # One is slow and polls well, so that there is no outage; of the other nobody ever hears.
    world = world_of(
        tmp_path, make_items(2), strike(Fault.STUCK), strike(fault, "job2"), concurrency=2,
        job_timeout=20.0, drain=300.0, give_up_after=3600.0,
    )  # fmt: skip
    outcome = ended(world)
    assert (outcome.exit_code, outcome.word) == (3, "drain")
    assert outcome.counts == {State.PROCESSING: 2}
    assert outcome.seconds < 1200


def test_where_nothing_answers_the_outage_ends_it(tmp_path: Path) -> None:
    world = world_of(
        tmp_path, make_items(2), strike(Fault.POLL_ERROR), concurrency=2, job_timeout=20.0, drain=3600.0,
        give_up_after=300.0,
    )  # fmt: skip
    outcome = ended(world)
    assert (outcome.exit_code, outcome.word) == (5, "outage")
    assert 300 < outcome.seconds < 400


def test_a_job_that_polls_well_does_not_hide_that_no_submission_gets_out(tmp_path: Path) -> None:
    world = world_of(
        tmp_path, make_items(3), strike(Fault.STUCK), strike(Fault.NOT_SENT, start=10.0), concurrency=1,
        job_timeout=20.0, drain=60.0, give_up_after=300.0,
    )  # fmt: skip
    outcome = ended(world)
    assert (outcome.exit_code, outcome.word) == (5, "outage")
    assert outcome.counts == {State.PROCESSING: 1, State.PENDING: 2}
    assert outcome.seconds < 600


def test_a_provider_that_is_busy_beside_a_job_that_polls_well_ends_it(tmp_path: Path) -> None:
    world = world_of(
        tmp_path, make_items(3), strike(Fault.STUCK), strike(Fault.UNAVAILABLE, start=10.0), concurrency=1,
        job_timeout=20.0, drain=60.0, give_up_after=300.0, max_attempts=10**6,
    )  # fmt: skip
    outcome = ended(world)
    assert (outcome.exit_code, outcome.word) == (5, "outage")
    assert outcome.seconds < 600


def test_doubts_without_end_beside_a_job_that_polls_well_end_it(tmp_path: Path) -> None:
    world = world_of(
        tmp_path, make_items(60), strike(Fault.STUCK), strike(Fault.STORM, start=10.0), concurrency=2,
        job_timeout=20.0, drain=60.0,
    )  # fmt: skip
    outcome = ended(world)
    assert (outcome.exit_code, outcome.word) == (5, "in_doubt")
    assert outcome.seconds < 3600
