"""`local:N`: workers on this machine that are started for a run, and never outlive it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.engine.clusters import PATHS, PATIENCE, ended, exists, is_running, opened, processes_below
from support.running import environment

from batchgen.core.errors import OutsideError, UsageError
from batchgen.engine.cluster.address import LocalEngine
from batchgen.engine.cluster.dask import open_cluster


async def test_tickets_run_beside_each_other_and_say_that_they_have_ended(tmp_path: Path) -> None:
    async with opened("local:2", tmp_path, "waiting") as on:
        await on.until(lambda: on.cluster.slots == 2)
        placed = [on.cluster.place(on.ticket(number)) for number in range(3)]
        first, second = await on.worker_of(0), await on.worker_of(1)
        assert first != second
        assert not any(ticket.ended for ticket in placed)
        assert not (on.folder / "2").exists()  # there is room for two
        (on.folder / "end").touch()
        await on.until(lambda: all(ticket.ended for ticket in placed))
        assert [ticket.fault for ticket in placed] == [None, None, None]
        assert on.cluster.lost is None
        for ticket in placed:
            ticket.forget()
            ticket.forget()


@pytest.mark.parametrize(
    ("run", "fault"),
    [("failing", "RuntimeError: ticket 7 cannot be run"), ("unreadable", "UnreadableError: it cannot")],
)
async def test_a_ticket_that_fails_says_why_and_keeps_its_token_for_itself(
    run: str, fault: str, tmp_path: Path
) -> None:
    async with opened("local:1", tmp_path, run) as on:
        ticket = on.cluster.place(on.ticket(7))
        await on.until(lambda: ticket.ended)
        assert ticket.fault == fault
        log = "".join(file.read_text() for file in (tmp_path / "scratch").glob("*/dask.log"))
        assert "Compute Failed" in log
        assert "a token" not in log


async def test_a_worker_that_is_killed_is_replaced_and_its_ticket_has_a_fault(tmp_path: Path) -> None:
    async with opened("local:2", tmp_path, "waiting") as on:
        await on.until(lambda: on.cluster.slots == 2)
        ticket = on.cluster.place(on.ticket(0))
        os.kill(await on.worker_of(0), signal.SIGKILL)
        await on.until(lambda: ticket.ended)
        assert ticket.fault == "the worker that it was given to has died"
        await on.until(lambda: on.cluster.slots == 2)
        (on.folder / "end").touch()
        again = [on.cluster.place(on.ticket(number)) for number in (1, 2)]
        await on.until(lambda: all(ticket.ended for ticket in again))
        assert [ticket.fault for ticket in again] == [None, None]


async def test_what_is_forgotten_runs_on_and_is_told_of_no_more(tmp_path: Path) -> None:
    async with opened("local:1", tmp_path, "waiting") as on:
        ticket = on.cluster.place(on.ticket(0))
        await on.worker_of(0)
        ticket.forget()
        (on.folder / "end").touch()
        later = on.cluster.place(on.ticket(1))
        await on.until(lambda: later.ended)
        assert later.fault is None
        assert not ticket.ended


async def test_workers_have_the_environment_that_they_are_given(tmp_path: Path) -> None:
    async with opened("local:1", tmp_path, "telling", API18_KEY="api18_Secret") as on:
        ticket = on.cluster.place(on.ticket(0))
        await on.until(lambda: ticket.ended)
        assert (on.folder / "0").read_text() == "api18_Secret"
        log = "".join(file.read_text() for file in (tmp_path / "scratch").glob("*/dask.log"))
        assert "a worker prints" in log
        assert "api18_Secret" not in log
    assert list((tmp_path / "scratch").iterdir()) == []


async def test_nobody_else_on_this_machine_is_let_in(tmp_path: Path) -> None:
    from distributed import Client

    async with opened("local:1", tmp_path, "beginning") as on:
        await on.until(lambda: on.cluster.slots == 1)
        process = on.cluster._processes._process  # type: ignore[attr-defined]
        ports = listening({process.pid, *processes_below(process.pid)})
        assert {host for host, _ in ports} == {"127.0.0.1"}
        assert 8787 not in {port for _, port in ports}
        for host, port in ports:
            if (answer := _asked(host, port)).startswith(b"HTTP"):
                assert answer.split()[1] == b"404"  # where Dask's pages would be, there are none
                continue
            with pytest.raises(OSError):
                await Client(f"tcp://{host}:{port}", asynchronous=True, timeout=1, set_as_default=False)


def listening(pids: set[int]) -> set[tuple[str, int]]:
    import psutil

    found = set()
    for pid in pids:
        for connection in psutil.Process(pid).net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN:
                found.add((connection.laddr.ip, connection.laddr.port))
    return found


def _asked(host: str, port: int) -> bytes:
    with socket.create_connection((host, port), timeout=PATIENCE) as asking:
        asking.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        try:
            return asking.recv(100)
        except ConnectionError:
            return b""


async def test_where_the_processes_end_by_themselves_the_engine_is_lost(tmp_path: Path) -> None:
    async with opened("local:1", tmp_path, "waiting") as on:
        await on.until(lambda: on.cluster.slots == 1)
        ticket = on.cluster.place(on.ticket(0))
        worker = await on.worker_of(0)
        on.cluster._processes._process.kill()  # type: ignore[attr-defined]
        await on.until(lambda: on.cluster.lost is not None)
        assert on.cluster.lost == "the processes of local:1 have ended (exit code -9)"
        assert on.cluster.slots == 0
        await on.until(lambda: ticket.ended)
        assert ticket.fault is not None
        after = on.cluster.place(on.ticket(1))
        await on.until(lambda: after.ended)
        assert after.fault == on.cluster.lost
        await exists(lambda: not is_running(worker))


PARENT = """
import asyncio, sys
from pathlib import Path
from support.engine.clusters import opened

async def main():
    async with opened("local:2", Path(sys.argv[1]), "waiting") as on:
        placed = [on.cluster.place(on.ticket(number)) for number in (0, 1)]
        workers = [await on.worker_of(number) for number in (0, 1)]
        print(*workers, flush=True)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            (on.folder / "end").touch()
            await on.until(lambda: all(ticket.ended for ticket in placed))
            print(*[ticket.fault for ticket in placed], flush=True)
            raise

asyncio.run(main())
"""


def parent(folder: Path) -> subprocess.Popen[str]:
    """A coordinator in a process group of its own, whose workers wait."""
    return subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder)],
        env=environment(**PATHS), text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


async def test_the_workers_end_when_their_coordinator_is_killed(tmp_path: Path) -> None:
    with ended(parent(tmp_path)) as process:
        assert process.stdout is not None
        workers = [int(word) for word in process.stdout.readline().split()]
        others = processes_below(process.pid)
        assert set(workers) < others
        process.kill()
        await exists(lambda: not any(map(is_running, others)))
        await exists(lambda: list((tmp_path / "scratch").iterdir()) == [])


async def test_ctrl_c_is_for_the_coordinator_alone(tmp_path: Path) -> None:
    with ended(parent(tmp_path)) as process:
        assert process.stdout is not None
        process.stdout.readline()
        others = processes_below(process.pid)
        assert process.pid not in {os.getpgid(pid) for pid in others}
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.readline() == "None None\n"  # they went on, and came to their end
        _, errors = await asyncio.to_thread(process.communicate, timeout=PATIENCE)
        assert errors.rstrip().endswith("KeyboardInterrupt")
        assert "distributed" not in errors
        assert not any(map(is_running, others))
    assert list((tmp_path / "scratch").iterdir()) == []


async def test_workers_that_cannot_start_are_told_of(tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    (folder / "distributed").mkdir(parents=True)
    (folder / "distributed" / "__init__.py").write_text("raise ImportError('it is broken')\n", encoding="utf-8")
    with pytest.raises(OutsideError, match="local:2 did not start: ImportError: it is broken"):
        await open_cluster(LocalEngine(2), tmp_path / "scratch", environment={"PYTHONPATH": str(folder)})
    assert list((tmp_path / "scratch").iterdir()) == []


async def test_a_start_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    opening = asyncio.ensure_future(open_cluster(LocalEngine(1), tmp_path / "scratch"))
    await exists(lambda: bool(processes_below(os.getpid())))
    others = processes_below(os.getpid())
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert not any(map(is_running, others))
    assert list((tmp_path / "scratch").iterdir()) == []


async def test_without_the_extra_its_name_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchgen.engine.cluster.dask.find_spec", lambda name: None)
    with pytest.raises(UsageError) as caught:
        await open_cluster(LocalEngine(1), tmp_path)
    assert str(caught.value) == "--engine local:1 needs the extra dask: pip install 'batchgen-api18[dask]'"
