"""Clusters for tests, and how tests wait for what becomes of them: always for a condition, and never for ever."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from support.running import ROOT, environment

from batchgen.engine.cluster.address import DaskEngine, EngineAddress, parse_engine
from batchgen.engine.cluster.dask import open_cluster
from batchgen.engine.cluster.port import Cluster, Ticket

PATIENCE = 60.0
"""Seconds after which a test fails, however busy the machine is."""
PATHS = {"PYTHONPATH": str(ROOT / "tests")}


class Watched:
    """A cluster, and a way to wait until something about it holds."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster, self.folder = cluster, folder
        self._changed = asyncio.Event()
        cluster.on_change(self._changed.set)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for changes that the cluster tells until `holds`."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                await self._changed.wait()
                self._changed.clear()

    def ticket(self, number: int) -> Ticket:
        """A ticket that leaves its files in this test's folder."""
        return Ticket(number, self.folder.as_uri(), "a token")

    async def worker_of(self, number: int) -> int:
        """Wait until a ticket runs, and return its worker's process id."""
        file = self.folder / f"{number}"
        await exists(lambda: file.exists() and bool(file.read_text(encoding="utf-8")))
        return int(file.read_text(encoding="utf-8"))


async def exists(holds: Callable[[], bool]) -> None:
    """Look until `holds`: for what other processes do, and nobody tells."""
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.02)


@asynccontextmanager
async def opened(address: str | EngineAddress, folder: Path, run: str, **more: str) -> AsyncIterator[Watched]:
    """Open a cluster whose tickets run a function of `support.engine.tickets`, and close it."""
    engine = parse_engine(address) if isinstance(address, str) else address
    (folder / "tickets").mkdir(exist_ok=True)
    cluster = await open_cluster(
        engine, folder / "scratch", environment=PATHS | more, run=f"support.engine.tickets:{run}"
    )
    try:
        yield Watched(cluster, folder / "tickets")
    finally:
        (folder / "tickets" / "end").touch()
        await cluster.close()


def is_running(pid: int) -> bool:
    """Whether a process is there that has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@contextmanager
def scheduler(folder: Path, **more: str) -> Iterator[tuple[subprocess.Popen[str], DaskEngine]]:
    """A Dask scheduler in a process of its own, on any free port of loopback."""
    command = ["dask", "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file"]
    with ended(_started(*command, str(folder / "scheduler.json"), folder=folder, more=more)) as process:
        file = folder / "scheduler.json"
        address = _address(file, process)
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        yield process, DaskEngine(host, int(port))


@contextmanager
def worker(engine: DaskEngine, folder: Path, threads: int = 1, **more: str) -> Iterator[subprocess.Popen[str]]:
    """A Dask worker in a process of its own, without a nanny."""
    words = ["dask", "worker", engine.url, "--nthreads", str(threads), "--no-nanny", "--no-dashboard"]
    with ended(_started(*words, "--host", "127.0.0.1", "--memory-limit", "0", folder=folder, more=more)) as process:
        yield process


def _started(*words: str, folder: Path, more: Mapping[str, str]) -> subprocess.Popen[str]:
    program, *arguments = words
    with (folder / "dask.log").open("a") as log:
        return subprocess.Popen(
            [str(Path(sys.executable).parent / program), *arguments],
            cwd=folder, env=environment(**{**PATHS, **more}), text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
        )  # fmt: skip


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Kill a process at the end of the block."""
    with process:  # its pipes are closed
        try:
            yield process
        finally:
            process.kill()
            process.wait(timeout=PATIENCE)


def _address(file: Path, process: subprocess.Popen[str]) -> str:
    import json
    import time

    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if file.exists() and (text := file.read_text(encoding="utf-8")).rstrip().endswith("}"):
            return str(json.loads(text)["address"])
        assert process.poll() is None, "the scheduler has ended"
        time.sleep(0.02)
    raise TimeoutError


def processes_below(pid: int) -> set[int]:
    """The ids of a process's children, and of theirs."""
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        for task in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            more = {int(word) for word in task.read_text().split()} - found
            found |= more
            waiting += more
    return found - {os.getpid()}
