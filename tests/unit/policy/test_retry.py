"""When to try again, and how many at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.policy.retry import BASE, CAP, RETRY_AFTER_CAP, AdaptiveLimit, backoff, retry_delay

DRAWS = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(("failures", "ceiling"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (10_000, 60)])
def test_backoff_doubles_up_to_its_cap(failures: int, ceiling: float) -> None:
    assert backoff(failures, 0.5) == ceiling / 2


@given(st.integers(1, 10**9), DRAWS)
def test_backoff_has_full_jitter(failures: int, draw: float) -> None:
    wait = backoff(failures, draw)
    assert 0 <= wait < CAP
    assert wait == draw * min(CAP, BASE * 2 ** min(failures - 1, 30))


def test_backoff_takes_another_base_and_cap() -> None:
    assert backoff(3, 0.5, base=2, cap=30) == 4
    assert backoff(9, 0.5, base=2, cap=30) == 15


@given(st.integers(1, 40), DRAWS, st.floats(0, 1e9))
def test_nothing_is_tried_before_its_retry_after_and_nothing_waits_for_ever(
    failures: int, draw: float, retry_after: float
) -> None:
    wait = retry_delay(failures, draw, retry_after)
    assert wait >= min(retry_after, RETRY_AFTER_CAP)
    assert wait <= RETRY_AFTER_CAP + CAP / 10


@given(st.integers(1, 40), DRAWS)
def test_without_a_retry_after_it_is_plain_backoff(failures: int, draw: float) -> None:
    assert retry_delay(failures, draw, None) == backoff(failures, draw)


def test_a_crowd_that_was_told_the_same_second_comes_back_spread() -> None:
    waits = {retry_delay(4, draw / 10, 5.0) for draw in range(10)}
    assert len(waits) == 10
    assert min(waits) == 5.0


# ---- pace -----------------------------------------------------------------------------------------------------------


def test_a_crowd_of_busy_answers_halves_the_pace_once() -> None:
    pace = AdaptiveLimit.full(16)
    for now in (10.0, 10.1, 10.9):
        pace = pace.busy(now)
    assert pace.allowed == 8
    assert pace.busy(11.0).allowed == 4


def test_the_pace_recovers_by_half_a_place_for_each_acceptance() -> None:
    pace = AdaptiveLimit.full(8).busy(0.0)
    for allowed in (4, 5, 5, 6, 6, 7, 7, 8, 8, 8):
        pace = pace.accepted()
        assert pace.allowed == allowed


@given(st.integers(1, 1000), st.lists(st.floats(0, 100) | st.none(), max_size=60))
def test_the_pace_stays_between_one_and_its_ceiling(ceiling: int, events: list[float | None]) -> None:
    pace = AdaptiveLimit.full(ceiling)
    assert pace.allowed == ceiling
    for event in events:
        pace = pace.accepted() if event is None else pace.busy(event)
        assert 1 <= pace.allowed <= ceiling


@pytest.mark.parametrize(("ceiling", "one_in", "kept"), [(8, 100, 0.9), (500, 100, 0.9), (500, 1000, 0.95)])
def test_a_provider_that_is_busy_now_and_then_keeps_no_run_small(ceiling: int, one_in: int, kept: float) -> None:
    pace, allowed = AdaptiveLimit.full(ceiling), []
    for number in range(20 * one_in):
        pace = pace.busy(float(number)) if number % one_in == 0 else pace.accepted()
        allowed.append(pace.allowed)
    assert sum(allowed) / len(allowed) >= kept * ceiling


def test_a_provider_that_is_busy_half_of_the_time_is_left_a_few() -> None:
    pace = AdaptiveLimit.full(500)
    for number in range(100):
        pace = pace.busy(float(number)) if number % 2 else pace.accepted()
    assert pace.allowed == 1
