"""Items that are bought before all others, in virtual time."""

from pathlib import Path

import pytest
from support.worlds import Log, calm, count, run_clean, strike, world_of

from batchgen.core.records import Item, State
from batchgen.journal import Journal
from batchgen.scheduler import Scheduler
from batchgen.scheduler.pending.canaries import Canaries, chosen_canaries
from batchgen.scheduler.pending.items import PendingItems
from batchgen.settings import Settings
from batchgen.virtual import Fault, World, make_items
from batchgen.virtual.harness import make_dependant, make_item

ONE = Settings(concurrency=8, canary=1)
TWO = Settings(concurrency=8, canary=2)


def shapes(singles: int, trios: int) -> list[Item]:
    """Items of two shapes: one picture each, and then three each."""
    return [*make_items(singles, name="single"), *make_items(trios, outputs=3, name="trio")]


def submitted(log: Log, items: list[Item]) -> list[str]:
    """The ids of the items that were sent, in this order."""
    names = {item.digest: item.id for item in items}
    return [names[what[1]] for _, what in log.events if what[0] == "submit"]


def detail(outcome: object) -> str:
    ending = outcome.ending  # type: ignore[attr-defined]
    return ending.detail if ending else ""


def test_some_of_each_shape_come_first_and_all_others_once_these_are_done(tmp_path: Path) -> None:
    items = shapes(20, 20)
    world = world_of(tmp_path, items, median=60.0)
    log = Log(world)
    outcome = run_clean(world, settings=TWO)
    assert outcome.counts == {State.DONE: 40}
    first = submitted(log, items)[:4]
    assert sorted(first) == ["single0", "single1", "trio0", "trio1"]
    times = sorted(log.times("submit"))
    assert times[3] < 1
    assert times[4] > 40, "the others wait until these have ended"
    assert len(times) == 40


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (Fault.FAILED, "trio0 failed (the model gave up)"),
        (Fault.REJECTED, "trio0 was rejected ("),
        (Fault.LOST_ANSWER, "trio0 is in doubt ("),
        (Fault.EMPTY, "trio0 is lost (the job completed without any output)"),
        (Fault.FEWER_OUTPUTS, "trio0 is flagged (fewer_outputs)"),
        (Fault.FOREIGN_FILE, "trio0 is flagged (unknown_format)"),
    ],
)
def test_one_that_does_not_come_as_it_should_stops_the_run_and_is_named(
    tmp_path: Path, fault: Fault, text: str
) -> None:
    items = shapes(20, 20)
    subject = "job2/1" if fault is Fault.FOREIGN_FILE else '"trio0"'
    world = world_of(tmp_path, items, strike(fault, subject), concurrency=1)
    log = Log(world)
    outcome = run_clean(world, settings=Settings(concurrency=1, canary=1))
    assert (outcome.exit_code, outcome.word) == (3, "canary")
    assert f"1 canary item did not pass: {text}" in detail(outcome)
    assert set(submitted(log, items)) == {"single0", "trio0"}
    assert count(outcome, State.PENDING) == 38


def test_all_of_them_are_bought_before_the_run_stops_and_all_that_failed_are_named(tmp_path: Path) -> None:
    items = shapes(10, 10)
    world = world_of(tmp_path, items, strike(Fault.FAILED, '"single1"'), strike(Fault.FAILED, '"trio0"'))
    outcome = run_clean(world, settings=TWO)
    assert detail(outcome) == (
        "2 canary items did not pass: single1 failed (the model gave up); trio0 failed (the model gave up)"
    )
    assert outcome.counts == {State.DONE: 2, State.FAILED: 2, State.PENDING: 16}


def test_one_that_failed_stops_the_next_run_at_once_unless_it_is_retried(tmp_path: Path) -> None:
    items = shapes(10, 10)
    world = world_of(tmp_path, items, strike(Fault.FAILED, '"single1"'))
    assert run_clean(world, settings=TWO).word == "canary"
    calm(world)
    log = Log(world)
    outcome = run_clean(world, settings=TWO)
    assert (outcome.exit_code, outcome.word) == (3, "canary")
    assert "single1 failed" in detail(outcome)
    assert not log.times("submit")
    # The others are done: they count.
    outcome = run_clean(world, settings=TWO, retry=[State.FAILED])
    assert outcome.counts == {State.DONE: 20}
    assert submitted(log, items)[0] == "single1"
    assert len(log.times("submit")) == 17
    assert min(sorted(log.times("submit"))[1:]) - log.times("submit")[0] > 30


def test_without_the_setting_the_run_goes_on_whatever_failed(tmp_path: Path) -> None:
    world = world_of(tmp_path, shapes(10, 10), strike(Fault.FAILED, '"single1"'))
    assert run_clean(world, settings=TWO).word == "canary"
    outcome = run_clean(world, settings=Settings(concurrency=8))
    assert outcome.counts == {State.DONE: 19, State.FAILED: 1}


def test_where_enough_are_done_nothing_waits(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(20), strike(Fault.FAILED, '"i0"'), strike(Fault.FAILED, '"i1"'))
    assert run_clean(world, settings=Settings(concurrency=8, max_new=8)).word == "max_new"
    outcome = run_clean(world, settings=TWO)
    assert outcome.counts == {State.DONE: 18, State.FAILED: 2}


def test_a_run_that_was_interrupted_goes_on_with_the_same_ones(tmp_path: Path) -> None:
    items = shapes(10, 10)
    world = world_of(tmp_path, items, median=60.0)
    log = Log(world)
    assert run_clean(world, settings=TWO, at=[(5.0, Scheduler.interrupt)]).exit_code == 130
    assert len(log.times("submit")) == 4
    restart = world.clock.seconds
    outcome = run_clean(world, settings=TWO)
    assert outcome.counts == {State.DONE: 20}
    assert len(log.times("submit")) == 20
    assert min(sorted(log.times("submit"))[4:]) > restart + 20


def test_a_crash_at_any_step_buys_each_of_them_once(tmp_path: Path) -> None:
    for step in range(1, 60, 3):
        items = shapes(4, 4)
        world = world_of(tmp_path / str(step), items, median=10.0)
        run_clean(world, settings=ONE, crash_at=step)
        outcome = run_clean(world, settings=ONE)
        if outcome.word == "canary":  # a crash leaves what was sent in doubt
            assert "is in doubt" in detail(outcome)
            assert len(world.provider.books.jobs) <= 2
        else:
            assert outcome.counts == {State.DONE: 8}
            assert len(world.provider.books.jobs) == 8


def chain(folder: Path, *strikes: object) -> tuple[World, list[Item]]:
    """Stills, and edits of them that are before them in the manifest and have a shape of their own."""
    stills = make_items(10, name="still", outputs=3)
    edits = [make_dependant(f"edit{n}", (still, 1)) for n, still in enumerate(stills)]
    items = [*edits[::-1], *stills]
    return world_of(folder, items, *strikes, concurrency=8, median=20.0), items  # type: ignore[arg-type]


def test_a_chained_item_comes_first_with_what_it_needs(tmp_path: Path) -> None:
    world, items = chain(tmp_path)
    log = Log(world)
    outcome = run_clean(world, settings=ONE)
    assert outcome.counts == {State.DONE: 20}
    # The first edit needs the last still, and the first still is the canary of the stills.
    order = submitted(log, items)
    assert set(order[:2]) == {"still9", "still0"}
    assert order[2] == "edit9"
    times = sorted(log.times("submit"))
    assert times[3] - times[2] > 10


def test_a_source_that_fails_is_named_with_what_is_skipped_behind_it(tmp_path: Path) -> None:
    world, items = chain(tmp_path, strike(Fault.FAILED, '"still9"'))
    log = Log(world)
    outcome = run_clean(world, settings=ONE)
    assert (outcome.exit_code, outcome.word) == (3, "canary")
    assert "edit9 was skipped (needs still9, which failed); still9 failed (the model gave up)" in detail(outcome)
    # Run again, another edit is tried in place of the one that is skipped.
    outcome = run_clean(world, settings=ONE)
    assert outcome.counts == {State.DONE: 18, State.FAILED: 1, State.SKIPPED: 1}
    assert submitted(log, items)[2:4] == ["still8", "edit8"]


def test_what_cannot_be_bought_now_is_named(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(10), strike(Fault.UNAVAILABLE, '"i0"'), concurrency=4)
    outcome = run_clean(world, settings=ONE)
    assert (outcome.exit_code, outcome.word) == (5, "outage")
    assert outcome.counts == {State.PENDING: 10}
    calm(world)
    assert run_clean(world, settings=ONE).counts == {State.DONE: 10}


def test_they_are_bought_below_the_caps(tmp_path: Path) -> None:
    world = world_of(tmp_path, shapes(10, 10), median=10.0)
    outcome = run_clean(world, settings=Settings(concurrency=8, canary=2, max_new=3))
    assert (outcome.exit_code, outcome.word) == (3, "max_new")
    assert len(world.provider.books.jobs) == 3
    assert run_clean(world, settings=TWO).counts == {State.DONE: 20}


def test_those_that_would_be_late_are_left_and_all_others_with_them(tmp_path: Path) -> None:
    world = world_of(tmp_path, shapes(10, 10), median=10.0)
    outcome = run_clean(world, settings=TWO, until=300.0)
    assert (outcome.exit_code, outcome.word) == (3, "until")
    assert outcome.counts == {State.PENDING: 20}


def test_what_was_found_about_a_file_earlier_stops_the_run(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(10), median=10.0)
    run_clean(world, settings=Settings(concurrency=8, max_new=1))

    def flag(journal: Journal) -> None:
        journal.db.execute(
            "INSERT OR REPLACE INTO delivered (attempt, number, sha256, judged, flags)"
            " SELECT attempt, number, sha256, 1, 'small;blank' FROM output"
        )

    outcome = run_clean(world, settings=ONE, before=flag)
    assert (outcome.exit_code, outcome.word) == (3, "canary")
    assert "i0 is flagged (small, blank)" in detail(outcome)
    assert count(outcome, State.PENDING) == 9


def test_thousands_of_items_are_looked_at_once(tmp_path: Path) -> None:
    items = [make_item(f"i{n}", outputs=1 + n % 3) for n in range(5000)]
    world = world_of(tmp_path, items, median=10.0)
    outcome = run_clean(world, settings=Settings(concurrency=50, canary=3, max_new=9))
    assert len(world.provider.books.jobs) == 9
    assert outcome.word == "max_new"


def test_a_run_that_does_not_wait_for_them_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def begin(_: PendingItems) -> None:
        """Hold nothing back."""

    monkeypatch.setattr(PendingItems, "begin", begin)
    world = world_of(tmp_path, shapes(10, 10))
    world.invoke(settings=TWO)
    assert any("leaves, and of" in violation for violation in world.violations)


def test_a_run_that_waits_for_one_shape_only_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passed = PendingItems._canaries_passed

    async def begin(pending: PendingItems) -> None:
        keys = await chosen_canaries(pending._run_state, 2)
        pending._canaries = Canaries(pending._run_state, keys, lambda: None)
        pending._run_state.watch(lambda _, state: passed(pending) if state is State.DONE else None)

    monkeypatch.setattr(PendingItems, "begin", begin)
    world = world_of(tmp_path, shapes(10, 10), strike(Fault.SLOW, '"trio1"'))
    world.invoke(settings=TWO)
    assert any("leaves while canaries of" in violation for violation in world.violations)
