"""When submissions pause, when a run stops, and with which exit code."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.records import State
from batchgen.policy.stopping import START_TIMEOUT, ApiHealth, Pause, Stop, exit_code

PRICE = Decimal("0.30")


def unclear(api_health: ApiHealth, *times: float, price: Decimal = PRICE) -> ApiHealth:
    for now in times:
        api_health = api_health.sent(price).unclear(now, price)
    return api_health


def until(api_health: ApiHealth) -> float | None:
    pause = api_health.pause()
    return pause.until if pause else None


PAUSED = unclear(ApiHealth(), 0.0, 0.0, 0.0)


# ---- doubts --------------------------------------------------------------------------------------------------------


def test_three_doubts_with_nothing_definite_between_them_pause_submissions() -> None:
    assert unclear(ApiHealth(), 0.0, 0.0).pause() is None
    assert PAUSED.pause() == Pause(1.0)
    between = unclear(unclear(ApiHealth(), 0.0, 0.0).definite(), 0.0, 0.0)
    assert between.pause() is None


def test_probes_leave_after_one_second_doubling_up_to_sixty() -> None:
    api_health, waits = PAUSED, [1.0]
    for _ in range(9):
        now = until(api_health)
        assert now is not None
        api_health = unclear(api_health, now)
        waits.append((until(api_health) or 0.0) - now)
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 60.0]


def test_answers_to_requests_that_left_before_the_pause_do_not_prolong_it() -> None:
    api_health = unclear(PAUSED, *[0.5] * 20)
    assert until(api_health) == 1.0
    assert api_health.doubts == 23
    assert until(unclear(api_health, 1.0)) == 3.0


def test_a_definite_answer_opens_everything_and_the_next_pause_starts_small() -> None:
    api_health = unclear(PAUSED, 1.0, 3.0, 7.0).definite()
    assert api_health.pause() is None
    assert unclear(api_health, 9.0, 9.0).pause() is None
    assert until(unclear(api_health, 9.0, 9.0, 9.0)) == 10.0
    assert api_health.doubts == 6, "what may have been charged is not forgotten"


def test_a_poll_that_is_answered_says_nothing_of_doubts() -> None:
    assert PAUSED.reached().pause() == Pause(1.0)
    after_outage = PAUSED.unreachable(1.0).reached()
    assert until(after_outage) == 3.0
    assert after_outage.out_since is None


@pytest.mark.parametrize(
    ("submitted", "doubts", "stops"),
    [(20, 20, False), (21, 21, True), (2000, 20, False), (2000, 21, True), (2500, 25, False), (2500, 26, True)],
)
def test_more_in_doubt_than_twenty_and_one_percent_is_too_many(submitted: int, doubts: int, stops: bool) -> None:
    assert ApiHealth(submitted=submitted, doubts=doubts).too_many_doubts(None, None) is stops


@pytest.mark.parametrize(
    ("most", "doubts", "stops"), [(0, 0, False), (0, 1, True), (5, 5, False), (5, 6, True), (50, 26, False)]
)
def test_a_limit_that_was_set_takes_its_place(most: int, doubts: int, stops: bool) -> None:
    assert ApiHealth(submitted=2500, doubts=doubts).too_many_doubts(most, None) is stops


@pytest.mark.parametrize(
    ("cap", "dearest", "in_doubt", "stops"),
    [
        (None, "4.50", "1000", False),
        ("100", "0.30", "10.00", False),
        ("100", "0.30", "10.01", True),
        ("10", "4.50", "13.50", False),
        ("10", "4.50", "13.51", True),
        ("0", "0.30", "0.90", False),
        ("0", "0.30", "0.91", True),
    ],
)
def test_money_in_doubt_beyond_a_tenth_of_the_cap_and_three_items_is_too_much(
    cap: str | None, dearest: str, in_doubt: str, stops: bool
) -> None:
    api_health = ApiHealth(submitted=9, doubts=3, doubt_usd=Decimal(in_doubt), dearest=Decimal(dearest))
    assert api_health.too_many_doubts(None, None if cap is None else Decimal(cap)) is stops


def test_doubts_are_counted_in_number_and_money_with_the_dearest_item() -> None:
    api_health = unclear(unclear(ApiHealth(), 0.0, price=Decimal("4.50")), 0.0).sent(PRICE).definite()
    assert (api_health.submitted, api_health.doubts, api_health.doubt_usd, api_health.dearest) == (
        3, 2, Decimal("4.80"), Decimal("4.50"),
    )  # fmt: skip


# ---- outages -------------------------------------------------------------------------------------------------------


def test_an_api_that_was_never_reached_ends_the_run_after_thirty_seconds() -> None:
    api_health = ApiHealth().unreachable(100.0)
    for now in (101.0, 103.0, 107.0, 115.0):
        api_health = api_health.unreachable(now)
    assert api_health.stops_at(1800.0) == 100.0 + START_TIMEOUT
    assert api_health.stops_at(5.0) == 105.0
    assert START_TIMEOUT == 30.0


def test_a_later_outage_gets_the_patience_that_was_set_from_its_beginning() -> None:
    api_health = ApiHealth().definite().unreachable(500.0).unreachable(900.0).failing(950.0)
    assert api_health.stops_at(1800.0) == 2300.0


def test_an_outage_pauses_submissions_and_an_answer_opens_them() -> None:
    api_health = ApiHealth().unreachable(0.0)
    assert api_health.pause() == Pause(1.0)
    assert until(api_health.unreachable(1.0)) == 3.0
    for opened in (api_health.reached(), api_health.definite()):
        assert opened.pause() is None
        assert opened.stops_at(1800.0) is None
        assert until(opened.unreachable(50.0)) == 51.0, "the next outage starts with a short pause"


def test_polls_that_fail_are_an_outage_without_a_pause_until_one_is_answered() -> None:
    api_health = ApiHealth().failing(10.0).failing(20.0)
    assert api_health.pause() is None
    assert api_health.stops_at(1800.0) == 1810.0
    assert api_health.reached().stops_at(1800.0) is None


def test_an_unclear_answer_ends_an_outage() -> None:
    assert unclear(ApiHealth().unreachable(0.0), 1.0).stops_at(1800.0) is None


def test_fair_weather_has_no_deadline() -> None:
    assert ApiHealth().stops_at(1800.0) is None
    assert ApiHealth().reached().stops_at(1800.0) is None


@given(
    st.lists(st.tuples(st.sampled_from(["reached", "definite", "unclear", "unreachable", "failing"]), st.floats(0, 90)))
)
def test_a_pause_is_never_longer_than_a_minute_and_a_definite_answer_always_ends_it(
    events: list[tuple[str, float]],
) -> None:
    api_health, now, streak = ApiHealth(), 0.0, 0
    for kind, later in events:
        now += later
        if kind == "unclear":
            api_health, streak = unclear(api_health, now), streak + 1
        elif kind in ("unreachable", "failing"):
            api_health = getattr(api_health, kind)(now)
        else:
            api_health = getattr(api_health, kind)()
            streak = 0 if kind == "definite" else streak
        probe = until(api_health)
        assert probe is None or probe <= now + 60.0
        assert probe is not None or (streak < 3 and kind != "unreachable")
        assert api_health.definite().pause() is None
        gives_up = api_health.stops_at(1800.0)
        assert gives_up is None or gives_up <= now + 1800.0


# ---- how it ended --------------------------------------------------------------------------------------------------

BAD = {State.IN_DOUBT: 1, State.FAILED: 1, State.REJECTED: 1, State.LOST: 1, State.SKIPPED: 1, State.DONE: 5}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (130, {"interrupted"}),
        (5, {"assets", "engine", "key", "lease", "outage", "disk_full", "object_store", "balance", "in_doubt"}),
        (
            3,
            {
                "max_cost",
                "budget",
                "month",
                "max_new",
                "max_failures",
                "max_flagged",
                "until",
                "canary",
                "drain",
                "waiting_for_pick",
            },
        ),
    ],
)
def test_a_stop_decides_the_exit_code_whatever_the_items_came_to(code: int, words: set[str]) -> None:
    assert {stop.word for stop in Stop if stop.exit_code == code} == words
    for stop in Stop:
        if stop.word in words:
            assert exit_code(stop, BAD) == exit_code(stop, {}) == code


def test_a_word_has_one_exit_code() -> None:
    assert len({stop.word for stop in Stop}) == len({(stop.word, stop.exit_code) for stop in Stop})


def test_paid_work_goes_on_unless_the_api_is_out_of_reach_or_the_user_said_so() -> None:
    dropped = {Stop.INTERRUPTED, Stop.KEY, Stop.LEASE, Stop.UNREACHABLE, Stop.DISK, Stop.STORE}
    assert {stop for stop in Stop if not stop.finishes} == dropped


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        ({}, 0),
        ({State.DONE: 7}, 0),
        ({State.DONE: 7, State.FAILED: 1}, 1),
        ({State.REJECTED: 1}, 1),
        ({State.LOST: 1}, 1),
        ({State.SKIPPED: 1}, 1),
        ({State.IN_DOUBT: 1}, 4),
        (BAD, 4),
        ({State.FAILED: 0, State.IN_DOUBT: 0}, 0),
    ],
)
def test_without_a_stop_the_worst_item_decides(counts: dict[State, int], code: int) -> None:
    assert exit_code(None, counts) == code
