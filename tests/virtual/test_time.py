"""Virtual time itself: the loop that leaps, and the same seed making the same run."""

import asyncio
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.worlds import run_clean, strike, world_of

from batchgen.virtual import DeadlockError, Fault, SpinningError, VirtualClock, VirtualLoop, make_items, run_virtual
from batchgen.virtual.__main__ import command
from batchgen.virtual.soak import soak


def test_a_day_passes_at_once() -> None:
    clock = VirtualClock()

    async def day() -> str:
        await asyncio.sleep(86_400 * 3)
        return clock.utc_now().isoformat()

    started = time.monotonic()
    assert run_virtual(day(), clock).startswith("2026-01-04T00:00:00")
    assert time.monotonic() - started < 60
    assert clock.longest_jump > 3600


def test_timers_ring_in_order_and_never_early() -> None:
    clock = VirtualClock()
    rung: list[float] = []

    async def ring() -> None:
        loop = asyncio.get_running_loop()
        for seconds in (2000.1, 0.3, 50.7, 0.1):
            due = loop.time() + seconds
            loop.call_at(due, lambda due=due: rung.append(due) if loop.time() >= due else rung.append(-1))
        await asyncio.sleep(5000)

    run_virtual(ring(), clock)
    assert rung == sorted(rung)
    assert len(rung) == 4
    assert rung[0] > 0


def test_time_goes_on_from_loop_to_loop() -> None:
    clock = VirtualClock()
    run_virtual(asyncio.sleep(100), clock)
    run_virtual(asyncio.sleep(100), clock)
    assert clock.seconds == pytest.approx(200)


def test_a_deadlock_raises() -> None:
    async def stuck() -> None:
        await asyncio.get_running_loop().create_future()

    # The runner's own end needs no time, and no timer.
    with pytest.raises(DeadlockError):
        run_virtual(stuck(), VirtualClock())


def test_spinning_raises() -> None:
    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    loop = VirtualLoop(VirtualClock(), most_turns=1000)
    task = loop.create_task(spin())
    with pytest.raises(SpinningError):
        loop.run_until_complete(task)
    loop.abandon()


def test_what_is_abandoned_goes_no_further() -> None:
    went: list[str] = []
    loop = VirtualLoop(VirtualClock())

    async def work() -> None:
        try:
            await asyncio.sleep(10)
            went.append("on")
        finally:
            went.append("closed")

    async def kill() -> None:
        await asyncio.sleep(1)
        loop.stop()

    tasks = [loop.create_task(work()), loop.create_task(kill())]
    loop.run_forever()
    loop.abandon()
    assert went == ["closed"]
    assert not tasks[0].done()


def test_the_same_seed_makes_the_same_run(tmp_path: Path) -> None:
    first, second = (soak(11, 30, tmp_path / name) for name in ("first", "second"))
    assert first == second
    assert soak(12, 30, tmp_path / "other").trace != first.trace


def test_hundreds_of_hours_pass_in_a_second_or_two(tmp_path: Path) -> None:
    world = world_of(tmp_path, make_items(4), strike(Fault.STUCK, '"i1"'), job_timeout=600, drain=10**6)
    started = time.monotonic()
    outcome = run_clean(world)
    assert outcome.seconds > 168 * 3600  # until it expires
    assert outcome.exit_code == 1
    assert time.monotonic() - started < 120


def test_the_command_prints_what_a_soak_did(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["--seeds", "2", "--items", "12", "--folder", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "seed 1: accepted=" in result.output
    assert "double charges 0, forgotten 0, promises broken 0" in result.output
