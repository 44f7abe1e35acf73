"""The journal against a model of plain dictionaries: after any steps, crashes and reopenings, both say the same."""

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.bought import START, item, list_items

from batchgen.api import Job, JobStatus
from batchgen.core.records import Item, State, StoredFile
from batchgen.journal import Attempt, Journal, Spend

S = State
POOL = {
    (name, variant): item(name, f"{name} {variant}", price=price)
    for name, price in (("mug", "0.056"), ("bowl", "0.30"), ("vase", "4.50"))
    for variant in (1, 2)
}
Key = tuple[str, int]
PRICES = st.sampled_from([None, Decimal("0.1"), Decimal("0.2"), Decimal("0.000001")])
UNSETTLED = (S.SUBMITTING, S.PROCESSING, S.READY, S.IN_DOUBT)


@dataclass
class Purchase:
    number: int
    state: State
    estimated: Decimal
    charged: Decimal = Decimal(0)
    refunded: Decimal = Decimal(0)
    left: set[int] = field(default_factory=set)


@dataclass
class Known:
    """What the model knows of an item."""

    state: State = S.PENDING
    listed: int | None = None
    number: int = 0
    """Of the last attempt, dropped ones included."""
    purchases: list[Purchase] = field(default_factory=list)


class JournalModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="batchgen-model-"))
        self.journal = self.opened()
        self.known: dict[Key, Known] = {}
        self.now = START

    def opened(self) -> Journal:
        journal = Journal(self.folder, create=True)
        journal.db.execute("PRAGMA synchronous = OFF")  # the model is about what is said, not about power cuts
        return journal

    def teardown(self) -> None:
        self.journal.close()
        shutil.rmtree(self.folder)

    # ---- reaching for an item ----

    def in_state(self, *states: State) -> list[Key]:
        return sorted(key for key, known in self.known.items() if known.state in states)

    def pick(self, data: st.DataObject, *states: State) -> tuple[Known, Purchase, Attempt]:
        key = data.draw(st.sampled_from(self.in_state(*states)))
        known = self.known[key]
        (attempt,) = (a for a in self.journal.unsettled(known.state) if a.work.item == POOL[key])
        purchase = known.purchases[-1]
        assert (attempt.number, attempt.estimated) == (purchase.number, purchase.estimated)
        return known, purchase, attempt

    def settle(self, known: Known, purchase: Purchase, state: State) -> None:
        known.state = purchase.state = state

    # ---- rules ----

    @initialize()
    def begin_with_three(self) -> None:
        self.ask_for([("mug", 1), ("bowl", 1), ("vase", 1)])

    @rule(
        variants=st.lists(
            st.tuples(st.sampled_from(["mug", "bowl", "vase"]), st.integers(1, 2)), unique_by=lambda v: v[0]
        )
    )
    def ask_for(self, variants: list[Key]) -> None:
        list_items(self.journal, [POOL[key] for key in variants])
        for known in self.known.values():
            known.listed = None
        for position, key in enumerate(variants, 1):
            self.known.setdefault(key, Known()).listed = position
        for key, known in list(self.known.items()):
            if known.listed is None and known.state is S.PENDING and not known.purchases:
                del self.known[key]

    @rule(data=st.data())
    @precondition(lambda self: any(k.state is S.PENDING and k.listed for k in self.known.values()))
    def begin(self, data: st.DataObject) -> None:
        _, work = data.draw(st.sampled_from(self.journal.pending(0, 99)))
        with self.journal.transaction():
            attempt = self.journal.record_intent(work, "f00d", "1", self.now)
        used = [known.number for (name, _), known in self.known.items() if name == work.item.id]
        assert attempt.number == 1 + max(used)
        known = self.known[key_of(work.item)]
        known.state, known.number = S.SUBMITTING, attempt.number
        known.purchases.append(Purchase(attempt.number, S.SUBMITTING, work.item.estimated))

    @rule(data=st.data(), cost=PRICES)
    @precondition(lambda self: self.in_state(S.SUBMITTING, S.IN_DOUBT))
    def accept(self, data: st.DataObject, cost: Decimal | None) -> None:
        known, purchase, attempt = self.pick(data, S.SUBMITTING, S.IN_DOUBT)
        with self.journal.transaction():
            self.journal.accept(attempt, Job("j", JobStatus.PROCESSING, cost=cost), b"", self.now)
        purchase.charged = purchase.estimated if cost is None else cost
        self.settle(known, purchase, S.PROCESSING)

    @rule(data=st.data(), how=st.sampled_from(["release", "reject", "doubt"]))
    @precondition(lambda self: self.in_state(S.SUBMITTING))
    def answer(self, data: st.DataObject, how: str) -> None:
        known, purchase, attempt = self.pick(data, S.SUBMITTING)
        with self.journal.transaction():
            if how == "release":
                self.journal.cancel_intent(attempt)
                known.purchases.pop()
                known.state = S.PENDING
            elif how == "reject":
                self.journal.reject(attempt, "invalid_request", "no", self.now)
                self.settle(known, purchase, S.REJECTED)
            else:
                self.journal.doubt(attempt, "reset")
                self.settle(known, purchase, S.IN_DOUBT)

    @rule(data=st.data(), charged=st.booleans())
    @precondition(lambda self: self.in_state(S.IN_DOUBT))
    def resolve(self, data: st.DataObject, charged: bool) -> None:
        known, purchase, attempt = self.pick(data, S.IN_DOUBT)
        with self.journal.transaction():
            if charged:
                self.journal.settle_as_charged(attempt, self.now)
                purchase.charged = purchase.estimated
                self.settle(known, purchase, S.LOST)
            else:
                self.journal.settle_as_not_charged(attempt, START)
                known.purchases.pop()
                known.state = S.PENDING

    @rule(data=st.data(), outputs=st.integers(1, 3))
    @precondition(lambda self: self.in_state(S.PROCESSING))
    def complete(self, data: st.DataObject, outputs: int) -> None:
        known, purchase, attempt = self.pick(data, S.PROCESSING)
        job = Job("j", JobStatus.COMPLETED, outputs=tuple("abc"[:outputs]))
        with self.journal.transaction():
            self.journal.complete(attempt, job, 1, 1000, self.now)
        purchase.left = set(range(1, outputs + 1))
        self.settle(known, purchase, S.READY)

    @rule(data=st.data())
    @precondition(lambda self: self.in_state(S.PROCESSING))
    def fail(self, data: st.DataObject) -> None:
        known, purchase, attempt = self.pick(data, S.PROCESSING)
        with self.journal.transaction():
            self.journal.fail(attempt, Job("j", JobStatus.FAILED), 1, 1000, self.now)
        purchase.refunded = purchase.charged
        self.settle(known, purchase, S.FAILED)

    @rule(data=st.data())
    @precondition(lambda self: self.in_state(S.PROCESSING, S.READY))
    def lose(self, data: st.DataObject) -> None:
        known, purchase, attempt = self.pick(data, S.PROCESSING, S.READY)
        with self.journal.transaction():
            self.journal.lose(attempt, "404", self.now)
        self.settle(known, purchase, S.LOST)

    @rule(data=st.data())
    @precondition(lambda self: self.in_state(S.READY))
    def keep(self, data: st.DataObject) -> None:
        known, purchase, attempt = self.pick(data, S.READY)
        number = data.draw(st.sampled_from(sorted(purchase.left)))
        with self.journal.transaction():
            last = self.journal.record_file(attempt, StoredFile(number, f"files/{attempt.key}@{number}", 1, "0"))
        purchase.left.remove(number)
        assert last is (not purchase.left)
        if last:
            self.settle(known, purchase, S.DONE)

    @rule(state=st.sampled_from([S.DONE, S.FAILED, S.REJECTED, S.LOST]))
    def reopen(self, state: State) -> None:
        chosen = [known for known in self.known.values() if known.state is state and known.listed]
        with self.journal.transaction():
            assert self.journal.requeue([state], lambda _: True) == len(chosen)
        for known in chosen:
            known.state = S.PENDING

    @rule()
    def close_and_open(self) -> None:
        self.journal.close()
        self.journal = self.opened()

    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        """The process dies inside of a transaction; the next one opens the journal and settles what it finds."""
        self.journal.db.execute("BEGIN IMMEDIATE")
        for _, work in self.journal.pending(0, 1):
            self.journal.record_intent(work, "f00d", "1", self.now)
        self.journal.close()
        self.journal = self.opened()
        with self.journal.transaction():
            self.journal.doubt_interrupted()
        for known in self.known.values():
            if known.state is S.SUBMITTING:
                self.settle(known, known.purchases[-1], S.IN_DOUBT)

    @rule(by=st.integers(1, 10**6))
    def time_passes(self, by: int) -> None:
        self.now += timedelta(milliseconds=by)

    # ---- both say the same ----

    @invariant()
    def states_agree(self) -> None:
        rows = self.journal.db.execute("SELECT id, digest, state, position FROM item").fetchall()
        expected = [(*(POOL[key].id, POOL[key].digest), k.state.value, k.listed) for key, k in self.known.items()]
        assert sorted(rows, key=str) == sorted(expected, key=str)
        counted = Counter(k.state for k in self.known.values() if k.listed is not None or k.state in UNSETTLED)
        assert self.journal.counts() == dict(counted)
        pending = [key_of(work.item) for _, work in self.journal.pending(0, 99)]
        wanted = [(k.listed, key) for key, k in self.known.items() if k.state is S.PENDING and k.listed]
        assert pending == [key for _, key in sorted(wanted)]

    @invariant()
    def purchases_agree(self) -> None:
        rows = self.journal.db.execute(
            "SELECT i.id, a.number, a.state FROM attempt a JOIN item i ON i.key = a.item"
        ).fetchall()
        expected = [(key[0], p.number, p.state.value) for key, k in self.known.items() for p in k.purchases]
        assert sorted(rows) == sorted(expected)
        assert len({row[:2] for row in rows}) == len(rows), "(id, number) names one purchase"

    @invariant()
    def money_agrees(self) -> None:
        purchases = [p for known in self.known.values() for p in known.purchases]
        doubted = [p.estimated for p in purchases if p.state in (S.SUBMITTING, S.IN_DOUBT)]
        assert self.journal.spend() == Spend(
            sum((p.charged for p in purchases), Decimal(0)),
            sum((p.refunded for p in purchases), Decimal(0)),
            sum(doubted, Decimal(0)),
        )


def key_of(wanted: Item) -> Key:
    return next(key for key, known in POOL.items() if known == wanted)


TestJournalModel = pytest.mark.thorough(JournalModel.TestCase)
TestJournalModel.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
