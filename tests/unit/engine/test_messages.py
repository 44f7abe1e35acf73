"""The messages of worker and coordinator come back as they were, and what is garbled is refused in one way only."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.engine.wires import amounts, counts, garbled, is_fit_for_a_journal, junk, names, texts, wire

from batchgen.engine.codec import UnreadableError
from batchgen.engine.messages import HEARD_WITHIN, LOST_AFTER, Answer, Ask, Begun, Ended, Exchange, Granted, new_start
from batchgen.journal import PurchaseName
from batchgen.policy.stopping import Stop
from batchgen.session.workers.left_behind import is_start

tells = st.lists(st.dictionaries(texts, texts | counts, max_size=3), max_size=3)
exchanges = st.builds(
    Exchange, names, counts, counts, st.lists(st.builds(Ask, counts, texts), max_size=3), tells,
    st.none() | st.builds(Ended, st.none() | st.sampled_from([stop.name for stop in Stop]), texts),
)  # fmt: skip
answers = st.builds(
    Answer, counts, st.booleans(),
    st.lists(st.builds(Granted, counts, st.builds(PurchaseName, counts, names, counts), amounts), max_size=3),
    st.lists(counts, max_size=3), st.none() | st.tuples(st.sampled_from([stop.name for stop in Stop]), texts),
    at_once=st.booleans(),
)  # fmt: skip
begun = st.builds(Begun, st.lists(st.dictionaries(texts, texts, max_size=2), max_size=2), st.dictionaries(texts, texts))


@given(exchanges)
def test_an_exchange_comes_back(exchange: Exchange) -> None:
    assert Exchange.decoded(wire(exchange.encoded())) == exchange


@given(answers)
def test_an_answer_comes_back(answer: Answer) -> None:
    assert Answer.decoded(wire(answer.encoded())) == answer


@given(begun)
def test_what_a_start_is_given_comes_back(given_: Begun) -> None:
    assert Begun.decoded(wire(given_.encoded())) == given_


@pytest.mark.parametrize(
    ("read", "messages"),
    [(Exchange.decoded, exchanges), (Answer.decoded, answers), (Begun.decoded, begun)],
    ids=["exchange", "answer", "begun"],
)
@given(data=st.data())
def test_a_garbled_message_is_unreadable_and_nothing_else(read: Any, messages: Any, data: st.DataObject) -> None:
    content = wire(data.draw(garbled(data.draw(messages).encoded())))
    try:
        found = read(content)
    except UnreadableError:
        return
    if isinstance(found, Exchange):
        asks = [value for ask in found.asks for value in (ask.item, ask.price_key)]
        assert is_fit_for_a_journal([found.start, found.number, found.busy, *asks])
    if isinstance(found, Answer):
        assert all(granted.reserved.is_finite() for granted in found.granted)
        assert found.stop is None or found.stop[0] in Stop.__members__


@given(junk)
def test_what_is_no_message_is_unreadable(content: Any) -> None:
    for read in (Exchange.decoded, Answer.decoded, Begun.decoded):
        with pytest.raises(UnreadableError):
            read(content)


@pytest.mark.parametrize("reserved", ["NaN", "Infinity", "-1", "1e9", None, 0.05])
def test_leave_at_a_price_that_is_none_is_unreadable(reserved: Any) -> None:
    answer = {"number": 1, "live": True, "left": [], "stop": None, "at_once": False}
    assert Answer.decoded(answer | {"granted": [[1, 1, "a", 1, "0.05"]]}).granted
    with pytest.raises(UnreadableError):
        Answer.decoded(answer | {"granted": [[1, 1, "a", 1, reserved]]})


def test_a_start_has_a_name_that_a_folder_may_have() -> None:
    names_ = {new_start() for _ in range(1000)}
    assert len(names_) == 1000
    assert all(map(is_start, names_))


@pytest.mark.parametrize("name", ["", ".", "../..", "scratch", "here", "A" * 16, "g" * 16, "0/" * 8, "٠" * 16])
def test_what_else_may_be_among_the_starts_is_none(name: str) -> None:
    assert not is_start(name)


def test_a_start_may_buy_for_far_less_long_than_it_takes_to_count_as_lost() -> None:
    assert HEARD_WITHIN * 5 <= LOST_AFTER
