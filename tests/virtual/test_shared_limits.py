"""Runs that share a month's budget, with faults and kills at every step: it is never passed, and misses nothing."""

from dataclasses import replace
from datetime import UTC, timedelta
from decimal import Decimal

import pytest
from support.sharing import Sharing, checked, net, sharing

from batchgen.core.records import State
from batchgen.shared_limits import SharedLimits
from batchgen.shared_limits.months import month_at
from batchgen.virtual import Fault, FaultPlan, Outcome, make_items
from batchgen.virtual.harness import MODEL

PRICE = Decimal("0.05")
FAULTS = {
    Fault.FAILED: 0.1, Fault.REJECTED: 0.05, Fault.LOST_ANSWER: 0.1, Fault.UNAVAILABLE: 0.1, Fault.POLL_ERROR: 0.1,
    Fault.SLOW: 0.05,
}  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_kills_and_faults_pass_no_budget(seed: int) -> None:
    groups = [make_items(20, name=name) for name in "abc"]
    with sharing(SharedLimits(month=PRICE * 40), groups, seed=seed, faults=FAULTS) as worlds:
        for turn in range(9):
            world = worlds[turn % 3]
            outcome = world.invoke(crash_at=60 + 37 * (turn + seed) % 200 if turn < 6 else None)
            if outcome.ending is not None:
                world.end()
            checked(worlds)
            for each in worlds:
                each.clock.advance(600.0)
        assert net(worlds) >= PRICE * 30


def steps() -> int:
    with sharing(SharedLimits(month=Decimal(1)), [make_items(3)], faults=dict.fromkeys(FAULTS, 0.3)) as (world,):
        return world.invoke().steps


@pytest.mark.parametrize("crash_at", range(1, steps() + 1))
def test_a_kill_at_any_step_leaves_books_that_count_all_that_was_paid(crash_at: int) -> None:
    with sharing(SharedLimits(month=PRICE * 4), [make_items(3), make_items(3, name="other")]) as (world, other):
        world.provider.follow(FaultPlan(dict.fromkeys(FAULTS, 0.3)))
        world.invoke(crash_at=crash_at)
        checked([world, other])
        other.clock.advance(3600.0)
        other.invoke()
        checked([world, other])
        world.clock.advance(7200.0)
        world.provider.follow(FaultPlan())
        if world.invoke().ending is not None:
            world.end()
        checked([world, other])


def ended(world: Sharing, **how: object) -> Outcome:
    outcome = world.invoke(**how)  # type: ignore[arg-type]  # the test's own words
    world.end()
    return outcome


def test_a_refund_of_one_run_makes_room_for_another() -> None:
    with sharing(SharedLimits(month=PRICE * 3), [make_items(3), make_items(3, name="b")]) as (first, second):
        first.provider.follow(FaultPlan({Fault.FAILED: 1.0}))
        assert ended(first).counts[State.FAILED] == 3
        assert ended(second).counts[State.DONE] == 3
        assert ended(first, retry=[State.FAILED]).word == "month"
        checked([first, second])


def test_a_doubt_counts_until_it_is_settled() -> None:
    with sharing(SharedLimits(month=PRICE * 4), [make_items(2), make_items(4, name="b")]) as (first, second):
        first.provider.follow(FaultPlan({Fault.LOST_ANSWER: 1.0}))
        assert ended(first).counts[State.IN_DOUBT] == 2
        assert (ended(second).word, second.counts()[State.DONE]) == ("month", 2)


def test_a_higher_price_passes_the_budget_by_one_job_at_most() -> None:
    with sharing(SharedLimits(month=PRICE * 4), [make_items(6), make_items(6, name="b")]) as worlds:
        for world in worlds:
            world.provider.offer = replace(world.provider.offer, prices={MODEL: PRICE * 3})
        for world in worlds:
            ended(world)
        assert net(worlds) == PRICE * 3  # the first one tells the others what it costs


def test_waiting_for_a_place_counts_as_no_submission() -> None:
    # The larger the number of submissions, the more of them may be in doubt before buying stops.
    with sharing(SharedLimits(month=PRICE * 9, concurrency=1), [make_items(6)]) as (world,):
        outcome = ended(world)
        assert (outcome.counts[State.DONE], outcome.run_state.api_health.submitted) == (6, 6)


def test_a_claim_counts_in_the_month_of_its_intent() -> None:
    with sharing(SharedLimits(month=PRICE * 9), [make_items(3)]) as (world,):
        now = world._utc_now()
        month = month_at(now, UTC)
        world.ahead, world.delay = month.end - now - timedelta(seconds=1), 5.0

        def counted() -> list[int]:
            return [world.books.committed(each.name, "") for each in (month, month_at(month.end, UTC))]

        assert world.invoke().counts[State.DONE] == 3
        before = counted()
        world.end()
        assert before == counted()
        assert min(before) > 0
