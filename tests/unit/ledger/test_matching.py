"""Matching the books with a bill: to the cent, and without a guess about money."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.records import State
from batchgen.ledger.charges import Charge
from batchgen.ledger.matching import BillRow, Difference, Match, Verdict, matched
from batchgen.ledger.matching.match import Total
from batchgen.ledger.period import Period

NIGHT = datetime(2026, 1, 31, 22, tzinfo=UTC)
LATER = NIGHT + timedelta(days=40)


def charge(item_id: str, job_id: str = "", charged: str = "0", refunded: str = "0", **changes: Any) -> Charge:
    made = Charge(
        run="spring", item_id=item_id, attempt=1, digest="d", state=State.DONE, model="m", estimated=Decimal(charged),
        charged=Decimal(charged), refunded=Decimal(refunded), in_doubt=Decimal(0), submitted_at=NIGHT,
        accepted_at=NIGHT, completed_at=NIGHT, refunded_at=NIGHT if refunded != "0" else None, tags={},
        simulated=False, job_id=job_id, account="f00d", outputs=1, flags=(), picks=None,
    )  # fmt: skip
    return replace(made, **changes)


def doubt(item_id: str, price: str, at: datetime = NIGHT, state: State = State.IN_DOUBT) -> Charge:
    return charge(item_id, state=state, in_doubt=Decimal(price), submitted_at=at, accepted_at=None)


def bill(**amounts: str) -> list[BillRow]:
    return [BillRow(line, job, Decimal(amount)) for line, (job, amount) in enumerate(amounts.items(), 2)]


def match(charges: Iterable[Charge], rows: Iterable[BillRow], **options: Any) -> AbstractContextManager[Match]:
    return matched(charges, rows, LATER, **options)


def jobs(differences: Callable[[], Iterable[Difference]]) -> dict[str, tuple[str, str]]:
    return {found.job_id or found.item_id: (str(found.books), str(found.bill)) for found in differences()}


def test_what_agrees() -> None:
    """Rows of one job are summed, the amount is net of refunds, and what cost nothing need not be on both sides."""
    charges = [
        charge("mug", "j1", "0.060"),
        charge("vase", "j2", "0.03", "-0.03"),
        charge("jug", "j3", "0.03", "-0.03"),
        charge("bowl", state=State.SKIPPED),
    ]
    rows = [*bill(j1="0.02", j2="0.03"), *bill(j1="0.04", j2="-0.03"), *bill(other="0")]
    with match(charges, rows) as found:
        assert found.agrees
        assert (found.books, found.bill) == (Total(3, Decimal("0.06")), Total(3, Decimal("0.06")))


def test_each_kind_of_difference() -> None:
    charges = [
        charge("mug", "j1", "0.06"),
        charge("vase", "j2", "0.03"),
        charge("jug", charged="0.30", state=State.LOST),
    ]
    with match(charges, bill(j1="0.05", j4="0.07")) as found:
        assert not found.agrees
        assert jobs(found.only_in_bill) == {"j4": ("None", "0.07")}
        assert jobs(found.only_in_books) == {"jug": ("0.30", "None"), "j2": ("0.03", "None")}
        assert jobs(found.differing) == {"j1": ("0.06", "0.05")}
        (differing,) = found.differing()
        assert differing.difference == Decimal("-0.01")


def test_a_job_of_two_purchases_is_never_in_agreement() -> None:
    charges = [charge("mug", "j1", "0.03"), charge("vase", "j1", "0.03")]
    for amount in ("0.06", "0.03"):
        with match(charges, bill(j1=amount)) as found:
            assert not found.agrees
            assert [d.purchases for d in found.differing()] == [2]


def test_sums_are_exact_where_floats_and_28_digits_are_not() -> None:
    many = [BillRow(2, f"j{n % 7}", Decimal("0.1")) for n in range(1000)]
    with match([], [*many, BillRow(3, "j1", Decimal("999999999999.000000000001"))]) as found:
        assert found.bill.net == Decimal("1000000000099.000000000001")


def test_a_period_counts_charges_and_refunds_on_their_own_day() -> None:
    february = datetime(2026, 2, 1, tzinfo=UTC)
    refunded_later = charge("mug", "j1", "0.03", "-0.03", refunded_at=february + timedelta(minutes=1))
    january, next_month = Period(NIGHT, february), Period(february, LATER)
    with match([refunded_later], bill(j1="0.03"), period=january) as found:
        assert found.agrees
    with match([refunded_later], bill(j1="-0.03"), period=next_month) as found:
        assert found.agrees
    with match([refunded_later], bill(), period=january) as found:
        assert jobs(found.only_in_books) == {"j1": ("0.03", "None")}
    with match([refunded_later], bill(), period=Period(NIGHT, LATER)) as found:
        assert found.agrees


def test_what_lies_outside_of_the_period_counts_only_where_the_bill_has_it() -> None:
    charges = [charge("mug", "j1", "0.03"), charge("vase", "j2", "0.06")]
    with match(charges, bill(j1="0.03"), period=Period(NIGHT + timedelta(seconds=1), LATER)) as found:
        assert found.agrees
        assert (found.books, found.left_out) == (Total(1, Decimal("0.03")), 1)


# ---- doubts -------------------------------------------------------------------------------------------------------

WHOLE = Period(NIGHT - timedelta(days=1), NIGHT + timedelta(days=1))


def verdicts(charges: Iterable[Charge], rows: Iterable[BillRow], **options: Any) -> dict[str, tuple[Verdict, str]]:
    with match(charges, rows, **options) as found:
        return {judged.doubt.item_id: (judged.verdict, judged.job_id) for judged in found.doubts}


OPEN = (Verdict.OPEN, "")
NOT_CHARGED = (Verdict.MAYBE_NOT_CHARGED, "")


def test_a_job_that_the_answer_named_settles_the_doubt() -> None:
    named = {"mug": "j9", "vase": "j8"}
    for amount in ("0.03", "0.05", "0"):  # whatever it cost: the id is known
        found = verdicts(
            [doubt("mug", "0.03"), doubt("vase", "0.03")], bill(j9=amount),
            period=WHOLE, named_jobs=lambda c: named[c.item_id],
        )  # fmt: skip
        assert found == {"mug": (Verdict.JOB, "j9"), "vase": NOT_CHARGED}


def test_a_job_of_another_purchase_or_named_twice_settles_nothing() -> None:
    both = [doubt("mug", "0.03"), doubt("vase", "0.03")]
    assert verdicts(both, bill(j9="0.03"), named_jobs=lambda _: "j9") == {"mug": OPEN, "vase": OPEN}
    owned = [doubt("mug", "0.03"), charge("jug", "j9", "0.03")]
    assert verdicts(owned, bill(j9="0.03"), named_jobs=lambda _: "j9") == {"mug": OPEN}


def test_an_amount_that_fits_makes_a_candidate_and_no_more() -> None:
    dear, cheap = doubt("mug", "0.30"), doubt("vase", "0.03")
    assert verdicts([dear, cheap], bill(j1="0.300", j2="0.04"), period=WHOLE) == {
        "mug": (Verdict.MAYBE_JOB, "j1"),
        "vase": OPEN,
    }
    assert verdicts([dear], bill(j1="0.30", j2="0.30")) == {"mug": OPEN}, "two jobs of that price"
    assert verdicts([dear, replace(dear, item_id="jug")], bill(j1="0.30")) == {"mug": OPEN, "jug": OPEN}


@pytest.mark.parametrize(
    ("at", "period", "verdict"),
    [
        (NIGHT, WHOLE, NOT_CHARGED),
        (NIGHT, Period(), OPEN),
        (NIGHT, Period(WHOLE.since, None), OPEN),
        (NIGHT, Period(NIGHT - timedelta(minutes=59), WHOLE.until), OPEN),
        (NIGHT, Period(WHOLE.since, NIGHT + timedelta(minutes=59)), OPEN),
        (NIGHT - timedelta(days=2), WHOLE, OPEN),
        (LATER - timedelta(minutes=59), Period(NIGHT, LATER + timedelta(days=9)), OPEN),
        (LATER - timedelta(minutes=61), Period(NIGHT, LATER + timedelta(days=9)), NOT_CHARGED),
    ],
)
def test_not_charged_needs_a_bill_that_covers_the_time(at: datetime, period: Period, verdict: object) -> None:
    assert verdicts([doubt("mug", "0.03", at)], bill(), period=period) == {"mug": verdict}


def test_not_charged_needs_that_no_job_of_the_bill_is_left_over() -> None:
    """An unknown job of another price may be the doubt's too: prices change."""
    assert verdicts([doubt("mug", "0.03")], bill(j1="0.04"), period=WHOLE) == {"mug": OPEN}
    assert verdicts([doubt("mug", "0.03"), charge("vase", "j1", "0.04")], bill(j1="0.04"), period=WHOLE) == {
        "mug": NOT_CHARGED
    }


def test_a_request_on_its_way_is_not_judged() -> None:
    assert verdicts([doubt("mug", "0.03", state=State.SUBMITTING)], bill(j1="0.03"), period=WHOLE) == {"mug": OPEN}


# ---- whatever the books and the bill ------------------------------------------------------------------------------

IDS = st.sampled_from([f"j{n}" for n in range(6)])
MONEY = st.decimals("-9", "9", places=3).map(lambda amount: amount + 0)
CHARGES = st.lists(
    st.tuples(IDS | st.just(""), MONEY.map(abs), st.booleans(), st.integers(-2, 2), st.integers(-2, 2)), max_size=8
)


@given(purchases=CHARGES, rows=st.lists(st.tuples(IDS, MONEY), max_size=10), windowed=st.booleans())
def test_the_lists_explain_the_whole_difference(
    purchases: list[tuple[str, Decimal, bool, int, int]], rows: list[tuple[str, Decimal]], windowed: bool
) -> None:
    charges = [
        replace(
            charge(f"i{n}", job), charged=amount, refunded=-amount if refunded else Decimal(0),
            accepted_at=NIGHT + timedelta(days=day), refunded_at=NIGHT + timedelta(days=later),
        )
        for n, (job, amount, refunded, day, later) in enumerate(purchases)
    ]  # fmt: skip
    period = Period(NIGHT, NIGHT + timedelta(days=1)) if windowed else Period()
    with match(charges, [BillRow(n, *row) for n, row in enumerate(rows)], period=period) as found:
        listed = [*found.only_in_bill(), *found.only_in_books(), *found.differing()]
        assert sum((d.difference for d in listed), Decimal(0)) == found.bill.net - found.books.net
        assert found.bill.net == sum((amount for _, amount in rows), Decimal(0))
        assert found.agrees == (not listed)
        if not windowed:
            assert found.books.net == sum((c.charged + c.refunded for c in charges), Decimal(0))
