"""Chains: items wait for what they need, start as soon as it is there, and are skipped where it does not come."""

import random
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from support.worlds import calm, run_clean, strike, world_of

from batchgen.core.records import PICKED, Input, Item, State
from batchgen.journal import FILE_NAME, Journal
from batchgen.scheduler.pending import items as pending_items
from batchgen.settings import Settings
from batchgen.virtual import Fault, World, make_dependant, make_item, make_items

STILL = make_item("still", outputs=3)
EDIT = make_dependant("edit", (STILL, 3))
CLIP = make_dependant("clip", (EDIT, 1), (STILL, 1))


def rows(world: World, what: str = "id, state, reason") -> list[tuple[object, ...]]:
    with closing(Journal(world.folder)) as journal:
        return journal.db.execute(f"SELECT {what} FROM item WHERE position IS NOT NULL ORDER BY position").fetchall()


def states(world: World) -> dict[str, str]:
    return {str(item_id): str(state) for item_id, state in rows(world, "id, state")}


@pytest.mark.parametrize("items", [[STILL, EDIT, CLIP], [CLIP, EDIT, STILL]], ids=["in order", "in reverse"])
def test_items_wait_for_what_they_need_wherever_it_stands(tmp_path: Path, items: list[Item]) -> None:
    world = world_of(tmp_path, items)
    outcome = run_clean(world)
    assert (outcome.exit_code, outcome.counts) == (0, {State.DONE: 3})
    jobs = {job.digest: job for job in world.provider.books.jobs.values()}
    assert jobs[STILL.digest].ends_at < jobs[EDIT.digest].created_at
    assert jobs[EDIT.digest].ends_at < jobs[CLIP.digest].created_at
    assert run_clean(world).counts == {State.DONE: 3}
    assert world.provider.books.totals(world.clock.seconds).accepted == 3


def test_the_rest_continues_while_an_item_waits(tmp_path: Path) -> None:
    others = make_items(40)
    world = world_of(tmp_path, [STILL, *others, EDIT], strike(Fault.SLOW, '"still"'), concurrency=4)
    assert run_clean(world).exit_code == 0
    jobs = {job.digest: job for job in world.provider.books.jobs.values()}
    assert max(jobs[other.digest].ends_at for other in others) < jobs[EDIT.digest].created_at


def test_an_attempt_remembers_which_outputs_it_was_sent_with(tmp_path: Path) -> None:
    world = world_of(tmp_path, [STILL, EDIT])
    run_clean(world)
    with closing(Journal(world.folder)) as journal:
        ((inputs,),) = journal.db.execute(
            "SELECT json_extract(inputs, '$[0]') FROM attempt WHERE inputs <> '[]'"
        ).fetchall()
    assert inputs.startswith('["images/0","still",3,"job1","https://files.memory/job1/3?until=')


@pytest.mark.parametrize("fault", [Fault.FAILED, Fault.REJECTED])
def test_what_needs_an_item_that_did_not_succeed_is_skipped_and_runs_once_it_has(tmp_path: Path, fault: Fault) -> None:
    world = world_of(tmp_path, [STILL, EDIT, CLIP, make_item("other")], strike(fault, '"still"'))
    outcome = run_clean(world)
    assert outcome.exit_code == 1
    why = {Fault.FAILED: "failed", Fault.REJECTED: "was rejected"}[fault]
    assert rows(world)[:3] == [
        ("still", why.split()[-1], None),
        ("edit", "skipped", f"needs output 3 of still, which {why}"),
        ("clip", "skipped", "needs edit, which was skipped"),
    ]
    calm(world)
    world.consented[STILL.digest] += 1
    retry = [State.FAILED, State.REJECTED]
    outcome = run_clean(world, before=lambda journal: (journal.requeue(retry, lambda _: True), journal.settle_chains()))
    assert (outcome.exit_code, outcome.counts) == (0, {State.DONE: 4})


def test_what_needs_an_output_that_never_came_is_skipped(tmp_path: Path) -> None:
    first = make_dependant("first", (STILL, 1))
    world = world_of(tmp_path, [STILL, EDIT, first], strike(Fault.FEWER_OUTPUTS, '"still"'))
    assert run_clean(world).exit_code == 1
    assert rows(world) == [
        ("still", "done", None),
        ("edit", "skipped", "needs output 3 of still, which came with fewer outputs than ordered"),
        ("first", "done", None),
    ]


def test_what_needs_an_item_in_doubt_stays_pending(tmp_path: Path) -> None:
    world = world_of(tmp_path, [STILL, EDIT], strike(Fault.LOST_ANSWER, '"still"'))
    outcome = run_clean(world)
    assert outcome.exit_code == 4
    assert states(world) == {"still": "in_doubt", "edit": "pending"}


def test_a_cap_between_source_and_dependant_leaves_it_pending(tmp_path: Path) -> None:
    world = world_of(tmp_path, [EDIT, STILL], max_cost=Decimal("0.05"))
    outcome = run_clean(world)
    assert (outcome.exit_code, outcome.word) == (3, "max_cost")
    assert states(world) == {"edit": "pending", "still": "done"}
    world.settings = Settings(max_cost=Decimal("0.10"))
    assert run_clean(world).counts == {State.DONE: 2}


def test_a_file_that_is_gone_leaves_the_dependant_pending_and_retrying_the_source_buys_both(tmp_path: Path) -> None:
    world = world_of(tmp_path, [STILL, EDIT, CLIP], max_new=1)
    assert run_clean(world).counts == {State.DONE: 1, State.PENDING: 2}
    calm(world, strike(Fault.GONE, "job1/"))
    world.provider.core.forget_files()
    world.settings = Settings()
    outcome = run_clean(world)
    assert outcome.ending is not None
    assert outcome.ending.source_expired == 1
    assert rows(world) == [
        ("still", "done", "file_expired 1"),
        ("edit", "pending", "source_expired"),
        ("clip", "pending", None),
    ]
    calm(world)
    world.provider.core.forget_files()
    world.consented[STILL.digest] += 1
    outcome = run_clean(world, before=lambda journal: (journal.requeue_expired_sources(), journal.settle_chains()))
    assert (outcome.exit_code, outcome.counts) == (0, {State.DONE: 3})
    assert rows(world) == [("still", "done", "file_expired 1"), ("edit", "done", None), ("clip", "done", None)]
    with closing(Journal(world.folder)) as journal, journal.transaction():
        assert journal.requeue_expired_sources() == 0  # the new file is there
    assert len(world.provider.books.jobs) == 4


def test_a_picture_that_cannot_be_fetched_fails_the_item_with_both_sides_named(tmp_path: Path) -> None:
    world = world_of(tmp_path, [STILL, EDIT], strike(Fault.INPUT_UNFETCHED, '"edit"'))
    assert run_clean(world).exit_code == 1
    with closing(Journal(world.folder)) as journal:
        ((state, message),) = journal.db.execute(
            "SELECT state, error_message FROM attempt WHERE inputs <> '[]'"
        ).fetchall()
    assert state == "rejected"
    assert "the provider does not take output 3 of still (job job1)" in message


def test_a_journal_made_anew_from_the_receipts_asks_for_the_addresses_that_it_lacks(tmp_path: Path) -> None:
    world = world_of(tmp_path, [STILL, EDIT, CLIP])
    world.invoke(crash_at=1)
    world.keep_copies()
    world.settings = Settings(max_new=1)
    assert run_clean(world).counts == {State.DONE: 1, State.PENDING: 2}
    assert world.put_back(FILE_NAME)
    world.settings = Settings()
    assert run_clean(world).counts == {State.DONE: 3}
    assert len(world.provider.books.jobs) == 3


@pytest.mark.parametrize(
    ("fault", "retried"),
    [(Fault.FEWER_OUTPUTS, {State.DONE: 1, State.PENDING: 1}), (Fault.SLOW, {State.DONE: 2})],
    ids=["fewer", "all"],
)
def test_nothing_is_sent_that_lacks_a_picture(tmp_path: Path, fault: Fault, retried: dict[State, int]) -> None:
    """The source is bought again and comes with fewer outputs, and the item that was rejected before is retried."""
    world = world_of(tmp_path, [STILL, EDIT], strike(Fault.INPUT_UNFETCHED, '"edit"'))
    assert run_clean(world).counts == {State.DONE: 1, State.REJECTED: 1}
    calm(world, strike(fault, '"still"'))
    world.consented[STILL.digest] += 1
    run_clean(world, before=lambda journal: (journal.requeue([State.DONE], "still".__eq__), journal.settle_chains()))
    assert run_clean(world, retry=[State.REJECTED]).counts == retried
    assert len(world.provider.books.jobs) == 2 + (fault is Fault.SLOW)


def test_items_that_wait_for_a_pick_end_the_run(tmp_path: Path) -> None:
    waiting = make_dependant("waiting", (STILL, PICKED))
    behind = make_dependant("behind", (waiting, 1))
    assert waiting.inputs == (Input("images/0", "still", PICKED),)
    world = world_of(tmp_path, [waiting, STILL, behind])
    outcome = run_clean(world)
    assert (outcome.exit_code, outcome.word) == (3, "waiting_for_pick")
    assert states(world) == {"waiting": "pending", "still": "done", "behind": "pending"}
    picked = make_dependant("waiting", (STILL, 2))
    world.items = [picked, STILL, make_dependant("behind", (picked, 1))]
    world.consented.update(item.digest for item in world.items[::2])
    assert run_clean(world).counts == {State.DONE: 3}


@pytest.mark.parametrize("seed", range(6))
def test_each_item_is_bought_once_whatever_the_pages_of_the_manifest_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Items become free behind, on and before the page that is being read."""
    monkeypatch.setattr(pending_items, "_PAGE", 1 + 3 * seed)
    sources = make_items(15)
    edits = [make_dependant(f"edit{n}", (source, 1)) for n, source in enumerate(sources)]
    clips = [make_dependant(f"clip{n}", (source, 1), (edits[n], 1)) for n, source in enumerate(sources)]
    items = [*edits, *sources, *clips]
    random.Random(seed).shuffle(items)
    world = world_of(tmp_path, items, seed=seed, concurrency=5)
    assert run_clean(world).counts == {State.DONE: 45}
    assert len(world.provider.books.jobs) == 45


def test_a_request_never_leaves_without_all_that_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Journal, "input_outputs", lambda self, work: [])
    world = world_of(tmp_path, [STILL, EDIT])
    outcome = run_clean(world)
    assert (outcome.exit_code, states(world)) == (5, {"still": "done", "edit": "pending"})
    assert len(world.provider.books.jobs) == 1


def test_an_output_whose_address_only_the_api_knows_is_asked_for(tmp_path: Path) -> None:
    """After `recover`, the journal knows the files of a source, and not their addresses."""
    world = world_of(tmp_path, [STILL, EDIT], max_new=1)
    assert run_clean(world).word == "max_new"
    world.settings = Settings()

    def forget(journal: Journal) -> None:
        journal.db.execute("UPDATE output SET url = ''")
        journal.settle_chains()

    assert run_clean(world, before=forget).counts == {State.DONE: 2}
    assert len(world.provider.books.jobs) == 2
