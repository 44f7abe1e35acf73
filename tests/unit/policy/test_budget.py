"""Money that is spent, promised, or may have been spent, and the caps on it."""

from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.policy.budget import BudgetTracker, Charge, Money, Prices

PRICES = st.sampled_from([Decimal(p) for p in ("0.056", "0.07", "0.30", "0.96", "4.50", "0")])
CAPS = st.none() | st.decimals(0, 20, places=3)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["buy", "release", "charge", "doubt", "refund"]), st.sampled_from("ab"), PRICES,
        st.integers(0, 10**6), st.decimals("0.5", 3, places=7),
    ),
    max_size=80,
)  # fmt: skip
"""What happens, to which model, at which estimate, to which of those under way, and the provider's factor on it."""


def usd(text: str) -> Decimal:
    return Decimal(text)


@dataclass(frozen=True)
class Open:
    item: int
    model: str
    price: Decimal
    estimated: Decimal

    @property
    def key(self) -> str:
        return f"{self.model} {self.estimated}"


@dataclass
class Run:
    """Walks through the steps of buying, as the submitter does."""

    budget: BudgetTracker
    under_way: list[Open] = field(default_factory=list)
    charged: list[Decimal] = field(default_factory=list)
    refused: set[str | None] = field(default_factory=set)
    bought: int = 0

    def step(self, kind: str, model: str, estimated: Decimal, pick: int, factor: Decimal) -> None:
        if kind == "buy":
            self.buy(model, estimated)
        elif kind == "refund":
            if self.charged:
                charge = Charge(self.charged.pop(pick % len(self.charged)))
                self.budget = self.budget.refund(charge, bought_now=bool(pick % 2))
        elif self.under_way:
            self.settle(kind, pick, factor)

    def buy(self, model: str, estimated: Decimal) -> None:
        self.bought += 1
        key = f"{model} {estimated}"
        request = Open(self.bought, model, self.budget.expected(key, model, estimated), estimated)
        if (cap := self.budget.exceeded(request.price)) is not None:
            self.refused.add(cap)
        elif self.budget.may_submit(key):
            self.budget = self.budget.reserve(request.item, key, request.price)
            self.under_way.append(request)

    def settle(self, kind: str, pick: int, factor: Decimal) -> None:
        request = self.under_way.pop(pick % len(self.under_way))
        if kind == "release":
            self.budget = self.budget.release(request.item, request.price)
        elif kind == "doubt":
            self.budget = self.budget.doubt(request.item, request.price)
        else:
            amount = (request.estimated * factor).quantize(Decimal("0.000001"))
            self.budget = self.budget.charge(request.price, amount)
            self.budget = self.budget.confirm(request.key, request.model, request.estimated, amount)
            self.charged.append(amount)

    def check_reservations(self) -> None:
        expected = sum((request.price for request in self.under_way), Decimal(0))
        assert self.budget.life.reserved == self.budget.invocation.reserved == expected
        left = self.budget.left()
        assert left is None or left >= 0
        unconfirmed = {r.item: r.key for r in self.under_way if self.budget.needs_confirmation(r.key)}
        assert self.budget.unconfirmed == unconfirmed
        assert len(unconfirmed) <= 1


@given(STEPS, CAPS, CAPS, st.lists(st.sampled_from(["release", "charge", "doubt"]), min_size=80, max_size=80))
def test_reservations_are_exact_and_end_at_nothing(
    steps: list[tuple[str, str, Decimal, int, Decimal]],
    max_cost: Decimal | None,
    budget: Decimal | None,
    ends: list[str],
) -> None:
    run = Run(BudgetTracker(Money(), max_cost, budget))
    for step in steps:
        run.step(*step)
        run.check_reservations()
    while run.under_way:
        run.settle(ends.pop(), 0, Decimal("1.1"))
        run.check_reservations()
    assert run.budget.life.reserved == run.budget.invocation.reserved == 0
    given_caps = {name for name, cap in (("max_cost", max_cost), ("budget", budget)) if cap is not None}
    assert run.refused <= given_caps


@given(STEPS, st.decimals(0, 20, places=3), st.decimals(0, 20, places=3), st.decimals(0, 20, places=3))
def test_where_the_tables_are_right_no_cap_is_ever_passed(
    steps: list[tuple[str, str, Decimal, int, Decimal]], spent: Decimal, max_cost: Decimal, budget: Decimal
) -> None:
    run = Run(BudgetTracker(Money(charged=spent), max_cost, budget))
    for kind, model, estimated, pick, _ in steps:
        run.step(kind, model, estimated, pick, Decimal(1))
        assert run.budget.life.committed <= max(max_cost, spent)
        assert run.budget.invocation.committed <= budget


@pytest.mark.parametrize(
    ("life", "invocation", "price", "cap"),
    [
        ("9.94", "0", "0.06", None),
        ("9.95", "0", "0.06", "max_cost"),
        ("0", "4.94", "0.06", None),
        ("0", "4.95", "0.06", "budget"),
        ("9.95", "4.95", "0.06", "max_cost"),
        ("10", "5", "0", None),
    ],
)
def test_a_cap_may_be_reached_and_not_passed(life: str, invocation: str, price: str, cap: str | None) -> None:
    budget = BudgetTracker(Money(charged=usd(life)), usd("10"), usd("5"), Money(charged=usd(invocation)))
    assert budget.exceeded(usd(price)) == cap


def test_all_that_may_have_been_paid_counts() -> None:
    money = Money(charged=usd("5"), refunded=usd("1"), reserved=usd("2"), in_doubt=usd("0.5"))
    assert money.committed == usd("6.5")
    assert BudgetTracker(money, usd("7"), None).left() == usd("0.5")
    assert BudgetTracker(money, usd("7"), usd("0.3")).left() == usd("0.3")
    assert BudgetTracker(money, usd("6"), None).left() == 0
    assert BudgetTracker(money, None, None).left() is None


def test_without_a_cap_everything_fits() -> None:
    assert BudgetTracker(Money(), None, None).exceeded(usd("1000000000")) is None


def test_the_caps_of_an_earlier_life_do_not_bind_the_invocation() -> None:
    budget = BudgetTracker(Money(charged=usd("100")), None, usd("1"))
    assert budget.exceeded(usd("1")) is None
    assert budget.exceeded(usd("1.01")) == "budget"


def test_a_refund_makes_room_where_it_was_paid() -> None:
    budget = (
        BudgetTracker(Money(charged=usd("2")), usd("3"), usd("1")).reserve(1, "m", usd("1")).charge(usd("1"), usd("1"))
    )
    assert budget.exceeded(usd("0.5")) == "max_cost"
    earlier = budget.refund(Charge(usd("1")), bought_now=False)
    assert earlier.exceeded(usd("0.5")) == "budget"
    assert budget.refund(Charge(usd("1")), bought_now=True).exceeded(usd("1")) is None


# ---- drift ----------------------------------------------------------------------------------------------------------


def charged(budget: BudgetTracker, key: str, model: str, estimated: str, amount: str) -> BudgetTracker:
    price = budget.expected(key, model, usd(estimated))
    budget = budget.reserve(1, key, price).charge(price, usd(amount))
    return budget.confirm(key, model, usd(estimated), usd(amount))


def test_a_price_is_expected_as_it_was_confirmed_last_and_never_below_the_tables() -> None:
    budget = charged(BudgetTracker(Money(), usd("1"), None), "k", "m", "0.10", "0.15")
    assert budget.expected("k", "m", usd("0.10")) == usd("0.15")
    budget = charged(budget, "k", "m", "0.10", "0.30")
    assert budget.expected("k", "m", usd("0.10")) == usd("0.30")
    budget = charged(budget, "k", "m", "0.10", "0.12")
    assert budget.expected("k", "m", usd("0.10")) == usd("0.12"), "the last one counts"
    budget = charged(budget, "k", "m", "0.10", "0.01")
    assert budget.expected("k", "m", usd("0.10")) == usd("0.10")


def test_a_model_that_costs_more_than_the_tables_say_is_expected_to_do_so_at_its_other_prices() -> None:
    budget = charged(BudgetTracker(Money(), usd("1"), None), "k", "dear", "0.10", "0.15")
    assert budget.expected("other", "dear", usd("0.20")) == usd("0.30")
    assert budget.expected("other", "another model", usd("0.20")) == usd("0.20")
    budget = charged(budget, "k", "dear", "0.10", "0.12")
    assert budget.expected("other", "dear", usd("0.20")) == usd("0.30"), "the largest ratio counts"


def test_a_free_estimate_teaches_nothing_of_other_prices() -> None:
    budget = charged(BudgetTracker(Money(), None, None), "k", "free", "0", "0.50")
    assert budget.expected("k", "free", usd("0")) == usd("0.50")
    assert budget.expected("other", "free", usd("0.10")) == usd("0.10")
    assert budget.life.charged == usd("0.50")


def test_with_drift_a_cap_is_passed_by_the_first_surprise_at_most() -> None:
    budget, cap = BudgetTracker(Money(), usd("1"), None), usd("1")
    while budget.exceeded(budget.expected("k", "m", usd("0.09"))) is None:
        budget = charged(budget, "k", "m", "0.09", "0.13")
    assert usd("0.87") < budget.life.committed <= cap


@given(PRICES.filter(bool), st.decimals("0.000001", "99999", places=6))
def test_another_price_is_expected_in_proportion_or_a_trifle_more(estimated: Decimal, amount: Decimal) -> None:
    prices = Prices().confirm("k", "m", estimated, amount)
    expected = prices.expected("other", "m", estimated)
    assert 0 <= expected - max(amount, estimated) <= Decimal("0.000001")


# ---- prices that no answer has confirmed ----------------------------------------------------------------------------


def test_under_a_cap_one_unconfirmed_price_is_open_at_a_time_and_confirmed_ones_go_on() -> None:
    budget = BudgetTracker(Money(), usd("1"), None).confirm("known", "m", usd("0.05"), usd("0.05"))
    budget = budget.reserve(1, "new", usd("0.05"))
    assert not budget.may_submit("new")
    assert not budget.may_submit("newer"), "one in the whole run, not one of each"
    assert budget.may_submit("known")
    assert budget.reserve(2, "known", usd("0.05")).unconfirmed == {1: "new"}


def test_without_a_cap_nothing_waits() -> None:
    budget = BudgetTracker(Money(), None, None).reserve(1, "new", usd("0.05"))
    assert budget.may_submit("newer")


def test_a_budget_is_a_cap_too() -> None:
    assert not BudgetTracker(Money(), None, usd("1")).reserve(1, "new", usd("0.05")).may_submit("new")


def test_what_confirms_nothing_frees_the_turn_and_what_confirms_opens_the_price() -> None:
    price = usd("0.05")
    budget = BudgetTracker(Money(), usd("1"), None).reserve(1, "new", price)
    for freed in (budget.release(1, price), budget.doubt(1, price), budget.unwatch(1)):
        assert freed.may_submit("newer")
        assert not freed.reserve(2, "new", price).may_submit("new")
    assert not budget.charge(price, price).may_submit("new"), "accepted without a price"
    known = budget.charge(price, price).confirm("new", "m", price, price)
    assert known.reserve(2, "new", price).reserve(3, "new", price).may_submit("newer")


def test_a_confirmed_price_confirms_all_that_is_open_under_it() -> None:
    budget = BudgetTracker(Money(), usd("1"), None).watch(1, "a").watch(2, "a").watch(3, "b")
    assert budget.confirm("a", "m", usd("1"), usd("1")).unconfirmed == {3: "b"}


# ---- a price that is told again -------------------------------------------------------------------------------------


def test_of_two_prices_the_larger_counts_and_the_last_one_stands() -> None:
    lower = Charge(usd("0.20")).corrected(usd("0.05"), first=False)
    assert lower == Charge(usd("0.05"), usd("0.15"))
    assert lower.corrected(usd("0.10"), first=False) == Charge(usd("0.10"), usd("0.10"))
    assert lower.corrected(usd("0.30"), first=False) == Charge(usd("0.30"))
    assert Charge(usd("0.20")).corrected(usd("0.05"), first=True) == Charge(usd("0.05")), "only expected before"


def test_a_corrected_price_counts_in_the_life_and_in_the_invocation_that_bought_it() -> None:
    before, after = Charge(usd("0.20")), Charge(usd("0.05"), usd("0.15"))
    budget = BudgetTracker(Money(charged=usd("0.20")), usd("1"), usd("1"), Money(charged=usd("0.20")))
    now = budget.correct(before, after, bought_now=True)
    assert now.life == now.invocation == Money(charged=usd("0.05"), surplus=usd("0.15"))
    assert now.life.committed == usd("0.20")
    earlier = budget.correct(before, Charge(usd("0.50")), bought_now=False)
    assert (earlier.life.committed, earlier.invocation.committed) == (usd("0.50"), usd("0.20"))
    refunded = now.refund(after, bought_now=True)
    assert refunded.life.committed == refunded.invocation.committed == 0
