"""A POST whose lease does not hold any more at the moment of its writing: nothing of it leaves, and that is known."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from aiohttp.connector import Connection
from support.rawserver import RawServer, answering, http, raw_server

from batchgen.api import Accepted, Found, NotSent
from batchgen.client import wire
from batchgen.client.http import HttpApi
from benchmarks.hangups import VirtualSockets

_T = TypeVar("_T")
KEY = "api18_canary0123456789"
JOB = http(202, b'{"id": "job-1", "status": "processing", "cost_usd": 0.30, "model": "m"}')
LONG = 2.0


class Lease:
    """Holds until its owner is frozen."""

    def __init__(self) -> None:
        self.held = True
        self.asked = 0

    def holds(self) -> bool:
        self.asked += 1
        return self.held


def client(server: RawServer, lease: Lease) -> HttpApi:
    def now() -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=asyncio.get_running_loop().time())

    return HttpApi(server.url, KEY, now=now, may_post=lease.holds)


def virtually(main: Callable[[], Awaitable[_T]]) -> _T:
    async def run() -> _T:
        return await main()

    with asyncio.Runner(loop_factory=VirtualSockets) as runner:
        return runner.run(run())


def freeze_before_the_write(monkeypatch: pytest.MonkeyPatch, lease: Lease) -> None:
    """Lose the lease at the last moment: the connection is made, and ready for the request."""
    prepare = wire.prepare

    def frozen(connection: Connection, buffer: int) -> asyncio.Transport | None:
        lease.held = False
        return prepare(connection, buffer)

    monkeypatch.setattr(wire, "prepare", frozen)


@pytest.mark.parametrize("kept", [False, True])
def test_a_post_whose_lease_is_over_at_the_last_moment_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, *, kept: bool
) -> None:
    async def main() -> None:
        lease = Lease()
        async with raw_server(answering(*[JOB] * 9), answering(*[JOB] * 9)) as server:
            api = client(server, lease)
            if kept:  # a connection that a POST may use
                assert isinstance(await api.poll("job-1"), Found)
                await asyncio.sleep(LONG)
                assert isinstance(await api.poll("job-1"), Found)
                await asyncio.sleep(0.3)
            freeze_before_the_write(monkeypatch, lease)
            answer = await api.submit("{}", "/v1/generate", wait=False)
            assert answer == NotSent("the lease of this shard was not renewed in time")
            assert [request for request in server.received if request.startswith(b"POST")] == []
            lease.held = True
            monkeypatch.undo()
            assert isinstance(await api.submit("{}", "/v1/generate", wait=False), Accepted)
            assert len([request for request in server.received if request.startswith(b"POST")]) == 1
            assert lease.asked >= 2
            await api.aclose()

    virtually(main)


async def test_polls_need_no_lease() -> None:
    lease = Lease()
    lease.held = False
    async with raw_server(answering(JOB)) as server:
        api = client(server, lease)
        assert isinstance(await api.poll("job-1"), Found)
        await api.aclose()
    assert not lease.asked
