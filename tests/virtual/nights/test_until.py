"""Runs that are to be over at a certain time, in virtual time."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.worlds import Log, count, run_clean, strike, world_of

from batchgen.core.records import Item, State
from batchgen.journal import Journal
from batchgen.policy.until import ASSUMED, Until
from batchgen.scheduler import Scheduler
from batchgen.settings import Settings
from batchgen.virtual import Duration, Fault, Offer, World, make_items
from batchgen.virtual.harness import MODEL, make_dependant, make_item
from batchgen.virtual.observed import price_key_of

FAST = "hera-1.0-image-edit"


def two_speeds(folder: Path, items: list[Item], *, slow: float = 600.0, **settings: Any) -> World:
    """A world in which jobs of one model take ten minutes, or `slow` seconds, and those of the other ten seconds."""
    durations = {MODEL: Duration(slow, 0.05), FAST: Duration(10.0, 0.05)}
    return World(folder / "run", items, seed=1, settings=Settings(**settings), offer=Offer(durations=durations))


def submissions(log: Log, items: list[Item]) -> list[float]:
    digests = {item.digest for item in items}
    return [at for at, what in log.events if what[0] == "submit" and what[1] in digests]


def test_nothing_leaves_that_would_end_later_and_paid_work_is_brought_in(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(500), concurrency=8, median=60.0)
    log = Log(world)
    outcome = run_clean(world, until=1800.0)
    assert (outcome.exit_code, outcome.word) == (3, "until")
    assert count(outcome, State.PROCESSING) == 0
    assert count(outcome, State.DONE) == len(log.times("submit")) > 100
    last = max(log.times("submit"))
    assert 1800 - 130 < last <= 1800 - 60
    # One job in ten may take longer than it was expected to, and is finished.
    assert outcome.seconds < 1800 + 60
    assert outcome.ending is not None
    left = count(outcome, State.PENDING)
    assert outcome.ending.detail.startswith("the run is to be over at 2026-01-01 00:30 ")
    assert outcome.ending.detail.endswith(f"; {left} items would end later")
    world.clock.advance(3600.0)
    assert run_clean(world).counts == {State.DONE: 500}
    assert len(world.provider.books.jobs) == 500


def test_before_anything_is_learned_ten_minutes_are_assumed(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(20), concurrency=4, median=5.0)
    log = Log(world)
    outcome = run_clean(world, until=ASSUMED - 1)
    assert (outcome.exit_code, outcome.word) == (3, "until")
    assert not log.times("submit")
    assert outcome.seconds < 1, "there is nothing to wait for"
    assert run_clean(world, until=ASSUMED + 1).counts == {State.DONE: 20}


def test_what_earlier_runs_have_learned_counts(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(40), concurrency=4, median=5.0)
    assert run_clean(world, settings=Settings(concurrency=4, max_new=10)).word == "max_new"
    outcome = run_clean(world, until=60.0)
    assert (outcome.exit_code, outcome.word) == (3, "until") or outcome.counts == {State.DONE: 40}
    assert count(outcome, State.DONE) > 10


def test_short_jobs_of_a_model_still_go_when_its_long_ones_would_end_later(tmp_path: Path) -> None:
    """What they cost tells them apart; a run that knows nothing of either looks at their model."""
    long, short = make_items(600, outputs=2), make_items(600, name="s")
    durations = {price_key_of(long[0].body): Duration(600.0, 0.05), price_key_of(short[0].body): Duration(10.0, 0.05)}
    items = [item for pair in zip(long, short, strict=True) for item in pair]
    settings = Settings(concurrency=4, max_cost=Decimal(1000))
    world = World(tmp_path / "run", items, seed=1, settings=settings, offer=Offer(durations=durations))
    log = Log(world)
    outcome = run_clean(world, until=7200.0)
    assert (outcome.exit_code, outcome.word) == (3, "until")
    assert max(submissions(log, long)) < 7200 - 600 + 60
    assert 7200 - 40 < max(submissions(log, short)) < 7200 - 9
    assert outcome.seconds < 7200 + 60


def test_items_of_faster_models_still_go_wherever_they_stand(tmp_path: Path) -> None:
    slow = make_items(2000)
    fast = make_items(300, model=FAST, name="f")
    world = two_speeds(tmp_path, [*slow[:1500], *fast, *slow[1500:]], concurrency=4)
    log = Log(world)
    pages: list[int] = []
    outcome = run_clean(world, until=2400.0, before=lambda journal: count_pages(journal, pages))
    assert (outcome.exit_code, outcome.word) == (3, "until")
    last_slow, last_fast = max(submissions(log, slow)), max(submissions(log, fast))
    assert 2400 - 1300 < last_slow <= 2400 - 550
    assert submissions(log, fast), "the queue is not held by what would be late"
    assert last_slow < min(submissions(log, fast))
    assert last_fast > 2400 - 30 or len(submissions(log, fast)) == 300
    # Not page by page through everything that is late.
    assert len(pages) < 15


def count_pages(journal: Journal, pages: list[int]) -> None:
    original: Callable[..., Any] = journal.pending

    def pending(*args: Any) -> Any:
        rows = original(*args)
        pages.append(len(rows))
        return rows

    pending.__name__ = "pending"
    journal.pending = pending  # type: ignore[method-assign]


def test_jobs_that_turn_out_faster_let_others_of_their_model_go(tmp_path: Path) -> None:
    # The first job of all took two hours, since the provider was busy that night; now they take a minute.
    settings = Settings(concurrency=12, job_timeout=10**6)
    world = two_speeds(tmp_path, make_items(100), slow=7200.0)
    run_clean(world, settings=replace(settings, max_new=1))
    world.provider.offer = Offer(durations={MODEL: Duration(60.0, 0.1)})
    outcome = run_clean(world, settings=settings, at=[(5.0, Scheduler.interrupt)])
    assert count(outcome, State.PROCESSING) == 12
    log = Log(world)
    outcome = run_clean(world, settings=settings, until=3600.0)
    # Nothing was submitted before these twelve had shown that a job would be in time.
    assert outcome.counts == {State.DONE: 100}
    assert min(log.times("submit")) - (world.clock.seconds - outcome.seconds) > 30
    assert len(log.times("submit")) == 100 - 13


def test_a_clock_that_jumps_ends_the_buying_at_once(tmp_path: Path) -> None:
    # The computer slept: its clock is hours ahead, and its own count of seconds has not moved.
    world = world_of(tmp_path, make_items(300), concurrency=4, median=60.0)
    log = Log(world)

    def sleep(_: Scheduler) -> None:
        world.ahead += timedelta(hours=8)

    outcome = run_clean(world, until=7 * 3600.0, at=[(1000.0, sleep)])
    assert (outcome.exit_code, outcome.word) == (3, "until")
    assert max(log.times("submit")) <= 1000.0
    assert count(outcome, State.PROCESSING) == 0


def test_what_is_free_too_late_stays_pending(tmp_path: Path) -> None:
    sources = make_items(4)
    edits = [make_dependant(f"edit{n}", (source, 1)) for n, source in enumerate(sources)]
    world = world_of(tmp_path, [*edits, *sources], concurrency=8, median=100.0, sigma=0.01)
    run_clean(world, settings=Settings(concurrency=8, max_new=4))
    assert world.counts() == {State.DONE: 4, State.PENDING: 4}
    outcome = run_clean(world, until=50.0)
    assert outcome.word == "until"
    assert outcome.counts == {State.DONE: 4, State.PENDING: 4}


def test_the_time_is_no_reason_to_stop_where_all_was_bought(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(8), concurrency=8, median=60.0)
    world.invoke(settings=Settings(concurrency=8, max_new=5))
    outcome = run_clean(world, until=100.0)
    assert outcome.exit_code == 0
    assert outcome.counts == {State.DONE: 8}


def test_an_item_that_is_retried_too_late_stays_pending(tmp_path: Path) -> None:
    world = world_of(
        tmp_path, [*make_items(6), make_item("busy")], strike(Fault.UNAVAILABLE, '"busy"'), concurrency=8, median=60.0
    )
    run_clean(world, settings=Settings(concurrency=8, max_new=6))
    outcome = run_clean(world, until=90.0)
    assert (outcome.exit_code, outcome.word) == (3, "until")
    assert count(outcome, State.PENDING) == 1
    assert outcome.seconds < 200


def test_a_run_that_is_not_over_in_time_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Until, "allows", lambda *_: True)
    monkeypatch.setattr(Until, "seconds_left", lambda *_: 1.0)
    world = world_of(tmp_path, make_items(30), concurrency=2, median=60.0)
    world.invoke(until=100.0)
    assert any("leaves after the run was to be over" in violation for violation in world.violations)
