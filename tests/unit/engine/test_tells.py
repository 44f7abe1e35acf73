"""Every step of a purchase that a worker's scheduler takes is told, and the coordinator takes the same one."""

import ast
import inspect
from pathlib import Path

import pytest
from support.bought import START, item, journal_of
from support.engine.coordinating import Desk, acceptance, desk_of
from support.running import ROOT

from batchgen.api import Job, JobStatus
from batchgen.core.records import StoredFile
from batchgen.engine import tells
from batchgen.engine.coordinator.steps import Steps
from batchgen.engine.tells import accepted, cancelled, doubted, told
from batchgen.journal import Attempt
from batchgen.journal.delivered import DeliveredFiles, Findings
from batchgen.journal.transitions import Transitions
from batchgen.media.facts import Facts
from batchgen.policy.absence import Absence

TOLD = {
    "accept_or_doubt", "cancel_intent", "doubt", "reject", "confirm_price", "complete", "list_more_outputs",
    "accept_fewer_outputs", "fail", "lose", "record_absence", "record_delivery", "record_judgement",
}  # fmt: skip
NOT_TOLD = {
    "record_intent": "the coordinator's own came first: that is the leave to buy",
    "accept": "a part of `accept_or_doubt`; nobody else takes it",
    "record_file": "a part of `record_delivery`",
    "settle_as_not_charged": "only people settle, and `left_behind`, in the journal of the run",
    "settle_as_charged": "only people settle, in the journal of the run",
    "doubt_interrupted": "a start's journal is new and never resumed",
    "restore_lost": "a start asks for no lost jobs (`ask_lost`)",
    "put_findings": "a part of `record_file`",
    "renew_findings": "of files that are downloaded again, which a start never does",
    "next_unjudged": "reads",
    "has_unjudged": "reads",
    "next_to_judge": "reads",
    "put_judgement": "a part of `record_judgement`",
    "verdict_of": "reads",
}
"""Methods of the journal that a coordinator need not hear of, each with the reason."""


def public(cls: type) -> set[str]:
    return {name for name, value in vars(cls).items() if inspect.isfunction(value) and not name.startswith("_")}


def test_each_step_of_a_purchase_is_told_or_there_is_a_reason_why_not() -> None:
    """A method that is added to the journal must be in one of the two lists: it may be a step that buys or frees."""
    steps = public(Transitions) | public(DeliveredFiles)
    assert steps - TOLD - set(NOT_TOLD) == set()
    assert set(NOT_TOLD) - steps == set()


def test_what_is_told_is_what_the_coordinator_takes() -> None:
    assert set(tells._STEPS) == TOLD
    assert set(Steps._STEPS) | {"record_judgement"} == TOLD | {"parked"}  # which changes no journal


def scheduler_records() -> set[str]:
    """The names of what the scheduler gives to `record` or `record_paid`."""
    found = set()
    for path in (ROOT / "batchgen" / "scheduler").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called not in ("record", "record_paid") or not node.args:
                continue
            operation = node.args[called == "record_paid"]
            match operation:
                case ast.Attribute(attr=name) | ast.Name(id=name):
                    found.add(name)
                case _:
                    found.add(ast.unparse(operation))
    return found


READ_ONLY = {
    "operation", "waiting_for_picks", "durations", "listing", "next_unjudged", "verdict_of", "startable", "pending",
    "pending_among", "has_successor", "files_to_restore", "earlier_files", "owner_of", "find_waiting",
    "candidates_after", "with_sources", "input_outputs", "_superseded_name", "_claim",
    "lambda: list(journal.unsettled(State.PROCESSING))", "lambda: list(journal.lost_jobs())",
    "lambda: list(journal.ready())", "canary_rows",
}  # fmt: skip
"""What the scheduler asks of the journal without changing a purchase."""
AT_HOME = {
    "record_intent": NOT_TOLD["record_intent"],
    "restore_lost": NOT_TOLD["restore_lost"],
    "advance_chain": "of items that need outputs of others, which are bought at home",
    "note_source_expired": "as `advance_chain`",
    "move_file": "of items with earlier files, which are bought at home",
    "replace_file": "of `batchgen verify`, by a process that owns the run folder",
}


def test_all_that_the_scheduler_records_is_told_by_its_name() -> None:
    """What is recorded is told by the name of a method: one that is wrapped in another function would be told never."""
    assert scheduler_records() - TOLD - READ_ONLY - set(AT_HOME) == set()
    assert scheduler_records() >= TOLD | READ_ONLY | set(AT_HOME)


def test_what_is_not_a_step_is_not_told(tmp_path: Path) -> None:
    with journal_of(tmp_path, [item("mug")]) as journal:
        (_, work) = journal.pending(-1, 1)[0]
        assert told(journal.pending, (0, 9), {}) is None
        assert told(journal.record_intent, (work, "f00d", "8", START), {}) is None
        assert told(lambda: None, (), {}) is None
        attempt = journal.record_intent(work, "f00d", "8", START)
        assert told(journal.doubt, (attempt, "why"), {}) == doubted(attempt.purchase, "why")
        assert told(journal.cancel_intent, (attempt,), {}) == cancelled(attempt.purchase)
        job = Job("job-1", JobStatus.PROCESSING)
        assert told(journal.accept_or_doubt, (attempt, job, b"x", START), {}) == accepted(
            attempt.purchase, job, b"x", START
        )


# ---- what the coordinator makes of them --------------------------------------------------------------------------

JOB = Job("job-1", JobStatus.COMPLETED, inference_ms=5, outputs=("https://api18.dev/a", "https://api18.dev/b"))
FAILED = Job("job-1", JobStatus.FAILED, error="nsfw")
FILES = [StoredFile(number, f"files/i0@{number}.png", 10, f"{number:064x}") for number in (1, 2)]
FOUND = Findings(Facts(width=64, height=64), (), judged=False)
STEPS: dict[str, tuple[list[tuple[str, tuple[object, ...], dict[str, object]]], str]] = {
    "taken back": ([("cancel_intent", (), {})], "pending"),
    "in doubt": ([("doubt", ("why", b"raw"), {})], "in_doubt"),
    "rejected": ([("reject", ("invalid_request", "no such size", START), {})], "rejected"),
    "accepted": ([("accept_or_doubt", (Job("job-1", JobStatus.PROCESSING), b"{}", START), {})], "processing"),
    "failed": ([("fail", (FAILED, 3, 900, START), {})], "failed"),
    "lost": ([("record_absence", (Absence(5, 200.0),), {}), ("lose", ("gone", START), {"polls": 4})], "lost"),
    "a price": ([("confirm_price", (None,), {})], "processing"),
    "ready": ([("complete", (JOB, 3, 900, START), {"ordered": 2})], "ready"),
    "half": (
        [("complete", (JOB, 3, 900, START), {"ordered": 2}), ("record_delivery", (FILES[0], FOUND), {})], "ready"
    ),
    "done": (
        [
            ("complete", (JOB, 3, 900, START), {"ordered": 2}),
            ("record_delivery", (FILES[0], FOUND), {}), ("record_delivery", (FILES[1], FOUND), {}),
        ], "done",
    ),
    "fewer outputs": (
        [
            ("complete", (JOB, 3, 900, START), {"ordered": 3}),
            ("record_delivery", (FILES[0], FOUND), {}), ("record_delivery", (FILES[1], FOUND), {}),
            ("list_more_outputs", (JOB, 4), {"ordered": 3}), ("accept_fewer_outputs", ("no more come",), {}),
        ], "done",
    ),
}  # fmt: skip
AFTER_ACCEPTANCE = set(STEPS) - {"taken back", "in doubt", "rejected", "accepted"}


@pytest.mark.parametrize("name", STEPS)
async def test_the_coordinator_s_journal_is_led_to_where_the_worker_s_is(tmp_path: Path, name: str) -> None:
    """The same steps by hand in one journal, and told to a coordinator of another: both hold the same in the end."""
    steps, state = STEPS[name]
    with desk_of(tmp_path / "run", 1) as desk:
        await desk.begin()
        grant = (await desk.say(1, asks=[1])).granted[0]
        with journal_of(tmp_path / "start", [item("i0")]) as journal:
            (_, work) = journal.pending(-1, 1)[0]
            attempt = journal.record_intent(
                work, "f00d", "8", START, reserved=grant.reserved, name=grant.name, price_key="k"
            )
            journal.db.execute("UPDATE attempt SET lent_to = '00000000000000aa'")
            told_steps = [acceptance(attempt.purchase)] if name in AFTER_ACCEPTANCE else []
            if told_steps:
                job = Job("job-1", JobStatus.PROCESSING, cost=grant.reserved)
                bought = journal.accept_or_doubt(attempt, job, b"{}", START)
                assert isinstance(bought, Attempt)
                attempt = bought
                told_steps[0]["job"]["cost"] = str(grant.reserved)
            for step, args, options in steps:
                operation = getattr(journal, step)
                told_step = told(operation, (attempt, *args), options)
                assert told_step is not None
                told_steps.append(told_step)
                operation(attempt, *args, **options)
            for number, tell in enumerate(told_steps, 2):
                await desk.say(number, tell)
            assert desk.states() == {"i0": state}
            for table in ("attempt", "output", "delivered"):
                rows = journal.db.execute(f"SELECT * FROM {table}").fetchall()
                assert desk.journal.db.execute(f"SELECT * FROM {table}").fetchall() == rows, table
    assert desk.run_state.error is None
    check_counts(desk, state)


def check_counts(desk: Desk, state: str) -> None:
    """What the coordinator counts is what its journal says."""
    run_state = desk.run_state
    assert {str(each): count for each, count in run_state.counts.items() if count} == {state: 1}
    bought = state not in ("pending", "rejected", "submitting")
    assert run_state.bought == bought
    assert run_state.lent == 0
    assert run_state.delivered == (state == "done")
    assert run_state.failures == (state in ("failed", "rejected", "lost"))


async def test_the_job_of_another_purchase_is_in_doubt(tmp_path: Path) -> None:
    """An answer that names a job which is bought already is another's; what the start tells of it counts no longer."""
    with desk_of(tmp_path, 2) as desk:
        await desk.begin()
        one, two = (str(grant.name.purchase) for grant in (await desk.say(1, asks=[1, 2])).granted)
        await desk.say(2, acceptance(one), acceptance(two))
        assert desk.states() == {"i0": "processing", "i1": "in_doubt"}
        complete = {"step": "complete", "purchase": two, "job": acceptance("")["job"], "polls": 1, "took_ms": 1,
                    "at": 1769903999000, "ordered": 1}  # fmt: skip
        await desk.say(3, complete)
        assert desk.states() == {"i0": "processing", "i1": "in_doubt"}
        assert desk.run_state.bought == 2
