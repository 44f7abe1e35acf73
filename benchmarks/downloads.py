"""Downloads beside curl and aria2: CPU per gigabyte of large files, and how many small ones a second.

Also how late the event loop is meanwhile, in a whole run of small images.
"""

import asyncio
import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

from benchmarks.manifests import write_yaml
from benchmarks.measure import Usage, batchgen, interleaved, median_cpu, part, run, serving
from benchmarks.table import Row

SIZE = 8 * 2**20
IMAGE = 64 * 2**10
AT_ONCE = 8
_SYNCING = 128
"""Files that may wait for the disk, as in a run (`batchgen.core.descriptors`)."""
_SECONDS = 2.0
"""How long a job takes while the loop is watched."""
_BEAT = 0.005
"""Seconds between two looks at how late the loop is."""


def rows(folder: Path, files: int, images: int, times: int) -> Iterator[Row]:
    """Measure so many videos of 8 MiB and images of 64 KiB, each side so many times in turn."""
    with serving(size=SIZE, media="mp4") as base:
        yield from _videos(folder, base, files, times)
    with serving(size=IMAGE) as base:
        yield from _images(folder, base, images, times)
    # Jobs that take a while: else the loop would be late because there is too much to do, not because of the disk.
    with serving(size=IMAGE, seconds=_SECONDS, sigma=0.3) as base:
        yield _lateness(folder, base, images // 4)


def _videos(folder: Path, base: str, files: int, times: int) -> Iterator[Row]:
    curl, hashed, plain, hashed_only, unsynced = interleaved(
        times,
        lambda: _curl(folder, base, files, "mp4"),
        lambda: _ours(folder, base, files, "hashed", "mp4"),
        lambda: _ours(folder, base, files, "unhashed", "mp4"),
        lambda: _ours(folder, base, files, "hashed unsynced", "mp4"),
        lambda: _ours(folder, base, files, "unhashed unsynced", "mp4"),
    )
    gigabytes = files * SIZE / 1e9
    against = median_cpu(curl) / gigabytes
    for name, usages, most in (
        ("checked, hashed and synced", hashed, 1.4), ("checked and synced, not hashed", plain, None),
        ("checked and hashed, not synced", hashed_only, 1.4), ("checked, neither hashed nor synced", unsynced, 1.0),
    ):  # fmt: skip
        ours = median_cpu(usages) / gigabytes
        yield Row(
            f"download of {files} videos of 8 MiB, {name}", f"{ours:.2f} CPU s/GB", f"curl: {against:.2f} CPU s/GB",
            ours / against, most=most, why="the client hands its bytes on through Python",
        )  # fmt: skip
    aria2 = _aria2(folder, base, files)
    other = aria2 if isinstance(aria2, str) else f"{aria2.cpu / gigabytes:.2f} CPU s/GB"
    yield Row(f"the same {files} videos", f"{median_cpu(hashed) / gigabytes:.2f} CPU s/GB", f"aria2: {other}")


def _images(folder: Path, base: str, files: int, times: int) -> Iterator[Row]:
    sides: list[tuple[str, Callable[[], Usage], Callable[[], Usage]]] = [
        (
            "without fsync",
            lambda: _ours(folder, base, files, "hashed unsynced", "png"),
            lambda: _curl(folder, base, files, "png"),
        ),
        (
            "with fsync",
            lambda: _ours(folder, base, files, "hashed", "png"),
            lambda: _curl(folder, base, files, "png", sync=True),
        ),
    ]
    for how, ours, curl in sides:
        mine, others = interleaved(times, ours, curl)
        rate = files / statistics.median(usage.wall for usage in mine)
        against = files / statistics.median(usage.wall for usage in others)
        yield Row(
            f"download of {files} images of 64 KiB, {how}",
            f"{rate:.0f} files a second, {median_cpu(mine) / files * 1000:.2f} ms CPU each",
            f"curl: {against:.0f}, {median_cpu(others) / files * 1000:.2f} ms", rate / against,
        )  # fmt: skip


def _lateness(folder: Path, base: str, items: int) -> Row:
    manifest, output, found = write_yaml(folder, items), folder / "late", folder / "late.json"
    before = f"import benchmarks.downloads; benchmarks.downloads.watch_loop({str(found)!r}); "
    options = ["--base-url", base, "--output", output, "--yes", "--quiet", "--poll-min", 0.2, "--poll-max", 0.5]
    run(batchgen("run", manifest, *options, "--concurrency", 64, before=before))
    late = json.loads(found.read_text())
    return Row(
        f"lateness of the event loop in a run of {items} images of 64 KiB, 99th percentile", f"{late['p99']:.1f} ms",
        f"median {late['p50']:.1f} ms, the worst {late['worst']:.1f} ms",
    )  # fmt: skip


def watch_loop(found: str) -> None:
    """Have the next run of the scheduler note how late its loop was, in milliseconds, in the file `found`."""
    from batchgen.scheduler import Ending, Scheduler

    run_it = Scheduler.run

    async def watched(self: Scheduler) -> Ending:
        loop, late = asyncio.get_running_loop(), []

        async def watch() -> None:
            while True:
                due = loop.time() + _BEAT
                await asyncio.sleep(_BEAT)
                late.append((loop.time() - due) * 1000)

        watching = asyncio.create_task(watch())
        try:
            return await run_it(self)
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching
            cuts = statistics.quantiles(late, n=100) if len(late) > 1 else [0.0] * 99
            Path(found).write_text(json.dumps({"p50": cuts[49], "p99": cuts[98], "worst": max(late, default=0.0)}))

    setattr(Scheduler, "run", watched)  # noqa: B010 - nothing for mypy to follow


_NUMBERS = count(1)


def _fresh(folder: Path) -> Path:
    for old in folder.glob("downloads-*"):
        shutil.rmtree(old)
    made = folder / f"downloads-{next(_NUMBERS)}"
    made.mkdir()
    return made


def _ours(folder: Path, base: str, files: int, how: str, kind: str) -> Usage:
    """Return what the downloads used, without the start of their process."""
    usage = run(part("downloads", "fetch", base, files, _fresh(folder), how, kind))
    return replace(usage, **usage.json())


def _curl(folder: Path, base: str, files: int, kind: str, *, sync: bool = False) -> Usage:
    place = _fresh(folder)
    config = place / "urls"
    config.write_text("".join(f'url = "{base}/outputs/{n}.{kind}"\noutput = "{n}.{kind}"\n' for n in range(files)))
    command = ["curl", "--silent", "--parallel", "--parallel-max", str(AT_ONCE), "--config", str(config)]
    return run(part("downloads", "then-sync", place, *command) if sync else command, cwd=None if sync else place)


def _aria2(folder: Path, base: str, files: int) -> Usage | str:
    aria2 = shutil.which("aria2c")
    if aria2 is None:
        return "not installed (Debian: apt install aria2)"
    place = _fresh(folder)
    (place / "urls").write_text("".join(f"{base}/outputs/{n}.mp4\n  out={n}.mp4\n" for n in range(files)))
    options = ["--quiet", "--max-connection-per-server=1", f"--max-concurrent-downloads={AT_ONCE}"]
    return run([aria2, *options, "--file-allocation=none", "--input-file=urls"], cwd=place)


class _NoHash:
    """Stands in for a digest, to see what hashing costs."""

    def update(self, _: bytes) -> None:
        """Do nothing."""

    def hexdigest(self) -> str:
        """Return nothing."""
        return ""


async def _fetch_all(base: str, files: int, folder: Path, kind: str) -> None:
    from batchgen.client.http import HttpApi
    from batchgen.core.batching import BatchedCalls
    from batchgen.download import Memory, fetch
    from batchgen.store import LocalDisk
    from benchmarks.measure import KEY

    async def nothing_there(path: str) -> None:
        raise AssertionError(path)

    api, store, memory = HttpApi(base, KEY), LocalDisk(folder), Memory()
    ordered = "video" if kind == "mp4" else "image"
    receiving, syncing = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(_SYNCING)

    async def one(number: int, offload: BatchedCalls) -> None:
        url, taken = f"{base}/outputs/{number}.{kind}", [receiving]
        try:
            await fetch(
                api, url, store, str(number), 1, kind=ordered, move_aside=nothing_there, offload=offload,
                memory=memory, received=lambda: taken.pop().release(),
            )  # fmt: skip
        finally:
            syncing.release()
            for slot in taken:
                slot.release()

    cpu, wall = time.process_time(), time.monotonic()
    async with BatchedCalls("files") as offload, asyncio.TaskGroup() as group:
        for number in range(files):
            await syncing.acquire()
            await receiving.acquire()
            group.create_task(one(number, offload))
    await api.aclose()
    assert len(list(folder.rglob(f"*.{kind}"))) == files
    print(json.dumps({"cpu": time.process_time() - cpu, "wall": time.monotonic() - wall}))


def _then_sync(folder: Path, command: list[str]) -> None:
    """Run a command, and sync what it made: each file, and their folder."""
    import subprocess

    subprocess.run(command, cwd=folder, check=True)
    for path in (*folder.iterdir(), folder):
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.close(handle)


def main() -> None:
    """Download with batchgen's own parts, or with another program that does not sync."""
    from types import SimpleNamespace

    if sys.argv[1] == "then-sync":
        _then_sync(Path(sys.argv[2]), sys.argv[3:])
        return
    from batchgen.download import saving

    base, files, folder, how, kind = sys.argv[2:]
    if "unhashed" in how:
        setattr(saving, "hashlib", SimpleNamespace(sha256=_NoHash))  # noqa: B010 - nothing for mypy to follow
    if "unsynced" in how:
        setattr(os, "fsync", lambda _: None)  # noqa: B010
    work = _fetch_all(base, int(files), Path(folder), kind)
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


if __name__ == "__main__":
    main()
