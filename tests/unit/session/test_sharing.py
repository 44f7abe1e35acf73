"""Counting journals into the shared books: nothing that a run beside this one buys is overlooked."""

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from support.bought import Buyer, item, journal_of

from batchgen.api import Job, JobStatus
from batchgen.core.errors import DiskError
from batchgen.journal import Journal
from batchgen.journal.lock import own
from batchgen.policy.stopping import Stop
from batchgen.scheduler import RunState
from batchgen.session import execution
from batchgen.session.sharing import Sharing, counting, open_budget
from batchgen.session.sharing.counting import count_others, count_run, gone_runs, known_run, leave
from batchgen.session.sharing.forgetting import forget_run
from batchgen.settings import Settings
from batchgen.shared_limits import SharedLimits
from batchgen.shared_limits.amounts import amount_of
from batchgen.shared_limits.books import SharedBooks, open_books
from batchgen.shared_limits.budget import SharedBudget
from batchgen.shared_limits.months import month_at
from batchgen.shared_limits.orders import Answer, Order

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
LIMITS = SharedLimits(month=Decimal(100))
MONTH = month_at(NOW, LIMITS.zone)


@pytest.fixture
def books(tmp_path: Path) -> Iterator[SharedBooks]:
    with open_books(tmp_path) as books:
        yield books


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A run folder with a purchase."""
    folder = tmp_path / "other"
    with journal_of(folder, [item("mug", price="3"), item("vase", price="2")]) as journal:
        Buyer(journal, NOW).done("mug")
    return folder


def counted(books: SharedBooks) -> Decimal:
    count_others(books, LIMITS, MONTH, None, lambda _: None)
    return amount_of(books.committed(MONTH.name, ""))


def buy(folder: Path, books: SharedBooks, *, to_its_end: bool) -> None:
    """What a run does that takes part: it counts itself, and buys."""
    with closing(Journal(folder)) as journal:
        known = known_run(books, journal, folder)
        count_run(books, known, journal, LIMITS, MONTH)
        with journal.transaction():
            Buyer(journal, NOW).done("vase")
        leave(books, known, journal, LIMITS, MONTH) if to_its_end else count_run(books, known, journal, LIMITS, MONTH)


def test_a_run_that_went_on_before_there_was_a_budget_is_counted(books: SharedBooks, other: Path) -> None:
    with own(other, NOW):
        assert counted(books) == 3


@pytest.mark.parametrize("to_its_end", [True, False])
def test_a_run_that_starts_while_it_is_being_counted_is_not_put_back(
    books: SharedBooks, other: Path, monkeypatch: pytest.MonkeyPatch, *, to_its_end: bool
) -> None:
    look = counting._spent
    with ExitStack() as running:

        def late(*words: object) -> object:
            before = look(*words)
            monkeypatch.setattr(counting, "_spent", look)
            if not to_its_end:
                running.enter_context(own(other, NOW))
            buy(other, books, to_its_end=to_its_end)
            return before

        monkeypatch.setattr(counting, "_spent", late)
        assert counted(books) == 5


def test_a_run_whose_folder_another_one_has_by_now_counts_until_it_is_forgotten(
    books: SharedBooks, other: Path, tmp_path: Path
) -> None:
    assert counted(books) == 3
    shutil.rmtree(other)
    assert [run.name for run, _ in gone_runs(books, MONTH)] == ["spring"]
    with journal_of(other, [item("jug", price="1")], run="again") as journal:
        Buyer(journal, NOW).done("jug")
    assert counted(books) == 4
    assert [run.name for run, _ in gone_runs(books, MONTH)] == ["spring"]
    forget_run(tmp_path, "spring", agreed=True)
    assert counted(books) == 1
    assert [run.name for run in books.runs()] == ["again"]


def test_a_job_that_goes_on_with_an_unconfirmed_price_holds_up_others(books: SharedBooks, other: Path) -> None:
    now_ms = round(NOW.timestamp() * 1000)

    async def serve(order: Order) -> Answer | None:
        books.serve(known.id, LIMITS, now_ms, order[0], ())
        return None

    with closing(Journal(other)) as journal:
        with journal.transaction():
            buyer = Buyer(journal, NOW)
            attempt = journal.record_intent(buyer.work("vase"), "f00d", "1", NOW, price_key="new")
            journal.accept(attempt, Job("j1", JobStatus.PROCESSING), b"{}", NOW)  # names no price
        known = known_run(books, journal, other)
        going_on = count_run(books, known, journal, LIMITS, MONTH)
        tracker = journal.budget_tracker(None, None, shared=True)
        budget = SharedBudget(tracker, LIMITS, serve, warn=lambda _: None, going_on=going_on)
        budget.watch(attempt.work.key, "new")
        asyncio.run(budget.flush())
        assert books.others_confirm_a_price("another run", now_ms)
        budget.confirm("new", "m", Decimal(2), Decimal(2))
        asyncio.run(budget.flush())
        assert not books.others_confirm_a_price("another run", now_ms)


def test_books_that_cannot_be_written_stop_buying_and_hide_no_ending(
    books: SharedBooks, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "_BOOKS_EVERY", 0.0)

    async def run() -> tuple[Stop | None, str]:
        with closing(Journal(other)) as journal:
            shared = Sharing(LIMITS, books, "r", lambda: NOW, ())
            async with open_budget(journal, Settings(), shared, lambda _: None) as budget:
                monkeypatch.setattr(books, "serve", full)
                state = RunState(cast("Any", None), cast("Any", None), budget, {})
                telling = asyncio.create_task(execution._tell_the_books(state))
                await state.wake.wait()
                telling.cancel()
                return state.stopped_because, state.stop_detail

    def full(*_: object) -> None:
        raise DiskError("cannot use .batchgen.sqlite3: database is locked")

    assert asyncio.run(run()) == (Stop.DISK_LOW, "cannot use .batchgen.sqlite3: database is locked")
