"""What a manifest asks for beside what was bought, read without writing; and how a run stands."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from support.bought import MODEL, START, Buyer, item, journal_of

from batchgen.core.records import Item, State
from batchgen.item_table import index_items, write_items
from batchgen.journal import FILE_NAME, BuyAgain, open_for_reading
from batchgen.journal.queries.comparison import NEW_AND_CHANGED, Buying, Comparison, Group, TagGroup, compare
from batchgen.journal.queries.run_status import counts_of, doubts
from batchgen.plan import make_plan
from batchgen.virtual import make_dependant

PRICE = Decimal("0.056")


def staged(folder: Path, items: Iterable[Item]) -> Path:
    path = folder / "items.sqlite3"
    write_items(path, items)
    index_items(path)
    return path


@contextmanager
def compared(
    folder: Path,
    items: Iterable[Item],
    wanted: Callable[[str, str], bool] = lambda *_: True,
    buying: Buying = NEW_AND_CHANGED,
) -> Iterator[Comparison]:
    with compare(staged(folder, items), folder / "run" / FILE_NAME, wanted, buying) as comparison:
        yield comparison


def group(state: State, items: int = 1, *, standing: str = "", buys: bool | None = None) -> Group:
    pending = state is State.PENDING
    return Group(
        state, standing or ("new" if pending else state), pending if buys is None else buys, MODEL, PRICE, items
    )


def by_state(groups: list[Group]) -> list[Group]:
    return sorted(groups, key=lambda g: (g.state, g.standing))


# ---- groups -------------------------------------------------------------------------------------------------------


def test_without_a_journal_everything_is_new(tmp_path: Path) -> None:
    dear = item("dear", price="4.50", model="zeus-1.0-image-to-video")
    with compared(tmp_path, [item("a"), item("b"), dear]) as comparison:
        assert by_state(comparison.groups()) == [
            group(State.PENDING, 2),
            Group(State.PENDING, "new", True, "zeus-1.0-image-to-video", Decimal("4.50"), 1),
        ]
        assert comparison.edited_ids(9) == []
    assert not (tmp_path / "run").exists()


STEPS = ("intend", "accept", "ready", "done", "fail", "reject", "lose", "doubt")
ENDS = {
    "intend": State.SUBMITTING, "accept": State.PROCESSING, "ready": State.READY, "done": State.DONE,
    "fail": State.FAILED, "reject": State.REJECTED, "lose": State.LOST, "doubt": State.IN_DOUBT,
}  # fmt: skip


def bought_in(folder: Path, steps: Iterable[str]) -> None:
    """A journal with an item for each step, named after it, and one that nobody bought."""
    with journal_of(folder / "run", [*(item(step) for step in steps), item("waiting")]) as journal:
        buyer = Buyer(journal)
        for step in steps:
            getattr(buyer, step)(step, *(["why"] if step in ("fail", "reject", "lose", "doubt") else []))


def test_an_item_stands_where_the_journal_has_it_and_the_unknown_are_pending(tmp_path: Path) -> None:
    bought_in(tmp_path, STEPS)
    with compared(tmp_path, [item("new"), item("waiting"), *(item(step) for step in STEPS)]) as comparison:
        groups = comparison.groups()
    assert by_state(groups) == by_state([group(State.PENDING, 2), *(group(ENDS[step]) for step in STEPS)])


def test_an_edit_counts_where_money_went_or_may_have_gone(tmp_path: Path) -> None:
    bought_in(tmp_path, STEPS)
    edited = [item(name, "edited") for name in (*STEPS, "waiting", "new")]
    with compared(tmp_path, edited) as comparison:
        groups = comparison.groups()
        ids = comparison.edited_ids(99)
        assert comparison.edited_ids(2) == ids[:2]
    paid = ["intend", "accept", "ready", "done", "lose", "doubt"]
    assert ids == paid, "in the manifest's order; failed and rejected ones cost nothing"
    assert by_state(groups) == [group(State.PENDING, 6, standing="changed"), group(State.PENDING, 4)]


def test_an_edit_that_was_bought_itself_is_no_longer_one(tmp_path: Path) -> None:
    with journal_of(tmp_path / "run", [item("mug"), item("mug", "edited")]) as journal:
        first, second = (work for _, work in journal.pending(0, 9))
        for work in (first, second):
            buyer = Buyer(journal)
            buyer.works["mug"] = work
            buyer.done("mug")
    for prompt in ("A mug", "edited"):
        with compared(tmp_path, [item("mug", prompt)]) as comparison:
            assert comparison.groups() == [group(State.DONE)]
            assert comparison.edited_ids(9) == []


def test_an_edit_of_what_was_bought_and_reopened_counts(tmp_path: Path) -> None:
    with journal_of(tmp_path / "run", [item("mug")]) as journal:
        Buyer(journal).done("mug")
        journal.requeue([State.DONE], lambda _: True)
    with compared(tmp_path, [item("mug", "edited")]) as comparison:
        assert comparison.groups() == [group(State.PENDING, standing="changed")]
        assert comparison.edited_ids(9) == ["mug"]


def test_good_items_that_are_to_be_bought_again_are_marked(tmp_path: Path) -> None:
    bought_in(tmp_path, ["done", "fail"])
    items = [item("done"), item("fail"), item("waiting")]
    with compared(tmp_path, items, buying=Buying(again=BuyAgain(("d*",)))) as comparison:
        assert by_state(comparison.groups()) == by_state(
            [group(State.DONE, standing="again", buys=True), group(State.FAILED), group(State.PENDING)]
        )
    with compared(tmp_path, items, buying=Buying(again=BuyAgain(("fail",)))) as comparison:
        assert not any(g.standing == "again" for g in comparison.groups())


def test_what_is_retried_is_bought(tmp_path: Path) -> None:
    bought_in(tmp_path, STEPS)
    items = [item(step, tags={"k": step}) for step in STEPS]
    retry = frozenset({State.FAILED, State.LOST})
    with compared(tmp_path, items, buying=Buying(retry)) as comparison:
        assert {g.state for g in comparison.groups() if g.buys} == retry
        assert {tag.value for tag in comparison.tags()} == {"fail", "lose"}


STILL, RETRY_FAILED = item("still"), Buying(frozenset({State.FAILED}))
CLIP = make_dependant("clip", (STILL, 1))
DEEP = make_dependant("deep", (CLIP, 1))
CHAIN = [STILL, CLIP, DEEP]


def standings(folder: Path, items: Iterable[Item], buying: Buying = NEW_AND_CHANGED) -> list[tuple[str, bool]]:
    with compared(folder, items, buying=buying) as comparison:
        return [(i.standing, i.buys) for i in comparison.items()]


def test_what_needs_an_item_that_did_not_succeed_is_priced_once_that_is_bought_again(tmp_path: Path) -> None:
    with journal_of(tmp_path / "run", [STILL]) as journal:
        Buyer(journal).fail("still", "the model gave up")
    assert standings(tmp_path, CHAIN) == [("failed", False), ("skipped", False), ("skipped", False)]
    assert standings(tmp_path, CHAIN, RETRY_FAILED) == [("failed", True), ("new", True), ("new", True)]
    # One that was requeued, and that a cap left unbought, is put back by a run that does not retry it.
    with journal_of(tmp_path / "run", CHAIN) as journal:
        journal.requeue_for([State.FAILED], BuyAgain())
    assert standings(tmp_path, CHAIN) == [("failed", False), ("skipped", False), ("skipped", False)]


def test_what_needs_an_output_that_never_came_is_not_priced(tmp_path: Path) -> None:
    second = make_dependant("second", (STILL, 2))
    with journal_of(tmp_path / "run", [STILL]) as journal:
        Buyer(journal).done("still")
    assert standings(tmp_path, [STILL, CLIP, second]) == [("done", False), ("new", True), ("skipped", False)]
    again = Buying(again=BuyAgain(("still",)))
    assert standings(tmp_path, [STILL, CLIP, second], again) == [("again", True), ("new", True), ("new", True)]


def test_what_needs_an_item_that_was_left_out_is_not_priced(tmp_path: Path) -> None:
    assert standings(tmp_path, [CLIP, DEEP, item("other")]) == [("skipped", False), ("skipped", False), ("new", True)]


def test_an_edit_counts_although_it_was_skipped(tmp_path: Path) -> None:
    with journal_of(tmp_path / "run", CHAIN[:2]) as journal:
        Buyer(journal).done("still")
        journal.settle_chains()
        Buyer(journal).done("clip")
        journal.requeue_for([], BuyAgain(("still",)))
        Buyer(journal).fail("still", "the model gave up")
    edited = make_dependant("clip", (STILL, 1), prompt="edited")
    with journal_of(tmp_path / "run", [STILL, edited]):
        pass
    assert standings(tmp_path, [STILL, edited]) == [("failed", False), ("skipped", False)]
    assert standings(tmp_path, [STILL, edited], RETRY_FAILED) == [("failed", True), ("changed", True)]


def test_an_edit_behind_a_lost_item_counts_since_that_may_be_found(tmp_path: Path) -> None:
    with journal_of(tmp_path / "run", CHAIN[:2]) as journal:
        Buyer(journal).done("still")
        journal.settle_chains()
        Buyer(journal).done("clip")
        journal.requeue_for([], BuyAgain(("still",)))
        Buyer(journal).lose("still", "gone")
    edited = make_dependant("clip", (STILL, 1), prompt="edited")
    with journal_of(tmp_path / "run", [STILL, edited, DEEP]):
        pass
    assert standings(tmp_path, [STILL, edited, DEEP]) == [("lost", False), ("changed", True), ("skipped", False)]


def test_what_waits_for_a_pick_is_not_bought_by_retrying_what_it_needs(tmp_path: Path) -> None:
    with journal_of(tmp_path / "run", [STILL, CLIP]) as journal:
        Buyer(journal).fail("still", "the model gave up")
        journal.settle_chains()
    table = staged(tmp_path, [STILL, CLIP])
    with closing(sqlite3.connect(table)) as db, db:
        db.execute("INSERT INTO waiting VALUES (2)")
    with compare(table, tmp_path / "run" / FILE_NAME, lambda *_: True, RETRY_FAILED) as comparison:
        assert [(i.standing, i.buys) for i in comparison.items()] == [("failed", True), ("waiting", False)]


def test_only_what_is_wanted_is_seen(tmp_path: Path) -> None:
    bought_in(tmp_path, ["done", "accept"])
    items = [item("done"), item("accept", "edited"), item("new", "A bowl", tags={"k": "x"})]
    with compared(tmp_path, items, lambda id_, tags: id_ == "done" or '"x"' in tags) as comparison:
        assert by_state(comparison.groups()) == [group(State.DONE), group(State.PENDING)]
        assert comparison.edited_ids(9) == []
        assert comparison.tags() == [TagGroup("k", "x", PRICE, 1)]


def test_tags_count_what_would_be_bought(tmp_path: Path) -> None:
    with journal_of(
        tmp_path / "run", [item("done", tags={"line": "a"}), item("waiting", tags={"line": "a"})]
    ) as journal:
        Buyer(journal).done("done")
    items = [
        item("done", tags={"line": "a"}), item("waiting", tags={"line": "a"}), item("new", tags={"line": "a"}),
        item("other", tags={"line": "b", "sku": "1"}, price="0.30"), item("bare"),
    ]  # fmt: skip
    with compared(tmp_path, items) as comparison:
        tags = comparison.tags()
        plan = make_plan("spring", comparison.groups(), tags)
    assert sorted(tags, key=lambda t: (t.name, t.value)) == [
        TagGroup("line", "a", PRICE, 2),
        TagGroup("line", "b", Decimal("0.30"), 1),
        TagGroup("sku", "1", Decimal("0.30"), 1),
    ]
    assert plan.estimated == Decimal("0.468")
    assert plan.by_tag["line"] == {"a": (2, Decimal("0.112")), "b": (1, Decimal("0.30"))}


def test_comparing_writes_nothing_and_sees_what_is_committed_while_a_run_goes_on(tmp_path: Path) -> None:
    with journal_of(tmp_path / "run", [item("mug")]) as journal:
        Buyer(journal).intend("mug")
        before = list(journal.db.iterdump())
        with compared(tmp_path, [item("mug"), item("new")]) as comparison:
            assert comparison.groups() == [group(State.PENDING, 2)]
        assert list(journal.db.iterdump()) == before
    stored = (tmp_path / "run" / FILE_NAME).read_bytes()
    with compared(tmp_path, [item("mug")]) as comparison:
        assert comparison.groups() == [group(State.SUBMITTING)]
    assert (tmp_path / "run" / FILE_NAME).read_bytes() == stored


def test_a_folder_with_a_mark_in_its_name_is_compared_all_the_same(tmp_path: Path) -> None:
    odd = tmp_path / "50% off? #1 &c"
    odd.mkdir()
    bought_in(odd, ["done"])
    with compared(odd, [item("done")]) as comparison:
        assert comparison.groups() == [group(State.DONE)]


# ---- standing -----------------------------------------------------------------------------------------------------


def test_how_a_run_stands_is_read_beside_it(tmp_path: Path) -> None:
    bought_in(tmp_path, STEPS)
    with closing(open_for_reading(tmp_path / "run" / FILE_NAME)) as db:
        assert counts_of(db) == {State.PENDING: 1} | {ENDS[step]: 1 for step in STEPS}


def test_doubts_come_oldest_first_with_what_finds_them_in_a_bill(tmp_path: Path) -> None:
    with journal_of(tmp_path / "run", [item("a"), item("b", "x", price="4.50"), item("c")]) as journal:
        buyer = Buyer(journal)
        for name, reason in (("b", "reset\x1b"), ("a", "timeout")):
            buyer.doubt(name, reason)
        buyer.done("c")
    with closing(open_for_reading(tmp_path / "run" / FILE_NAME)) as db:
        first, second = doubts(db)
    assert (first.item_id, first.number, first.digest, first.reserved, first.reason) == (
        "b", 1, item("b", "x").digest, Decimal("4.50"), "reset\x1b",
    )  # fmt: skip
    assert (second.item_id, second.reason) == ("a", "timeout")
    assert START < first.submitted_at < second.submitted_at


@pytest.mark.parametrize("listed", [True, False])
def test_what_is_asked_for_no_longer_counts_while_it_is_not_settled(tmp_path: Path, listed: bool) -> None:
    bought_in(tmp_path, STEPS)
    with journal_of(tmp_path / "run", [item(step) for step in STEPS] if listed else []):
        pass
    with closing(open_for_reading(tmp_path / "run" / FILE_NAME)) as db:
        unsettled = {State.SUBMITTING, State.PROCESSING, State.READY, State.IN_DOUBT}
        assert set(counts_of(db)) == (set(ENDS.values()) if listed else unsettled)
