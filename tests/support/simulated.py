"""A simulator with a clock that stands still until a test moves it, and a caller that speaks plain HTTP to it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import aiohttp

from batchgen.catalog import load_catalog
from batchgen.simulator import Simulator, SimulatorSettings

KEY = "api18_0123456789abcdef"
OTHER_KEY = "api18_fedcba9876543210"
IMAGE = {"model": "hera-1.0-text-to-image", "prompt": "A red kite over a wheat field"}
VIDEO = {"model": "centaurus-1.0-text-to-video", "prompt": "Rain on a tin roof"}
LONG = 100_000.0
"""Seconds in which any job that ends has ended."""


@dataclass
class Clock:
    """Stands still until it is moved."""

    now: datetime = field(default_factory=lambda: datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Any
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw, parse_float=Decimal)

    @property
    def error(self) -> str:
        return str(self.json["error"]["type"])


class Caller:
    def __init__(self, simulator: Simulator, session: aiohttp.ClientSession, clock: Clock) -> None:
        self.simulator = simulator
        self.session = session
        self.clock = clock

    async def ask(
        self,
        method: str,
        path: str,
        *,
        key: str | None = KEY,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        url = path if path.startswith("http") else self.simulator.url + path
        sent = dict(headers or {}) | ({"Authorization": f"Bearer {key}"} if key is not None else {})
        async with self.session.request(method, url, data=data, headers=sent, allow_redirects=False) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def post(self, body: Any, path: str = "/v1/generate", key: str | None = KEY) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.ask("POST", path, key=key, data=data, headers={"Content-Type": "application/json"})

    async def accepted(self, body: Any, key: str = KEY) -> Any:
        answer = await self.post(body, key=key)
        assert answer.status == 202, answer.raw
        return answer.json

    async def job(self, job_id: str, key: str = KEY) -> Any:
        answer = await self.ask("GET", f"/v1/jobs/{job_id}", key=key)
        assert answer.status == 200, answer.raw
        return answer.json

    async def finished(self, body: Any) -> Any:
        """A job after all the time it can take."""
        job = await self.accepted(body)
        self.clock.advance(LONG)
        return await self.job(job["id"])

    async def signed(self, url: str) -> str:
        """The storage address that an output's address redirects to."""
        answer = await self.ask("GET", url)
        assert answer.status == 302, answer.raw
        return str(answer.headers["Location"])

    async def file(self, url: str) -> Answer:
        return await self.ask("GET", await self.signed(url), key=None)

    async def books(self, page: str = "account") -> Any:
        return (await self.ask("GET", f"/_simulator/{page}", key=None)).json


@asynccontextmanager
async def simulated(**settings: Any) -> AsyncIterator[Caller]:
    clock = settings.pop("clock", None) or Clock()
    catalog = settings.pop("catalog", None) or load_catalog()
    async with (
        Simulator(SimulatorSettings(**{"media": "tiny", **settings}), catalog, clock) as simulator,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        yield Caller(simulator, session, clock)
