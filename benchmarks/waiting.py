"""A hundred thousand jobs that wait in one process, beside a task for each; and thousands of open requests."""

import asyncio
import json
import resource
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import part, run, serving
from benchmarks.table import Row

EVERY = 5.0
"""Seconds between two polls of a job."""


def rows(jobs: int, requests: int, seconds: float) -> Iterator[Row]:
    """Measure what waiting costs, and what open requests cost."""
    ticks = run(part("waiting", "ticks", jobs, seconds)).json()
    tasks = run(part("waiting", "tasks", jobs, seconds)).json()
    what = f"{jobs:,} jobs waiting, a poll due every {EVERY:g} s"
    against, measured = f"a task for each: {_shown(tasks)}", _shown(ticks)
    yield Row(f"memory of {what}", measured, against, ticks["mib"] / tasks["mib"], most=0.1)
    yield Row(f"CPU of {what}", measured, against, ticks["cpu"] / tasks["cpu"], most=0.1)
    whole = run(part("waiting", "scheduler", jobs, seconds)).json()
    shown = f"{whole['mib']:.0f} MiB, {whole['cpu']:.3f} CPU s/s, {whole['files']} open files"
    yield Row(f"{jobs:,} accepted jobs in the scheduler, none due: all that they hold", shown, against)
    with serving(hold=8.0) as base:
        open_ = run(part("waiting", "requests", requests, base)).json()
    shown = f"{open_['kib']:.1f} KiB each, {open_['files']:,} files, p99 of the loop {open_['late_ms']:.1f} ms"
    yield Row(f"{requests:,} open requests", shown, "nothing: each needs a socket of its own")


def _shown(found: dict[str, float]) -> str:
    return f"{found['mib']:.1f} MiB, {found['cpu']:.3f} CPU s/s, p99 of the loop {found['late_ms']:.1f} ms"


async def _measured(seconds: float) -> dict[str, float]:
    """Return what this process uses meanwhile, CPU seconds a second, and how late its loop is, sampled afterwards."""
    begun, used = time.monotonic(), _cpu()
    await asyncio.sleep(seconds)
    cpu = (_cpu() - used) / (time.monotonic() - begun)
    return {"cpu": cpu, "late_ms": await _lateness(seconds / 4)}


async def _lateness(seconds: float) -> float:
    """Return the milliseconds that the loop is late, which 99 % of the samples stay below."""
    loop = asyncio.get_running_loop()
    late = []
    end = loop.time() + seconds
    while (due := loop.time() + 0.01) < end:
        await asyncio.sleep(0.01)
        late.append(loop.time() - due)
    return sorted(late)[len(late) * 99 // 100] * 1000


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def _traced() -> float:
    """Return the MiB that Python allocated since tracing began; a resident set would also reuse what is free."""
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / 2**20


def _files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _jobs(count: int) -> list[int]:
    return list(range(count))


async def ticks(count: int, seconds: float) -> dict[str, float]:
    """Keep jobs in the scheduler's ticks; each that is due goes in again."""
    from batchgen.scheduler.ticks import Ticks

    jobs = _jobs(count)
    loop = asyncio.get_running_loop()
    tracemalloc.start()
    due: Ticks[int] = Ticks()
    for job in jobs:
        due.add(job, loop.time() + EVERY * job / count)

    async def poll() -> None:
        while True:
            now = loop.time()
            while (job := due.take(now)) is not None:
                due.add(job, now + EVERY)
            await asyncio.sleep((due.next() or now) - now)

    polling = asyncio.create_task(poll())
    await asyncio.sleep(0)
    held = _traced()
    found = await _measured(seconds)
    polling.cancel()
    return {"mib": held, **found}


async def tasks(count: int, seconds: float) -> dict[str, float]:
    """Keep a task for each job, which sleeps between two polls."""

    async def wait(job: int) -> None:
        await asyncio.sleep(EVERY * job / count)
        while True:
            await asyncio.sleep(EVERY)

    jobs = _jobs(count)
    tracemalloc.start()
    waiting = [asyncio.create_task(wait(job)) for job in jobs]
    await asyncio.sleep(0)
    held = _traced()
    found = {"mib": held, **await _measured(seconds)}
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return found


async def scheduler(count: int, seconds: float) -> dict[str, float]:
    """Keep accepted jobs in the scheduler's own poller, none of them due yet."""
    from datetime import UTC, datetime, timedelta
    from typing import Any, cast

    from batchgen.core.records import State
    from batchgen.journal import Attempt, Work
    from batchgen.policy.budget import BudgetTracker, Money
    from batchgen.policy.local_budget import LocalBudget
    from batchgen.scheduler import RunPolicy, RunState
    from batchgen.scheduler.fetcher import Fetcher
    from batchgen.scheduler.judging.judge import Judge
    from batchgen.scheduler.poller import Poller
    from batchgen.scheduler.tracked_job import TrackedJob
    from batchgen.settings import Settings
    from batchgen.virtual import make_item

    policy = RunPolicy(Settings(), "account", "tables", {}, {}, lambda item: item.model)
    run_state = RunState(
        cast("Any", None), policy, LocalBudget(BudgetTracker(Money(), None, None)), {}
    )  # no seam is used before a job is due
    poller = Poller(run_state, Fetcher(run_state, Judge(run_state)))
    first = make_item("i")
    for _ in range(10):
        run_state.durations.add(first.model, "", 3600.0)
    now, moment = asyncio.get_running_loop().time(), datetime.now(UTC)
    before = _mib()
    for number in range(count):
        item = make_item(f"i{number}", f"A ceramic mug on white marble, soft light from the left, no. {number}")
        attempt = Attempt(
            number, Work(number, item, 1), State.PROCESSING, 1, item.estimated, item.estimated, item.estimated,
            f"job{number:08}", "account", moment, moment + timedelta(days=7), 0,
        )  # fmt: skip
        poller.add(TrackedJob(attempt, now))

    async def poll() -> None:
        while True:
            poller.start()
            await asyncio.sleep(0.05)

    polling = asyncio.create_task(poll())
    found = {"mib": _mib() - before, **await _measured(seconds), "files": _files()}
    polling.cancel()
    return found


async def requests(count: int, base: str) -> dict[str, float]:
    """Keep so many polls open at the same time."""
    from batchgen.client.http import HttpApi
    from benchmarks.measure import KEY

    api = HttpApi(base, KEY)
    ids = []
    for _ in range(count):
        answer = await api.submit('{"model":"hera-1.0-text-to-image","prompt":"a mug"}', "/v1/generate", wait=False)
        ids.append(answer.job.id)  # type: ignore[union-attr]  # this server accepts everything
    before, files = _mib(), _files()
    polls = [asyncio.create_task(api.poll(job)) for job in ids]
    await asyncio.sleep(5.0)
    found = {"kib": (_mib() - before) * 1024 / count, "files": _files() - files, "late_ms": await _lateness(2.0)}
    answers = await asyncio.gather(*polls)
    await api.aclose()
    assert all(type(answer).__name__ == "Found" for answer in answers)
    return found


def main() -> None:
    """Measure one side and print it as JSON."""
    side, count = sys.argv[1], int(sys.argv[2])
    if side == "requests":
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        print(json.dumps(asyncio.run(requests(count, sys.argv[3]))))
    else:
        print(
            json.dumps(
                asyncio.run({"ticks": ticks, "tasks": tasks, "scheduler": scheduler}[side](count, float(sys.argv[3])))
            )
        )


if __name__ == "__main__":
    main()
