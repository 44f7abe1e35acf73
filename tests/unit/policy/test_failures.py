"""When so many items have failed that buying stops."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.limits import Count, Share
from batchgen.policy.failures import FEWEST_ENDED, beyond


def test_without_a_limit_nothing_is_too_many() -> None:
    assert not beyond(None, 10**6, 10**6)


@pytest.mark.parametrize(("failed", "stops"), [(0, False), (4, False), (5, True), (6, True)])
def test_a_count_is_reached_whatever_else_ended(failed: int, stops: bool) -> None:
    assert beyond(Count(5), failed, failed + 1000) is stops


@pytest.mark.parametrize(
    ("percent", "failed", "ended", "stops"),
    [
        ("5", 19, 19, False),  # fewer than 20 have ended
        ("5", 20, 20, True),
        ("5", 1, 20, False),  # just 5 %
        ("5", 2, 20, True),
        ("5", 50, 1000, False),
        ("5", 51, 1000, True),
        ("1", 99, 99, False),  # a single failure would be more than 1 %
        ("1", 1, 100, False),
        ("1", 2, 100, True),
        ("2.5", 2, 79, True),
        ("2.5", 2, 80, False),
        ("0.1", 2, 1000, True),
        ("50", 10, 20, False),
        ("50", 11, 20, True),
    ],
)
def test_a_share_is_of_those_that_ended(percent: str, failed: int, ended: int, stops: bool) -> None:
    assert beyond(Share(Decimal(percent)), failed, ended) is stops


@given(st.decimals("0.0001", "99.9999", places=4), st.integers(1, 10**6))
def test_one_failure_is_never_too_many(percent: Decimal, ended: int) -> None:
    assert not beyond(Share(percent), 1, ended)


@given(st.decimals("0.0001", "99.9999", places=4), st.integers(0, 5000), st.integers(0, 5000))
def test_a_share_strikes_only_where_it_is_passed(percent: Decimal, failed: int, delivered: int) -> None:
    ended = failed + delivered
    if beyond(Share(percent), failed, ended):
        assert ended >= FEWEST_ENDED
        assert Decimal(failed) / ended > percent / 100
