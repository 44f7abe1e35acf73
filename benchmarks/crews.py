"""A run on workers: items a second, and what an item costs the coordinator, by the number of workers."""

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.manifests import write_yaml
from benchmarks.measure import ROOT, BenchmarkError, batchgen, environment, serving
from benchmarks.table import Row

_TICK = os.sysconf("SC_CLK_TCK")
_CONCURRENCY = 512


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one process used, without its children."""

    cpu: float
    """Seconds."""
    peak: float
    """MiB."""
    seconds: float
    """From the first of its purchases on disk to the last."""


def rows(folder: Path, items: int, workers: tuple[int, ...] = (1, 2, 4)) -> Iterator[Row]:
    """Buy so many items alone, and with so many workers on this machine."""
    for size in dict.fromkeys((max(20, items // 10), items)):
        alone = _bought(folder, size, None)
        for count in workers:
            seen = _bought(folder, size, count)
            yield Row(
                f"a run of {size:,} items on {count} workers",
                f"{size / seen.seconds:.0f} items/s, coordinator {seen.cpu / size * 1e3:.2f} ms CPU an item,"
                f" {seen.peak:.0f} MiB",
                f"alone: {size / alone.seconds:.0f} items/s, {alone.cpu / size * 1e3:.2f} ms, {alone.peak:.0f} MiB",
                seen.cpu / alone.cpu,
            )


def _bought(folder: Path, items: int, workers: int | None) -> _Seen:
    manifest = write_yaml(folder, items)
    output = folder / f"crew-{items}-{workers}"
    engine = [] if workers is None else ["--engine", f"local:{workers}"]
    with serving(polls=1, seconds=0.5) as base:
        command = batchgen(
            "run", manifest, "--output", output, "--base-url", base, "--yes", "--quiet", "--report", "none",
            "--concurrency", _CONCURRENCY, "--poll-min", 0.5, *engine,
        )  # fmt: skip
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        cpu, peak = 0.0, 0.0
        begun: float | None = None
        files = output / manifest.stem / "files"
        while process.poll() is None:
            cpu, peak = _used(process.pid) or (cpu, peak)
            if begun is None and files.is_dir():
                begun = time.monotonic()
            time.sleep(0.02)
        ended = time.monotonic()
        assert process.stderr is not None
        if process.returncode or begun is None:
            raise BenchmarkError(f"a run on {workers} workers ended with {process.returncode}: {process.stderr.read()}")
        process.stderr.close()
    return _Seen(cpu, peak, ended - begun)


def _used(pid: int) -> tuple[float, float] | None:
    """Return CPU seconds and peak (MiB) of a process by /proc (proc(5)); None once it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return None
    peak = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")), None)
    return None if peak is None else ((int(stat[11]) + int(stat[12])) / _TICK, int(peak) / 1024)
