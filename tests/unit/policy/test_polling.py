"""When to ask how a job stands."""

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.policy.polling import Durations, LearnedDurations, first_poll, next_poll, timeout_of

SECONDS = st.integers(0, 10**7).map(lambda ms: ms / 1000)


def naive(seen: list[float], percent: int) -> float:
    """The quantile by its definition: the least value of the window with more than that share at or below it."""
    window = sorted(seen[-500:])
    return next(v for n, v in enumerate(window, 1) if Fraction(n, len(window)) > Fraction(percent, 100))


@given(st.lists(SECONDS, min_size=5, max_size=40), st.integers(0, 99))
def test_quantiles_are_those_of_a_plain_computation(seen: list[float], percent: int) -> None:
    assert Durations(seen).quantile(percent) == naive(seen, percent)


@pytest.mark.parametrize("count", [99, 100, 101, 200, 499, 500, 501, 1234])
def test_quantiles_of_long_histories_are_those_of_the_last_five_hundred(count: int) -> None:
    draw = random.Random(count)
    seen = [draw.choice([draw.uniform(1, 90), 30.0]) for _ in range(count)]
    durations = Durations()
    for seconds in seen:
        durations.add(seconds)
    assert [durations.quantile(percent) for percent in range(100)] == [naive(seen, percent) for percent in range(100)]


def test_the_window_slides_with_a_provider_that_changes() -> None:
    durations = Durations([60.0] * 500)
    for _ in range(499):
        durations.add(5.0)
    assert durations.quantile(99) == 5.0, "the last of the slow ones is above the 99 % quantile"
    durations.add(5.0)
    assert durations.next_end(5.0) is None
    assert len(durations._sorted) == len(durations._order) == 500


@pytest.mark.parametrize("count", range(5))
def test_too_few_teach_nothing(count: int) -> None:
    durations = Durations([1.0] * count)
    assert durations.quantile(1) is durations.quantile(99) is durations.next_end(0.0) is None


def test_what_was_seen_before_is_taken_up() -> None:
    durations = Durations([3.0, 1.0, 2.0, 5.0, 4.0])
    assert (durations.quantile(1), durations.quantile(99)) == (1.0, 5.0)


@given(st.lists(SECONDS, min_size=5, max_size=600), SECONDS)
def test_the_next_end_leaves_all_but_two_percent_of_those_still_at_work(seen: list[float], age: float) -> None:
    window = sorted(seen[-500:])
    end = Durations(seen).next_end(age)
    left = [seconds for seconds in window if seconds > age]
    if end is None:
        assert len(left) <= len(window) / 100
        return
    assert end > age
    assert sum(seconds < end for seconds in left) <= len(left) * 2 / 100
    assert sum(seconds <= end for seconds in left) > len(left) * 2 / 100


# ---- when ------------------------------------------------------------------------------------------------------------

LEARNED = Durations([45.0, 60.0, 61.0, 64.0, 90.0])


def test_a_job_is_left_alone_until_its_model_can_be_done() -> None:
    assert first_poll(Durations(), 2.0) == 2.0
    assert first_poll(LEARNED, 2.0) == 45.0
    assert first_poll(Durations([0.5] * 5), 2.0) == 2.0


@pytest.mark.parametrize(
    ("age", "wait"), [(45.0, 5.0), (57.0, 3.0), (59.5, 2.0), (60.0, 2.0), (61.0, 3.0), (64.0, 5.0)]
)
def test_it_is_asked_the_more_often_the_sooner_some_will_have_ended(age: float, wait: float) -> None:
    assert next_poll(LEARNED, age, 2.0, 5.0) == wait


@pytest.mark.parametrize(
    ("age", "wait"), [(0.0, 2.0), (80.0, 2.0), (120.0, 3.0), (180.0, 4.5), (200.0, 5.0), (1e6, 5.0)]
)
def test_a_late_or_unlearned_job_is_asked_more_rarely_with_age(age: float, wait: float) -> None:
    assert next_poll(Durations(), age, 2.0, 5.0) == wait
    assert next_poll(Durations([0.0] * 5), age, 2.0, 5.0) == wait


@given(st.lists(SECONDS, max_size=40), SECONDS, st.floats(0.01, 100), st.floats(0, 100))
def test_no_job_waits_less_than_poll_min_or_longer_than_poll_max(
    seen: list[float], age: float, poll_min: float, more: float
) -> None:
    assert poll_min <= next_poll(Durations(seen), age, poll_min, poll_min + more) <= poll_min + more


def test_a_job_is_parked_far_beyond_what_its_model_takes() -> None:
    assert timeout_of(Durations(), None) == 7200.0
    assert timeout_of(Durations([1.0, 2.0, 2.0, 2.0, 3.0]), None) == 1800.0
    slow = Durations([100.0, 200.0, 200.0, 200.0, 300.0])
    assert timeout_of(slow, None) == 3000.0
    assert timeout_of(slow, 60.0) == 60.0


# ---- what is alike ------------------------------------------------------------------------------------------------


def test_jobs_are_judged_by_those_that_cost_the_same_and_else_by_their_model() -> None:
    learned = LearnedDurations()
    assert learned.of("m", "m 2s").quantile(1) is None
    for _ in range(4):
        learned.add("m", "m 2s", 10.0)
        learned.add("m", "m 15s", 100.0)
    assert learned.of("m", "m 2s").longest == 100.0, "four are too few"
    learned.add("m", "m 2s", 10.0)
    assert learned.of("m", "m 2s").longest == 10.0
    assert learned.of("m", "m 15s").longest == 100.0
    assert learned.of("m", "m 7s") is learned.of("m", "")
    assert learned.of("other", "m 2s").quantile(1) is None
    assert {durations.longest for durations in learned.all_of("m")} == {10.0, 100.0}
    assert [durations.longest for durations in learned.all_of("other")] == [None]


def test_a_job_of_an_older_journal_teaches_something_of_its_model_alone() -> None:
    learned = LearnedDurations()
    for _ in range(5):
        learned.add("m", "", 10.0)
    assert len(learned.of("m", "")._sorted) == 5, "and counts once"
    assert learned.of("m", "m 2s").quantile(1) == 10.0


def test_what_is_learned_is_bounded_where_each_job_has_a_price_key_of_its_own() -> None:
    learned = LearnedDurations()
    for n in range(5000):
        learned.add("m", f"m seed={n}", 10.0)
    assert len(learned._seen["m"]) == 1000
    assert learned.of("m", "m seed=4999").quantile(50) == 10.0
