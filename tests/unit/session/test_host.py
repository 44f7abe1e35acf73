"""The stop handle, and consent where nobody is there to give it."""

import threading
from collections.abc import Callable
from decimal import Decimal

import pytest

from batchgen.core.errors import ConsentError
from batchgen.journal.renames import Renames
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
    with pytest.raises(ConsentError, match="2 items were already bought under another id"):
        NoConsent().renamed(RenamedItems(Renames(2, Decimal(1), (("a", "b"),))))
    with pytest.raises(ConsentError, match="somewhere; elsewhere"):
        NoConsent().buy_again(BoughtElsewhere((Known("somewhere", None, 2), Known("elsewhere", None, 1))))
    with pytest.raises(ConsentError, match="it is dear"):
        NoConsent().spend(Spending(("it is dear",), plan, (), capped=False))
