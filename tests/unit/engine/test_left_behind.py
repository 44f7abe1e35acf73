"""What a start has left behind, as its receipts have it, and how a journal takes it over before anything is bought."""

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.bought import START, item, journal_of

from batchgen import receipts
from batchgen.api import Job, JobStatus
from batchgen.cli.runs.resolve import command as resolve
from batchgen.core.errors import RunFolderError
from batchgen.core.records import State
from batchgen.engine.worker.link import _FAREWELL, _GIVE_UP
from batchgen.journal import Attempt, Journal, own
from batchgen.receipts import FILE_NAME as RECEIPTS
from batchgen.session.merging.merge import merge
from batchgen.session.repair.recovery import recover
from batchgen.session.workers.left_behind import WORKERS, Accepted, outcomes, outcomes_in, remove, take_in

A, B = "0123456789abcdef0001", "0123456789abcdef0002"
START_A = "00000000000000aa"
AT = 1769903999000


def intent(purchase: str) -> str:
    return receipts.intent(
        purchase, item="mug", digest="d", attempt=1, model="m", price=Decimal("0.05"), reserved=Decimal("0.05"),
        account="f00d", tables="8", at=AT,
    ).text  # fmt: skip


def accepted(purchase: str, job: str = "job-1", *, expires: int | None = None) -> str:
    return receipts.accepted(
        purchase, item="mug", attempt=1, job=job, charged=Decimal("0.07"), expires=expires, at=AT
    ).text  # fmt: skip


def void(purchase: str) -> str:
    return receipts.void(purchase).text


HEADER = receipts.header("r", 1).text
TABLES: list[tuple[str, str | None, dict[str, str]]] = [
    ("nothing of it", HEADER, {A: "unsent"}),
    ("an intent", HEADER + intent(A), {A: "unanswered"}),
    ("an intent that was taken back", HEADER + intent(A) + void(A), {A: "unsent"}),
    ("an acceptance", HEADER + intent(A) + accepted(A), {A: "job-1"}),
    ("an acceptance whose commit failed", HEADER + intent(A) + accepted(A) + void(A), {A: "job-1"}),
    ("an intent cut short", HEADER + intent(A)[:-9], {A: "unsent"}),
    ("an acceptance cut short", HEADER + intent(A) + accepted(A)[:-1], {A: "unanswered"}),
    ("a taking back cut short", HEADER + intent(A) + void(A)[:-1], {A: "unanswered"}),
    ("those of others only", HEADER + intent(B) + accepted(B), {A: "unsent"}),
    ("those of others too", HEADER + intent(B) + intent(A) + accepted(B) + void(B), {A: "unanswered"}),
    ("two", HEADER + intent(A) + intent(B) + accepted(B, "job-2") + void(A), {A: "unsent", B: "job-2"}),
    ("lines of other kinds", HEADER + intent(A) + receipts.reopened(A).text, {A: "unanswered"}),
    ("a rejection", HEADER + intent(A) + receipts.ended(A, State.REJECTED, AT).text, {A: "unsent"}),
    # Where a line is damaged, it may have been any: what would be certain without it no longer is.
    ("a damaged line", HEADER + '{"intent":"01234567\n', {A: "unanswered"}),
    ("damage and a taking back", HEADER + intent(A) + void(A) + "\0\0\0\n", {A: "unsent"}),
    ("damage before an acceptance", HEADER + "x\n" + intent(A) + accepted(A), {A: "job-1"}),
    ("an empty file", "", {A: "unanswered"}),
    ("no file", None, {A: "unanswered"}),
]


@pytest.mark.parametrize(("text", "expected"), [row[1:] for row in TABLES], ids=[row[0] for row in TABLES])
def test_what_receipts_say_of_purchases(tmp_path: Path, text: str | None, expected: dict[str, str]) -> None:
    if text is not None:
        (tmp_path / RECEIPTS).write_text(text, encoding="utf-8")
    found = outcomes_in(tmp_path, list(expected))
    assert {purchase: what.job.id if isinstance(what, Accepted) else what for purchase, what in found.items()} == (
        expected
    )


def test_an_acceptance_has_its_price_and_its_times(tmp_path: Path) -> None:
    (tmp_path / RECEIPTS).write_text(HEADER + intent(A) + accepted(A, expires=AT + 5000), encoding="utf-8")
    found = outcomes_in(tmp_path, [A])[A]
    assert isinstance(found, Accepted)
    assert (found.job.cost, found.job.status) == (Decimal("0.07"), JobStatus.PROCESSING)
    assert found.job.expires_at is not None
    assert found.job.expires_at - found.at == timedelta(seconds=5)


def test_a_start_without_a_folder_here_says_nothing(tmp_path: Path) -> None:
    assert outcomes(tmp_path, START_A, [A]) is None


def test_a_start_that_owns_its_folder_says_nothing_yet_and_is_not_removed(tmp_path: Path) -> None:
    folder = tmp_path / WORKERS / START_A
    folder.mkdir(parents=True)
    with own(folder, START):
        assert outcomes(tmp_path, START_A, [A]) is None
        remove(tmp_path, START_A)
        assert folder.is_dir()
    assert outcomes(tmp_path, START_A, [A]) == {A: "unanswered"}
    remove(tmp_path, START_A)
    assert not folder.exists()
    remove(tmp_path, START_A)


# ---- taken over by the next run ----------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path) -> Iterator[tuple[Journal, dict[str, Attempt]]]:
    """A journal whose items a start was granted, two of each kind: with an intent only, and in doubt since."""
    ids = [f"{state}-{n}" for state in ("sent", "doubted") for n in range(3)]
    with journal_of(tmp_path, map(item, ids)):
        pass
    with closing(Journal(tmp_path)) as journal:
        attempts = {}
        with journal.transaction():
            for _, work in journal.pending(-1, 99):
                attempt = journal.record_intent(work, "f00d", "8", START, lent_to=START_A)
                if work.item.id.startswith("doubted"):
                    journal.doubt(attempt, "the worker is gone, and whether its request was charged is not known")
                attempts[work.item.id] = attempt
        yield journal, attempts


def leave(folder: Path, attempts: dict[str, Attempt], lines: Callable[[str, str], str]) -> Path:
    """Write what the start has left: for each purchase the lines for its id and name."""
    left = folder / WORKERS / START_A
    left.mkdir(parents=True)
    text = HEADER + "".join(lines(id_, attempt.purchase) for id_, attempt in attempts.items())
    (left / RECEIPTS).write_text(text, encoding="utf-8")
    return left


def states(journal: Journal) -> dict[str, str]:
    return dict(journal.db.execute("SELECT id, state FROM item"))


def by_number(id_: str, purchase: str) -> str:
    """0: accepted, 1: without an answer, 2: not sent."""
    match id_[-1]:
        case "0":
            return intent(purchase) + accepted(purchase, f"job-{id_}")
        case "1":
            return intent(purchase)
        case _:
            return ""


def silent(_: str) -> None:
    raise AssertionError("there is nothing to be told")


def test_each_outcome_of_each_state(tmp_path: Path, run: tuple[Journal, dict[str, Attempt]]) -> None:
    journal, attempts = run
    left = leave(tmp_path, attempts, by_number)
    take_in(journal, tmp_path, silent, wait=0.0)
    assert states(journal) == {
        "sent-0": "processing", "sent-1": "in_doubt", "sent-2": "pending",
        "doubted-0": "processing", "doubted-1": "in_doubt", "doubted-2": "pending",
    }  # fmt: skip
    rows = journal.db.execute("SELECT job_id, charged FROM attempt WHERE state = 'processing' ORDER BY job_id")
    assert rows.fetchall() == [("job-doubted-0", "0.07"), ("job-sent-0", "0.07")]
    assert journal.intact()
    assert not left.exists()
    take_in(journal, tmp_path, silent, wait=0.0)  # and once is enough
    assert states(journal)["sent-1"] == "in_doubt"


def test_what_was_taken_over_is_in_the_receipts_too(tmp_path: Path, run: tuple[Journal, dict[str, Attempt]]) -> None:
    journal, attempts = run
    leave(tmp_path, attempts, by_number)
    take_in(journal, tmp_path, silent, wait=0.0)
    lines = [json.loads(line) for line in (tmp_path / RECEIPTS).read_text(encoding="utf-8").splitlines()]
    told: dict[str, list[str]] = {id_: [] for id_ in attempts}
    for id_, attempt in attempts.items():
        told[id_] = [next(iter(line)) for line in lines if attempt.purchase in line.values()]
    assert told == {
        "sent-0": ["intent", "accepted"], "sent-1": ["intent"], "sent-2": ["intent", "void"],
        "doubted-0": ["intent", "accepted"], "doubted-1": ["intent"], "doubted-2": ["intent", "settled"],
    }  # fmt: skip


@pytest.mark.parametrize("lost", ["the receipts", "everything"])
def test_a_folder_that_was_removed_by_half_frees_nothing(
    tmp_path: Path, run: tuple[Journal, dict[str, Attempt]], lost: str
) -> None:
    """A process may be killed while it removes what a start has left: what is gone proves nothing."""
    journal, attempts = run
    left = leave(tmp_path, attempts, lambda _, purchase: intent(purchase))
    (left / RECEIPTS).unlink()
    if lost == "the receipts":
        (left / "journal.sqlite3").write_bytes(b"")
    take_in(journal, tmp_path, silent, wait=0.0)
    assert set(states(journal).values()) == {"in_doubt"}


def test_a_job_that_is_known_by_now_is_not_taken_twice(tmp_path: Path, run: tuple[Journal, dict[str, Attempt]]) -> None:
    journal, attempts = run
    with journal.transaction():  # collected by hand for another item meanwhile
        job = Job("job-known", JobStatus.PROCESSING, cost=Decimal("0.05"))
        journal.accept(attempts["doubted-1"], job, b"", START)
    both = {id_: attempts[id_] for id_ in ("sent-0", "doubted-0")}
    leave(tmp_path, both, lambda _, purchase: intent(purchase) + accepted(purchase, "job-known"))
    take_in(journal, tmp_path, silent, wait=0.0)
    assert (states(journal)["sent-0"], states(journal)["doubted-0"]) == ("in_doubt", "in_doubt")


def test_only_what_was_granted_to_a_start_is_judged_by_what_it_left(
    tmp_path: Path, run: tuple[Journal, dict[str, Attempt]]
) -> None:
    journal, attempts = run
    other = tmp_path / WORKERS / "00000000000000bb"
    other.mkdir(parents=True)
    (other / RECEIPTS).write_text(HEADER, encoding="utf-8")
    (tmp_path / WORKERS / "scratch").mkdir()
    (tmp_path / WORKERS / "here").write_text("mark", encoding="utf-8")
    before = states(journal)
    take_in(journal, tmp_path, silent, wait=0.0)
    assert states(journal) == before
    assert sorted(path.name for path in (tmp_path / WORKERS).iterdir()) == ["here", "scratch"]
    assert attempts


def test_purchases_of_the_process_itself_are_left_alone(tmp_path: Path) -> None:
    with journal_of(tmp_path, [item("mug")]) as journal:
        (_, work) = journal.pending(-1, 1)[0]
        journal.record_intent(work, "f00d", "8", START)
        (tmp_path / WORKERS / START_A).mkdir(parents=True)
        assert journal.lent_out() == []
    with closing(Journal(tmp_path)) as journal:
        take_in(journal, tmp_path, silent, wait=0.0)
        assert states(journal) == {"mug": "submitting"}


def test_starts_that_live_are_waited_for_which_is_told_once(
    tmp_path: Path, run: tuple[Journal, dict[str, Attempt]]
) -> None:
    journal, attempts = run
    left = leave(tmp_path, attempts, by_number)
    held, told, waits = threading.Event(), list[str](), threading.Event()

    def hold() -> None:
        with own(left, START):
            held.set()
            waits.wait(20)

    def tell(text: str) -> None:
        told.append(text)
        waits.set()  # it ends once it is waited for

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(20)
    take_in(journal, tmp_path, tell, wait=20.0)
    holder.join()
    assert told == ["workers of an earlier run are still at work: waiting for them, 20 s at most"]
    assert states(journal)["sent-0"] == "processing"
    assert not left.exists()


def test_a_start_that_does_not_end_keeps_what_it_has(
    tmp_path: Path, run: tuple[Journal, dict[str, Attempt]], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, attempts = run
    left = leave(tmp_path, attempts, by_number)
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    told: list[Any] = []
    before = states(journal)
    with own(left, START):
        take_in(journal, tmp_path, told.append)
    assert len(told) == 1
    assert "60 s at most" in told[0]
    assert clock[0] > _GIVE_UP + _FAREWELL  # a worker that lost its coordinator has ended by itself by then
    assert states(journal) == before  # in doubt, once the run has begun, and free again when it has ended
    assert left.is_dir()


def test_nobody_is_waited_for_once_the_run_is_to_stop(tmp_path: Path, run: tuple[Journal, dict[str, Attempt]]) -> None:
    journal, attempts = run
    left = leave(tmp_path, attempts, by_number)
    looked = []

    def stopped() -> bool:
        looked.append(True)
        return len(looked) > 2

    with own(left, START):
        take_in(journal, tmp_path, lambda _: None, wait=10**6, stopped=stopped)
    assert len(looked) == 3


def test_a_journal_that_was_rebuilt_from_its_receipts_takes_over_what_starts_have_written(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, run: tuple[Journal, dict[str, Attempt]]
) -> None:
    """It does not know to whom a purchase was granted: a start that has written nothing of it proves nothing."""
    journal, attempts = run
    folder = tmp_path_factory.mktemp("run")
    shutil.copy(journal.path.parent / RECEIPTS, folder)
    leave(folder, attempts, by_number)
    recover(folder)
    with closing(Journal(folder)) as rebuilt:
        with rebuilt.transaction():
            rebuilt.doubt_interrupted()
        take_in(rebuilt, folder, silent, wait=0.0)
        assert states(rebuilt) == {
            id_: "processing" if id_.endswith("0") else "in_doubt" for id_ in attempts
        }  # fmt: skip


def test_nothing_is_settled_by_hand_that_a_start_knows(tmp_path: Path, run: tuple[Journal, dict[str, Attempt]]) -> None:
    """It would be bought a second time."""
    journal, attempts = run
    leave(tmp_path, attempts, by_number)
    result = CliRunner().invoke(resolve, [str(tmp_path), "doubted-0", "--not-charged"])
    assert result.exception is not None
    assert states(journal)["doubted-0"] == "processing"


def test_a_run_folder_is_merged_only_once_it_knows_what_its_workers_did(tmp_path: Path) -> None:
    folder = tmp_path / "a run"
    with journal_of(folder, [item("mug")]):
        (folder / WORKERS / START_A).mkdir(parents=True)
    with pytest.raises(RunFolderError, match=r"`batchgen collect '.*/a run'` takes it over"):
        merge([folder], tmp_path / "into", {}, lambda _: None)
    assert not (tmp_path / "into").exists()
