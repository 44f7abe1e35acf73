"""The shared books: whatever runs claim beside each other, no limit is passed, and what is given back is free again."""

import asyncio
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.core.errors import RunFolderError
from batchgen.policy.budget import BudgetTracker, Charge, Money
from batchgen.policy.budget_port import CapReached, Grant, NotYet, Purchase
from batchgen.shared_limits import SharedLimits
from batchgen.shared_limits.books import DATABASE_NAME, KnownRun, SharedBooks, open_books
from batchgen.shared_limits.budget import SharedBudget
from batchgen.shared_limits.orders import Answer, Crossed, Order

NOW = datetime(2026, 11, 10, 12, tzinfo=UTC)
MONTH = "2026-11"


def usd(text: str) -> Decimal:
    return Decimal(text)


class Clock:
    """Says what time it is."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


class Spender:
    """A run with its budget, which serves its orders at once."""

    def __init__(self, books: SharedBooks, name: str, limits: SharedLimits, clock: Clock) -> None:
        self.books, self.name, self.limits, self.clock = books, name, limits, clock
        with books.transaction():
            books.replace(KnownRun(name, name, f"/nowhere/{name}", ""), [MONTH], {}, ())
        self.warned: list[Crossed] = []
        tracker = BudgetTracker(Money(), None, None, shared=limits.has_budget)
        self.budget = SharedBudget(tracker, limits, self.serve, warn=self.warned.append)
        asyncio.run(self.budget.flush())

    async def serve(self, order: Order) -> Answer | None:
        changes, claim = order
        now = round(self.clock().timestamp() * 1000)
        answers = self.books.serve(self.name, self.limits, now, changes, [] if claim is None else [claim])
        return answers[0] if answers else None

    def claim(self, item: int, price: str, key: str = "k", **tags: str) -> Grant | CapReached | NotYet:
        async def claim() -> Grant | CapReached | NotYet:
            grant = self.budget.reserve(item, key, usd(price))
            assert isinstance(grant, Grant)
            refusal = await self.budget.secure(grant, Purchase(f"i{item}", 1, tuple(tags.items()), self.clock()))
            if refusal is None:
                return grant
            self.budget.release(grant)
            return refusal

        return asyncio.run(claim())

    def know(self, key: str = "k", price: str = "0.05") -> None:
        self.budget.confirm(key, "m", usd(price), usd(price))

    def flush(self) -> None:
        asyncio.run(self.budget.flush())


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def books(tmp_path: Path) -> Iterator[SharedBooks]:
    with open_books(tmp_path) as books:
        yield books


def committed(books: SharedBooks, scope: str = "") -> Decimal:
    return Decimal(books.committed(MONTH, scope)) / 10**9


def granted(answer: Grant | CapReached | NotYet) -> Grant:
    assert isinstance(answer, Grant), answer
    return answer


def test_two_runs_share_one_budget(books: SharedBooks, clock: Clock) -> None:
    limits = SharedLimits(month=usd("1"))
    one, two = (Spender(books, name, limits, clock) for name in ("one", "two"))
    for spender in (one, two):
        spender.know()
    first = granted(one.claim(1, "0.6"))
    refused = two.claim(1, "0.6")
    assert isinstance(refused, CapReached)
    assert (refused.cap, refused.limit, refused.committed, refused.scope) == ("month", usd("1"), usd("0.6"), "")
    one.budget.charge(first, usd("0.3"))
    one.flush()
    granted(two.claim(1, "0.6"))
    assert committed(books) == usd("0.9")
    assert two.budget.left() == usd("0.1")


def test_a_claim_ends_released_charged_or_in_doubt(books: SharedBooks, clock: Clock) -> None:
    run = Spender(books, "run", SharedLimits(month=usd("9")), clock)
    run.know()
    released, charged, doubted = (granted(run.claim(n, "1")) for n in range(3))
    run.budget.release(released)
    run.budget.charge(charged, usd("0.7"))
    run.budget.doubt(doubted)
    run.flush()
    sums = books.sums(MONTH, "")
    assert (sums.charged, sums.in_doubt, sums.reserved) == (700_000_000, 1_000_000_000, 0)
    run.budget.correct(1, Charge(usd("0.7")), Charge(usd("0.9")), bought_now=True)
    run.flush()
    assert committed(books) == usd("1.9")
    run.budget.refund(1, Charge(usd("0.9")), bought_now=True)
    run.budget.ended(1)
    run.flush()
    assert committed(books) == usd("1")


def test_a_parked_jobs_refund_makes_room(books: SharedBooks, clock: Clock) -> None:
    run = Spender(books, "run", SharedLimits(month=usd("1")), clock)
    run.know()
    grant = granted(run.claim(1, "1"))
    run.budget.charge(grant, usd("1"))
    run.budget.unwatch(1)
    run.budget.refund(1, Charge(usd("1")), bought_now=True)
    assert isinstance(run.claim(2, "1"), Grant)


def test_a_tags_budget_counts_beside_the_one_for_everything(books: SharedBooks, clock: Clock) -> None:
    limits = SharedLimits(month=usd("1"), tags={("client", "acme"): usd("0.5")})
    run = Spender(books, "run", limits, clock)
    run.know()
    granted(run.claim(1, "0.4", client="acme"))
    refused = run.claim(2, "0.2", client="acme")
    assert isinstance(refused, CapReached)
    assert (refused.scope, refused.limit) == ("client=acme", usd("0.5"))
    granted(run.claim(3, "0.6", client="other"))
    assert (committed(books), committed(books, "client=acme")) == (usd("1"), usd("0.4"))
    assert isinstance(run.claim(4, "0.1", client="acme"), CapReached)  # what is left for everything is too little


def test_a_new_month_begins_with_nothing_spent(books: SharedBooks, clock: Clock) -> None:
    run = Spender(books, "run", SharedLimits(month=usd("1")), clock)
    run.know()
    grant = granted(run.claim(1, "1"))
    assert isinstance(run.claim(2, "1"), CapReached)
    clock.now += timedelta(days=21)
    granted(run.claim(2, "1"))
    run.budget.charge(grant, usd("1"))  # counts in the month in which it was claimed
    run.flush()
    assert (committed(books), books.committed("2026-12", "")) == (usd("1"), 10**9)


def test_prices_are_confirmed_one_at_a_time_across_runs(books: SharedBooks, clock: Clock) -> None:
    limits = SharedLimits(month=usd("9"))
    one, two = (Spender(books, name, limits, clock) for name in ("one", "two"))
    grant = granted(one.claim(1, "0.05", "new"))
    waits = two.claim(1, "0.05", "new")
    assert isinstance(waits, NotYet)
    assert not waits.everything
    two.know("known")
    granted(two.claim(2, "0.05", "known"))
    one.budget.charge(grant, usd("0.05"))
    one.know("new")
    one.flush()
    granted(two.claim(1, "0.05", "new"))


def test_a_run_that_was_killed_holds_up_nobody(books: SharedBooks, clock: Clock) -> None:
    limits = SharedLimits(month=usd("9"), concurrency=1)
    one, two = (Spender(books, name, limits, clock) for name in ("one", "two"))
    granted(one.claim(1, "0.05", "new"))
    assert isinstance(two.claim(1, "0.05", "new"), NotYet)
    clock.now += timedelta(seconds=31)
    granted(two.claim(1, "0.05", "new"))
    assert committed(books) == usd("0.1")  # its money counts


def test_runs_share_places_evenly(books: SharedBooks, clock: Clock) -> None:
    limits = SharedLimits(concurrency=4)
    one, two = (Spender(books, name, limits, clock) for name in ("one", "two"))
    for item in range(4):
        granted(one.claim(item, "0.05"))
    waits = two.claim(0, "0.05")
    assert isinstance(waits, NotYet)
    assert waits.everything
    one.budget.ended(0)
    assert isinstance(one.claim(9, "0.05"), NotYet)  # the other one has waited
    granted(two.claim(0, "0.05"))
    one.budget.unwatch(1)
    one.flush()
    granted(two.claim(1, "0.05"))
    assert isinstance(two.claim(2, "0.05"), NotYet)


def test_warnings_are_told_once_across_runs(books: SharedBooks, clock: Clock) -> None:
    limits = SharedLimits(month=usd("1"), warn=(usd("50"), usd("80"), usd("100")))
    one, two = (Spender(books, name, limits, clock) for name in ("one", "two"))
    for spender in (one, two):
        spender.know()
    granted(one.claim(1, "0.85"))
    assert [crossed.percent for crossed in one.warned] == ["50", "80"]
    granted(two.claim(1, "0.05"))
    assert isinstance(two.claim(2, "0.2"), CapReached)  # as good as spent
    assert [crossed.percent for crossed in two.warned] == ["100"]


STEPS = st.lists(
    st.tuples(
        st.integers(0, 2), st.sampled_from([*["claim"] * 3, "release", "charge", "doubt", "refund", "flush"]),
        st.sampled_from(["0.056", "0.30", "1.20"]), st.booleans(),
    ),
    max_size=60,
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(STEPS)
def test_no_sequence_of_claims_passes_a_budget(steps: list[tuple[int, str, str, bool]]) -> None:
    limits = SharedLimits(month=usd("3"), tags={("client", "acme"): usd("1.5")})
    with tempfile.TemporaryDirectory() as scratch, open_books(Path(scratch)) as books:
        clock = Clock()
        spenders = [Spender(books, f"run-{n}", limits, clock) for n in range(3)]
        held: list[list[tuple[Grant, bool, bool]]] = [[] for _ in spenders]
        counted = {"": usd("0"), "client=acme": usd("0")}

        def count(amount: Decimal, *, acme: bool) -> None:
            counted[""] += amount
            counted["client=acme"] += amount if acme else 0

        for key in ("0.056", "0.30", "1.20"):
            for spender in spenders:
                spender.know(key, key)
        for number, (who, step, price, acme) in enumerate(steps):
            spender, mine = spenders[who], held[who]
            if step == "claim":
                answer = spender.claim(number, price, price, client="acme" if acme else "other")
                if isinstance(answer, Grant):
                    mine.append((answer, acme, False))
                    count(answer.amount, acme=acme)
            elif step == "flush":
                spender.flush()
            elif mine:
                grant, tagged, charged = mine.pop()
                if charged and step == "refund":
                    spender.budget.refund(grant.item, Charge(grant.amount), bought_now=True)
                    spender.budget.ended(grant.item)
                    count(-grant.amount, acme=tagged)
                elif not charged and step == "release":
                    spender.budget.release(grant)
                    count(-grant.amount, acme=tagged)
                elif not charged and step == "doubt":
                    spender.budget.doubt(grant)
                elif not charged and step == "charge":
                    spender.budget.charge(grant, grant.amount)
                    mine.append((grant, tagged, True))
                else:
                    mine.append((grant, tagged, charged))
            for scope, limit in limits.budgets().items():
                assert committed(books, scope) <= limit
                assert counted[scope] <= limit
        for spender in spenders:
            spender.flush()
        assert {scope: committed(books, scope) for scope in counted} == counted


def test_books_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / DATABASE_NAME).write_bytes(b"no database, but long enough to be looked at" * 100)
    with pytest.raises(RunFolderError, match="delete it"), open_books(tmp_path):
        pass


def test_books_of_a_newer_version_are_left_alone(tmp_path: Path) -> None:
    with open_books(tmp_path) as books:
        books._db.execute("PRAGMA user_version = 2")
    with pytest.raises(RunFolderError, match="newer"), open_books(tmp_path):
        pass
