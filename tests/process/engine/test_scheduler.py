"""`dask://`: a scheduler that others have started, with workers that come and go."""

import asyncio
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from support.engine.clusters import is_running, opened, scheduler, worker

from batchgen.core.errors import OutsideError
from batchgen.engine.cluster import connection
from batchgen.engine.cluster.address import DaskEngine
from batchgen.engine.cluster.dask import open_cluster


async def test_slots_follow_workers_that_join_and_leave(tmp_path: Path) -> None:
    with scheduler(tmp_path) as (_, engine):
        async with opened(engine, tmp_path, "waiting") as on:
            assert on.cluster.slots == 0
            early = on.cluster.place(on.ticket(0))
            with worker(engine, tmp_path, threads=2):
                await on.until(lambda: on.cluster.slots == 2)
                await on.worker_of(0)
                with worker(engine, tmp_path):
                    await on.until(lambda: on.cluster.slots == 3)
                await on.until(lambda: on.cluster.slots == 2)
                (on.folder / "end").touch()
                await on.until(lambda: early.ended)
            await on.until(lambda: on.cluster.slots == 0)
            assert early.fault is None
            assert on.cluster.lost is None


async def test_a_ticket_that_has_ended_is_not_run_again_when_its_worker_dies(tmp_path: Path) -> None:
    """What Dask holds the result of, it runs again when that is gone; so it holds none."""
    with scheduler(tmp_path) as (_, engine):
        async with opened(engine, tmp_path, "beginning") as on:
            with worker(engine, tmp_path):
                ticket = on.cluster.place(on.ticket(0))
                await on.until(lambda: ticket.ended)
                first = await on.worker_of(0)
            assert not is_running(first)
            (on.folder / "0").unlink()
            with worker(engine, tmp_path):
                later = on.cluster.place(on.ticket(1))
                await on.until(lambda: later.ended)
                assert not (on.folder / "0").exists()


async def test_a_scheduler_that_is_gone_is_told_and_so_are_its_tickets(tmp_path: Path) -> None:
    with scheduler(tmp_path) as (process, engine), worker(engine, tmp_path):
        async with opened(engine, tmp_path, "waiting") as on:
            await on.until(lambda: on.cluster.slots == 1)
            ticket = on.cluster.place(on.ticket(0))
            await on.worker_of(0)
            process.kill()
            await on.until(lambda: ticket.ended)
            assert ticket.fault == "Dask has dropped it"
            await on.until(lambda: on.cluster.lost is not None)
            assert on.cluster.lost == "the Dask scheduler is gone"
            assert on.cluster.slots == 0
            after = on.cluster.place(on.ticket(1))
            await on.until(lambda: after.ended)
            assert after.fault == on.cluster.lost


@asynccontextmanager
async def between(engine: DaskEngine) -> AsyncIterator[tuple[DaskEngine, Callable[[], None]]]:
    """Another address of a scheduler, and a call that breaks all connections to it."""
    broken: list[asyncio.StreamWriter] = []

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward = await asyncio.open_connection(engine.host, engine.port)
        broken.extend((writer, onward[1]))
        await asyncio.gather(pass_on(reader, onward[1]), pass_on(onward[0], writer), return_exceptions=True)

    def cut() -> None:
        while broken:
            broken.pop().transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield DaskEngine("127.0.0.1", server.sockets[0].getsockname()[1]), cut
    finally:
        server.close()
        cut()


async def test_a_connection_that_breaks_for_a_moment_costs_the_tickets_and_no_more(tmp_path: Path) -> None:
    with scheduler(tmp_path) as (_, engine), worker(engine, tmp_path, threads=2):
        async with between(engine) as (address, cut), opened(address, tmp_path, "waiting") as on:
            await on.until(lambda: on.cluster.slots == 2)
            ticket = on.cluster.place(on.ticket(0))
            await on.worker_of(0)
            cut()
            await on.until(lambda: ticket.ended)
            assert ticket.fault == "Dask has dropped it"
            later = on.cluster.place(on.ticket(1))
            await on.worker_of(1)
            with worker(engine, tmp_path):
                await on.until(lambda: on.cluster.slots == 3)
            (on.folder / "end").touch()
            await on.until(lambda: later.ended)
            assert later.fault is None
            assert on.cluster.lost is None


async def test_a_ticket_whose_worker_dies_may_be_run_by_another(tmp_path: Path) -> None:
    """As often as the scheduler's settings say, which are not ours: whoever runs it must ask what it is to do."""
    with scheduler(tmp_path) as (_, engine):
        async with opened(engine, tmp_path, "waiting") as on:
            ticket = on.cluster.place(on.ticket(0))
            with worker(engine, tmp_path) as first:
                assert await on.worker_of(0) == first.pid
                (on.folder / "0").unlink()
            with worker(engine, tmp_path) as second:
                assert await on.worker_of(0) == second.pid
                assert not ticket.ended
                (on.folder / "end").touch()
                await on.until(lambda: ticket.ended)
                assert ticket.fault is None


async def test_a_scheduler_that_stands_still_is_taken_for_lost_only_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_ASKING", 0.2)
    monkeypatch.setattr(connection, "_EVERY", 0.2)
    with scheduler(tmp_path) as (process, engine), worker(engine, tmp_path):
        async with opened(engine, tmp_path, "waiting") as on:
            await on.until(lambda: on.cluster.slots == 1)
            os.kill(process.pid, signal.SIGSTOP)
            await on.until(lambda: on.cluster.slots == 0)
            os.kill(process.pid, signal.SIGCONT)
            await on.until(lambda: on.cluster.slots == 1)
            assert on.cluster.lost is None
            monkeypatch.setattr(connection, "CONNECTING", 0.5)
            os.kill(process.pid, signal.SIGSTOP)
            await on.until(lambda: on.cluster.lost is not None)


async def test_tickets_go_on_when_their_coordinator_lets_go(tmp_path: Path) -> None:
    with scheduler(tmp_path) as (_, engine), worker(engine, tmp_path):
        async with opened(engine, tmp_path, "waiting") as on:
            on.cluster.place(on.ticket(0))
            pid = await on.worker_of(0)
        assert is_running(pid)


async def test_workers_without_batchgen_refuse_tickets_and_live(tmp_path: Path) -> None:
    """A worker that cannot unpickle what it receives would end itself."""
    (tmp_path / "without" / "batchgen").mkdir(parents=True)
    (tmp_path / "without" / "batchgen" / "__init__.py").write_text("raise ImportError('it is not here')\n")
    without = {"PYTHONPATH": str(tmp_path / "without")}
    with scheduler(tmp_path, **without) as (_, engine), worker(engine, tmp_path, **without) as process:
        async with opened(engine, tmp_path, "beginning") as on:
            ticket = on.cluster.place(on.ticket(0))
            await on.until(lambda: ticket.ended)
            assert ticket.fault == "ImportError: it is not here"
            assert process.poll() is None
            await on.until(lambda: on.cluster.slots == 1)
            with worker(engine, tmp_path) as other:
                await on.until(lambda: on.cluster.slots == 2)
                process.kill()
                later = on.cluster.place(on.ticket(1))
                assert await on.worker_of(1) == other.pid
                await on.until(lambda: later.ended)
                assert later.fault is None


async def test_where_no_scheduler_answers_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECTING", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    before = threading.active_count()
    with pytest.raises(OutsideError, match=f"no Dask scheduler can be used at tcp://127.0.0.1:{port}: "):
        await open_cluster(DaskEngine("127.0.0.1", port), tmp_path)
    assert threading.active_count() <= before + 1  # a pool's thread of the loop's may stay


@contextmanager
def stranger(answer: bytes | None) -> Iterator[int]:
    """A port of loopback where something else answers, and then says no more; with an empty answer, it hangs up."""
    held = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connected, _ = server.accept()
                except OSError:
                    return
                connected.sendall(answer or b"")
                held.append(connected)
                if answer == b"":
                    connected.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=10)
        for connected in held:
            connected.close()


HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("answer", [None, b"", HTTP, b"\0" * 64], ids=["is silent", "hangs up", "http", "zeros"])
async def test_a_port_of_something_else_is_refused(
    answer: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECTING", 0.5)
    with stranger(answer) as port, pytest.raises(OutsideError, match="no Dask scheduler can be used at "):
        await open_cluster(DaskEngine("127.0.0.1", port), tmp_path)


async def test_a_scheduler_without_tls_is_no_scheduler_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECTING", 0.5)
    with stranger(b"") as port, pytest.raises(OutsideError, match="no Dask scheduler can be used at tls://"):
        await open_cluster(DaskEngine("127.0.0.1", port, encrypted=True), tmp_path)


async def test_connecting_can_be_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        opening = asyncio.ensure_future(open_cluster(DaskEngine("127.0.0.1", silent.getsockname()[1]), tmp_path))
        accepted, _ = await asyncio.to_thread(silent.accept)
        with accepted:
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
