"""A run folder, its viewer, and a browser of a kind that asks it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy
from support.bought import Buyer, item, journal_of
from yarl import URL

from batchgen.core.records import StoredFile
from batchgen.viewer import Viewer

HOSTILE = "</script><img src=x> \u2028 {{7*7}}"
ITEMS = [
    item("mug", "A ceramic MUG", tags={"client": "acme"}),
    item("vase", HOSTILE, tags={"client": "zenith"}),
    item("bowl", "A bowl"),
    item("jug", "A jug"),
]
VIDEO = bytes(range(256)) * 4096
"""A megabyte, of which each part is known."""


def put_file(folder: Path, path: str, data: bytes) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


def run_folder(tmp_path: Path) -> Path:
    """A run folder: `mug` has three outputs, `vase` a video, `bowl` failed, `jug` is pending."""
    folder = tmp_path / "spring"
    with journal_of(folder, ITEMS) as journal:
        buyer = Buyer(journal)
        buyer.done("mug", outputs=3, cost="0.168")
        attempt = buyer.ready("vase")
        journal.record_file(attempt, StoredFile(1, "files/vase.mp4", len(VIDEO), "e" * 64))
        buyer.fail("bowl", "the model was overloaded", cost="0.084")
    for number in (1, 2, 3):
        put_file(folder, f"files/mug@{number}.png", b"PNG %d" % number)
    put_file(folder, "files/vase.mp4", VIDEO)
    return folder


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    values: Any


class Asking:
    """Asks a viewer as its page does."""

    def __init__(self, viewer: Viewer, session: aiohttp.ClientSession) -> None:
        self.viewer, self.session = viewer, session
        self.root = viewer.url.rstrip("/")

    async def __call__(self, path: str, method: str = "GET", **more: Any) -> Answer:
        address = URL(self.root + path, encoded=True)
        async with self.session.request(method, address, allow_redirects=False, **more) as answer:
            body = await answer.read()
            is_json = answer.content_type == "application/json" and body
            return Answer(answer.status, answer.headers, body, await answer.json() if is_json else None)

    async def post(self, path: str, values: Any, **headers: str) -> Answer:
        return await self(path, "POST", json=values, headers={"Origin": self.root} | headers)

    async def tiles(self, query: str = "") -> dict[str, dict[str, Any]]:
        """Tiles by id and number."""
        answer = await self(f"/api/tiles?limit=500{query}")
        assert answer.status == 200, answer.body
        return {f"{tile['id']}@{tile['n']}": tile for tile in answer.values["tiles"]}


@asynccontextmanager
async def asking(viewer: Viewer) -> AsyncIterator[Asking]:
    """Somebody without a cookie, who keeps those that are set."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield Asking(viewer, session)


@asynccontextmanager
async def opened(viewer: Viewer) -> AsyncIterator[Asking]:
    """The page: somebody who has opened the first address."""
    async with asking(viewer) as ask, ask.session.get(viewer.address) as answer:
        assert answer.status == 200
        assert "token" not in str(answer.url)
        yield ask
