"""Every step of a purchase leads where it says, and from nowhere else."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from support.bought import START, Buyer, item, list_items

from batchgen.api import Job, JobStatus
from batchgen.core.records import State, StoredFile
from batchgen.journal import Attempt, Journal, Spend, TransitionError
from batchgen.journal.queries.run_status import doubts
from batchgen.journal.spending import prices_of
from batchgen.policy.absence import Absence

S = State
NOW = datetime(2026, 2, 1, 0, 1, tzinfo=UTC)
EXPIRES = datetime(2026, 2, 8, tzinfo=UTC)
ACCEPTED = Job("job-new", JobStatus.PROCESSING, cost=Decimal("0.07"), expires_at=EXPIRES)
COMPLETED = Job("job-new", JobStatus.COMPLETED, inference_ms=1234, outputs=("https://x/1",))
FAILED = Job("job-new", JobStatus.FAILED, error="boom")
FILE = StoredFile(1, "files/mug.png", 10, "0" * 64)

Step = Callable[[Journal, Attempt], object]
STEPS: dict[str, tuple[Step, dict[State, State]]] = {
    "record_intent": (lambda j, a: j.record_intent(a.work, "f00d", "1", NOW), {S.PENDING: S.SUBMITTING}),
    "cancel_intent": (lambda j, a: j.cancel_intent(a), {S.SUBMITTING: S.PENDING}),
    "accept": (
        lambda j, a: j.accept(a, ACCEPTED, b"{}", NOW),
        {S.SUBMITTING: S.PROCESSING, S.IN_DOUBT: S.PROCESSING},
    ),
    "reject": (lambda j, a: j.reject(a, "invalid_request", "no", NOW), {S.SUBMITTING: S.REJECTED}),
    "doubt": (lambda j, a: j.doubt(a, "reset"), {S.SUBMITTING: S.IN_DOUBT}),
    "settle_as_not_charged": (lambda j, a: j.settle_as_not_charged(a, START), {S.IN_DOUBT: S.PENDING}),
    "settle_as_charged": (lambda j, a: j.settle_as_charged(a, NOW), {S.IN_DOUBT: S.LOST}),
    "confirm_price": (lambda j, a: j.confirm_price(a, Decimal("0.2")), {S.PROCESSING: S.PROCESSING}),
    "complete": (lambda j, a: j.complete(a, COMPLETED, 4, 2000, NOW), {S.PROCESSING: S.READY}),
    "fail": (lambda j, a: j.fail(a, FAILED, 3, 1000, NOW), {S.PROCESSING: S.FAILED}),
    "lose": (lambda j, a: j.lose(a, "404", NOW), {S.PROCESSING: S.LOST, S.READY: S.LOST}),
    "record_absence": (lambda j, a: j.record_absence(a, Absence(3, 25.0)), {S.PROCESSING: S.PROCESSING}),
    "restore_lost": (lambda j, a: j.restore_lost(a), {S.LOST: S.PROCESSING}),
    "list_more_outputs": (lambda j, a: j.list_more_outputs(a, COMPLETED, 5, ordered=2), {S.READY: S.READY}),
    "accept_fewer_outputs": (lambda j, a: j.accept_fewer_outputs(a, "1 of 2"), {S.READY: S.READY}),
    "record_file": (lambda j, a: j.record_file(a, FILE), {S.READY: S.DONE}),
}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path, create=True)) as journal:
        journal.db.execute("PRAGMA synchronous = OFF")  # hundreds of journals: what syncs is tested elsewhere
        list_items(journal, [item("mug"), item("neighbour")])
        yield journal


def purchase(journal: Journal, state: State) -> Attempt:
    """Bring the mug into a state; its latest attempt, which is a dropped one where it has none."""
    buyer = Buyer(journal)
    with journal.transaction():
        if state in (S.PENDING, S.SKIPPED):
            attempt = buyer.intend("mug")
            journal.cancel_intent(attempt)
            if state is S.SKIPPED:
                buyer.skip("mug")
            return attempt
        if state in (S.SUBMITTING, S.REJECTED, S.IN_DOUBT):
            attempt = buyer.intend("mug")
            if state is S.REJECTED:
                journal.reject(attempt, "invalid_request", "no", NOW)
            elif state is S.IN_DOUBT:
                journal.doubt(attempt, "reset")
            return attempt
        if state in (S.READY, S.DONE):
            return buyer.ready("mug") if state is S.READY else buyer.done("mug")
        attempt = buyer.accept("mug")
        if state is S.FAILED:
            journal.fail(attempt, FAILED, 3, 1000, NOW)
        elif state is S.LOST:
            journal.lose(attempt, "404", NOW)
        return attempt


def states(journal: Journal) -> dict[str, str]:
    return dict(journal.db.execute("SELECT id, state FROM item"))


def contents(journal: Journal) -> tuple[list[str], bytes]:
    """All that the journal says, and the bytes of its log, to which even a change and its undoing would add."""
    wal = journal.path.with_name(journal.path.name + "-wal")
    return list(journal.db.iterdump()), wal.read_bytes()


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("name", STEPS)
def test_each_step_from_each_state(journal: Journal, name: str, state: State) -> None:
    step, leads = STEPS[name]
    attempt = purchase(journal, state)
    assert states(journal)["mug"] == state
    before = contents(journal)
    if state in leads:
        with journal.transaction():
            step(journal, attempt)
        assert states(journal) == {"mug": leads[state], "neighbour": "pending"}
        attempts = journal.db.execute("SELECT state FROM attempt").fetchall()
        assert attempts == ([] if leads[state] is S.PENDING else [(leads[state],)])
    else:
        with pytest.raises(TransitionError), journal.transaction():
            step(journal, attempt)
        assert contents(journal) == before
    assert not journal.db.in_transaction


@pytest.mark.parametrize("state", [s for s in State if s is not S.SKIPPED])
@pytest.mark.parametrize("name", [n for n in STEPS if n != "record_intent"])
def test_an_earlier_attempt_moves_nothing_whatever_the_later_one_is(journal: Journal, name: str, state: State) -> None:
    earlier = purchase(journal, S.LOST)
    with journal.transaction():
        journal.requeue([S.LOST], lambda _: True)
    later = purchase(journal, state)
    assert later.number == earlier.number + 1
    before = contents(journal)
    with pytest.raises(TransitionError), journal.transaction():
        STEPS[name][0](journal, earlier)
    assert contents(journal) == before


@pytest.mark.parametrize("state", State)
def test_only_items_that_have_ended_are_reopened(journal: Journal, state: State) -> None:
    purchase(journal, state)
    before = contents(journal)
    if state in (S.DONE, S.FAILED, S.REJECTED, S.LOST, S.SKIPPED):
        with journal.transaction():
            assert journal.requeue([state], lambda _: True) == 1
        assert states(journal)["mug"] == "pending"
    else:
        with pytest.raises(TransitionError), journal.transaction():
            journal.requeue([S.FAILED, state], lambda _: True)
        assert contents(journal) == before


@pytest.mark.parametrize("state", State)
def test_a_crash_leaves_a_doubt_where_a_request_was_on_its_way_and_nowhere_else(journal: Journal, state: State) -> None:
    purchase(journal, state)
    before = contents(journal)
    with journal.transaction():
        doubts = journal.doubt_interrupted()
    if state is S.SUBMITTING:
        assert doubts == 1
        assert states(journal) == {"mug": "in_doubt", "neighbour": "pending"}
        assert journal.db.execute("SELECT state, error_type, error_message FROM attempt").fetchall() == [
            ("in_doubt", "in_doubt", "the program ended while the request was on its way")
        ]
        with journal.transaction():
            assert journal.doubt_interrupted() == 0
    else:
        assert doubts == 0
        assert contents(journal) == before


@pytest.mark.parametrize("earlier", [S.DONE, S.LOST, S.FAILED, S.REJECTED])
def test_a_crash_makes_a_doubt_of_the_attempt_under_way_and_not_of_earlier_ones(
    journal: Journal, earlier: State
) -> None:
    purchase(journal, earlier)
    with journal.transaction():
        journal.requeue([earlier], lambda _: True)
    purchase(journal, S.SUBMITTING)
    with journal.transaction():
        assert journal.doubt_interrupted() == 1
    assert journal.db.execute("SELECT state FROM attempt ORDER BY number").fetchall() == [(earlier,), (S.IN_DOUBT,)]


# ---- what a step writes ------------------------------------------------------------------------------------------


def row(journal: Journal) -> sqlite3.Row:
    with closing(sqlite3.connect(journal.path)) as db:
        db.row_factory = sqlite3.Row
        found = db.execute("SELECT * FROM attempt").fetchone()
        assert isinstance(found, sqlite3.Row)
        return found


def do(journal: Journal, name: str, attempt: Attempt) -> object:
    with journal.transaction():
        return STEPS[name][0](journal, attempt)


def ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000


def test_an_intent_holds_price_account_tables_and_time(journal: Journal) -> None:
    attempt = purchase(journal, S.SUBMITTING)
    found = row(journal)
    assert (attempt.number, attempt.estimated, attempt.account, attempt.charged) == (1, Decimal("0.056"), "f00d", None)
    assert [found[c] for c in ("number", "estimated", "account", "catalog_version", "charged", "job_id")] == [
        1, "0.056", "f00d", "1", None, None,
    ]  # fmt: skip
    assert found["submitted_at"] == ms(START) + 999 + 1000


def test_an_acceptance_holds_id_cost_expiry_and_the_answers_bytes(journal: Journal) -> None:
    attempt = purchase(journal, S.SUBMITTING)
    with journal.transaction():
        accepted = journal.accept(attempt, ACCEPTED, b"x" * 100_000, NOW)
    found = row(journal)
    assert [found[c] for c in ("job_id", "charged", "accepted_at", "expires_at")] == [
        "job-new", "0.07", ms(NOW), ms(EXPIRES),
    ]  # fmt: skip
    assert found["answer"] == b"x" * 65536
    (stored,) = journal.unsettled(S.PROCESSING)
    assert stored.work.attempts == 1
    assert (stored.charged, stored.job_id, stored.accepted_at, stored.expires_at, stored.polls) == (
        Decimal("0.07"), "job-new", NOW, EXPIRES, 0,
    )  # fmt: skip
    assert (accepted.charged, accepted.job_id, accepted.state) == (stored.charged, stored.job_id, stored.state)


def test_without_a_cost_the_estimate_counts_as_charged(journal: Journal) -> None:
    attempt = purchase(journal, S.SUBMITTING)
    with journal.transaction():
        accepted = journal.accept(attempt, Job("j", JobStatus.PROCESSING), b"", NOW)
    assert accepted.charged == Decimal("0.056")
    assert journal.spend() == Spend(charged=Decimal("0.056"))


def expecting(journal: Journal, price: str) -> Attempt:
    """The mug is on its way, and expected to cost something else than the tables say."""
    (_, work), *_ = journal.pending(0, 1)
    with journal.transaction():
        return journal.record_intent(work, "f00d", "1", NOW, reserved=Decimal(price), price_key="hera num_images=1")


def test_what_is_on_its_way_or_in_doubt_counts_with_what_was_reserved(journal: Journal) -> None:
    attempt = expecting(journal, "0.50")
    assert (attempt.estimated, attempt.reserved) == (Decimal("0.056"), Decimal("0.50"))
    assert journal.spend() == Spend(in_doubt=Decimal("0.50"))
    do(journal, "doubt", attempt)
    assert journal.spend() == Spend(in_doubt=Decimal("0.50"))
    assert [doubt.reserved for doubt in doubts(journal.db)] == [Decimal("0.50")]
    (stored,) = journal.unsettled(S.IN_DOUBT)
    assert (stored.reserved, stored.price_key) == (Decimal("0.50"), "hera num_images=1")
    do(journal, "settle_as_charged", stored)
    assert journal.spend() == Spend(charged=Decimal("0.50"))


def test_an_acceptance_without_a_price_is_charged_as_expected_and_confirms_nothing(journal: Journal) -> None:
    attempt = expecting(journal, "0.50")
    with journal.transaction():
        accepted = journal.accept(attempt, Job("j", JobStatus.PROCESSING), b"", NOW)
    assert (accepted.charged, accepted.named_price) == (Decimal("0.50"), None)
    assert prices_of(journal.db).confirmed == {}
    with journal.transaction():
        confirmed = journal.confirm_price(accepted, None)
    assert prices_of(journal.db).confirmed == {"hera num_images=1": Decimal("0.50")}
    (stored,) = journal.unsettled(S.PROCESSING)
    assert (stored.charge, stored.named_price) == (confirmed.charge, None)


def test_the_price_told_last_stands_the_larger_one_counts_and_the_refund_takes_both_away(journal: Journal) -> None:
    attempt = expecting(journal, "0.50")
    with journal.transaction():
        attempt = journal.accept(attempt, Job("j", JobStatus.PROCESSING, cost=Decimal("0.20")), b"", NOW)
    for told, spend in (
        ("0.05", Spend(Decimal("0.05"), surplus=Decimal("0.15"))),
        ("0.30", Spend(Decimal("0.30"))),
        ("0.10", Spend(Decimal("0.10"), surplus=Decimal("0.20"))),
    ):
        with journal.transaction():
            attempt = journal.confirm_price(attempt, Decimal(told))
        assert journal.spend() == spend
        assert prices_of(journal.db).confirmed == {"hera num_images=1": spend.charged + spend.surplus}
        assert [stored.charge for stored in journal.unsettled(S.PROCESSING)] == [attempt.charge]
    do(journal, "fail", attempt)
    assert journal.spend() == Spend(Decimal("0.10"), Decimal("0.10"))


def test_the_latest_confirmed_price_of_a_key_counts(journal: Journal) -> None:
    for price in ("0.20", "0.07"):
        (_, work), *_ = journal.pending(0, 1)
        with journal.transaction():
            attempt = journal.record_intent(work, "f00d", "1", NOW, price_key="k")
            journal.accept(attempt, Job(price, JobStatus.PROCESSING, cost=Decimal(price)), b"", NOW)
    assert prices_of(journal.db).confirmed == {"k": Decimal("0.07")}


@pytest.mark.parametrize("cost", [None, "0"])
def test_a_job_that_had_failed_when_it_was_accepted_is_charged_and_refunded_as_expected(
    journal: Journal, cost: str | None
) -> None:
    attempt = expecting(journal, "0.50")
    failed = Job("j", JobStatus.FAILED, cost=None if cost is None else Decimal(cost))
    with journal.transaction():
        accepted = journal.accept(attempt, failed, b"", NOW)
        journal.fail(accepted, failed, 0, 1000, NOW)
    assert journal.spend() == Spend(Decimal("0.50"), Decimal("0.50"))
    assert prices_of(journal.db).confirmed == {}


def test_a_doubt_that_became_a_job_carries_no_error_on(journal: Journal) -> None:
    do(journal, "accept", purchase(journal, S.IN_DOUBT))
    assert (row(journal)["error_type"], row(journal)["error_message"]) == (None, None)


def test_a_failure_is_refunded_in_full_and_keeps_its_charge(journal: Journal) -> None:
    attempt = purchase(journal, S.SUBMITTING)
    with journal.transaction():
        journal.fail(journal.accept(attempt, ACCEPTED, b"", NOW), Job("j", JobStatus.FAILED), 3, 1000, NOW)
    found = row(journal)
    assert [found[c] for c in ("charged", "refunded", "refunded_at", "error_message", "polls")] == [
        "0.07", "0.07", ms(NOW), "the provider gave no reason", 3,
    ]  # fmt: skip
    assert journal.spend() == Spend(Decimal("0.07"), Decimal("0.07"))


@pytest.mark.parametrize(
    ("state", "step", "spend"),
    [
        (S.SUBMITTING, None, Spend(in_doubt=Decimal("0.056"))),
        (S.IN_DOUBT, None, Spend(in_doubt=Decimal("0.056"))),
        (S.IN_DOUBT, "settle_as_charged", Spend(charged=Decimal("0.056"))),
        (S.IN_DOUBT, "settle_as_not_charged", Spend()),
        (S.IN_DOUBT, "accept", Spend(charged=Decimal("0.07"))),
        (S.SUBMITTING, "cancel_intent", Spend()),
        (S.SUBMITTING, "reject", Spend()),
        (S.PROCESSING, "lose", Spend(charged=Decimal("0.056"))),
        (S.READY, "lose", Spend(charged=Decimal("0.056"))),
        (S.READY, "record_file", Spend(charged=Decimal("0.056"))),
        (S.PROCESSING, "fail", Spend(Decimal("0.056"), Decimal("0.056"))),
    ],
)
def test_money_follows_every_step(journal: Journal, state: State, step: str | None, spend: Spend) -> None:
    attempt = purchase(journal, state)
    if step:
        do(journal, step, attempt)
    assert journal.spend() == spend


def test_a_number_is_used_once_also_by_what_was_released(journal: Journal) -> None:
    for number in (1, 2, 3):
        attempt = purchase(journal, S.SUBMITTING)
        assert attempt.number == number
        do(journal, "cancel_intent", attempt)


# ---- outputs -----------------------------------------------------------------------------------------------------


def file(number: int) -> StoredFile:
    return StoredFile(number, f"files/mug@{number}.png", 10 * number, f"{number}" * 64)


def test_an_item_is_done_with_its_last_file_in_any_order(journal: Journal) -> None:
    with journal.transaction():
        attempt = Buyer(journal).ready("mug", outputs=3)
    for number, left in ((2, [1, 3]), (3, [1])):
        with journal.transaction():
            assert journal.record_file(attempt, file(number)) is False
        assert [output.number for output in journal.listing(attempt).left] == left
        assert states(journal)["mug"] == "ready"
    with journal.transaction():
        assert journal.record_file(attempt, file(1)) is True
    assert states(journal)["mug"] == "done"
    assert journal.listing(attempt).highest == 3
    assert journal.owner_of("files/mug@2.png") == (attempt.key, 2)


@pytest.mark.parametrize("number", [0, 2, 4])
def test_a_file_that_was_kept_or_that_nobody_waits_for_is_refused(journal: Journal, number: int) -> None:
    with journal.transaction():
        attempt = Buyer(journal).ready("mug", outputs=3)
        journal.record_file(attempt, file(2))
    before = contents(journal)
    with pytest.raises(TransitionError), journal.transaction():
        journal.record_file(attempt, file(number))
    assert contents(journal) == before


def test_the_other_files_of_a_lost_item_are_kept_and_it_stays_lost(journal: Journal) -> None:
    with journal.transaction():
        attempt = Buyer(journal).ready("mug", outputs=2)
        journal.lose(attempt, "output 1 is gone", NOW)
        assert journal.record_file(attempt, file(2)) is False
    assert states(journal)["mug"] == "lost"
    assert journal.owner_of("files/mug@2.png") == (attempt.key, 2)


def test_a_file_that_moves_aside_is_known_at_its_new_place(journal: Journal) -> None:
    attempt = purchase(journal, S.DONE)
    with journal.transaction():
        journal.move_file("files/mug.png", "superseded/mug.png")
    assert journal.owner_of("files/mug.png") is None
    assert journal.owner_of("superseded/mug.png") == (attempt.key, 1)


def test_a_job_is_known_once_it_belongs_to_an_attempt(journal: Journal) -> None:
    assert not journal.knows_job("job-new")
    do(journal, "accept", purchase(journal, S.SUBMITTING))
    assert journal.knows_job("job-new")
