"""Paid work is not thrown away for a clock that is wrong, a disk that is full, or a manifest that moved on."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.worlds import run_clean, strike, world_of

from batchgen.core.errors import DiskError, OutsideError
from batchgen.core.records import State
from batchgen.journal import Journal
from batchgen.policy.stopping import exit_code
from batchgen.scheduler import Scheduler
from batchgen.virtual import Fault, make_items
from batchgen.virtual.loop import VirtualClock


def test_a_clock_days_ahead_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of(tmp_path, make_items(8), strike(Fault.LATE_FILE, "i1", end=200.0), concurrency=4)
    run_clean(world, at=[(20.0, Scheduler.interrupt)])
    true_time = VirtualClock.utc_now
    monkeypatch.setattr(VirtualClock, "utc_now", lambda clock: true_time(clock) + timedelta(days=8))
    outcome = run_clean(world)
    assert outcome.counts == {State.DONE: 8}


def test_what_the_manifest_dropped_and_then_failed_is_no_success(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(2), strike(Fault.FAILED, "i0"), concurrency=2)
    run_clean(world, at=[(20.0, Scheduler.interrupt)])
    world.items = world.items[1:]
    outcome = run_clean(world)
    assert outcome.counts == {State.DONE: 1}
    assert outcome.ending is not None
    assert outcome.ending.failures == 1
    assert exit_code(None, outcome.counts, failures=outcome.ending.failures) == 1


def test_every_job_that_a_full_disk_kept_from_the_journal_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise DiskError("cannot write the journal: no space left")

    world = world_of(tmp_path, make_items(5), concurrency=5)
    monkeypatch.setattr(Journal, "accept", full)
    with pytest.raises(OutsideError) as caught:
        world.invoke()
    jobs = world.provider.books.jobs
    assert len(jobs) == 5
    assert all(job_id in str(caught.value) for job_id in jobs)
