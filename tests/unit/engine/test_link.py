"""A start's link to its coordinator, over a transport that loses what it is told to, on a clock that tests turn."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest

from batchgen.engine.codec import UnreadableError
from batchgen.engine.messages import HEARD_WITHIN, Answer, Begun, Ended, Exchange, Granted
from batchgen.engine.tells import cancelled
from batchgen.engine.transport import GoneError, UnreachableError
from batchgen.engine.worker import link as link_module
from batchgen.engine.worker.link import Link
from batchgen.journal import PurchaseName
from batchgen.policy.stopping import Stop

START = "00000000000000aa"


def granted(item: int) -> Granted:
    return Granted(item, PurchaseName(item, f"purchase-{item}", 1), Decimal("0.05"))


def lost(_: Exchange) -> Answer:
    raise UnreachableError("the answer was lost")


def gone(_: Exchange) -> Answer:
    raise GoneError


@dataclass
class Ruled:
    """See `batchgen.engine.worker.link.Ruled`."""

    in_flight: int = 0
    obeyed: list[tuple[Stop, str]] = field(default_factory=list)
    at_once: int = 0

    def obey(self, reason: Stop, detail: str) -> None:
        self.obeyed.append((reason, detail))

    def obey_at_once(self) -> None:
        self.at_once += 1


class Line:
    """A transport and its clock: each exchange is answered by the next of `answers`, and by the last from then on."""

    def __init__(self, *answers: Callable[[Exchange], Answer]) -> None:
        self.now = 1000.0
        self.takes = 0.0
        """Seconds until an answer comes."""
        self.answers = list(answers) or [lambda exchange: Answer(exchange.number, live=True)]
        self.heard: list[Exchange] = []
        self.link = Link(self, START, lambda: self.now)
        self.ruled = self.link.ruled = Ruled()

    async def begin(self, start: str, worker: str) -> Begun:
        raise NotImplementedError

    async def exchange(self, exchange: Exchange) -> Answer:
        self.heard.append(exchange)
        await asyncio.sleep(0)
        self.now += self.takes
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(exchange)

    @property
    def numbers(self) -> list[int]:
        return [exchange.number for exchange in self.heard]

    def told(self) -> list[Any]:
        """What the other side has been told, with repeated exchanges once."""
        by_number = {exchange.number: list(exchange.tells) for exchange in self.heard}
        return [tell for number in sorted(by_number) for tell in by_number[number]]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits: the clock of these tests stands still unless they turn it."""
    monkeypatch.setattr(link_module, "_PACE", 0.0)
    monkeypatch.setattr(link_module, "_RETRY", 0.0)
    monkeypatch.setattr(link_module, "_BEAT", 0.001)


@asynccontextmanager
async def kept_up(line: Line) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(line.link.keep_up())
    try:
        async with asyncio.timeout(20):
            yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0)


def answer(**what: Any) -> Callable[[Exchange], Answer]:
    return lambda exchange: replace(Answer(exchange.number, live=True), **what)


# ---- numbers -----------------------------------------------------------------------------------------------------


async def test_an_exchange_is_repeated_as_it_was_until_it_is_answered() -> None:
    line = Line(answer(), lost, lost, lost, answer())
    async with kept_up(line):
        await until(lambda: line.numbers == [1])
        line.link.tell({"step": "a"})
        await until(lambda: 3 in line.numbers)
    assert line.numbers[:5] == [1, 2, 2, 2, 2]
    assert all(exchange is line.heard[1] for exchange in line.heard[1:5])


async def test_nothing_is_told_twice_or_lost_and_all_in_order() -> None:
    line = Line(lost, answer(), lost, lost, answer(), answer(), lost, answer())
    async with kept_up(line) as task:
        for number in range(40):
            line.link.tell({"step": number})
            await asyncio.sleep(0)
        line.link.end(Ended(None, "done"))
        await task
    assert line.told() == [{"step": number} for number in range(40)]
    assert [exchange.ended for exchange in line.heard if exchange.ended] == [Ended(None, "done")]
    assert line.heard[-1].ended is not None


async def test_much_is_told_in_parts_in_order_and_the_end_comes_last() -> None:
    """A message has a limit, and one beyond it would be refused for ever."""
    line = Line(lost, answer(), lost, answer())
    line.link.end(Ended(None, "done"))
    for number in range(1001):
        line.link.tell({"step": number})
    async with kept_up(line) as task:
        await task
    assert line.told() == [{"step": number} for number in range(1001)]
    assert max(len(exchange.tells) for exchange in line.heard) <= 100
    assert [exchange.number for exchange in line.heard if exchange.ended] == [max(line.numbers)]


async def test_what_ends_a_start_is_repeated_too() -> None:
    line = Line(answer(), lost, lost, answer())
    async with kept_up(line) as task:
        await until(lambda: line.numbers == [1])
        line.link.tell({"step": "last"})
        line.link.end(Ended("KEY", "no"))
        await task
    assert line.numbers == [1, 2, 2, 2]
    assert not line.link.gone


async def test_it_says_how_many_places_it_occupies_without_what_it_only_asks_for() -> None:
    line = Line()
    line.ruled.in_flight = 5
    asking = [asyncio.create_task(line.link.ask(item, "k")) for item in (1, 2)]
    await asyncio.sleep(0)
    async with kept_up(line):
        await until(lambda: len(line.heard) > 2)
    assert {exchange.busy for exchange in line.heard} == {3}
    assert [len(exchange.asks) for exchange in line.heard[:3]] == [2, 0, 0]
    for task in asking:
        task.cancel()


# ---- leave -------------------------------------------------------------------------------------------------------


async def test_leave_is_given_to_who_asked_for_it() -> None:
    line = Line(answer(), answer(), answer(granted=[granted(2)]), answer(left=[1]), answer())
    async with kept_up(line):
        one, two = (asyncio.create_task(line.link.ask(item, "k")) for item in (1, 2))
        assert await two == granted(2)
        assert await one is True
    asked = [ask.item for exchange in line.heard for ask in exchange.asks]
    assert asked == [1, 2]


async def test_who_asks_is_told_not_now_once_it_is_to_stop() -> None:
    line = Line(answer(), answer(stop=("MAX_COST", "enough")))
    async with kept_up(line):
        assert await line.link.ask(1, "k") is False
        assert await line.link.ask(2, "k") is False  # and nobody is asked any more
    assert line.ruled.obeyed[0] == (Stop.MAX_COST, "enough")


async def test_leave_that_comes_with_the_word_to_stop_is_given() -> None:
    """It is an intent in the coordinator's journal: whoever has it either uses it or takes it back."""
    line = Line(answer(), answer(granted=[granted(1)], stop=("MAX_COST", "enough"), at_once=True))
    async with kept_up(line):
        assert await line.link.ask(1, "k") == granted(1)
    assert line.ruled.at_once


async def test_leave_that_nobody_waits_for_any_more_is_given_back() -> None:
    """Else it would be in doubt in the coordinator's journal, though nothing was ever sent."""
    line = Line(answer(), lost, answer(granted=[granted(1)]), answer())
    async with kept_up(line) as task:
        asking = asyncio.create_task(line.link.ask(1, "k"))
        await until(lambda: any(exchange.asks for exchange in line.heard))
        line.now += 11.0  # nothing was heard for so long that it stops
        assert await asking is False
        await until(lambda: any(exchange.tells for exchange in line.heard))
        line.link.end(Ended("INTERRUPTED", ""))
        await task
    assert line.told() == [cancelled("purchase-1")]
    assert line.heard[-1].ended is not None


async def test_leave_for_one_who_was_cancelled_meanwhile_is_given_back() -> None:
    line = Line(answer(), answer(granted=[granted(1)]), answer())
    async with kept_up(line):
        asking = asyncio.create_task(line.link.ask(1, "k"))
        await until(lambda: any(exchange.asks for exchange in line.heard))
        asking.cancel()
        await until(lambda: any(exchange.tells for exchange in line.heard))
    assert line.told() == [cancelled("purchase-1")]


# ---- how long it may buy -----------------------------------------------------------------------------------------


async def test_it_may_not_buy_before_it_was_ever_answered() -> None:
    line = Line(lost)
    async with kept_up(line):
        await until(lambda: len(line.heard) > 3)
        assert not line.link.holds()


async def test_it_may_buy_until_five_seconds_after_it_sent_what_was_answered_last() -> None:
    line = Line(answer(), lost)
    line.takes = 3.0
    async with kept_up(line):
        await until(lambda: len(line.heard) == 2)
        assert line.now == 1003.0  # the first was sent at 1000 and answered at 1003
        assert line.link.holds()
        line.now = 1000.0 + HEARD_WITHIN - 0.01
        assert line.link.holds()
        line.now = 1000.0 + HEARD_WITHIN
        assert not line.link.holds()


async def test_a_repeated_exchange_counts_from_when_it_was_sent_first() -> None:
    line = Line(answer(), lost, lost, answer(), gone)
    line.takes = 2.0
    async with kept_up(line):
        await until(lambda: len(line.heard) == 5)
        assert line.now == 1008.0  # the second was sent at 1002 and answered at the third try
        assert not line.link.holds()


async def test_it_may_buy_again_once_it_is_heard() -> None:
    line = Line(answer(), lost, answer())
    async with kept_up(line):
        await until(lambda: len(line.heard) == 2)
        line.now += HEARD_WITHIN + 1
        assert not line.link.holds()
        await until(lambda: 3 in line.numbers and 4 in line.numbers)
        assert line.link.holds()
    assert line.ruled.obeyed == []


async def test_it_may_not_buy_while_the_coordinator_itself_may_not() -> None:
    line = Line(answer(), answer(live=False))
    async with kept_up(line):
        await until(lambda: len(line.heard) == 3)
        assert not line.link.holds()


# ---- how it ends -------------------------------------------------------------------------------------------------


async def test_a_start_that_was_given_up_may_do_nothing_any_more() -> None:
    line = Line(answer(), gone)
    async with kept_up(line) as task:
        assert await line.link.ask(1, "k") is False
        await task
    assert line.link.gone
    assert not line.link.holds()
    assert [stop for stop, _ in line.ruled.obeyed] == [Stop.INTERRUPTED]
    assert await line.link.ask(2, "k") is False


@pytest.mark.parametrize("fault", [UnreachableError("no way"), UnreadableError("<html>"), UnreadableError("no JSON")])
async def test_without_an_answer_it_stops_and_then_gives_up(fault: Exception) -> None:
    """What answers in its place, as a proxy does, is no answer."""

    def raises(_: Exchange) -> Answer:
        raise fault

    line = Line(answer(), raises)
    async with kept_up(line) as task:
        asking = asyncio.create_task(line.link.ask(1, "k"))
        await until(lambda: len(line.heard) > 3)
        assert line.ruled.obeyed == []
        line.now += 10.5
        assert await asking is False
        assert line.ruled.obeyed[0][0] is Stop.INTERRUPTED
        assert not line.link.gone
        line.now += 30.0
        await task
    assert line.link.gone


async def test_a_fault_of_the_link_itself_ends_the_start() -> None:
    """Else whoever asks would wait for ever, on a place of the engine."""

    def broken(_: Exchange) -> Answer:
        raise RuntimeError("a bug")

    line = Line(answer(), broken)
    async with kept_up(line) as task:
        assert await line.link.ask(1, "k") is False
        with pytest.raises(RuntimeError, match="a bug"):
            await task
    assert line.link.gone
    assert not line.link.holds()
    assert line.ruled.obeyed[0][0] is Stop.INTERRUPTED
