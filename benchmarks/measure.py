"""Runs a program and measures what it used."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
KEY = "api18_Benchmark0000000"
FAST = ("uvloop", "jsonschema_rs")
"""What the extra `fast` brings."""
_START = "from batchgen.__main__ import main; main()"


class BenchmarkError(Exception):
    """A measurement that cannot be made; its text says why."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process used."""

    cpu: float
    """Seconds, user and system."""
    peak: float
    """MiB, the largest resident set."""
    wall: float
    """Seconds."""
    out: str
    """Its standard output."""
    code: int

    def json(self) -> Any:
        """Return the last line of its output as JSON."""
        return json.loads(self.out.strip().splitlines()[-1])


def run(
    command: Sequence[str | Path], *, cwd: Path | None = None, accept: tuple[int, ...] = (0,), read: bool = True
) -> Usage:
    """Run a command to its end and return what it used. Raises BenchmarkError if its exit code is not an accepted one.

    The peak is only right for a process larger than this one: Linux carries the peak of the parent over an exec, so
    this program imports nothing that is large. For the same reason, a long output is better not read (`read`).
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        begun = time.monotonic()
        process = subprocess.Popen(
            [str(part) for part in command], cwd=cwd or ROOT, env=environment(), stdin=subprocess.DEVNULL, stdout=out,
            stderr=errors,
        )  # fmt: skip
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - begun
        out.seek(0)
        errors.seek(0)
        if process.returncode not in accept:
            said = errors.read().decode(errors="replace")[-2000:]
            raise BenchmarkError(f"{command[:4]} ended with {process.returncode}: {said}")
        text = out.read().decode() if read else ""
    return Usage(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, wall, text, process.returncode)


def environment() -> dict[str, str]:
    """Return this process's environment without anything that steers batchgen, and with a key."""
    steering = ("BATCHGEN_", "API18_", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
    kept["BATCHGEN_REGISTER"] = ""  # measurements do not belong in the user's register of runs
    return kept | {"NO_COLOR": "1", "API18_KEY": KEY, "PYTHONPATH": str(ROOT)}


def batchgen(*arguments: object, fast: bool = True, before: str = "") -> list[str]:
    """Return the command line of a batchgen command; without `fast`, as if the extra of that name were missing.

    `before` is what Python does first.
    """
    hidden = "" if fast else f"import sys; sys.modules.update(dict.fromkeys({FAST!r})); "
    return [sys.executable, "-c", f"{hidden}{before}{_START}", *map(str, arguments)]


def part(name: str, *arguments: object) -> list[str]:
    """Return the command line of one of the programs beside this one."""
    return [sys.executable, "-m", f"benchmarks.{name}", *map(str, arguments)]


@contextmanager
def in_memory(folder: Path) -> Iterator[Path]:
    """Give a folder that needs no disk, where the machine has such a thing, else one in `folder`.

    For what runs in virtual time, which would wait for a real disk at each of its commits.
    """
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own is made below it
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else folder) as made:
        yield Path(made)


def interleaved(times: int, *sides: Callable[[], Usage]) -> list[list[Usage]]:
    """Run the sides in turn, so many times, and return what each used: what disturbs one disturbs the next as well."""
    found: list[list[Usage]] = [[] for _ in sides]
    for _ in range(times):
        for usages, side in zip(found, sides, strict=True):
            usages.append(side())
    return found


def median_cpu(usages: Sequence[Usage]) -> float:
    """Return the median of their CPU seconds."""
    return statistics.median(usage.cpu for usage in usages)


@contextmanager
def serving(**options: object) -> Iterator[str]:
    """Run `benchmarks.server` with these options, and give its base URL."""
    with beside(part("server", *[word for name, value in options.items() for word in (f"--{name}", value)])) as base:
        yield base


@contextmanager
def started(command: Sequence[str]) -> Iterator[str]:
    """Run a program that is to be terminated, and give the first line that it prints."""
    process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()


@contextmanager
def beside(command: Sequence[str]) -> Iterator[str]:
    """Run a program that ends with its standard input, and give the first line that it prints."""
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()
