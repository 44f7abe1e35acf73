"""Money that is spent, promised, or may have been spent, and the caps on it."""

from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.budget import Money, Purse

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


@dataclass
class Run:
    """Walks through the steps of buying, as the submitter does."""

    purse: Purse
    under_way: list[tuple[str, Decimal, Decimal]] = field(default_factory=list)
    charged: list[Decimal] = field(default_factory=list)
    refused: set[str | None] = field(default_factory=set)

    def step(self, kind: str, model: str, estimated: Decimal, pick: int, factor: Decimal) -> None:
        if kind == "buy":
            price = self.purse.expected(model, estimated)
            if (cap := self.purse.exceeded(price)) is None:
                self.purse = self.purse.reserve(price)
                self.under_way.append((model, price, estimated))
            else:
                self.refused.add(cap)
        elif kind == "refund":
            if self.charged:
                self.purse = self.purse.refund(self.charged.pop(pick % len(self.charged)), bought_now=bool(pick % 2))
        elif self.under_way:
            self.settle(kind, pick, factor)

    def settle(self, kind: str, pick: int, factor: Decimal) -> None:
        model, price, estimated = self.under_way.pop(pick % len(self.under_way))
        if kind == "release":
            self.purse = self.purse.release(price)
        elif kind == "doubt":
            self.purse = self.purse.doubt(price, estimated)
        else:
            amount = (estimated * factor).quantize(Decimal("0.000001"))
            self.purse = self.purse.charge(model, price, estimated, amount)
            self.charged.append(amount)

    def check_reservations(self) -> None:
        expected = sum((price for _, price, _ in self.under_way), Decimal(0))
        assert self.purse.life.reserved == self.purse.invocation.reserved == expected
        left = self.purse.left()
        assert left is None or left >= 0


@given(STEPS, CAPS, CAPS, st.lists(st.sampled_from(["release", "charge", "doubt"]), min_size=80, max_size=80))
def test_reservations_are_exact_and_end_at_nothing(
    steps: list[tuple[str, str, Decimal, int, Decimal]],
    max_cost: Decimal | None,
    budget: Decimal | None,
    ends: list[str],
) -> None:
    run = Run(Purse(Money(), max_cost, budget))
    for step in steps:
        run.step(*step)
        run.check_reservations()
    while run.under_way:
        run.settle(ends.pop(), 0, Decimal("1.1"))
        run.check_reservations()
    assert run.purse.life.reserved == run.purse.invocation.reserved == 0
    given_caps = {name for name, cap in (("max_cost", max_cost), ("budget", budget)) if cap is not None}
    assert run.refused <= given_caps


@given(STEPS, st.decimals(0, 20, places=3), st.decimals(0, 20, places=3), st.decimals(0, 20, places=3))
def test_where_the_tables_are_right_no_cap_is_ever_passed(
    steps: list[tuple[str, str, Decimal, int, Decimal]], spent: Decimal, max_cost: Decimal, budget: Decimal
) -> None:
    run = Run(Purse(Money(charged=spent), max_cost, budget))
    for kind, model, estimated, pick, _ in steps:
        run.step(kind, model, estimated, pick, Decimal(1))
        assert run.purse.life.committed <= max(max_cost, spent)
        assert run.purse.invocation.committed <= budget


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
    purse = Purse(Money(charged=usd(life)), usd("10"), usd("5"), Money(charged=usd(invocation)))
    assert purse.exceeded(usd(price)) == cap


def test_all_that_may_have_been_paid_counts() -> None:
    money = Money(charged=usd("5"), refunded=usd("1"), reserved=usd("2"), in_doubt=usd("0.5"))
    assert money.committed == usd("6.5")
    assert Purse(money, usd("7"), None).left() == usd("0.5")
    assert Purse(money, usd("7"), usd("0.3")).left() == usd("0.3")
    assert Purse(money, usd("6"), None).left() == 0
    assert Purse(money, None, None).left() is None


def test_without_a_cap_everything_fits() -> None:
    assert Purse(Money(), None, None).exceeded(usd("1000000000")) is None


def test_the_caps_of_an_earlier_life_do_not_bind_the_invocation() -> None:
    purse = Purse(Money(charged=usd("100")), None, usd("1"))
    assert purse.exceeded(usd("1")) is None
    assert purse.exceeded(usd("1.01")) == "budget"


def test_a_refund_makes_room_where_it_was_paid() -> None:
    purse = Purse(Money(charged=usd("2")), usd("3"), usd("1")).reserve(usd("1")).charge("m", *[usd("1")] * 3)
    assert purse.exceeded(usd("0.5")) == "max_cost"
    earlier = purse.refund(usd("1"), bought_now=False)
    assert earlier.exceeded(usd("0.5")) == "budget"
    assert purse.refund(usd("1"), bought_now=True).exceeded(usd("1")) is None


# ---- drift ----------------------------------------------------------------------------------------------------------


def charged(purse: Purse, model: str, estimated: str, amount: str) -> Purse:
    price = purse.expected(model, usd(estimated))
    return purse.reserve(price).charge(model, price, usd(estimated), usd(amount))


def test_a_model_that_costs_more_than_the_tables_say_is_reserved_with_more() -> None:
    purse = charged(Purse(Money(), usd("1"), None), "dear", "0.10", "0.15")
    assert purse.expected("dear", usd("0.20")) == usd("0.30")
    assert purse.expected("other", usd("0.20")) == usd("0.20")
    purse = charged(purse, "dear", "0.10", "0.12")
    assert purse.expected("dear", usd("0.20")) == usd("0.30"), "the largest ratio counts"
    purse = charged(purse, "dear", "0.10", "0.30")
    assert purse.expected("dear", usd("0.20")) == usd("0.60")


def test_a_model_that_costs_less_is_not_reserved_with_less() -> None:
    purse = charged(Purse(Money(), None, None), "cheap", "0.10", "0.01")
    assert purse.expected("cheap", usd("0.10")) == usd("0.10")


def test_a_free_estimate_teaches_nothing() -> None:
    purse = charged(Purse(Money(), None, None), "free", "0", "0.50")
    assert purse.expected("free", usd("0.10")) == usd("0.10")
    assert purse.life.charged == usd("0.50")


def test_with_drift_a_cap_is_passed_by_the_first_surprise_at_most() -> None:
    purse, cap = Purse(Money(), usd("1"), None), usd("1")
    while purse.exceeded(purse.expected("m", usd("0.09"))) is None:
        purse = charged(purse, "m", "0.09", "0.13")
    assert usd("0.87") < purse.life.committed <= cap


@given(PRICES.filter(bool), st.decimals("0.000001", "99999", places=6))
def test_what_is_expected_is_what_was_charged_or_a_trifle_more(estimated: Decimal, amount: Decimal) -> None:
    purse = Purse(Money(), None, None).reserve(estimated).charge("m", estimated, estimated, amount)
    expected = purse.expected("m", estimated)
    assert 0 <= expected - max(amount, estimated) <= Decimal("0.000001")
