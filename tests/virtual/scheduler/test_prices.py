"""Prices that differ from the tables, or from what was said before, under caps; in virtual time."""

from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.worlds import Log, calm, count, in_memory, run_clean, strike, world_of

from batchgen.core.records import Item, State
from batchgen.journal import Journal
from batchgen.journal.spending import prices_of
from batchgen.ledger import LedgerTotals, write_ledger
from batchgen.scheduler import Scheduler
from batchgen.virtual import Episode, Fault, Naming, Outcome, World, make_item, make_items
from batchgen.virtual.harness import MODEL


def usd(text: str) -> Decimal:
    return Decimal(text)


def selling(
    folder: Path,
    items: list[Item],
    *strikes: Episode,
    price: str = "0.05",
    posted: str | None = "as charged",
    polled: str | None = "as charged",
    refunds_to_zero: bool = False,
    **how: Any,
) -> World:
    """A world whose provider charges `price`, and names other prices (None: none) where these are given."""
    world = world_of(folder, items, *strikes, **how)

    def named(text: str | None) -> dict[str, Decimal | None]:
        return {} if text == "as charged" else {MODEL: None if text is None else usd(text)}

    world.provider.offer = replace(world.provider.offer, prices={MODEL: usd(price)})
    world.provider.core.naming = Naming(named(posted), named(polled), refunds_to_zero)
    return world


def paid(world: World) -> Decimal:
    return world.provider.books.net(world.clock.seconds)


def totals(world: World) -> LedgerTotals:
    return write_ledger("run", world.folder)


def priced(items: list[Item], price: str) -> list[Item]:
    return [replace(item, estimated=usd(price)) for item in items]


# ---- the first surprise ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["max_cost", "budget"])
@pytest.mark.parametrize(("cap", "jobs"), [("3", 3), ("2.50", 2), ("0.50", 1)])
@pytest.mark.parametrize("posted", ["as charged", None], ids=["told at once", "told by polls"])
def test_a_cap_is_passed_by_one_surprise_at_most(
    tmp_path: Path, limit: str, cap: str, jobs: int, posted: str | None
) -> None:
    items = priced(make_items(60), "0.056")
    world = selling(tmp_path, items, price="1", posted=posted, concurrency=32, **{limit: usd(cap)})
    outcome = run_clean(world)
    assert outcome.word == limit
    assert len(world.provider.books.jobs) == jobs
    assert paid(world) == jobs <= usd(cap) + usd("0.944")


def test_without_a_cap_no_price_is_waited_for(tmp_path: Path) -> None:
    world = selling(tmp_path, make_items(20), posted=None, concurrency=20)
    log = Log(world)
    run_clean(world)
    assert max(log.gaps("submit")) < 0.05


def test_once_a_price_is_confirmed_the_others_leave_together(tmp_path: Path) -> None:
    world = selling(tmp_path, make_items(20), concurrency=20, max_cost=usd("10"))
    log = Log(world)
    outcome = run_clean(world)
    assert outcome.exit_code == 0
    first, *others = log.gaps("submit")
    assert first > 0.02
    assert sum(others) < 0.2


def test_an_acceptance_without_a_price_is_polled_at_once_and_that_poll_confirms(tmp_path: Path) -> None:
    world = selling(tmp_path, make_items(20), posted=None, concurrency=20, max_cost=usd("10"))
    log = Log(world)
    run_clean(world)
    submits, polls = log.times("submit"), log.times("poll")
    assert polls[0] < submits[1], "the second one leaves when the first one's price is known"
    assert submits[1] < 0.5, "and that is asked for before the usual first poll, after 2 s"
    assert submits[-1] < 1.0


def test_where_no_answer_names_a_price_the_first_poll_confirms_the_expected_one(tmp_path: Path) -> None:
    world = selling(tmp_path, make_items(20), posted=None, polled=None, concurrency=20, max_cost=usd("1"))
    log = Log(world)
    outcome = run_clean(world)
    assert outcome.counts == {State.DONE: 20}
    assert log.times("submit")[-1] < 1.0
    assert totals(world).charged == usd("1.00")


def test_confirmed_prices_go_on_beside_an_unconfirmed_one_and_are_not_held_up_by_its_queue(tmp_path: Path) -> None:
    new = [make_item(f"new{n}", outputs=3) for n in range(300)]
    items = [*make_items(5), *new[:3], *make_items(40, name="known"), *new[3:]]
    # The first new one has no price, and its polls find no answer for a while.
    world = selling(
        tmp_path, items, strike(Fault.COST_MISSING, '"new'), strike(Fault.POLL_ERROR, "job6", end=400),
        concurrency=16, max_cost=usd("100"), max_new=60, seed=16,
    )  # fmt: skip
    log = Log(world)
    outcome = run_clean(world)
    early = [at for at in log.times("submit") if at < 400]
    assert len(early) == 46, "all whose price is known, and one new one"
    digests = [what[1] for _, what in log.events if what[0] == "submit"]
    assert set(digests[:46]) == {item.digest for item in (*items[:6], *items[8:48])}
    assert set(digests[46:]) == {item.digest for item in new[1:15]}, "then in the order of the manifest"
    assert outcome.word == "max_new"


@pytest.mark.parametrize(
    "fault", [Fault.NOT_SENT, Fault.UNAVAILABLE, Fault.REJECTED, Fault.STORM], ids=lambda fault: fault.name.lower()
)
def test_what_is_not_accepted_confirms_nothing_and_frees_the_turn(tmp_path: Path, fault: Fault) -> None:
    world = selling(tmp_path, make_items(8), strike(fault, '"i0"', end=60), concurrency=8, max_cost=usd("10"))
    log = Log(world)
    outcome = run_clean(world)
    assert count(outcome, State.DONE) >= 7
    submits = log.times("submit")
    assert submits[2] - submits[0] > 0.04, "the second one goes alone, too"
    assert submits[7] < 5.0


def test_a_job_that_is_not_found_frees_the_turn_when_it_is_given_up(tmp_path: Path) -> None:
    world = selling(
        tmp_path, make_items(8), strike(Fault.POLL_UNKNOWN, "job1"), posted=None, concurrency=8, max_cost=usd("10")
    )
    assert run_clean(world).counts == {State.DONE: 7, State.LOST: 1}


def test_a_failure_that_names_no_price_confirms_nothing(tmp_path: Path) -> None:
    world = selling(
        tmp_path, make_items(40), strike(Fault.FAILED), price="1", posted=None, refunds_to_zero=True,
        concurrency=20, max_cost=usd("0.50"), median=0.001, latency=(0.5, 0.5),
    )  # fmt: skip
    outcome = run_clean(world)
    # Each has failed when it is asked for the first time: what they cost is never told, so they go one by one.
    assert outcome.counts == {State.FAILED: 40}
    assert outcome.seconds > 40 * 1.0


def test_under_submit_wait_an_unconfirmed_price_is_not_waited_for(tmp_path: Path) -> None:
    world = selling(tmp_path, make_items(8), concurrency=8, submit="wait", max_cost=usd("10"), median=30.0)
    log = Log(world)
    assert run_clean(world).exit_code == 0
    assert log.times("submit")[7] < 1.0
    # The others are answered when they are done: nobody asks for them.
    assert {str(what[1]) for _, what in log.events if what[0] == "poll"} == {"job1"}


# ---- restarts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("posted", ["as charged", None], ids=["told at once", "told by polls"])
def test_a_confirmed_price_is_known_to_the_next_run(tmp_path: Path, posted: str | None) -> None:
    world = selling(tmp_path, make_items(9), posted=posted, polled=posted, concurrency=8, max_cost=usd("10"), max_new=1)
    run_clean(world)
    log = Log(world)
    run_clean(world, settings=replace(world.settings, max_new=None))
    assert len(log.times("submit")) == 8
    assert max(log.gaps("submit")) < 0.05
    with closing(Journal(world.folder)) as journal:
        assert prices_of(journal.db).confirmed == {f"{MODEL} num_images=1": usd("0.05")}


def test_what_was_not_confirmed_before_a_restart_is_confirmed_before_others_leave(tmp_path: Path) -> None:
    world = selling(
        tmp_path, make_items(20), strike(Fault.POLL_ERROR, end=300), price="1", posted=None, concurrency=8,
        max_cost=usd("0.50"),
    )  # fmt: skip
    run_clean(world, at=[(5.0, Scheduler.interrupt)])
    assert len(world.provider.books.jobs) == 1
    outcome = run_clean(world)
    assert outcome.word == "max_cost"
    assert len(world.provider.books.jobs) == 1


@pytest.mark.parametrize("seed", range(12))
def test_the_bound_holds_with_refunds_doubts_and_restarts(seed: int) -> None:
    rates = {
        Fault.FAILED: 0.2, Fault.LOST_ANSWER: 0.05, Fault.UNAVAILABLE: 0.1, Fault.NOT_SENT: 0.1, Fault.POLL_ERROR: 0.1,
        Fault.COST_MISSING: 0.5, Fault.COST_LOW: 0.2,
    }  # fmt: skip
    items = [make_item(f"i{n}", outputs=1 + n % 3) for n in range(40)]
    with in_memory() as folder:
        world = selling(
            folder, items, seed=seed, rates=rates, price="0.25", refunds_to_zero=bool(seed % 2), concurrency=16,
            max_cost=usd("4"), budget=usd("2") if seed % 3 else None, max_in_doubt=40, median=20.0,
            submit="wait" if seed % 4 == 0 else "poll",
        )  # fmt: skip
        for crash_at in (20 + 7 * seed, 90, 200):
            run_clean(world, crash_at=crash_at)
        run_clean(world)
        calm(world)
        assert run_clean(world).ending is not None


# ---- doubts ---------------------------------------------------------------------------------------------------------


def dear_doubts(folder: Path) -> tuple[World, Outcome]:
    """One that costs 0.50 instead of 0.056, then answers that are lost, under a cap of 5."""
    items = priced(make_items(80), "0.056")
    world = selling(
        folder, items, strike(Fault.LOST_ANSWER, start=10.0), price="0.50", concurrency=4, max_cost=usd("5"),
        max_in_doubt=80, median=20.0,
    )  # fmt: skip
    return world, run_clean(world)


def test_doubts_count_with_what_was_reserved(tmp_path: Path) -> None:
    world, outcome = dear_doubts(tmp_path)
    doubts = count(outcome, State.IN_DOUBT)
    assert (outcome.word, doubts) == ("in_doubt", 4), "more than three times the dearest item"
    assert paid(world) <= 5
    assert outcome.run_state.budget.life.in_doubt == doubts * usd("0.50")
    assert outcome.run_state.api_health.doubt_usd == doubts * usd("0.50")
    assert outcome.run_state.api_health.dearest == usd("0.50")
    with closing(Journal(world.folder)) as journal:
        spend = journal.spend()
        (first, *_) = journal.unsettled(State.IN_DOUBT)
        with journal.transaction():
            journal.settle_as_charged(first, world.clock.utc_now())
        after = journal.spend()
    assert spend.in_doubt == doubts * usd("0.50")
    assert after.charged - spend.charged == spend.in_doubt - after.in_doubt == usd("0.50")
    assert totals(world).in_doubt == after.in_doubt, "the ledger's sum is the journal's"


@pytest.mark.parametrize(("max_cost", "budget"), [("0.60", "100"), ("100", "0.60")])
def test_the_smaller_cap_bounds_the_money_in_doubt(tmp_path: Path, max_cost: str, budget: str) -> None:
    world = selling(
        tmp_path, make_items(50), strike(Fault.LOST_ANSWER, start=10), concurrency=1, max_cost=usd(max_cost),
        budget=usd(budget), median=8.0,
    )  # fmt: skip
    outcome = run_clean(world)
    assert outcome.word == "in_doubt"
    assert count(outcome, State.IN_DOUBT) == 4, "more than three times the dearest item"


# ---- what polls tell ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("posted", [None, "0.05"], ids=["no price first", "another price first"])
def test_the_price_that_a_poll_tells_stands_in_the_ledger_and_is_drift(tmp_path: Path, posted: str | None) -> None:
    world = selling(tmp_path, make_items(5), price="0.20", posted=posted, concurrency=1, max_cost=usd("10"))
    outcome = run_clean(world)
    assert outcome.counts == {State.DONE: 5}
    found = totals(world)
    assert (found.charged, found.drifted, found.drift) == (usd("1.00"), 5, usd("0.75"))
    assert outcome.run_state.budget.life.committed == usd("1.00")


def test_a_price_that_sinks_stands_in_the_ledger_and_the_larger_one_counts(tmp_path: Path) -> None:
    world = selling(tmp_path, make_items(30), posted="0.20", concurrency=1, max_cost=usd("0.70"))
    outcome = run_clean(world)
    assert (outcome.word, count(outcome, State.DONE)) == ("max_cost", 3)
    assert outcome.run_state.budget.life.committed == usd("0.60")
    found = totals(world)
    assert (found.charged, found.drifted, found.drift) == (usd("0.15"), 3, 0)
    again = run_clean(world)
    assert (again.word, count(again, State.DONE)) == ("max_cost", 3), "it counts for the life of the folder"


@pytest.mark.parametrize(
    ("posted", "charged"), [("as charged", "0.20"), ("0.05", "0.20"), (None, "0.20")], ids=["same", "other", "none"]
)
def test_a_failed_jobs_refund_is_its_charge_whatever_it_is_said_to_cost_then(
    tmp_path: Path, posted: str | None, charged: str
) -> None:
    world = selling(
        tmp_path, make_items(4), strike(Fault.FAILED), price="0.20", posted=posted, refunds_to_zero=True,
        concurrency=4, max_cost=usd("10"),
    )  # fmt: skip
    outcome = run_clean(world)
    assert outcome.counts == {State.FAILED: 4}
    found = totals(world)
    assert (found.charged, found.refunded) == (4 * usd(charged), -4 * usd(charged))
    assert outcome.run_state.budget.life.committed == 0
    assert paid(world) == 0
