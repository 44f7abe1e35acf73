"""The stop handle, and consent where nobody is there to give it."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from batchgen.core.errors import ConsentNeeded
from batchgen.journal.requested.renames import Renames
from batchgen.plan import Plan
from batchgen.session.checks.elsewhere import Known
from batchgen.session.consent import BoughtElsewhere, NoConsent, RenamedItems, Spending
from batchgen.session.host import Host, StopHandle


def test_a_stop_is_heard_from_any_thread_while_somebody_listens() -> None:
    stop, heard = StopHandle(), []
    with stop.heard_by(lambda: heard.append((stop.stop_requested, stop.stop_now_requested))):
        for ask in (stop.stop, stop.stop_now):
            thread = threading.Thread(target=ask)
            thread.start()
            thread.join()
    stop.stop()
    assert heard == [(True, False), (True, True)]


@pytest.mark.parametrize("ask", [StopHandle.stop, StopHandle.stop_now])
def test_a_stop_before_is_heard_at_once(ask: Callable[[StopHandle], None]) -> None:
    stop, heard = StopHandle(), []
    assert not stop.stop_requested
    ask(stop)
    with stop.heard_by(lambda: heard.append(True)):
        assert heard == [True]


def test_each_host_has_a_handle_of_its_own() -> None:
    Host().stop.stop()
    assert not Host().stop.stop_requested


def test_nobody_confirms_anything_by_default() -> None:
    plan = Plan("spring", {}, 0, Decimal(0), {})
    with pytest.raises(ConsentNeeded, match="2 items were already bought under another id"):
        NoConsent().renamed(RenamedItems(Renames(2, Decimal(1), (("a", "b"),))))
    with pytest.raises(ConsentNeeded, match="somewhere; elsewhere"):
        NoConsent().buy_again(BoughtElsewhere((Known("somewhere", None, 2), Known("elsewhere", None, 1))))
    with pytest.raises(ConsentNeeded, match="it is dear"):
        NoConsent().spend(Spending(("it is dear",), plan, (), capped=False))


# ---- waiting for the start ------------------------------------------------------------------------------------------

EVENING = datetime(2026, 11, 26, 22, tzinfo=UTC)


class Computer:
    """A clock that moves while somebody sleeps on it."""

    def __init__(self, *, before: float, on_sleep: Callable[[float], None] = lambda _: None) -> None:
        self.time = EVENING - timedelta(seconds=before)
        self.slept: list[float] = []
        self._on_sleep = on_sleep

    def now(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += timedelta(seconds=seconds)
        self._on_sleep(self.time.timestamp())


def test_a_wait_ends_at_its_moment_and_not_before() -> None:
    computer = Computer(before=1.5)
    StopHandle().wait_until(EVENING, now=computer.now, sleep=computer.sleep)
    assert EVENING <= computer.time < EVENING + timedelta(milliseconds=1)


def test_a_moment_that_has_passed_is_not_waited_for() -> None:
    computer = Computer(before=-60)
    StopHandle().wait_until(EVENING, now=computer.now, sleep=computer.sleep)
    assert not computer.slept


def test_a_computer_that_slept_starts_as_soon_as_it_wakes() -> None:
    computer = Computer(before=3600)
    computer._on_sleep = lambda _: setattr(computer, "time", EVENING + timedelta(hours=2))
    StopHandle().wait_until(EVENING, now=computer.now, sleep=computer.sleep)
    assert len(computer.slept) == 1


@pytest.mark.parametrize("ask", [StopHandle.stop, StopHandle.stop_now])
def test_a_stop_ends_the_wait(ask: Callable[[StopHandle], None]) -> None:
    stop = StopHandle()
    computer = Computer(before=10**6, on_sleep=lambda _: ask(stop))
    stop.wait_until(EVENING, now=computer.now, sleep=computer.sleep)
    assert len(computer.slept) == 1
    assert computer.slept[0] <= 0.2
