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
    """Measure at 3 and at 20 polls a job; every job takes the same number of polls on both sides."""
    for polls in (3, 20):
        size = items if polls == 3 else items // 2
        plain, fast, without = measured(folder, polls, size, times)
        against = f"plain aiohttp script: {_per_item(plain, size)}"
        what = f"CPU per item of a run, {polls} polls a job"
        yield Row(what, _per_item(fast, size), against, median_cpu(fast) / median_cpu(plain), most=0.65)
        ratio = median_cpu(without) / median_cpu(plain)
        yield Row(f"{what}, without the extra `fast`", _per_item(without, size), against, ratio)


def measured(folder: Path, polls: int, items: int, times: int) -> list[list[Usage]]:
    """Return what the plain script, batchgen, and batchgen without the extra `fast` used."""
    manifest = write_yaml(folder, items)
    with serving(polls=polls) as base:

        def plain() -> Usage:
            return run(part("plain", manifest, SCHEMA, base, _fresh(folder), INTERVAL, IN_FLIGHT))

        def ours(*, fast: bool) -> Usage:
            command = ["run", manifest, "--base-url", base, "--output", _fresh(folder), "--yes", "--quiet"]
            polling = ["--poll-min", INTERVAL, "--poll-max", INTERVAL, "--concurrency", IN_FLIGHT]
            return run(batchgen(*command, *polling, fast=fast))

        without = ours(fast=False)
        return [*interleaved(times, plain, lambda: ours(fast=True)), [without]]


def _fresh(folder: Path) -> Path:
    made = folder / f"output-{next(_FOLDERS)}"
    made.mkdir()
    return made


def _per_item(usages: list[Usage], items: int) -> str:
    return f"{median_cpu(usages) / items * 1000:.2f} ms"
