"""What changes is told to the pages that listen."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.bought import Buyer
from support.viewing import Asking, asking, opened

from batchgen.core.errors import RunFolderError
from batchgen.journal import Journal
from batchgen.page import RunPage
from batchgen.picks import Pick, append_picks
from batchgen.viewer import Viewer
from batchgen.viewer.events import Listener
from batchgen.viewer.reader import Overviews, Reader


async def change(events: aiohttp.ClientResponse) -> Any:
    """The next change."""
    async with asyncio.timeout(20):
        while not (line := await events.content.readline()).startswith(b"data: "):
            assert line, "the answer has ended"
    return json.loads(line.removeprefix(b"data: "))


async def test_a_page_is_told_what_a_run_does(run: Path, ask: Asking) -> None:
    key = (await ask.tiles())["jug@0"]["key"]
    async with ask.session.get(f"{ask.root}/api/events") as events:
        assert events.content_type == "text/event-stream"
        assert await events.content.readline() == b"retry: 2000\n"
        journal = Journal(run)
        try:
            with journal.transaction():
                Buyer(journal).done("jug", outputs=2)
            told = await change(events)
            assert told["overview"]
            assert told["keys"] is None or key in told["keys"]
            assert {"jug@1", "jug@2"} <= set(await ask.tiles("&state=done"))
        finally:
            journal.close()


async def test_a_page_is_told_of_picks_of_its_own_and_from_elsewhere(run: Path, ask: Asking) -> None:
    tiles = await ask.tiles()
    digest = (await ask(f"/api/items/{tiles['mug@1']['key']}")).values["request_digest"]
    async with ask.session.get(f"{ask.root}/api/events") as events:
        append_picks(run, [Pick("mug", digest, 1, tiles["mug@1"]["sha256"], "keep")])
        assert (await change(events))["overview"]
        assert (await ask("/api/overview")).values["picks"] == {"keep": 1, "reject": 0, "unpicked": 3}
        assert list(await ask.tiles("&pick=keep")) == ["mug@1"]
        tile = {name: tiles["mug@2"][name] for name in ("key", "n", "sha256")}
        await ask.post("/api/picks", {"picks": [{**tile, "pick": "reject"}]})
        assert (await change(events))["overview"]
        assert list(await ask.tiles("&pick=reject")) == ["mug@2"]


async def test_a_page_is_told_when_the_folder_goes_away_and_comes_back(run: Path, ask: Asking) -> None:
    async with ask.session.get(f"{ask.root}/api/events") as events:
        run.rename(run.with_name("away"))
        assert await change(events) == {"keys": None, "overview": True}
        assert (await ask("/api/overview")).status == 503
        run.with_name("away").rename(run)
        assert await change(events) == {"keys": None, "overview": True}
        assert (await ask("/api/overview")).status == 200


async def test_a_viewer_that_stops_lets_go_of_those_who_listen(run: Path) -> None:
    async with Viewer(run, port=0) as viewer, opened(viewer) as ask:
        events = await ask.session.get(f"{ask.root}/api/events")
        await events.content.readline()
        async with asyncio.timeout(20):
            await viewer.__aexit__(None, None, None)
            assert b"data" not in await events.content.read()


async def test_too_many_listeners_are_refused(viewer: Viewer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchgen.viewer.events._MOST_LISTENERS", 1)
    async with opened(viewer) as ask:
        async with ask.session.get(f"{ask.root}/api/events"):
            assert (await ask("/api/events")).status == 503
        async with asyncio.timeout(20):
            while (await ask("/api/overview")).status != 200:
                pass


async def test_a_stranger_is_told_nothing(viewer: Viewer) -> None:
    async with asking(viewer) as stranger:
        assert (await stranger("/api/events")).status == 401


async def test_what_was_not_told_yet_is_summed_up() -> None:
    listener = Listener()
    listener.tell([3, 1])
    listener.tell([2, 1])
    assert await listener.next() == [1, 2, 3]
    for key in range(10_000):
        listener.tell([key])
    assert await listener.next() is None
    listener.tell([])
    assert await listener.next() == []
    listener.tell(None)
    listener.tell([5])
    assert await listener.next() is None


async def test_sums_are_made_once_for_all_who_ask_meanwhile(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began, go_on, made = threading.Event(), threading.Event(), []

    def overview(_: RunPage, tiles: object) -> dict[str, Any]:
        made.append(len(made))
        began.set()
        assert go_on.wait(20)
        return {"number": made[-1]}

    monkeypatch.setattr(RunPage, "overview", overview)
    pages = Reader(run)
    overviews = Overviews(pages)
    first = asyncio.create_task(overviews.latest())
    assert await asyncio.to_thread(began.wait, 20)
    others = [asyncio.create_task(overviews.latest()) for _ in range(3)]
    await asyncio.sleep(0)
    go_on.set()
    assert await first == {"number": 0}
    assert await asyncio.gather(*others) == [{"number": 1}] * 3  # they may have asked for what changed meanwhile
    await overviews.close()
    await pages.close()


async def test_what_is_asked_of_a_reader_that_closes_is_refused(run: Path) -> None:
    reader = Reader(run)
    began, go_on = threading.Event(), threading.Event()

    def slow(_: RunPage) -> None:
        began.set()
        assert go_on.wait(20)

    asked = [asyncio.create_task(reader.call(slow)) for _ in range(2)]
    assert await asyncio.to_thread(began.wait, 20)
    closing = asyncio.create_task(reader.close())
    await asyncio.sleep(0)
    go_on.set()
    await asked[0]
    await closing
    for late in (asked[1], reader.call(slow)):
        with pytest.raises(RunFolderError, match="the viewer stops"):
            await late
