"""Which items are lent to workers and which are bought at home, and what a purchase is called in both journals."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.bought import START, Buyer, item, journal_of, list_items

from batchgen.api import Job, JobStatus
from batchgen.core.records import Input, Item, State
from batchgen.engine.messages import Granted
from batchgen.engine.worker.budget import RemoteBudget
from batchgen.engine.worker.journal import StartJournal
from batchgen.item_table.pictures import STAND_IN_START
from batchgen.journal import Journal, PurchaseName
from batchgen.policy.budget_port import CapReached, NotYet, Purchase

PICTURE = f"{STAND_IN_START}{'a' * 64}.png"


def dependant(id_: str, source: str) -> Item:
    return replace(item(id_, image=f"${{items.{source}.output.1}}"), inputs=(Input("image", source, 1),))


def ids(rows: list[tuple[int, Any]]) -> list[str]:
    return [work.item.id for _, work in rows]


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """One item of each kind: two that anyone may buy, and those that need something of the run folder."""
    items = [
        item("plain"), item("address", image="https://pictures.example/a.png"), item("picture", image=PICTURE),
        item("pictures", images=["https://pictures.example/a.png", PICTURE]), item("edited"), item("again"),
        dependant("fed", "again"), dependant("waits", "plain"),
    ]  # fmt: skip
    with journal_of(tmp_path, [item("edited", "before"), *items[5:6], item("lost")]) as journal:
        for id_ in ("edited", "again"):
            Buyer(journal).done(id_)
        Buyer(journal).lose("lost", "gone")
    with closing(Journal(tmp_path)) as journal:
        list_items(journal, [*items, item("lost")])
        with journal.transaction():
            journal.requeue([State.LOST], lambda _: True)
            journal.settle_chains()
        yield journal


def test_what_needs_nothing_of_the_run_folder_is_lent(journal: Journal) -> None:
    assert ids(journal.lendable(-1, 99)) == ["plain", "address", "lost"]


def test_without_workers_everything_is_bought_at_home(journal: Journal) -> None:
    assert ids(journal.pending(-1, 99)) == ["plain", "address", "picture", "pictures", "edited", "fed", "lost"]


def test_each_item_is_bought_by_one_of_both(journal: Journal) -> None:
    everything = set(ids(journal.pending(-1, 99)))
    journal.lends = True
    home, lent = set(ids(journal.pending(-1, 99))), set(ids(journal.lendable(-1, 99)))
    assert home == {"picture", "pictures", "edited", "fed"}
    assert home | lent == everything
    assert home & lent == set()


def test_an_item_whose_earlier_files_lie_in_its_place_is_bought_at_home(journal: Journal) -> None:
    """They have to be moved; once that is done, anyone may buy it."""
    journal.lends = True
    assert "edited" in ids(journal.pending(-1, 99))
    with journal.transaction():
        journal.move_file("files/edited.png", "superseded/edited.png")
    assert "edited" not in ids(journal.pending(-1, 99))
    assert "edited" in ids(journal.lendable(-1, 99))


@pytest.mark.parametrize(("path", "home"), [("old", True), ("ol", False), ("old-1", False), ("older", False)])
def test_an_item_in_whose_place_files_of_another_one_lie_is_bought_at_home(
    tmp_path: Path, path: str, home: bool
) -> None:
    """A worker would move them aside, and the journal of the run would still have them in their place."""
    with journal_of(tmp_path, [item("old")]) as journal:
        Buyer(journal).done("old")
    with closing(Journal(tmp_path)) as journal:
        list_items(journal, [replace(item("new"), path=path)])
        assert ids(journal.lendable(-1, 99)) == ([] if home else ["new"])


def test_an_item_that_is_bought_again_is_bought_at_home(journal: Journal) -> None:
    with journal.transaction():
        journal.requeue([State.DONE], lambda id_: id_ == "again")
    assert "again" not in ids(journal.lendable(-1, 99))
    journal.lends = True
    assert "again" in ids(journal.pending(-1, 99))


def test_lending_goes_on_where_it_stopped_and_keeps_to_what_is_selected(journal: Journal) -> None:
    first = journal.lendable(-1, 2)
    assert ids(first) == ["plain", "address"]
    assert ids(journal.lendable(first[-1][0], 99)) == ["lost"]
    journal.select(lambda id_, _: id_ != "address")
    assert ids(journal.lendable(-1, 99)) == ["plain", "lost"]


def test_what_comes_back_is_lent_again_only_while_it_is_pending(journal: Journal) -> None:
    (_, plain), (_, address) = journal.lendable(-1, 2)
    with journal.transaction():
        journal.record_intent(plain, "f00d", "8", START)
    assert ids(journal.pending_among([plain.key, address.key, 999])) == ["address"]


# ---- names -------------------------------------------------------------------------------------------------------


def test_an_intent_takes_the_name_that_it_is_given(journal: Journal) -> None:
    (_, work) = journal.lendable(-1, 1)[0]
    name = PurchaseName(41, "0123456789abcdef0123", 7)
    with journal.transaction():
        attempt = journal.record_intent(work, "f00d", "8", START, name=name, lent_to="00000000000000aa")
    assert (attempt.key, attempt.purchase, attempt.number) == (41, "0123456789abcdef0123", 7)
    assert journal.db.execute("SELECT key, purchase, number, lent_to FROM attempt WHERE state = 'submitting'").fetchall(
    ) == [(41, "0123456789abcdef0123", 7, "00000000000000aa")]  # fmt: skip
    assert journal.db.execute("SELECT attempts FROM item WHERE id = 'plain'").fetchone() == (7,)
    assert journal.lent_out() == [("0123456789abcdef0123", "00000000000000aa")]


def test_an_intent_without_a_name_finds_one_and_numbers_run_on(journal: Journal) -> None:
    (_, work) = next(row for row in journal.lendable(-1, 9) if row[1].item.id == "lost")
    with journal.transaction():
        attempt = journal.record_intent(work, "f00d", "8", START)
    assert attempt.number == 2
    assert len(attempt.purchase) == 20
    assert journal.db.execute("SELECT lent_to FROM attempt WHERE key = ?", (attempt.key,)).fetchone() == (None,)


@pytest.mark.parametrize("state", list(State))
def test_only_purchases_without_an_answer_are_lent_out(journal: Journal, state: State) -> None:
    (_, work) = journal.lendable(-1, 1)[0]
    with journal.transaction():
        attempt = journal.record_intent(work, "f00d", "8", START, lent_to="00000000000000aa")
        journal.db.execute("UPDATE attempt SET state = ? WHERE key = ?", (state, attempt.key))
        journal.db.execute("UPDATE item SET state = ? WHERE key = ?", (state, work.key))
    expected = [attempt.purchase] if state in (State.SUBMITTING, State.IN_DOUBT) else []
    assert [purchase for purchase, _ in journal.lent_out()] == expected


# ---- the journal of a start --------------------------------------------------------------------------------------


@pytest.fixture
def start(journal: Journal, tmp_path: Path) -> Iterator[StartJournal]:
    folder = tmp_path / "start"
    folder.mkdir()
    with closing(StartJournal(folder)) as start:
        with start.transaction():
            start.borrow(journal.lendable(-1, 99))
        yield start


def test_what_is_lent_comes_as_it_is(journal: Journal, start: StartJournal) -> None:
    assert start.pending(-1, 99) == journal.lendable(-1, 99)
    assert start.counts() == {State.PENDING: 3}


def test_a_purchase_of_a_start_has_the_coordinator_s_name_and_price(journal: Journal, start: StartJournal) -> None:
    (_, work) = journal.lendable(-1, 9)[2]
    with journal.transaction():
        granted = journal.record_intent(work, "f00d", "8", START, reserved=Decimal("0.09"), lent_to="00000000000000aa")
    name = PurchaseName(granted.key, granted.purchase, granted.number)
    start.granted[work.key] = Granted(work.key, name, Decimal("0.09"))
    with start.transaction():
        attempt = start.record_intent(work, "f00d", "8", START, reserved=Decimal("0.05"), price_key="k")
    assert (attempt.key, attempt.purchase, attempt.number) == (granted.key, granted.purchase, granted.number)
    assert attempt.reserved == Decimal("0.09")
    receipt = (start.path.parent / "receipts.jsonl").read_text(encoding="utf-8")
    assert f'"intent":"{granted.purchase}"' in receipt
    assert '"reserved":"0.09"' in receipt


def test_without_leave_there_is_no_intent(journal: Journal, start: StartJournal) -> None:
    (_, work) = journal.lendable(-1, 1)[0]
    with pytest.raises(KeyError), start.transaction():
        start.record_intent(work, "f00d", "8", START)
    assert start.counts() == {State.PENDING: 3}


def test_an_item_that_was_taken_back_is_bought_under_its_next_name(journal: Journal, start: StartJournal) -> None:
    (_, work) = journal.lendable(-1, 1)[0]
    for number in (1, 2):
        with journal.transaction():
            granted = journal.record_intent(work, "f00d", "8", START)
            if number == 1:
                journal.cancel_intent(granted)
        start.granted[work.key] = Granted(
            work.key, PurchaseName(granted.key, granted.purchase, granted.number), Decimal("0.05")
        )
        with start.transaction():
            attempt = start.record_intent(work, "f00d", "8", START)
            assert attempt.number == number == granted.number
            if number == 1:
                start.cancel_intent(attempt)
    with start.transaction():
        start.accept(attempt, Job("job-1", JobStatus.PROCESSING, cost=Decimal("0.05")), b"{}", START)
    assert start.intact()


# ---- the money of a start ----------------------------------------------------------------------------------------


class Leave:
    """A link that answers each question so."""

    def __init__(self, answer: Granted | bool) -> None:
        self.answer = answer
        self.asked: list[tuple[int, str]] = []

    async def ask(self, item: int, price_key: str) -> Granted | bool:
        self.asked.append((item, price_key))
        return self.answer


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Granted(1, PurchaseName(1, "a", 1), Decimal("0.05")), type(None)),
        (True, CapReached),
        (False, NotYet),
    ],
)
async def test_the_coordinator_is_asked_before_each_purchase(
    journal: Journal, start: StartJournal, answer: Granted | bool, expected: type
) -> None:
    link = Leave(answer)
    budget = RemoteBudget(start.budget_tracker(None, None, shared=False), link, start)  # type: ignore[arg-type]
    grant = budget.reserve(1, "k", Decimal("0.05"))
    assert not isinstance(grant, CapReached)
    refusal = await budget.secure(grant, Purchase("plain", 1, (), START))
    assert isinstance(refusal, expected)
    assert link.asked == [(1, "k")]
    assert (1 in start.granted) == isinstance(answer, Granted)
    if isinstance(refusal, CapReached):
        assert refusal.scope  # so that only this item is left, and the others go on
