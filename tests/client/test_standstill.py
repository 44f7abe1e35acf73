"""A process that stood still (SIGSTOP, Ctrl-Z, a machine asleep) reads the answers that came meanwhile."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

import pytest
from support.rawserver import http

from batchgen.api import Accepted, Found
from batchgen.client import Limits
from batchgen.client.http import HttpApi
from batchgen.client.timeouts import Patience

_T = TypeVar("_T")
SHORT = Limits(connect=0.2, submit_idle=0.2, answer=0.2, poll=0.2, output_idle=0.2, slow_window=0.2, slow_bytes=1000)
JOB = json.dumps({"id": "job-1", "status": "processing"}).encode()


class Server:
    """Answers one request in a thread of its own, which goes on while the event loop stands still."""

    def __init__(self, *parts: bytes) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._parts = parts
        self.asked, self.may_answer, self.answered = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.recv(65536)
            *early, last = self._parts
            for part in early:
                connection.sendall(part)
            self.asked.set()
            self.may_answer.wait(10)
            connection.sendall(last)
            self.answered.set()
            connection.recv(65536)

    @contextmanager
    def running(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._listener.close()
            self.may_answer.set()
            self._thread.join(10)

    async def while_standing_still(self, waiting: Awaitable[_T]) -> _T:
        """Wait for something; once it has been asked for, stand still until it is there and every limit has passed."""
        task = asyncio.ensure_future(waiting)
        while not self.asked.is_set():
            await asyncio.sleep(0)
        self.may_answer.set()
        assert self.answered.wait(10)
        time.sleep(SHORT.connect + 2 * SHORT.output_idle)  # the loop stands still: this is what is tested
        return await task


@asynccontextmanager
async def client(server: Server) -> AsyncIterator[HttpApi]:
    with server.running():
        api = HttpApi(server.url, "api18_0123456789abcdef", limits=SHORT)
        try:
            yield api
        finally:
            await api.aclose()


@pytest.mark.parametrize("parts", [(http(202, JOB),), (http(202, length=len(JOB)), JOB)], ids=["head", "body"])
async def test_the_answer_to_a_post_is_read(parts: tuple[bytes, ...]) -> None:
    server = Server(*parts)
    async with client(server) as api:
        answer = await server.while_standing_still(api.submit("{}", "/v1/generate", wait=False))
    assert isinstance(answer, Accepted)


async def test_the_answer_to_a_poll_is_read() -> None:
    server = Server(http(200, JOB))
    async with client(server) as api:
        assert isinstance(await server.while_standing_still(api.poll("job-1")), Found)


@pytest.mark.parametrize("parts", [(http(200, b"film"),), (http(200, b"fi", length=4), b"lm")], ids=["head", "body"])
async def test_a_download_goes_on(parts: tuple[bytes, ...]) -> None:
    server = Server(*parts)

    async def fetch() -> bytes:
        async with api.open_output(f"{server.url}/f") as output:
            return b"".join([chunk async for chunk in output.chunks])

    async with client(server) as api:
        assert await server.while_standing_still(fetch()) == b"film"


async def test_a_limit_counts_the_time_in_which_the_loop_runs() -> None:
    patience = Patience(0.01)
    with pytest.raises(TimeoutError):
        async with patience.limit(0.2):
            time.sleep(0.4)
            for _ in range(3):  # whoever is ready is served first
                await asyncio.sleep(0)
            await asyncio.Event().wait()
    async with patience.limit(0.01) as limit:
        limit.start(None)
        await asyncio.sleep(0.05)
    patience.stop()
