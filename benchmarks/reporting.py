"""The report of a run of up to a million items: time, memory, and what lies on disk."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.measure import Usage, batchgen, part, run
from benchmarks.table import Row


def rows(folder: Path, counts: Sequence[int]) -> Iterator[Row]:
    """Write the reports of runs of these sizes, the smallest one first."""
    found = {count: _written(folder / f"report-{count}", count) for count in counts}
    (few, (small, _)), *_ = found.items()
    for count, (usage, size) in found.items():
        shown = f"{usage.cpu:.1f} s CPU, {usage.peak:.0f} MiB, {size / 1e6:.1f} MB on disk"
        against = f"{few:,}: {small.cpu:.1f} s CPU, {small.peak:.0f} MiB"
        ratio = None if count == few else usage.peak / small.peak
        yield Row(f"peak memory of a report of {count:,} items", shown, against, ratio, most=1.3 if ratio else None)


def _written(place: Path, count: int) -> tuple[Usage, int]:
    run(part("paging", "make", count, place))
    usage = run(batchgen("report", place, "--no-thumbnails"), read=False)
    files = [place / "report.html", *(place / "report").rglob("*.js")]
    return usage, sum(file.stat().st_size for file in files)
