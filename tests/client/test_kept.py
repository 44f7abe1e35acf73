"""Kept connections: which of them a POST may use, that it leaves nothing on any other, and is never sent twice.

All of it happens in virtual time over real sockets, so a pause of seconds takes none.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar

import aiohttp
import pytest
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from support.rawserver import Peer, RawServer, answering, http, raw_server, self_signed, trusting

from batchgen.api import Accepted, Found, Unclear
from batchgen.client import wire
from batchgen.client.http import HttpApi
from batchgen.client.kept import MARGIN, SETTLED, WARM, is_quiet
from benchmarks.hangups import HABITS, VirtualSockets, play

_T = TypeVar("_T")
KEY = "api18_canary0123456789"
JOB = http(202, b'{"id": "job-1", "status": "processing", "cost_usd": 0.30, "model": "m"}')
LONG = 2.0
"""Seconds of a pause after which any connection that is answered has proved itself."""


@pytest.fixture
def own_tls(tmp_path: Path) -> ssl.SSLContext:
    return self_signed(tmp_path)


def virtually(main: Callable[[], Awaitable[_T]]) -> _T:
    async def run() -> _T:
        return await main()

    with asyncio.Runner(loop_factory=VirtualSockets) as runner:
        return runner.run(run())


class Client:
    """A client in virtual time, whose clock can be set."""

    def __init__(self, server: RawServer, tls: ssl.SSLContext | None = None) -> None:
        self.set_by = timedelta(0)
        self.api = HttpApi(server.url, KEY, now=self._now, tls=tls)

    def _now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=asyncio.get_running_loop().time()) + self.set_by

    async def poll(self, after: float = 0.0) -> None:
        await asyncio.sleep(after)
        assert isinstance(await self.api.poll("job-1"), Found)

    async def post(self, after: float = 0.0) -> Accepted | Unclear:
        await asyncio.sleep(after)
        answer = await self.api.submit('{"model":"m","prompt":"mug"}', "/v1/generate", wait=False)
        assert isinstance(answer, Accepted | Unclear)
        return answer

    async def prove(self) -> None:
        """Make a connection that a POST may use a moment later."""
        await self.poll()
        await self.poll(after=LONG)


def methods(server: RawServer) -> list[bytes]:
    return [request.split(b" ")[0] for request in server.received]


# ---- which one ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pauses", "pause", "connections"),
    [
        ([LONG], (SETTLED + WARM) / 2, 1),
        ([LONG], WARM - 0.05, 1),
        ([LONG], SETTLED / 2, 2),  # its end may be on the way behind the answer
        ([LONG], WARM + 0.05, 2),
        ([], 0.3, 2),  # nobody knows whether this server keeps connections
        ([0.3 + MARGIN + 0.05], 0.3, 1),
        ([0.3 + MARGIN - 0.05], 0.3, 2),
        ([10.0], 2.0, 2),
        ([LONG, 0.2, 0.2], 0.3, 1),
    ],
)
def test_a_post_uses_a_connection_whose_last_answer_is_neither_new_nor_old_and_that_outlived_more(
    pauses: list[float], pause: float, connections: int
) -> None:
    async def main() -> None:
        async with raw_server(answering(*[JOB] * 9)) as server:
            client = Client(server)
            await client.poll()
            for each in pauses:
                await client.poll(after=each)
            assert isinstance(await client.post(after=pause), Accepted)
            await client.api.aclose()
        assert server.connections == connections
        assert methods(server).count(b"POST") == 1

    virtually(main)


@pytest.mark.parametrize("leap", [timedelta(hours=8), timedelta(hours=-8)])
def test_a_machine_that_slept_or_a_clock_that_was_set_makes_a_connection_unfit(leap: timedelta) -> None:
    async def main() -> None:
        async with raw_server(answering(*[JOB] * 9)) as server:
            client = Client(server)
            await client.prove()
            client.set_by = leap
            assert isinstance(await client.post(after=0.3), Accepted)
            await client.api.aclose()
        assert server.connections == 2

    virtually(main)


def test_posts_at_the_same_time_never_share_a_connection() -> None:
    async def main() -> None:
        async with raw_server(answering(*[JOB] * 9)) as server:
            client = Client(server)
            await asyncio.gather(client.poll(), client.poll())
            await asyncio.gather(client.poll(after=LONG), client.poll(after=LONG))
            assert server.connections == 2
            answers = await asyncio.gather(*(client.post(after=0.3) for _ in range(3)))
            await client.api.aclose()
        assert all(isinstance(answer, Accepted) for answer in answers)
        assert server.connections == 3, "two kept ones, and one of its own"

    virtually(main)


def test_the_warm_one_of_several_is_taken() -> None:
    async def main() -> None:
        async with raw_server(answering(*[JOB] * 9)) as server:
            client = Client(server)
            await asyncio.gather(client.poll(), client.poll())
            await asyncio.gather(client.poll(after=LONG), client.poll(after=LONG))
            await client.poll(after=0.8)
            assert isinstance(await client.post(after=0.3), Accepted)
            await client.api.aclose()
        assert server.connections == 2

    virtually(main)


def test_over_tls_too(own_tls: ssl.SSLContext, tmp_path: Path) -> None:
    async def main() -> None:
        async with raw_server(answering(*[JOB] * 9), tls=own_tls) as server:
            client = Client(server, trusting(tmp_path))
            await client.prove()
            assert isinstance(await client.post(after=0.3), Accepted)
            await client.api.aclose()
        assert server.connections == 1

    virtually(main)


# ---- nothing is left on any other one -------------------------------------------------------------------------------


TIMEOUT = http(408, b"", "Connection: close")
EARLY_END: dict[str, Callable[[Peer], None]] = {
    "end": lambda peer: peer.writer.close(),
    "reset": Peer.reset,
    "408 and end": lambda peer: (peer.writer.write(TIMEOUT), peer.writer.close())[1],
    "408": lambda peer: peer.writer.write(TIMEOUT),
}


@pytest.mark.parametrize("end", EARLY_END.values(), ids=EARLY_END)
@pytest.mark.parametrize("secure", [False, True])
def test_what_came_before_the_write_is_seen(
    end: Callable[[Peer], None], *, secure: bool, own_tls: ssl.SSLContext, tmp_path: Path
) -> None:
    async def main() -> None:
        polled = asyncio.Event()

        async def then_ends(peer: Peer) -> None:
            await answering(JOB, JOB)(peer)
            await polled.wait()
            end(peer)
            await peer.silence()

        async with raw_server(then_ends, answering(JOB), tls=own_tls if secure else None) as server:
            client = Client(server, trusting(tmp_path) if secure else None)
            await client.prove()
            polled.set()
            assert isinstance(await client.post(after=0.3), Accepted)
            await client.api.aclose()
        assert (server.connections, methods(server)) == (2, [b"GET", b"GET", b"POST"])

    virtually(main)


# Done to the socket itself, so that it is there at once.
LAST_MOMENT: dict[str, Callable[[socket.socket], object]] = {
    "end": lambda raw: raw.shutdown(socket.SHUT_WR),
    "bytes": lambda raw: os.write(raw.fileno(), TIMEOUT),
}


@pytest.mark.parametrize("end", LAST_MOMENT.values(), ids=LAST_MOMENT)
@pytest.mark.parametrize("secure", [False, True])
def test_what_comes_at_the_last_moment_is_seen_and_nothing_was_written(
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[socket.socket], object],
    *,
    secure: bool,
    own_tls: ssl.SSLContext,
    tmp_path: Path,
) -> None:
    """The look that counts is in the same step as the write: the event loop has no turn between them."""
    sockets: list[socket.socket] = []

    def at_the_last_moment(connection: Connection) -> bool:
        end(sockets.pop())
        return is_quiet(connection)

    monkeypatch.setattr(wire, "is_quiet", at_the_last_moment)

    async def main() -> None:
        left = bytearray()
        over = asyncio.Event()

        async def watched(peer: Peer) -> None:
            await answering(JOB, JOB)(peer)
            sockets.append(peer.writer.get_extra_info("socket"))
            with suppress(ConnectionError):  # a socket that is closed with unread bytes in it is reset
                left.extend(await peer.reader.read(1))
            over.set()

        async with raw_server(watched, answering(JOB), tls=own_tls if secure else None) as server:
            client = Client(server, trusting(tmp_path) if secure else None)
            await client.prove()
            assert isinstance(await client.post(after=0.3), Accepted)
            assert not sockets
            await client.api.aclose()
            await over.wait()
        assert not left, "not even the headers left on it"
        assert (server.connections, methods(server)) == (2, [b"GET", b"GET", b"POST"])

    virtually(main)


@pytest.mark.parametrize("end", LAST_MOMENT.values(), ids=LAST_MOMENT)
@pytest.mark.parametrize("secure", [False, True])
def test_what_is_in_the_socket_when_a_connection_is_chosen_is_seen(
    end: Callable[[socket.socket], object], *, secure: bool, own_tls: ssl.SSLContext, tmp_path: Path
) -> None:
    """Before Python 3.12, the loop reads it between the choice and the write."""

    async def main() -> None:
        sockets: list[socket.socket] = []

        async def watched(peer: Peer) -> None:
            await answering(JOB, JOB)(peer)
            sockets.append(peer.writer.get_extra_info("socket"))
            await peer.silence()

        async with raw_server(watched, answering(JOB), tls=own_tls if secure else None) as server:
            client = Client(server, trusting(tmp_path) if secure else None)
            await client.prove()
            await asyncio.sleep(0.3)
            end(sockets.pop())
            # In the next turn, the first step of this comes before what is in the socket.
            posting = asyncio.create_task(client.api.submit("{}", "/v1/generate", wait=False))
            assert isinstance(await posting, Accepted)
            await client.api.aclose()
        assert (server.connections, methods(server)) == (2, [b"GET", b"GET", b"POST"])

    virtually(main)


def test_a_connection_that_aiohttp_would_not_keep_is_not_quiet() -> None:
    heard = SimpleNamespace(protocol=SimpleNamespace(should_close=True), transport=None)
    assert not is_quiet(heard)  # type: ignore[arg-type]


# ---- never twice ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [Peer.reset, lambda peer: peer.writer.close()], ids=["reset", "end"])
def test_a_post_that_left_on_a_kept_connection_is_not_repeated_and_no_other_is_used_again(
    end: Callable[[Peer], None],
) -> None:
    async def main() -> None:
        async def swallows(peer: Peer) -> None:
            await answering(JOB, JOB)(peer)
            await peer.request()
            end(peer)

        async with raw_server(swallows, answering(*[JOB] * 9)) as server:
            client = Client(server)
            await client.prove()
            assert isinstance(await client.post(after=0.3), Unclear)
            assert methods(server) == [b"GET", b"GET", b"POST"]
            await client.prove()
            before = server.connections
            for _ in range(2):
                assert isinstance(await client.post(after=0.3), Accepted)
            assert server.connections == before + 2
            await client.api.aclose()

    virtually(main)


@pytest.mark.parametrize("kind", [aiohttp.ClientOSError, TimeoutError, aiohttp.ServerDisconnectedError])
def test_whatever_ends_the_wait_for_its_answer_is_a_doubt(
    monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    async def read(_: ResponseHandler) -> None:
        raise kind

    async def main() -> None:
        async with raw_server(answering(*[JOB] * 9)) as server:
            client = Client(server)
            await client.prove()
            monkeypatch.setattr(ResponseHandler, "read", read)
            assert isinstance(await client.post(after=0.3), Unclear)
            await client.api.aclose()
        assert methods(server).count(b"POST") <= 1
        assert server.connections == 1

    virtually(main)


def test_posts_that_find_no_fit_connection_do_not_keep_others_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no poll needs any more is closed after aiohttp's 15 s, however many POSTs have looked at it."""

    async def main() -> None:
        monkeypatch.setattr("aiohttp.connector.monotonic", asyncio.get_running_loop().time)
        async with raw_server(answering(*[JOB] * 9)) as server:
            client = Client(server)
            await client.poll()
            for _ in range(5):
                await client.post(after=4)
            assert server.connections == 6
            await client.poll()
            assert server.connections == 7, "the first one has been idle for 20 s"
            await client.api.aclose()

    virtually(main)


# ---- against servers that hang up -----------------------------------------------------------------------------------


@pytest.mark.parametrize("habit", [habit for habit in HABITS if HABITS[habit].idle_only])
def test_no_server_that_closes_what_is_idle_leaves_a_doubt(habit: str) -> None:
    """`benchmarks.hangups` itself sees to it that each request was received once."""
    found = play(HABITS[habit], "rule", 60)
    assert found["doubts"] == 0


def test_these_servers_catch_a_client_that_takes_any_warm_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    from batchgen.client import kept

    for name in ("MARGIN", "SETTLED"):
        monkeypatch.setattr(kept, name, getattr(kept, name))  # put back afterwards
    assert play(HABITS["0 s of idleness"], "warm", 60)["doubts"] > 0
