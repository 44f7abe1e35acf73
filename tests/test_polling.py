"""When to ask how a job stands."""

import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.polling import Durations, Learned, first_poll, next_poll, timeout_of

SECONDS = st.integers(0, 10**7).map(lambda ms: ms / 1000)


def naive(seen: list[float]) -> Learned:
    """The quantiles by their definition: the least value with at least that share of the window at or below it."""
    window = sorted(seen[-500:])

    def quantile(share: Fraction) -> float:
        # The share above is strict: with two values the median is the later one.
        return next(v for n, v in enumerate(window, 1) if Fraction(n, len(window)) > share)

    return Learned(quantile(Fraction(1, 100)), quantile(Fraction(1, 2)), quantile(Fraction(99, 100)))


@given(st.lists(SECONDS, min_size=5, max_size=40))
def test_quantiles_are_those_of_a_plain_computation(seen: list[float]) -> None:
    assert Durations(seen).learned() == naive(seen)


@pytest.mark.parametrize("count", [99, 100, 101, 200, 499, 500, 501, 1234])
def test_quantiles_of_long_histories_are_those_of_the_last_five_hundred(count: int) -> None:
    draw = random.Random(count)
    seen = [draw.choice([draw.uniform(1, 90), 30.0]) for _ in range(count)]
    durations = Durations()
    for seconds in seen:
        durations.add(seconds)
    assert durations.learned() == naive(seen)


def test_the_window_slides_with_a_provider_that_changes() -> None:
    durations = Durations([60.0] * 500)
    for _ in range(499):
        durations.add(5.0)
    assert durations.learned() == Learned(5.0, 5.0, 5.0), "the last of the slow ones is above the 99 % quantile"
    durations.add(5.0)
    assert durations.learned() == Learned(5.0, 5.0, 5.0)
    assert len(durations._sorted) == len(durations._order) == 500


@pytest.mark.parametrize("count", range(5))
def test_too_few_teach_nothing(count: int) -> None:
    assert Durations([1.0] * count).learned() == Learned()


def test_what_was_seen_before_is_taken_up() -> None:
    assert Durations([3.0, 1.0, 2.0, 5.0, 4.0]).learned() == Learned(1.0, 3.0, 5.0)


# ---- when ------------------------------------------------------------------------------------------------------------


def test_a_job_is_left_alone_until_its_model_can_be_done() -> None:
    assert first_poll(Learned(), 2.0) == 2.0
    assert first_poll(Learned(45.0, 60.0, 90.0), 2.0) == 45.0
    assert first_poll(Learned(0.5, 1.0, 2.0), 2.0) == 2.0


def test_within_what_was_learned_it_is_asked_at_the_providers_rate() -> None:
    learned = Learned(45.0, 60.0, 90.0)
    for age in (45.0, 60.0, 90.0):
        assert next_poll(learned, age, 2.0, 5.0) == 2.0


@pytest.mark.parametrize(
    ("age", "wait"), [(0.0, 2.0), (80.0, 2.0), (120.0, 3.0), (180.0, 4.5), (200.0, 5.0), (1e6, 5.0)]
)
def test_a_late_or_unlearned_job_is_asked_more_rarely_with_age(age: float, wait: float) -> None:
    assert next_poll(Learned(), age, 2.0, 5.0) == wait
    assert next_poll(Learned(1.0, 1.0, -1.0), age, 2.0, 5.0) == wait


@given(SECONDS, st.floats(0.01, 100), st.floats(0, 100), st.none() | SECONDS)
def test_no_job_waits_less_than_poll_min_or_longer_than_poll_max(
    age: float, poll_min: float, more: float, latest: float | None
) -> None:
    poll_max = poll_min + more
    wait = next_poll(Learned(latest, latest, latest), age, poll_min, poll_max)
    assert poll_min <= wait <= poll_max
    assert wait <= max(poll_min, age / 40), "a late job costs 2.5 % more at most"


def test_a_job_is_parked_far_beyond_what_its_model_takes() -> None:
    assert timeout_of(Learned(), None) == 7200.0
    assert timeout_of(Learned(1.0, 2.0, 3.0), None) == 1800.0
    assert timeout_of(Learned(100.0, 200.0, 300.0), None) == 3000.0
    assert timeout_of(Learned(100.0, 200.0, 300.0), 60.0) == 60.0
