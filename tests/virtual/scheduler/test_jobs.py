"""What becomes of accepted jobs, their outputs and their files, in virtual time."""

from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from itertools import count as count_up
from pathlib import Path

import pytest
from support.worlds import Log, calm, count, in_memory, run_clean, storm, strike, world_of

from batchgen.core.records import State
from batchgen.journal import Journal
from batchgen.scheduler import Scheduler
from batchgen.store import LocalDisk
from batchgen.virtual import OUTAGE, Fault, World, make_item, make_items
from batchgen.virtual.checks import consent_to

OLD_ACCOUNT = "another key"


def edit(world: World, *changed: tuple[str, str]) -> None:
    """Change the prompts of items: new purchases under the same ids, agreed to."""
    edited = dict(changed)
    world.items = [make_item(i.id, edited[i.id]) if i.id in edited else i for i in world.items]
    world.consented |= consent_to(world.items)


def files(world: World) -> set[str]:
    found = {str(path.relative_to(world.folder)) for path in world.folder.rglob("*.*")}
    return {path for path in found if path.startswith(("files/", "superseded/"))}


def test_a_resume_polls_what_is_paid_for_and_buys_the_rest(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(30), concurrency=5)
    assert count(run_clean(world, at=[(70.0, Scheduler.interrupt)]), State.PROCESSING) == 5
    world.clock.advance(1000)
    log = Log(world)
    started = world.clock.seconds
    outcome = run_clean(world)  # the harness watches that resumed jobs count as in flight
    assert outcome.counts == {State.DONE: 30}
    assert len(world.provider.books.jobs) == 30
    # All that is paid for is asked for at once, before time is spent on anything else.
    assert len([at for at in log.times("poll") if at < started + 2.2]) == 5


def test_the_first_poll_waits_for_what_was_learned(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(100), concurrency=10, sigma=0.1)
    run_clean(world)
    told = world.provider.observed.jobs
    asked = [told[job.id].first_asked - job.created_at for job in world.provider.books.jobs.values()]
    took = sorted(job.ends_at - job.created_at for job in world.provider.books.jobs.values())
    assert max(asked[:10]) < 3
    assert min(asked[20:]) >= took[0] - 0.2
    # What was learned outlives the invocation.
    world.items += make_items(10, name="later")
    world.consented = consent_to(world.items)
    run_clean(world)
    later = [told[job.id].first_asked - job.created_at for job in list(world.provider.books.jobs.values())[100:]]
    assert min(later) >= took[0] - 0.2


def test_nothing_sleeps_past_work_that_is_due(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(200, outputs=2), concurrency=10)
    log = Log(world)
    run_clean(world)
    jobs = list(world.provider.books.jobs.values())
    told = world.provider.observed.jobs
    lags = [told[job.id].end_seen - job.ends_at for job in jobs]
    assert sum(lags) / len(lags) < 1.3
    # The quickest of the few jobs that were seen first is no sure guide to those that follow.
    assert max(lags) < 10
    free = sorted(told[job.id].end_seen for job in jobs)
    for place, started in zip(free, log.times("submit")[10:], strict=False):
        assert started - place < 0.3
    assert log.times("file")[-1] - free[-1] < 0.5
    assert world.clock.seconds - free[-1] < 1.0


def test_a_job_that_is_forgotten_is_lost_only_after_it_was_asked_for_repeatedly(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(4), strike(Fault.FORGOTTEN, '"i2"'), concurrency=4, seed=2)
    log = Log(world)
    outcome = run_clean(world)
    assert outcome.exit_code == 1
    assert outcome.counts == {State.DONE: 3, State.LOST: 1}
    (job,) = (job for job in world.provider.books.jobs.values() if Fault.FORGOTTEN in job.faults)
    unknown = [at for at in log.times("poll", job.id) if not job.known(at)]
    assert len(unknown) >= 5
    assert 180 < unknown[-1] - unknown[0] < 220
    assert outcome.run_state.budget.life.refunded == 0


def test_a_slip_of_the_provider_loses_nothing(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(30), strike(Fault.POLL_UNKNOWN, start=40, end=200), concurrency=10)
    assert run_clean(world).counts == {State.DONE: 30}


def test_a_job_unknown_to_another_account_is_kept_for_the_one_that_bought_it(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(3), concurrency=3)
    run_clean(world, account=OLD_ACCOUNT, at=[(20.0, Scheduler.interrupt)])
    outcome = run_clean(world)
    assert (outcome.exit_code, outcome.word) == (3, "drain")
    assert outcome.counts == {State.PROCESSING: 3}
    assert 3600 < outcome.seconds < 4200
    assert run_clean(world, account=OLD_ACCOUNT).counts == {State.DONE: 3}


def test_a_job_without_outputs_is_lost_and_one_that_lists_them_late_is_not(tmp_path: Path) -> None:
    world = world_of(
        tmp_path, make_items(6), strike(Fault.EMPTY, '"i2"'), strike(Fault.OUTPUTS_LATE, '"i4"'), concurrency=3
    )
    assert run_clean(world).counts == {State.DONE: 5, State.LOST: 1}


def test_a_failed_job_is_refunded(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(6), strike(Fault.FAILED, '"i2"'), concurrency=3)
    outcome = run_clean(world)
    assert outcome.counts == {State.DONE: 5, State.FAILED: 1}
    life = outcome.run_state.budget.life
    assert life.charged - life.refunded == world.provider.books.net(world.clock.seconds)


def test_slow_polls_cost_no_job(tmp_path: Path) -> None:
    faults = {Fault.POLL_ERROR: 0.3, Fault.POLL_UNREACHED: 0.2, Fault.POLL_LIMITED: 0.1}
    world = world_of(tmp_path, make_items(40), rates=faults, concurrency=10)
    assert run_clean(world).counts == {State.DONE: 40}


def test_downloads_that_fail_leave_the_item_ready_and_the_next_run_brings_it_in(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(10, outputs=2), strike(Fault.TRUNCATED), concurrency=4)
    outcome = run_clean(world)
    assert (outcome.exit_code, outcome.word) == (5, "outage")
    assert outcome.counts == {State.READY: 10}
    assert not files(world)
    calm(world)
    assert run_clean(world, buying=False).counts == {State.DONE: 10}
    assert len(files(world)) == 20
    assert len(world.provider.books.jobs) == 10


def test_late_cut_and_wrong_files_are_fetched_again(tmp_path: Path) -> None:
    faults = {Fault.LATE_FILE: 0.3, Fault.TRUNCATED: 0.3, Fault.HTML: 0.1, Fault.FILE_UNREACHED: 0.05}
    world = world_of(tmp_path, make_items(40, outputs=3), rates=faults, concurrency=10)
    assert run_clean(world).counts == {State.DONE: 40}


def test_an_output_that_is_gone_makes_the_item_lost_once(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(4, outputs=3), strike(Fault.GONE, "job2/"), concurrency=4)
    outcome = run_clean(world)
    assert outcome.counts == {State.DONE: 3, State.LOST: 1}
    assert outcome.run_state.waiting_files == 0
    assert outcome.run_state.failures == 1


def test_other_failures_do_not_count_towards_gone(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(1), strike(Fault.TRUNCATED, end=80), concurrency=1, median=60.0)
    log = Log(world)
    seen: list[int] = []

    def vanish(scheduler: Scheduler) -> None:
        # From now on the file is said to be gone; the failures until here said nothing of the kind.
        seen.append(len(log.times("file")))
        world.provider.core.forget_files()
        calm(world, strike(Fault.GONE))

    outcome = run_clean(world, at=[(80.0, vanish)])
    assert outcome.counts == {State.LOST: 1}
    assert seen[0] >= 3
    assert len(log.times("file")) >= seen[0] + 5


def test_retry_after_is_kept_by_every_download(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(12), strike(Fault.TRUNCATED), concurrency=12)
    run_clean(world)
    calm(world, strike(Fault.FILE_LIMITED, end=world.clock.seconds + 5.0))
    log = Log(world)
    assert count(run_clean(world, buying=False), State.DONE) == 12
    times = log.times("file")
    first = [at for at in times if at < times[0] + 5.0]
    assert len(first) == world.settings.downloads, "those that left together learn of it together, and no other asks"
    assert times[len(first)] - first[-1] >= world.provider.offer.retry_after


def test_downloads_are_bounded_and_go_earliest_expiry_first(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(12), strike(Fault.TRUNCATED), concurrency=12)
    run_clean(world)
    calm(world)
    log = Log(world)

    def reverse(journal: Journal) -> None:
        soonest = int((world.clock.utc_now() + timedelta(days=1)).timestamp() * 1000)
        journal.db.execute("UPDATE attempt SET expires_at = ? - key", (soonest,))

    with closing(Journal(world.folder)) as journal:
        keys = dict(journal.db.execute("SELECT job_id, key FROM attempt"))
    # Every way takes equally long, so that those that start together are asked for together.
    world.provider.offer = replace(world.provider.offer, latency=(0.1, 0.1))
    assert count(run_clean(world, before=reverse, buying=False), State.DONE) == 12
    files = log.times("file")
    first = [at for at in files if at < files[0] + 0.05]
    assert len(first) == world.settings.downloads == 8
    order = [keys[what[1].removeprefix("memory:").partition("/")[0]] for at, what in log.events if what[0] == "file"]
    # So many start together, in any order on the way; what waits for them are the latest to expire.
    assert set(order[:8]) == set(range(5, 13))


def test_no_download_begins_while_the_store_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of(tmp_path, make_items(4), concurrency=4)
    log = Log(world)
    monkeypatch.setattr(LocalDisk, "full", True)
    made: list[float] = []

    def make_room(scheduler: Scheduler) -> None:
        made.append(scheduler.run_state.now)
        monkeypatch.setattr(LocalDisk, "full", False)
        scheduler.run_state.wake.set()  # as the end of an upload does

    assert count(run_clean(world, at=[(500.0, make_room)]), State.DONE) == 4
    assert min(log.times("file")) >= made[0]


def test_collect_buys_nothing(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(30), concurrency=5)
    run_clean(world, at=[(30.0, Scheduler.interrupt)])
    log = Log(world)
    outcome = run_clean(world, buying=False)
    assert outcome.exit_code == 0
    assert outcome.counts == {State.DONE: 5, State.PENDING: 25}
    assert not log.times("submit")


def test_a_live_item_that_is_listed_no_longer_is_brought_in_beside_its_successor(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(3), concurrency=3)
    run_clean(world, at=[(20.0, Scheduler.interrupt)])
    old = world.items[1]
    edit(world, ("i1", "something else"))
    world.items = [item for item in world.items if item.id != "i2"]
    outcome = run_clean(world)
    assert outcome.counts == {State.DONE: 2}
    assert files(world) == {"files/i0.png", "files/i1.png", f"superseded/i1~{old.digest[:8]}.png", "files/i2.png"}


@pytest.mark.parametrize("seed", range(8, 18))
def test_files_of_earlier_purchases_move_and_are_never_overwritten(seed: int) -> None:
    # Everything takes the same time, so that all files arrive at once; seeds differ in the last milliseconds.
    items = [make_item("a"), make_item("a~2"), make_item("b")]
    with in_memory() as folder:
        world = world_of(folder, items, concurrency=3, sigma=0.0, latency=(0.1, 0.1), seed=seed)
        run_clean(world)
        edit(world, ("a", "second"))
        run_clean(world)
        assert "superseded/a.png" in files(world)
        # Both files below make way at the same time, and both would go to superseded/a~2.png.
        edit(world, ("a", "third"), ("a~2", "fourth"))
        run_clean(world)
        assert len(files(world)) == 6
        assert len({path.read_bytes() for path in world.folder.rglob("*.png")}) == 6


def test_a_crash_while_files_make_way_loses_none(tmp_path: Path) -> None:
    def until_second_run(folder: Path) -> World:
        world = world_of(folder, [make_item("a"), make_item("b")], concurrency=2, median=3.0)
        run_clean(world)
        edit(world, ("a", "second"))
        return world

    steps = run_clean(until_second_run(tmp_path / "whole")).steps
    assert steps > 20
    for step in range(1, steps + 1):
        world = until_second_run(tmp_path / str(step))
        assert run_clean(world, crash_at=step).ending is None
        outcome = run_clean(world)
        assert count(outcome, State.DONE) + count(outcome, State.IN_DOUBT) == 2
        # The harness has compared each file that the journal knows with what the provider made.
        kept = {path.read_bytes() for path in world.folder.rglob("*.png")}
        assert len(kept) >= 2 + (count(outcome, State.IN_DOUBT) == 0)


def test_what_the_provider_says_of_time_is_believed_only_where_it_can_be_true(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(40), concurrency=4, median=30.0)
    describe = world.provider.describe

    def wrong(job, cost):  # type: ignore[no-untyped-def]
        shown = describe(job, cost)
        return type(shown)(**{
            **{name: getattr(shown, name) for name in shown.__slots__},
            "created_at": world.clock.at(-10.0**9),
        })  # fmt: skip

    world.provider.describe = wrong  # type: ignore[method-assign]
    outcome = run_clean(world)
    assert outcome.counts == {State.DONE: 40}
    assert outcome.seconds < 40 / 4 * 60


def test_held_requests_are_polled_where_the_answer_is_still_processing(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(20), concurrency=4, submit="wait", median=60.0, sigma=0.5)
    log = Log(world)
    assert run_clean(world).counts == {State.DONE: 20}
    assert 0 < len({what[1] for at, what in log.events if what[0] == "poll"}) < 20


def test_an_outage_while_only_downloads_are_left_does_not_end_them(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(4), *storm(OUTAGE, start=30, end=200), concurrency=4, median=20.0, sigma=0.05)
    assert run_clean(world).counts == {State.DONE: 4}


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_format_that_is_not_known_is_kept_once_it_has_come_twice_the_same(tmp_path: Path, outputs: int) -> None:
    world = world_of(tmp_path, make_items(3, outputs=outputs), strike(Fault.FOREIGN_FILE, "job2/"), concurrency=3)
    log = Log(world)
    outcome = run_clean(world)
    assert (outcome.exit_code, outcome.counts) == (0, {State.DONE: 3})
    assert len(log.times("file")) == 4 * outputs
    assert sorted({Path(path).suffix for path in files(world)}) == [".bin", ".png"]
    with closing(Journal(world.folder)) as journal:
        found = journal.db.execute("SELECT job_id, error_type FROM attempt ORDER BY job_id").fetchall()
    assert found == [("job1", None), ("job2", "unknown_format"), ("job3", None)]


def test_bytes_that_differ_from_time_to_time_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of(tmp_path, make_items(1), strike(Fault.FOREIGN_FILE), concurrency=1)
    draws = count_up(1)
    monkeypatch.setattr("batchgen.virtual.memory_api.foreign", lambda *_: bytes(9) + str(next(draws)).encode())
    assert run_clean(world).counts == {State.READY: 1}
    assert not files(world)
