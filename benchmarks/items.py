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
_SHORT = 0.1
_WHY = "the same requests, by the same client, are most of both sides"
_FOLDERS = count(1)


def rows(folder: Path, items: int, times: int) -> Iterator[Row]:
    """Measure jobs that take the same number of polls on both sides, and jobs that take the same time."""
    with serving(polls=3) as base:
        yield from _beside_the_script(folder, base, items, times, "each done at its 3rd poll")
    with serving(polls=20) as base:
        yield from _beside_the_script(folder, base, items // 3, times, "each done at its 20th poll")
    with serving(seconds=20 * _SHORT, sigma=0.3) as base:
        how = "whatever polls each side needs for jobs that a fixed interval polls 20 times"
        yield from _beside_the_script(folder, base, items // 6, times, how, _SHORT, 100)


def _beside_the_script(
    folder: Path, base: str, items: int, times: int, how: str, interval: float = INTERVAL, in_flight: int = IN_FLIGHT
) -> Iterator[Row]:
    manifest = write_yaml(folder, items)
    plain, fast = interleaved(
        times,
        lambda: script(folder, manifest, base, interval, in_flight),
        lambda: ours(folder, manifest, base, interval, in_flight),
    )
    without = [ours(folder, manifest, base, interval, in_flight, fast=False)]
    against = f"plain aiohttp script: {_per_item(plain, items)}, {plain[0].peak:.0f} MiB"
    what = f"CPU per item of a run of {items:,}, {how}"
    for name, ours_, most in ((what, fast, 0.65), (f"{what}, without `fast`", without, None)):
        measured = f"{_per_item(ours_, items)}, {ours_[0].peak:.0f} MiB"
        yield Row(name, measured, against, median_cpu(ours_) / median_cpu(plain), most=most, why=_WHY)


def script(folder: Path, manifest: Path, base: str, interval: float, in_flight: int) -> Usage:
    """Return what the plain script uses for a manifest."""
    return run(part("plain", manifest, SCHEMA, base, _fresh(folder), interval, in_flight))


def ours(folder: Path, manifest: Path, base: str, interval: float, in_flight: int, *, fast: bool = True) -> Usage:
    """Return what `batchgen run` uses for it; its longest interval is 2.5 times the shortest, as by default."""
    # The script writes no page of its run either; `benchmarks.reporting` measures what that costs.
    command = ["run", manifest, "--base-url", base, "--output", _fresh(folder), "--yes", "--quiet", "--report", "none"]
    polling = ["--poll-min", interval, "--poll-max", 2.5 * interval, "--concurrency", in_flight]
    return run(batchgen(*command, *polling, fast=fast))


def _fresh(folder: Path) -> Path:
    made = folder / f"output-{next(_FOLDERS)}"
    made.mkdir()
    return made


def _per_item(usages: list[Usage], items: int) -> str:
    return f"{median_cpu(usages) / items * 1000:.2f} ms"
