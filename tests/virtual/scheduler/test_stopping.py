"""When submissions pause and runs stop, in virtual time."""

from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from support.worlds import FOREVER, Log, calm, count, run_clean, storm, strike, world_of

from batchgen.core.limits import Count, Share
from batchgen.core.records import State
from batchgen.scheduler import Scheduler
from batchgen.virtual import OUTAGE, Fault, make_items


def test_three_doubts_pause_submissions_and_probes_go_out_at_doubling_intervals(tmp_path: Path) -> None:
    world = world_of(
        tmp_path, make_items(30), strike(Fault.STORM, end=300), concurrency=1, max_in_doubt=100, median=5.0
    )
    log = Log(world)
    outcome = run_clean(world)
    gaps = [round(gap) for gap in log.gaps("submit")]
    assert gaps[:10] == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60]
    # The first definite answer ends the pause: from then on only the one place in flight holds jobs back.
    assert max(gaps[12:]) <= 12
    assert count(outcome, State.IN_DOUBT) == sum(at < 300 for at in log.times("submit"))
    assert outcome.exit_code == 4


def test_a_probe_goes_out_alone_whatever_the_concurrency(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(60), strike(Fault.STORM, end=100), concurrency=10, max_in_doubt=100)
    log = Log(world)
    run_clean(world)
    during = [at for at in log.times("submit") if 1 < at < 100]
    assert 4 <= len(during) <= 8
    assert all(later - earlier > 0.9 for earlier, later in pairwise(during))


def test_too_many_doubts_stop_submissions_and_paid_work_goes_on(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(300), strike(Fault.LOST_ANSWER, start=30), concurrency=16)
    log = Log(world)
    outcome = run_clean(world)
    assert (outcome.exit_code, outcome.word) == (5, "in_doubt")
    assert count(outcome, State.IN_DOUBT) == 21
    assert count(outcome, State.DONE) >= 16
    assert count(outcome, State.PENDING) == 300 - 21 - count(outcome, State.DONE)
    assert not log.gaps("submit") or len(log.times("submit")) == 21 + count(outcome, State.DONE)


def test_too_much_money_in_doubt_stops_submissions(tmp_path: Path) -> None:
    world = world_of(
        tmp_path, make_items(50), strike(Fault.LOST_ANSWER, start=10), concurrency=4, max_cost=Decimal("1.00")
    )
    outcome = run_clean(world)
    assert (outcome.exit_code, outcome.word) == (5, "in_doubt")
    # Three times the dearest item, 0.15, is more than a tenth of the cap.
    assert count(outcome, State.IN_DOUBT) == 4


def test_doubts_of_a_crash_do_not_stop_the_next_run(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(60), concurrency=40, max_in_doubt=0)
    world.invoke(crash_at=100)
    outcome = run_clean(world)
    assert count(outcome, State.IN_DOUBT) > 0
    assert outcome.word is None
    assert count(outcome, State.DONE) + count(outcome, State.IN_DOUBT) == 60


def test_retry_after_is_kept_by_every_submission(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(200), strike(Fault.BUSY, start=30, end=36), concurrency=16, median=8)
    log = Log(world)
    outcome = run_clean(world)
    assert outcome.exit_code == 0
    refused = [at for at, what in log.events if what[0] == "submit" and what[3] is Fault.BUSY]
    assert refused
    # Requests that left before the first answer was back do not know better.
    after = [at for at in log.times("submit") if at > refused[-1]]
    assert after[0] - refused[0] >= world.provider.offer.retry_after


def test_an_item_that_meets_a_busy_api_too_often_stays_pending_and_the_run_goes_on(tmp_path: Path) -> None:
    items = make_items(40)
    world = world_of(tmp_path, items, strike(Fault.UNAVAILABLE, '"i3"'), concurrency=4)
    log = Log(world)
    outcome = run_clean(world)
    assert (outcome.exit_code, outcome.word) == (5, "outage")
    assert outcome.counts == {State.DONE: 39, State.PENDING: 1}
    assert len(log.times("submit", items[3].digest)) == 8
    calm(world)
    assert run_clean(world).exit_code == 0


def test_a_busy_api_is_asked_rarely_and_ends_the_run_in_the_end(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(2000), strike(Fault.UNAVAILABLE, start=60), concurrency=16, max_attempts=8)
    log = Log(world)
    outcome = run_clean(world)
    assert (outcome.exit_code, outcome.word) == (5, "outage")
    assert 1800 <= outcome.seconds - 60 <= 1800 + 120
    assert len([at for at in log.times("submit") if at > 70]) < 200
    assert count(outcome, State.PROCESSING) == 0


def test_the_pace_goes_down_when_the_api_is_busy_and_recovers(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(400), strike(Fault.UNAVAILABLE, start=60, end=90), concurrency=16, median=20)
    paces: list[float] = []

    def look(scheduler: Scheduler) -> None:
        paces.append(scheduler._submitter._adaptive_limit.allowed)

    run_clean(world, at=[(59, look), (91, look), (300, look)])
    assert paces[0] == 16
    assert paces[1] <= 4
    assert paces[2] == 16


def test_an_api_out_of_reach_at_the_start_ends_the_run_soon(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(20), *storm(OUTAGE), concurrency=4)
    outcome = run_clean(world)
    assert (outcome.exit_code, outcome.word) == (5, "outage")
    assert 29 <= outcome.seconds <= 40
    assert outcome.counts == {State.PENDING: 20}
    assert "connection refused" in (outcome.ending.detail if outcome.ending else "")


def test_a_later_outage_ends_the_run_and_keeps_the_jobs(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(20), *storm(OUTAGE, start=10), concurrency=4)
    log = Log(world)
    outcome = run_clean(world)
    assert (outcome.exit_code, outcome.word) == (5, "outage")
    assert 1800 <= outcome.seconds - 10 <= 1870
    assert count(outcome, State.PROCESSING) == 4
    assert len(log.times("poll")) < 4 * 100  # backed off to 30 s on average, with full jitter
    calm(world)
    assert run_clean(world).counts == {State.DONE: 20}
    assert len(world.provider.books.jobs) == 20


def test_an_outage_that_passes_costs_nothing(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(60), *storm(OUTAGE, start=100, end=400), concurrency=4)
    outcome = run_clean(world)
    assert outcome.exit_code == 0
    assert outcome.counts == {State.DONE: 60}


def test_a_refused_key_stops_everything_and_keeps_the_jobs(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(20), strike(Fault.UNAUTHORIZED, start=20, end=100), concurrency=4)
    log = Log(world)
    outcome = run_clean(world)
    assert (outcome.exit_code, outcome.word) == (5, "key")
    assert outcome.seconds < 26
    assert count(outcome, State.PROCESSING) == 4
    refused = [at for at, what in log.events if Fault.UNAUTHORIZED in what]
    assert log.events[-1][0] - refused[0] < 1
    world.clock.advance(100)
    assert run_clean(world).counts == {State.DONE: 20}


def test_an_empty_balance_stops_submissions_and_paid_work_is_brought_in(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(20), strike(Fault.NO_BALANCE, start=20), concurrency=4)
    log = Log(world)
    outcome = run_clean(world)
    assert (outcome.exit_code, outcome.word) == (5, "balance")
    assert outcome.counts == {State.DONE: 4, State.PENDING: 16}
    assert len([at for at in log.times("submit") if at > 20]) <= 4


def test_an_empty_balance_is_waited_for_where_asked_to(tmp_path: Path) -> None:
    # An hour: longer than an outage or a busy provider would be waited for.
    world = world_of(tmp_path, make_items(20), strike(Fault.NO_BALANCE, start=20, end=3620), concurrency=4)
    log = Log(world)
    outcome = run_clean(world, wait_for_balance=True)
    assert outcome.counts == {State.DONE: 20}
    assert len([at for at in log.times("submit") if 20 < at < 3620]) <= 60 * 4


def test_a_busy_provider_that_then_finds_the_balance_empty_is_not_given_up_for_being_busy(tmp_path: Path) -> None:
    # It answers once a minute that the balance is empty, for longer than a busy provider would be waited for.
    world = world_of(
        tmp_path, make_items(20), strike(Fault.UNAVAILABLE, start=20, end=60),
        strike(Fault.NO_BALANCE, start=60, end=3660),
        concurrency=4,
    )  # fmt: skip
    assert run_clean(world, wait_for_balance=True).counts == {State.DONE: 20}


def test_busy_answers_that_come_together_are_one_reason_to_wait_longer(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(100), strike(Fault.UNAVAILABLE, start=0, end=0.2), concurrency=32)
    streaks: list[int] = []
    run_clean(world, at=[(0.25, lambda scheduler: streaks.append(scheduler.run_state.submission_backoff.streak))])
    assert streaks == [1]


def test_max_cost_is_filled_by_refunds_and_never_exceeded(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(100), rates={Fault.FAILED: 0.3}, concurrency=8, max_cost=Decimal("1.00"))
    outcome = run_clean(world)
    assert (outcome.exit_code, outcome.word) == (3, "max_cost")
    assert count(outcome, State.DONE) == 20
    assert count(outcome, State.FAILED) > 0
    assert outcome.run_state.budget.life.committed == Decimal("1.00")
    # The cap is of the run folder's life: another run buys nothing.
    assert run_clean(world).counts == outcome.counts


def test_a_budget_is_of_one_invocation(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(30), concurrency=4, budget=Decimal("0.52"))
    for done in (10, 20):
        outcome = run_clean(world)
        assert (outcome.exit_code, outcome.word) == (3, "budget")
        assert outcome.counts == {State.DONE: done, State.PENDING: 30 - done}
    assert run_clean(world).exit_code == 0


def test_caps_hold_where_the_provider_charges_more_than_the_tables_say(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(100), strike(Fault.DRIFT), concurrency=1, max_cost=Decimal("1.00"))
    outcome = run_clean(world)
    assert outcome.word == "max_cost"
    # Known from the first job on: 18 at 0.055 are 0.99.
    assert count(outcome, State.DONE) == 18
    assert world.provider.books.totals(world.clock.seconds).charged == Decimal("0.990")


def test_max_new_ends_an_invocation(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(20), concurrency=4, max_new=7, rates={Fault.UNAVAILABLE: 0.2})
    for bought in (7, 14):
        outcome = run_clean(world)
        assert (outcome.exit_code, outcome.word) == (3, "max_new")
        assert len(world.provider.books.jobs) == bought
    assert run_clean(world).exit_code == 0


@pytest.mark.parametrize(("items", "most"), [(256, 256), (0, 0)])
def test_max_new_is_no_reason_to_stop_where_nothing_is_left(tmp_path: Path, items: int, most: int) -> None:
    # 256 is also a full page of pending items: only the next, empty one tells that they are all.
    world = world_of(tmp_path, make_items(items), concurrency=100, max_new=most, median=2.0)
    assert run_clean(world).exit_code == 0


def test_max_failures_stops_submissions(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(60), rates={Fault.FAILED: 0.5}, concurrency=4, max_failures=Count(5))
    outcome = run_clean(world)
    assert (outcome.exit_code, outcome.word) == (3, "max_failures")
    assert 5 <= count(outcome, State.FAILED) <= 5 + 3
    assert count(outcome, State.PROCESSING) == 0


def test_a_share_of_failures_stops_submissions_and_a_smaller_one_does_not(tmp_path: Path) -> None:
    limit = Share(Decimal(20))
    bad = world_of(tmp_path / "bad", make_items(200), rates={Fault.FAILED: 0.5}, concurrency=4, max_failures=limit)
    outcome = run_clean(bad)
    assert (outcome.exit_code, outcome.word) == (3, "max_failures")
    assert outcome.ending is not None
    assert "items that ended failed, were rejected or are lost; max_failures is 20%" in outcome.ending.detail
    assert 20 <= outcome.run_state.failures + outcome.run_state.delivered <= 30
    assert count(outcome, State.PROCESSING) == 0
    good = world_of(tmp_path / "good", make_items(200), rates={Fault.FAILED: 0.05}, concurrency=4, max_failures=limit)
    outcome = run_clean(good)
    assert outcome.word is None
    assert count(outcome, State.FAILED) > 4


def test_an_interrupt_waits_for_answers_under_way(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(20), concurrency=4, latency=(6.0, 6.0))
    log = Log(world)
    outcome = run_clean(world, at=[(1.0, Scheduler.interrupt)])
    assert (outcome.exit_code, outcome.word) == (130, "interrupted")
    assert outcome.counts == {State.PROCESSING: 4, State.PENDING: 16}
    assert 5 < outcome.seconds < 7
    assert len(log.times("submit")) == 4
    assert run_clean(world).counts == {State.DONE: 20}


def test_an_answer_that_never_comes_is_in_doubt_after_an_interrupt(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(20), concurrency=4, latency=(60.0, 60.0))
    outcome = run_clean(world, at=[(1.0, Scheduler.interrupt)])
    assert outcome.exit_code == 130
    assert outcome.counts == {State.IN_DOUBT: 4, State.PENDING: 16}
    assert outcome.run_state.in_flight == 0
    assert outcome.run_state.budget.life.in_doubt == Decimal("0.20")
    assert 15 < outcome.seconds < 18


def test_a_stop_at_once_waits_for_no_answer_and_leaves_what_was_sent_in_doubt(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(20), concurrency=4, latency=(60.0, 60.0))
    outcome = run_clean(world, at=[(1.0, Scheduler.interrupt_now)])
    assert outcome.exit_code == 130
    assert outcome.counts == {State.IN_DOUBT: 4, State.PENDING: 16}
    assert outcome.run_state.in_flight == 0
    assert outcome.run_state.budget.life.in_doubt == Decimal("0.20")
    assert outcome.seconds < 2


def test_nothing_leaves_after_an_interrupt(tmp_path: Path) -> None:
    for step in range(12):
        world = world_of(tmp_path / str(step), make_items(40), concurrency=8, median=3.0)
        log = Log(world)
        moment = 5.0 + step * 0.37
        outcome = run_clean(world, at=[(moment, Scheduler.interrupt)])
        assert outcome.exit_code == 130
        assert all(at <= moment for at in log.times("submit"))
        assert all(at <= moment + 0.2 for at in (*log.times("poll"), *log.times("file")))


def test_reasons_outside_outweigh_limits_and_an_interrupt_outweighs_all(tmp_path: Path) -> None:
    # max_failures is met first, then the balance is found empty by a POST that was under way.
    world = world_of(
        tmp_path, make_items(20), strike(Fault.REJECTED, '"i0"'), strike(Fault.NO_BALANCE, '"i1"'),
        concurrency=2, max_failures=Count(1), seed=3,
    )  # fmt: skip
    outcome = run_clean(world)
    assert (outcome.exit_code, outcome.word) == (5, "balance")
    world = world_of(tmp_path / "other", make_items(20), strike(Fault.NO_BALANCE), concurrency=2)
    assert run_clean(world, at=[(0.001, Scheduler.interrupt)]).exit_code == 130


def test_parked_jobs_are_waited_for_as_long_as_drain_and_kept(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(12), strike(Fault.STUCK, '"i3"'), concurrency=1, job_timeout=600)
    log = Log(world)
    outcome = run_clean(world)
    assert (outcome.exit_code, outcome.word) == (3, "drain")
    # Its place was free again: the others were done long before.
    assert outcome.counts == {State.DONE: 11, State.PROCESSING: 1}
    assert outcome.run_state.in_flight == 0
    # Jobs, the time until it was parked, the drain.
    assert 11 * 40 + 600 + 3600 < outcome.seconds < 11 * 90 + 600 + 3600
    parked = [gap for gap in log.gaps("poll", "job4") if gap > 10]
    assert 50 <= len(parked) <= 80
    world.clock.advance(8 * 86400)
    assert run_clean(world).counts == {State.DONE: 11, State.LOST: 1}


def test_a_parked_job_that_ends_is_brought_in(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(6), strike(Fault.SLOW, '"i3"'), median=120, job_timeout=600, concurrency=2)
    outcome = run_clean(world)
    assert outcome.exit_code == 0
    assert outcome.counts == {State.DONE: 6}
    assert FOREVER > outcome.seconds > 2000
