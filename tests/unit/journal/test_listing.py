"""What a manifest asks for against what was bought: nothing is forgotten, nothing is bought twice."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bought import MODEL, START, Buyer, item, list_items

from batchgen.api import Job, JobStatus
from batchgen.core.records import Item, State
from batchgen.journal import BuyAgain, Journal, Spend, milliseconds, moment
from batchgen.journal.schema import VERSION
from batchgen.standing.failures import failures_of

RED, BLUE, GREEN = item("red"), item("blue"), item("green")


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path, create=True)) as journal:
        journal.db.execute("PRAGMA synchronous = OFF")  # what syncs is tested elsewhere
        yield journal


def listed(journal: Journal) -> list[tuple[int, str, str]]:
    return journal.db.execute(
        "SELECT position, id, state FROM item WHERE position IS NOT NULL ORDER BY position"
    ).fetchall()


def numbers(journal: Journal) -> list[tuple[str, int, str]]:
    """Purchases as the ledger names them, oldest first."""
    return journal.db.execute(
        "SELECT i.id, a.number, a.state FROM attempt a JOIN item i ON i.key = a.item ORDER BY a.key"
    ).fetchall()


def buy(journal: Journal, wanted: Item) -> None:
    with journal.transaction():
        Buyer(journal).done(wanted.id)


def log_size(journal: Journal) -> int:
    return journal.path.with_name(journal.path.name + "-wal").stat().st_size


# ---- listing ------------------------------------------------------------------------------------------------------


def test_items_are_pending_in_the_manifests_order_as_they_were_given(journal: Journal) -> None:
    given_items = [item("b", "Ü 一 🎨", tags={"sku": "M-1", "a": ""}, price="0.10", seed=7), item("a")]
    list_items(journal, given_items)
    pending = journal.pending(0, 10)
    assert [position for position, _ in pending] == [1, 2]
    assert [work.item for _, work in pending] == given_items
    assert all(work.requested and work.attempts == 0 for _, work in pending)


def test_pending_items_come_in_pages(journal: Journal) -> None:
    list_items(journal, [item(f"i{n}") for n in range(7)])
    pages, behind = [], 0
    while page := journal.pending(behind, 3):
        pages.append([work.item.id for _, work in page])
        behind = page[-1][0]
    assert pages == [["i0", "i1", "i2"], ["i3", "i4", "i5"], ["i6"]]


@pytest.mark.parametrize("bought", [False, True])
def test_the_same_manifest_again_writes_nothing(journal: Journal, bought: bool) -> None:
    items = [RED, BLUE, item("tagged", tags={"a": "1"})]
    list_items(journal, items)
    if bought:
        buy(journal, BLUE)
    changes, size = journal.db.total_changes, log_size(journal)
    for _ in range(3):
        list_items(journal, items)
    assert journal.db.total_changes == changes
    assert log_size(journal) == size


def test_a_longer_manifest_writes_what_is_new_alone(journal: Journal) -> None:
    items = [item(f"i{n}") for n in range(500)]
    list_items(journal, items)
    changes = journal.db.total_changes
    list_items(journal, [*items, item("new")])
    assert journal.db.total_changes == changes + 1


def test_inserting_above_renumbers_and_keeps_what_was_bought(journal: Journal) -> None:
    list_items(journal, [RED, BLUE])
    buy(journal, BLUE)
    list_items(journal, [GREEN, RED, BLUE])
    assert listed(journal) == [(1, "green", "pending"), (2, "red", "pending"), (3, "blue", "done")]
    list_items(journal, [BLUE, RED])
    assert listed(journal) == [(1, "blue", "done"), (2, "red", "pending")]


def test_what_was_never_bought_and_is_asked_for_no_longer_is_forgotten(journal: Journal) -> None:
    list_items(journal, [RED, BLUE])
    list_items(journal, [BLUE])
    assert journal.db.execute("SELECT id FROM item").fetchall() == [("blue",)]


@pytest.mark.parametrize("step", ["intend", "accept", "ready", "done", "doubt", "lose", "fail", "reject"])
def test_what_was_bought_is_never_forgotten(journal: Journal, step: str) -> None:
    list_items(journal, [RED, BLUE])
    with journal.transaction():
        buyer = Buyer(journal)
        getattr(buyer, step)("red", *(["why"] if step in ("doubt", "lose", "fail", "reject") else []))
    before, spend = numbers(journal), journal.spend()
    list_items(journal, [BLUE])
    list_items(journal, [BLUE, RED])
    assert numbers(journal) == before
    assert journal.spend() == spend
    assert [id_ for _, id_, state in listed(journal) if state == "pending"] == ["blue"]


def test_a_reopened_purchase_that_is_asked_for_no_longer_is_not_forgotten_either(journal: Journal) -> None:
    list_items(journal, [RED])
    buy(journal, RED)
    with journal.transaction():
        assert journal.requeue([State.DONE], lambda _: True) == 1
    list_items(journal, [BLUE])
    assert numbers(journal) == [("red", 1, "done")]
    assert journal.spend().charged == Decimal("0.056")
    assert [work.item.id for _, work in journal.pending(0, 9)] == ["blue"]


def test_what_does_not_change_the_request_changes_no_purchase(journal: Journal) -> None:
    list_items(journal, [RED])
    buy(journal, RED)
    moved = replace(RED, tags=(("sku", "1"),), path="elsewhere", source="n.yaml:9", estimated=Decimal("0.90"))
    list_items(journal, [moved])
    assert listed(journal) == [(1, "red", "done")]
    assert journal.db.execute("SELECT tags, path, source, estimated FROM item").fetchall() == [
        ('{"sku": "1"}', "elsewhere", "n.yaml:9", "0.90")
    ]
    assert journal.db.execute("SELECT estimated FROM attempt").fetchall() == [("0.056",)], "what it was bought for"


# ---- edits and numbers --------------------------------------------------------------------------------------------


def test_an_edited_item_is_a_new_purchase_and_the_old_one_stays(journal: Journal) -> None:
    list_items(journal, [RED])
    buy(journal, RED)
    list_items(journal, [item("red", "edited")])
    assert listed(journal) == [(1, "red", "pending")]
    buy(journal, item("red", "edited"))
    assert numbers(journal) == [("red", 1, "done"), ("red", 2, "done")]
    assert journal.spend().charged == Decimal("0.112")


def test_an_edit_that_is_taken_back_buys_nothing(journal: Journal) -> None:
    list_items(journal, [RED])
    buy(journal, RED)
    list_items(journal, [item("red", "edited")])
    list_items(journal, [RED])
    assert listed(journal) == [(1, "red", "done")]
    assert journal.pending(0, 9) == []


def test_numbers_run_on_under_an_id_through_edits_reverts_and_retries(journal: Journal) -> None:
    edited = item("red", "edited")
    for wanted in (RED, edited, RED, edited, RED):
        list_items(journal, [wanted])
        with journal.transaction():
            journal.requeue([State.DONE], lambda _: True)
        buy(journal, wanted)
    assert [number for _, number, _ in numbers(journal)] == [1, 2, 3, 4, 5]


def test_other_ids_have_numbers_of_their_own(journal: Journal) -> None:
    list_items(journal, [RED, BLUE])
    buy(journal, RED)
    buy(journal, BLUE)
    assert numbers(journal) == [("red", 1, "done"), ("blue", 1, "done")]


# ---- counts, live, selection --------------------------------------------------------------------------------------


def test_counts_hold_what_is_asked_for_and_what_is_not_settled(journal: Journal) -> None:
    list_items(journal, [item(name) for name in ("new", "sent", "taken", "ready", "done", "failed", "lost", "doubt")])
    with journal.transaction():
        buyer = Buyer(journal)
        buyer.intend("sent")
        buyer.accept("taken")
        buyer.ready("ready")
        buyer.done("done")
        buyer.fail("failed", None)
        buyer.lose("lost", "404")
        buyer.doubt("doubt", "reset")
    everything = dict.fromkeys(set(State) - {State.SKIPPED, State.REJECTED}, 1)
    unsettled = dict.fromkeys((State.SUBMITTING, State.PROCESSING, State.READY, State.IN_DOUBT), 1)
    assert journal.counts() == everything
    assert journal.purchase_count() == 7
    list_items(journal, [BLUE])
    assert journal.counts() == unsettled | {State.PENDING: 1}
    assert journal.purchase_count() == 7
    assert [a.work.requested for a in journal.unsettled(State.PROCESSING)] == [False]


def test_a_selection_narrows_what_is_bought_reopened_and_counted(journal: Journal) -> None:
    list_items(journal, [item("a1", tags={"k": "x"}), item("a2"), item("b1"), item("b2")])
    with journal.transaction():
        buyer = Buyer(journal)
        buyer.fail("a1", None)
        buyer.fail("b1", None)
        buyer.accept("b2")
    journal.select(lambda id_, tags: id_.startswith("a") or '"y"' in tags)
    assert [work.item.id for _, work in journal.pending(0, 9)] == ["a2"]
    assert journal.counts() == {State.PENDING: 1, State.FAILED: 1, State.PROCESSING: 1}
    with journal.transaction():
        assert journal.requeue([State.FAILED], lambda _: True) == 1
    journal.select(lambda id_, tags: '"x"' in tags)
    assert [work.item.id for _, work in journal.pending(0, 9)] == ["a1"]


def test_reopening_takes_listed_items_that_match_alone(journal: Journal) -> None:
    list_items(journal, [RED, BLUE, GREEN])
    for wanted in (RED, BLUE, GREEN):
        buy(journal, wanted)
    list_items(journal, [RED, BLUE])
    with journal.transaction():
        assert journal.requeue([State.DONE], lambda id_: id_ != "red") == 1
        assert journal.requeue([State.FAILED, State.LOST], lambda _: True) == 0
    assert listed(journal) == [(1, "red", "done"), (2, "blue", "pending")]


def test_notes_are_kept_and_replaced(journal: Journal) -> None:
    with journal.transaction():
        journal.note(run="spring", api="https://api18.dev")
        journal.note(api="simulator")
    assert journal.facts() == {"run": "spring", "api": "simulator"}


# ---- money and time -----------------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(st.lists(st.tuples(st.decimals(0, 10**6, places=6), st.sampled_from(["accept", "fail", "doubt"])), max_size=8))
def test_sums_are_exact(tmp_path_factory: pytest.TempPathFactory, purchases: list[tuple[Decimal, str]]) -> None:
    with closing(Journal(tmp_path_factory.mktemp("run"), create=True)) as journal:
        journal.db.execute("PRAGMA synchronous = OFF")
        list_items(journal, [item(f"i{n}", price=format(price, "f")) for n, (price, _) in enumerate(purchases)])
        buyer = Buyer(journal)
        with journal.transaction():
            for n, (price, step) in enumerate(purchases):
                if step == "doubt":
                    buyer.doubt(f"i{n}", "reset")
                elif step == "fail":
                    buyer.fail(f"i{n}", None, format(price, "f"))
                else:
                    buyer.accept(f"i{n}", format(price, "f"))

        def total(*steps: str) -> Decimal:
            return sum((price for price, step in purchases if step in steps), Decimal(0))

        assert journal.spend() == Spend(total("accept", "fail"), total("fail"), total("doubt"))


def test_a_thousand_tenths_are_a_hundred(journal: Journal) -> None:
    list_items(journal, [item(f"i{n}", price="0.10") for n in range(1000)])
    with journal.transaction():
        buyer = Buyer(journal)
        for n in range(1000):
            buyer.accept(f"i{n}", "0.1" if n % 2 else "0.10")
    assert journal.spend() == Spend(charged=Decimal(100))
    assert str(journal.spend().charged) in ("100.0", "100.00")


def test_durations_are_those_of_jobs_that_succeeded_the_latest_ones_oldest_first(journal: Journal) -> None:
    other = "zeus-1.0-image-to-video"
    list_items(journal, [*(item(f"i{n}") for n in range(4)), item("z", model=other), item("bad"), item("open")])
    with journal.transaction():
        buyer = Buyer(journal)
        for n, took in enumerate((4000, 1500, 2000, 1)):
            attempt = buyer.accept(f"i{n}")
            journal.complete(attempt, Job("j", JobStatus.COMPLETED, outputs=("u",)), 1, took, buyer.tick())
        attempt = buyer.accept("z")
        journal.complete(attempt, Job("j", JobStatus.COMPLETED, outputs=("u",)), 1, 60_000, buyer.tick())
        buyer.fail("bad", None)
        buyer.accept("open")
    seen = [*((MODEL, "", seconds) for seconds in (4.0, 1.5, 2.0, 0.001)), (other, "", 60.0)]
    assert journal.durations() == seen
    assert journal.durations(3) == seen[-3:]


def test_unsettled_attempts_come_oldest_first(journal: Journal) -> None:
    list_items(journal, [RED, BLUE, GREEN])
    with journal.transaction():
        buyer = Buyer(journal)
        for name in ("green", "red", "blue"):
            buyer.accept(name)
    assert [a.work.item.id for a in journal.unsettled(State.PROCESSING)] == ["green", "red", "blue"]
    assert [a.number for a in journal.unsettled(State.READY)] == []


@given(st.integers(-(2**45), 2**47))
def test_milliseconds_survive_the_way_there_and_back(value: int) -> None:
    assert milliseconds(moment(value)) == value


@given(st.datetimes())
def test_a_moment_is_cut_to_the_millisecond(naive: datetime) -> None:
    at = naive.replace(tzinfo=START.tzinfo)
    assert timedelta(0) <= at - moment(milliseconds(at)) < timedelta(milliseconds=1)


def test_the_journal_outlives_its_closing(tmp_path: Path) -> None:
    with closing(Journal(tmp_path, create=True)) as journal:
        list_items(journal, [RED, BLUE])
        buy(journal, RED)
    with closing(Journal(tmp_path)) as journal:
        assert listed(journal) == [(1, "red", "done"), (2, "blue", "pending")]
    with closing(sqlite3.connect(tmp_path / "journal.sqlite3")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_a_request_that_was_taken_back_hides_no_purchase_before_it(journal: Journal) -> None:
    list_items(journal, [RED, BLUE])
    buyer = Buyer(journal)
    with journal.transaction():
        buyer.lose("red", "gone")
        buyer.fail("blue", "the model gave up")
        journal.requeue_for([State.LOST, State.FAILED], BuyAgain())
        for name in ("red", "blue"):
            journal.cancel_intent(Buyer(journal).intend(name))  # the balance is used up
    # The next run retries nothing: the lost job is asked for once more, and both are told with their price.
    with journal.transaction():
        journal.requeue_for([], BuyAgain())
    assert listed(journal) == [(1, "red", "lost"), (2, "blue", "failed")]
    assert [attempt.job_id for attempt in journal.lost_jobs()] == ["job-red-1"]
    failures = failures_of(journal.db, {})
    assert {(cause.state, cause.items, cause.lost) for cause in failures.causes} == {
        (State.LOST, 1, RED.estimated),
        (State.FAILED, 1, Decimal(0)),
    }
    assert failures.repair is not None
    assert (failures.repair.items, failures.repair.estimated) == (1, BLUE.estimated)
