"""Which items are bought before all others."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.records import State
from batchgen.policy.canaries import CanaryChoice, Candidate

WIDE, TALL = "hera 16:9", "hera 9:16"


def candidate(position: int, shape: str, state: State = State.PENDING, *, flagged: bool = False) -> Candidate:
    return Candidate(1000 - position, position, shape, state, flagged)


def positions(candidates: list[Candidate], count: int) -> list[int]:
    """The positions of the canaries, whatever the order in which items are seen."""
    choice = CanaryChoice(count)
    for one in random.Random(1).sample(candidates, len(candidates)):
        choice.see(one)
    return [1000 - key for key in choice.chosen()]


def test_the_first_of_each_shape_come_first_in_the_manifests_order() -> None:
    items = [candidate(n, TALL if n in (3, 5, 7) else WIDE) for n in range(10)]
    assert positions(items, 1) == [0, 3]
    assert positions(items, 2) == [0, 1, 3, 5]
    assert positions(items, 5) == [0, 1, 2, 3, 4, 5, 6, 7]  # of one shape there are three only, and all go


def test_a_shape_of_which_enough_are_good_has_proved_itself() -> None:
    items = [candidate(n, WIDE, State.DONE if n in (7, 9) else State.PENDING) for n in range(10)]
    assert positions(items, 2) == []
    assert positions(items, 3) == [0, 1, 2]


@pytest.mark.parametrize(
    ("state", "flagged"),
    [
        (State.FAILED, False), (State.REJECTED, False), (State.LOST, False), (State.IN_DOUBT, False),
        (State.PROCESSING, False), (State.READY, False), (State.DONE, True),
    ],
)  # fmt: skip
def test_what_is_not_good_stays_among_them(state: State, flagged: bool) -> None:
    items = [candidate(0, WIDE, State.DONE), candidate(1, WIDE, state, flagged=flagged), candidate(2, WIDE)]
    assert positions(items, 2) == [0, 1]
    assert positions(items, 1) == []


def test_what_is_not_judged_yet_proves_nothing() -> None:
    items = [Candidate(1000, 0, WIDE, State.DONE, judged=False), candidate(1, WIDE)]
    assert positions(items, 1) == [0]


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from([State.PENDING, State.DONE, State.FAILED])), max_size=40
    ),
    st.integers(1, 4),
)
def test_each_shape_is_proved_or_has_its_first_items_among_them(rows: list[tuple[str, State]], count: int) -> None:
    items = [candidate(n, shape, state) for n, (shape, state) in enumerate(rows)]
    chosen = positions(items, count)
    assert chosen == sorted(chosen)
    for shape in "abc":
        own = [one.position for one in items if one.shape == shape]
        good = sum(one.good for one in items if one.shape == shape)
        assert [p for p in chosen if p in own] == ([] if good >= count else own[:count])
