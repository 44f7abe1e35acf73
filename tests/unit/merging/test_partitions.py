"""Whatever a run has bought, and however its items are spread over folders: merged, its books are those of one run."""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from support.bought import START, Buyer, journal_of
from support.folders.merging import ledger_of, merged, mugs

from batchgen.core.records import State
from batchgen.journal import Journal
from batchgen.journal.spending import prices_of
from batchgen.ledger.balance.books import check_books

Action = Callable[[Buyer, str], object]


def _again(buyer: Buyer, id_: str) -> None:
    buyer.fail(id_, "no luck")
    buyer.journal.requeue([State.FAILED], lambda one: one == id_)
    buyer.done(id_)


ACTIONS: dict[str, Action] = {
    "pending": lambda buyer, id_: None,
    "done": lambda buyer, id_: buyer.done(id_),
    "several": lambda buyer, id_: buyer.done(id_, outputs=3, cost="0.07"),
    "failed": lambda buyer, id_: buyer.fail(id_, "it broke", cost="0.05"),
    "again": _again,
    "rejected": lambda buyer, id_: buyer.reject(id_, "no such model"),
    "in doubt": lambda buyer, id_: buyer.doubt(id_, "cut off"),
    "lost": lambda buyer, id_: buyer.lose(id_, "gone"),
    "in flight": lambda buyer, id_: buyer.accept(id_),
    "ready": lambda buyer, id_: buyer.ready(id_, outputs=2),
    "unanswered": lambda buyer, id_: buyer.intend(id_),
    "never sent": lambda buyer, id_: buyer.journal.cancel_intent(buyer.intend(id_)),
}


def buy(folder: Path, actions: Sequence[str], bought: Sequence[int], listed: Sequence[int]) -> None:
    """Make a run folder that lists some items, and has done with some of them what the actions say."""
    items = mugs(len(actions))
    with journal_of(folder, [items[n] for n in listed]) as journal:
        buyer = Buyer(journal)
        for n in bought:
            buyer.now = START + timedelta(hours=n)
            ACTIONS[actions[n]](buyer, f"mug-{n}")


@st.composite
def partitions(draw: st.DrawFn) -> tuple[list[str], list[int], bool]:
    """Actions, the folder of each item, and whether each folder lists all items, as those of `--only` do."""
    actions = draw(st.lists(st.sampled_from(sorted(ACTIONS)), min_size=1, max_size=12))
    places = draw(st.lists(st.integers(0, 3), min_size=len(actions), max_size=len(actions)))
    return actions, places, draw(st.booleans())


@given(partitions())
@settings(max_examples=15)
def test_a_partition_that_is_merged_has_the_books_of_the_whole(drawn: tuple[list[str], list[int], bool]) -> None:
    actions, places, listing_all = drawn
    everything = range(len(actions))
    with tempfile.TemporaryDirectory() as scratch:
        whole, into = Path(scratch) / "whole", Path(scratch) / "all"
        buy(whole, actions, everything, everything)
        folders = []
        for place in sorted(set(places)):
            mine = [n for n in everything if places[n] == place]
            folders.append(Path(scratch) / f"part-{place}")
            buy(folders[-1], actions, mine, everything if listing_all else mine)
        merged(folders, into)
        assert ledger_of(into) == ledger_of(whole)
        assert check_books(into).balances
        with closing(Journal(whole)) as one, closing(Journal(into)) as other:
            assert other.notices == ()
            for question in (Journal.counts, Journal.spend, Journal.durations, Journal.purchase_count):
                assert question(other) == question(one)
            assert prices_of(other.db) == prices_of(one.db)
            for journal in (one, other):
                journal.doubt_interrupted()
            for state in State:
                jobs = [[(a.work.item.id, a.job_id) for a in journal.unsettled(state)] for journal in (one, other)]
                assert jobs[0] == jobs[1]
            pending, of_whole = other.pending(0, 99), one.pending(0, 99)
            if listing_all:  # else the order of the manifest is known once it is read again
                assert [work.item for _, work in pending] == [work.item for _, work in of_whole]
            assert {work.item.id: work.item for _, work in pending} == {w.item.id: w.item for _, w in of_whole}
            assert len({position for position, _ in pending}) == len(of_whole)
        assert merged(folders, into).taken == ()
        assert ledger_of(into) == ledger_of(whole)


def test_the_sum_is_that_of_the_parts(tmp_path: Path) -> None:
    """With amounts known by hand, so that no fault common to both sides hides."""
    buy(tmp_path / "a", ["done", "several"], [0], [0])
    buy(tmp_path / "b", ["done", "several"], [1], [1])
    summary = merged([tmp_path / "a", tmp_path / "b"], tmp_path / "all").summary
    assert summary.totals.charged == Decimal("0.126")
    assert [row[1] for row in ledger_of(tmp_path / "all")] == ["mug-0", "mug-1"]
