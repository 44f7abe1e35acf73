"""Polling against the simulator that ships with the project: a process of its own, real requests, time sped up."""

import heapq
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.measure import batchgen, beside, run
from benchmarks.table import Row

SPEED = 20
IN_FLIGHT = 50
_LEAST, _MOST = 2.0 / SPEED, 5.0 / SPEED
"""Seconds between polls: what the provider asks for, sped up."""
_FIXED = f"import batchgen.scheduler.poller as p; p.first_poll = p.next_poll = lambda *_: {_LEAST}; "


def rows(folder: Path, jobs: int) -> Iterator[Row]:
    """Measure jobs of 70 s, the median of the simulator's five-second videos, in a new folder and once more in it."""
    manifest = _manifest(folder, jobs)
    options = (
        "--speed",
        SPEED,
        "--port",
        0,
        "--media",
        "tiny",
        "--balance",
        10 * jobs,
        "--quiet",
        "--until-stdin-closes",
    )
    with beside(batchgen("simulate", *options)) as line:
        base = line
        fixed = _raced(manifest, folder / "fixed", base, before=_FIXED)
        first = _raced(manifest, folder / "learned", base)
        again = _raced(manifest, folder / "learned", base, "--again", "*")
    case = f"{jobs} jobs of 70 s at {SPEED} × speed"
    beside_ = f"fixed 2 s: {fixed[0]:.3f} × ideal, {fixed[1]:.1f} polls"
    for what, (makespan, polls) in (("new folder", first), ("knowing an earlier run of the folder", again)):
        yield Row(f"simulator, {case}, {what}", f"{makespan:.3f} × ideal, {polls:.1f} polls", beside_, polls / fixed[1])


def _manifest(folder: Path, jobs: int) -> Path:
    path = folder / "videos.yaml"
    with path.open("w", encoding="utf-8") as out:
        out.write("version: 1\nname: videos\ndefaults: {model: centaurus-1.0-text-to-video}\nitems:\n")
        out.writelines(f"  - {{id: wave-{n}, prompt: Wave number {n} at dusk}}\n" for n in range(jobs))
    return path


def _raced(manifest: Path, output: Path, base: str, *more: str, before: str = "") -> tuple[float, float]:
    """Run a manifest and return its makespan over the ideal, and its polls a job."""
    output.mkdir(exist_ok=True)
    options = ("--base-url", base, "--output", output, "--yes", "--quiet", "--concurrency", IN_FLIGHT, *more)
    run(batchgen("run", manifest, *options, "--poll-min", _LEAST, "--poll-max", _MOST, before=before))
    return _race(output / "videos" / "journal.sqlite3")


def _race(journal: Path) -> tuple[float, float]:
    """Judge the last attempts in a journal: submissions were in order, and each place was free when a job had ended."""
    with closing(sqlite3.connect(journal)) as db:
        attempts = db.execute(
            "SELECT submitted_at, completed_at, took_ms, polls FROM attempt"
            " WHERE number = (SELECT MAX(number) FROM attempt) ORDER BY submitted_at, key"
        ).fetchall()
    places = [0] * IN_FLIGHT
    for _, _, took, _ in attempts:
        heapq.heapreplace(places, places[0] + took)
    whole = max(ended for _, ended, _, _ in attempts) - min(submitted for submitted, _, _, _ in attempts)
    return whole / max(places), sum(polls for _, _, _, polls in attempts) / len(attempts)
