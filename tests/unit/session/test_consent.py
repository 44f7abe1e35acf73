"""Which purchases need somebody's word."""

from decimal import Decimal

import pytest

from batchgen.core.errors import UsageError
from batchgen.core.records import State
from batchgen.plan import Plan
from batchgen.session.consent import capped, reasons_to_ask
from batchgen.session.request import parse_retry
from batchgen.settings import Settings

CAPPED = Settings(max_cost=Decimal(10))
NEW = Plan("spring", {State.PENDING: 3}, 0, Decimal(0), {"hera": (3, Decimal("0.168"))})
EDITED = Plan("spring", {State.PENDING: 3}, 1, Decimal("0.056"), {"hera": (3, Decimal("0.168"))})
LOST = Plan("spring", {State.LOST: 2}, 0, Decimal(0), {"hera": (2, Decimal("0.112"))}, lost_again=2)
NOTHING = Plan("spring", {State.DONE: 3, State.LOST: 1}, 0, Decimal(0), {})


EXPIRED = Plan("spring", {State.DONE: 3}, 0, Decimal(0), {"hera": (1, Decimal("0.056"))}, source_expired=1)
AGAIN = Plan("spring", {State.DONE: 3}, 0, Decimal(0), {"hera": (2, Decimal("0.112"))}, again=2)


@pytest.mark.parametrize("settings", [CAPPED, Settings(budget=Decimal(1)), Settings(max_cost=Decimal(0))])
def test_new_items_below_a_cap_start_at_once(settings: Settings) -> None:
    assert reasons_to_ask(NEW, settings, real_money=True) == ()


def test_real_money_without_a_cap_asks_and_pretend_money_does_not() -> None:
    (reason,) = reasons_to_ask(NEW, Settings(), real_money=True)
    assert reason == "no max_cost or budget is set, and 3 items will cost $0.168"
    assert reasons_to_ask(NEW, Settings(), real_money=False) == ()


@pytest.mark.parametrize("real_money", [True, False])
def test_buying_something_again_asks_whatever_the_money_is(real_money: bool) -> None:
    (edited,) = reasons_to_ask(EDITED, CAPPED, real_money=real_money)
    assert edited == "1 item changed since purchase; buying again costs $0.056"
    (lost,) = reasons_to_ask(LOST, CAPPED, real_money=real_money)
    assert lost == "2 lost items, already paid for, will be bought again: you pay twice"
    (expired,) = reasons_to_ask(EXPIRED, CAPPED, real_money=real_money)
    assert expired == "1 finished item, whose files the provider no longer has, will be bought again: you pay twice"
    (again,) = reasons_to_ask(AGAIN, CAPPED, real_money=real_money)
    assert again == "2 finished items will be bought again"


def test_every_reason_is_told() -> None:
    plan = Plan(
        "spring", {State.PENDING: 1, State.LOST: 1}, 1, Decimal(1), {"hera": (2, Decimal(2))}, again=1, lost_again=1
    )
    assert len(reasons_to_ask(plan, Settings(), real_money=True)) == 4


def test_what_cost_nothing_is_tried_again_without_asking() -> None:
    plan = Plan("spring", {State.FAILED: 2, State.REJECTED: 1}, 0, Decimal(0), {"hera": (3, Decimal("0.168"))})
    assert reasons_to_ask(plan, CAPPED, real_money=True) == ()


def test_where_nothing_is_bought_nothing_is_asked() -> None:
    assert reasons_to_ask(NOTHING, Settings(), real_money=True) == ()


# ---- the cap that was agreed to -----------------------------------------------------------------------------------


def test_without_a_cap_what_was_agreed_to_is_the_estimate() -> None:
    assert capped(Settings(), NEW, real_money=True) == Settings(budget=Decimal("0.168"))


@pytest.mark.parametrize("settings", [CAPPED, Settings(budget=Decimal(1)), Settings(max_cost=Decimal(0))])
def test_a_cap_that_was_set_stays_alone(settings: Settings) -> None:
    assert capped(settings, NEW, real_money=True) == settings


def test_pretend_money_needs_no_cap() -> None:
    assert capped(Settings(), NEW, real_money=False) == Settings()


# ---- states on the command line -----------------------------------------------------------------------------------


def test_states_are_read_with_commas_between_them() -> None:
    assert parse_retry("") == (frozenset(), False)
    assert parse_retry(" failed, lost ,") == ({State.FAILED, State.LOST}, False)
    assert parse_retry("source,failed") == ({State.FAILED}, True)


@pytest.mark.parametrize("state", [*sorted(set(State) - {State.FAILED, State.REJECTED, State.LOST}), "Failed", "x"])
def test_only_what_ended_badly_can_be_tried_again(state: str) -> None:
    with pytest.raises(UsageError, match=f"--retry {state}: what can be retried is failed, rejected, lost, source"):
        parse_retry(f"lost,{state}")
