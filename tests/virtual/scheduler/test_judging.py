"""Files are judged beside the run: nothing waits for it for long, and what is left is judged later."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from support.worlds import world_of

from batchgen.core.limits import Count, Share
from batchgen.core.records import Item, State
from batchgen.journal import Journal
from batchgen.judging.checks import Ordered
from batchgen.scheduler import Scheduler
from batchgen.scheduler.judging.judge import JUDGE_PATIENCE
from batchgen.scheduler.judging.judgement import Standards
from batchgen.virtual import World
from batchgen.virtual.harness import MODEL, make_item, make_items

BLANK = '{"blank":false}'
"""What the in-memory API's pictures, which are one grey pixel, always miss."""
ALIKE = '{"unlike":1}'
SMALL = '{"min_side":2}'
DECODING = Standards(lambda *_: Ordered(), {MODEL: "image"}, decodes=True)


def expecting(items: Sequence[Item], expect: str) -> list[Item]:
    return [replace(item, expect=expect) for item in items]


def judging_world(folder: Path, items: Sequence[Item], standards: Standards = DECODING, **settings: Any) -> World:
    world = world_of(folder, items, **settings)
    world.standards = standards
    return world


def flags(world: World) -> list[tuple[str, int]]:
    with closing(Journal(world.folder)) as journal:
        return journal.db.execute("SELECT flags, judged FROM delivered ORDER BY attempt, number").fetchall()


@pytest.fixture
def heard() -> Iterator[tuple[list[tuple[str, tuple[str, ...], State]], Callable[[Scheduler], None]]]:
    """What was told of judgements, with the state that the item had then; and what makes a run tell it."""
    told: list[tuple[str, tuple[str, ...], State]] = []

    def listen(scheduler: Scheduler) -> None:
        states: dict[str, State] = {}
        scheduler.run_state.watch(lambda work, state: states.update({work.item.id: state}))
        scheduler.run_state.watch_judgements(
            lambda work, flags: told.append((work.item.id, tuple(flags), states.get(work.item.id, State.DONE)))
        )

    return told, listen


def test_what_needs_no_decoding_is_judged_with_the_file(tmp_path: Path, heard: Any) -> None:
    told, listen = heard
    world = judging_world(tmp_path, [*expecting(make_items(2), SMALL), make_item("plain")])
    outcome = world.invoke(at=[(0, listen)])
    assert (outcome.exit_code, flags(world)) == (0, [("small", 1), ("small", 1), ("", 1)])
    assert sorted(told) == [("i0", ("small",), "done"), ("i1", ("small",), "done"), ("plain", (), "done")]
    assert world.violations == []


def test_what_needs_decoding_is_judged_once_all_outputs_are_there(tmp_path: Path, heard: Any) -> None:
    told, listen = heard
    world = judging_world(tmp_path, expecting(make_items(3, outputs=3), BLANK))
    outcome = world.invoke(at=[(0, listen)])
    assert (outcome.exit_code, flags(world)) == (0, [("blank", 1)] * 9)
    assert sorted(told) == [(f"i{n}", ("blank",), "done") for n in range(3)]


def test_alike_outputs_are_flagged_behind_the_first(tmp_path: Path) -> None:
    world = judging_world(tmp_path, expecting(make_items(1, outputs=3), ALIKE))
    world.invoke()
    assert flags(world) == [("", 1), ("duplicate", 1), ("duplicate", 1)]


def test_flags_buy_nothing_and_refund_nothing(tmp_path: Path) -> None:
    plain, judged = (
        world_of(tmp_path / "a", make_items(5)),
        judging_world(tmp_path / "b", expecting(make_items(5), BLANK)),
    )
    for world in (plain, judged):
        for _ in range(2):
            assert world.invoke().exit_code == 0
    assert len(judged.provider.books.jobs) == len(plain.provider.books.jobs) == 5
    assert judged.violations == []


def test_without_a_decoder_the_rest_is_left_and_what_is_known_is_told(tmp_path: Path, heard: Any) -> None:
    told, listen = heard
    world = judging_world(
        tmp_path, expecting(make_items(1), '{"blank":false,"min_side":2}'), replace(DECODING, decodes=False)
    )
    assert world.invoke(at=[(0, listen)]).exit_code == 0
    assert (flags(world), told) == ([("small", 0)], [("i0", ("small",), "done")])
    world.standards = DECODING
    world.invoke(at=[(0, listen)])
    assert (flags(world), told[1:]) == ([("small;blank", 1)], [("i0", ("small", "blank"), "done")])


def test_a_slow_judge_delays_neither_buying_nor_the_end_for_long(tmp_path: Path) -> None:
    async def slowly(function: Callable[..., Any]) -> Any:
        await asyncio.sleep(25.0)
        return function()

    plain = world_of(tmp_path / "plain", make_items(40), concurrency=4).invoke()
    world = judging_world(tmp_path / "slow", expecting(make_items(40), BLANK), concurrency=4)
    world.decode = slowly
    outcome = world.invoke()
    assert (outcome.exit_code, outcome.counts) == (0, {State.DONE: 40})
    assert outcome.seconds <= plain.seconds + JUDGE_PATIENCE + 25.0 + 5.0
    left = [judged for _, judged in flags(world)].count(0)
    assert 0 < left < 40
    world.decode = World(tmp_path / "x", []).decode
    assert world.invoke().exit_code == 0
    assert flags(world) == [("blank", 1)] * 40


def test_buying_stops_at_so_many_flagged_items(tmp_path: Path) -> None:
    world = judging_world(tmp_path, expecting(make_items(60, outputs=2), BLANK), concurrency=2, max_flagged=Count(3))
    outcome = world.invoke()
    assert (outcome.exit_code, outcome.word) == (3, "max_flagged")
    assert "3 of 3 items that were judged brought flagged files; max_flagged is 3" in outcome.ending.detail
    bought = len(world.provider.books.jobs)
    assert outcome.counts[State.DONE] == bought < 20, "what is paid for is brought in"
    assert world.violations == []
    outcome = world.invoke()
    assert (outcome.exit_code, outcome.word) == (3, "max_flagged"), "it counts in each invocation"
    assert bought < len(world.provider.books.jobs) < 40


def test_buying_stops_at_a_share_of_flagged_items(tmp_path: Path) -> None:
    good, bad = make_items(38), expecting([make_item(f"bad{n}") for n in range(2)], SMALL)
    limit = Share.parse("5%")
    world = judging_world(tmp_path / "good", [*good, *bad], max_flagged=limit)
    assert world.invoke().exit_code == 0, "2 of 40 are not more than 5 %"
    worse = judging_world(tmp_path / "bad", [*bad, *good, *expecting([make_item("bad2")], SMALL)], max_flagged=limit)
    outcome = worse.invoke()
    assert (outcome.exit_code, outcome.word) == (3, "max_flagged")
    assert outcome.counts[State.DONE] >= 20, "a share says nothing before"


def test_an_interrupted_run_does_not_wait_for_the_judge(tmp_path: Path) -> None:
    world = judging_world(tmp_path, expecting(make_items(4), BLANK))

    async def never(_: Callable[..., Any]) -> Any:
        await asyncio.Event().wait()

    world.decode = never
    outcome = world.invoke(at=[(300.0, Scheduler.interrupt)])
    assert (outcome.exit_code, outcome.seconds < 310) == (130, True)


def test_what_a_kill_leaves_is_judged_by_the_next_run(tmp_path: Path) -> None:
    """Killed at each step from before the first file to the last judgement."""
    left = set()
    for crash_at in count(78):
        world = judging_world(tmp_path / str(crash_at), expecting(make_items(1, outputs=2), BLANK))
        world.invoke(crash_at=crash_at)
        left.add(tuple(judged for _, judged in flags(world)))
        if not world.crashes:
            break
        for _ in range(2):
            world.invoke()
        assert flags(world) == [("blank", 1)] * 2, f"nothing is left, nothing is judged otherwise ({crash_at})"
        assert len(world.provider.books.jobs) == 1
        assert world.violations == [], "the books of both sides agree"
    assert left == {(), (0,), (0, 0), (1, 0), (1, 1)}, "all of these were found by the next run"


def test_what_is_expected_by_now_is_looked_at_by_the_next_run(tmp_path: Path) -> None:
    world = judging_world(tmp_path, make_items(2))
    world.invoke()
    world.items = expecting(world.items, BLANK)
    assert world.invoke().exit_code == 0
    assert flags(world) == [("blank", 1)] * 2
    assert len(world.provider.books.jobs) == 2


def test_a_file_that_is_gone_is_left_for_verify(tmp_path: Path) -> None:
    world = judging_world(tmp_path, expecting(make_items(2), BLANK), replace(DECODING, decodes=False))
    world.invoke()
    (world.folder / "files" / "i0.png").unlink()
    world.standards = DECODING
    world.invoke()
    assert flags(world) == [("", 0), ("blank", 1)]


def test_a_file_that_brings_a_decoder_down_holds_up_nothing_that_is_paid_for(tmp_path: Path) -> None:
    world = judging_world(tmp_path, expecting(make_items(2), BLANK))

    async def fatal(function: Any) -> Any:
        if function.args[-1].work.item.id == "i0":
            raise MemoryError("in the place of a process that is killed")
        return function()

    world.decode = fatal
    with pytest.raises(MemoryError):
        world.invoke()
    world.items = [*world.items, *make_items(20, name="j")]
    with pytest.raises(MemoryError):  # each time, but at the end
        world.invoke()
    assert world.counts() == {State.DONE: 22}
