"""CPU per item of a whole run, beside a plain script that does the same work."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

from benchmarks.manifests import SCHEMA, write_yaml
from benchmarks.measure import Usage, batchgen, interleaved, median_cpu, part, run, serving
from benchmarks.table import Row

IN_FLIGHT = 500
INTERVAL = 0.2
"""Seconds between two polls: short, so that many jobs pass in little time."""
_FOLDERS = count(1)


def rows(folder: Path, items: int, times: int) -> Iterator[Row]:
    """Measure jobs that take as many polls on both sides, and jobs that take as long."""
    manifest = write_yaml(folder, items)
    with serving(polls=3) as base:
        yield from _beside_the_script(folder, manifest, base, items, times, "3 polls a job")
    manifest = write_yaml(folder, items // 2)
    with serving(polls=20) as base:
        yield from _beside_the_script(folder, manifest, base, items // 2, times, "20 polls a job")
    with serving(seconds=20 * INTERVAL, sigma=0.3) as base:
        how = "jobs that the script polls 20 times"
        yield from _beside_the_script(folder, manifest, base, items // 2, times, how)


def _beside_the_script(folder: Path, manifest: Path, base: str, items: int, times: int, how: str) -> Iterator[Row]:
    plain, fast = interleaved(times, lambda: script(folder, manifest, base), lambda: ours(folder, manifest, base))
    without = ours(folder, manifest, base, fast=False)
    against = f"plain aiohttp script: {_per_item(plain, items)}"
    what = f"CPU per item of a run, {how}"
    yield Row(what, _per_item(fast, items), against, median_cpu(fast) / median_cpu(plain), most=0.65)
    yield Row(f"{what}, without `fast`", _per_item([without], items), against, without.cpu / median_cpu(plain))


def script(folder: Path, manifest: Path, base: str) -> Usage:
    """Return what the plain script uses for a manifest."""
    return run(part("plain", manifest, SCHEMA, base, _fresh(folder), INTERVAL, IN_FLIGHT))


def ours(folder: Path, manifest: Path, base: str, *, fast: bool = True) -> Usage:
    """Return what `batchgen run` uses for it."""
    command = ["run", manifest, "--base-url", base, "--output", _fresh(folder), "--yes", "--quiet"]
    polling = ["--poll-min", INTERVAL, "--poll-max", INTERVAL, "--concurrency", IN_FLIGHT]
    return run(batchgen(*command, *polling, fast=fast))


def _fresh(folder: Path) -> Path:
    made = folder / f"output-{next(_FOLDERS)}"
    made.mkdir()
    return made


def _per_item(usages: list[Usage], items: int) -> str:
    return f"{median_cpu(usages) / items * 1000:.2f} ms"
