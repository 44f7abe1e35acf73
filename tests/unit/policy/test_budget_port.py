"""What every holder of a run's money has to do: the contract of the budget port, for each of its implementations."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.lent_budget import STEP, Lender, LentBudget

from batchgen.policy.budget import BudgetTracker, Charge, Money
from batchgen.policy.budget_port import Budget, CapReached, Grant
from batchgen.policy.local_budget import LocalBudget

Make = Callable[[Decimal | None, Decimal | None], Budget]


def local(max_cost: Decimal | None, budget: Decimal | None) -> Budget:
    return LocalBudget(BudgetTracker(Money(), max_cost, budget))


def lent(max_cost: Decimal | None, budget: Decimal | None) -> Budget:
    return LentBudget(Lender(max_cost), budget)


BUDGETS = pytest.mark.parametrize("make", [local, lent])
PRICES = st.sampled_from([Decimal(price) for price in ("0.056", "0.30", "4.50", "0")])
ENDS = st.sampled_from(["release", "charge", "doubt", "wait"])


def usd(text: str) -> Decimal:
    return Decimal(text)


def granted(answer: Grant | CapReached) -> Grant:
    assert isinstance(answer, Grant)
    return answer


@BUDGETS
def test_a_grant_counts_until_it_is_given_back(make: Make) -> None:
    budget = make(usd("1"), None)
    grant = granted(budget.reserve(7, "k", usd("0.7")))
    assert (grant.item, grant.price_key, grant.amount) == (7, "k", usd("0.7"))
    assert budget.left() == usd("0.3")
    budget.release(grant)
    assert (budget.left(), budget.life.committed, dict(budget.unconfirmed)) == (usd("1"), 0, {})


@BUDGETS
def test_what_is_left_of_a_grant_is_free_again_once_it_is_charged(make: Make) -> None:
    budget = make(usd("1"), usd("2"))
    budget.charge(granted(budget.reserve(1, "k", usd("0.7"))), usd("0.2"))
    assert (budget.left(), budget.life.charged, budget.invocation.charged) == (usd("0.8"), usd("0.2"), usd("0.2"))


@BUDGETS
def test_a_doubt_keeps_what_was_granted(make: Make) -> None:
    budget = make(None, usd("1"))
    budget.doubt(granted(budget.reserve(1, "k", usd("0.7"))))
    assert (budget.left(), budget.life.in_doubt, budget.life.reserved) == (usd("0.3"), usd("0.7"), 0)


@BUDGETS
@pytest.mark.parametrize(
    ("max_cost", "budget", "cap", "limit"),
    [("1", "5", "max_cost", "1"), ("5", "1", "budget", "1"), ("0", None, "max_cost", "0")],
)
def test_a_refusal_names_the_cap_and_changes_nothing(
    make: Make, max_cost: str, budget: str | None, cap: str, limit: str
) -> None:
    holder = make(usd(max_cost), None if budget is None else usd(budget))
    if usd(limit):
        holder.doubt(granted(holder.reserve(1, "k", usd("0.9"))))
    before = holder.life, holder.invocation, holder.left()
    assert holder.reserve(2, "k", usd("0.2")) == CapReached(cap, usd(limit), before[0].committed)  # type: ignore[arg-type]
    assert (holder.life, holder.invocation, holder.left()) == before


@BUDGETS
def test_a_refund_of_this_invocation_makes_room_again(make: Make) -> None:
    budget = make(None, usd("1"))
    budget.charge(granted(budget.reserve(1, "k", usd("1"))), usd("1"))
    assert isinstance(budget.reserve(2, "k", usd("1")), CapReached)
    budget.refund(1, Charge(usd("1")), bought_now=True)
    granted(budget.reserve(2, "k", usd("1")))


@BUDGETS
def test_one_price_that_is_not_confirmed_leaves_at_a_time(make: Make) -> None:
    budget = make(usd("10"), None)
    grant = granted(budget.reserve(1, "k", usd("1")))
    assert budget.needs_confirmation("k")
    assert not budget.may_submit("other")
    budget.charge(grant, usd("1.5"))
    budget.confirm("k", "m", usd("1"), usd("1.5"))
    assert budget.may_submit("k")
    assert budget.may_submit("other")
    assert (budget.expected("k", "m", usd("1")), dict(budget.confirmed)) == (usd("1.5"), {"k": usd("1.5")})


@BUDGETS
def test_a_corrected_price_counts_with_the_larger_one(make: Make) -> None:
    budget = make(usd("10"), None)
    budget.charge(granted(budget.reserve(1, "k", usd("1"))), usd("1"))
    before = Charge(usd("1"))
    budget.correct(1, before, before.corrected(usd("0.4"), first=False), bought_now=True)
    assert (budget.life.charged, budget.life.committed) == (usd("0.4"), usd("1"))


@BUDGETS
@given(
    st.lists(st.tuples(PRICES, st.sampled_from(["release", "charge", "doubt", "wait"])), max_size=60), PRICES, PRICES
)
def test_no_sequence_of_grants_passes_a_cap(
    make: Make, steps: list[tuple[Decimal, str]], max_cost: Decimal, invocation: Decimal
) -> None:
    budget = make(max_cost, invocation)
    held: list[Grant] = []
    for item, (price, end) in enumerate(steps):
        answer = budget.reserve(item, "k", price)
        if isinstance(answer, Grant):
            held.append(answer)
        if held and end != "wait":
            grant = held.pop(0)
            if end == "charge":
                budget.charge(grant, grant.amount)
            else:
                getattr(budget, end)(grant)
        assert budget.life.committed <= max_cost
        assert budget.invocation.committed <= invocation
        assert budget.life.reserved == sum((grant.amount for grant in held), Decimal(0))
    for grant in held:
        budget.release(grant)
    assert budget.life.reserved == budget.invocation.reserved == 0


def test_what_one_spender_gives_back_another_one_is_granted() -> None:
    lender = Lender(usd("1"))
    one, other = LentBudget(lender, None), LentBudget(lender, None)
    held = granted(one.reserve(1, "k", usd("0.7")))
    assert isinstance(other.reserve(2, "k", usd("0.7")), CapReached)
    one.release(held)
    assert one.spare == STEP, "it keeps a little for its next purchase"
    assert isinstance(other.reserve(2, "k", usd("0.7")), CapReached)
    one.give_back()
    assert lender.lent == 0
    granted(other.reserve(2, "k", usd("0.7")))


@given(st.lists(st.tuples(st.integers(0, 2), PRICES, ENDS), max_size=60), PRICES)
def test_spenders_of_one_cap_never_pass_it_together(steps: list[tuple[int, Decimal, str]], cap: Decimal) -> None:
    lender = Lender(cap)
    spenders = [LentBudget(lender, None) for _ in range(3)]
    held: list[tuple[LentBudget, Grant]] = []
    for item, (number, price, end) in enumerate(steps):
        spender = spenders[number]
        answer = spender.reserve(item, "k", price)
        if isinstance(answer, Grant):
            held.append((spender, answer))
        if held and end != "wait":
            holder, grant = held.pop(0)
            if end == "charge":
                holder.charge(grant, grant.amount)
            else:
                getattr(holder, end)(grant)
        committed = sum((each.life.committed for each in spenders), Decimal(0))
        assert committed <= lender.lent <= cap
    for holder, grant in held:
        holder.release(grant)
    for each in spenders:
        each.give_back()
    assert lender.lent == sum((each.life.committed for each in spenders), Decimal(0))
