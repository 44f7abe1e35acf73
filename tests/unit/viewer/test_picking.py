"""Picks that come from the page: what is written, and what is refused."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from support.bought import Buyer
from support.viewing import Asking

from batchgen.core.errors import DiskError
from batchgen.journal import Journal
from batchgen.picks import read_picks


def said(folder: Path) -> dict[str, tuple[str, str, int | None]]:
    picks = read_picks(folder).values()
    return {f"{pick.item}@{pick.output}": (pick.pick, pick.reason, pick.rating) for pick in picks}


def line(tile: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {name: tile[name] for name in ("key", "n", "sha256", "pick", "rating", "reason")} | changes


async def test_single_outputs_are_picked_at_once(run: Path, ask: Asking) -> None:
    tiles = await ask.tiles()
    lines = [
        line(tiles["mug@1"], pick="keep"),
        line(tiles["mug@2"], pick="reject", reason="soft"),
        line(tiles["vase@1"], rating=5),
        line(tiles["mug@3"]),
    ]
    answer = await ask.post("/api/picks", {"picks": lines})
    assert (answer.status, answer.values) == (200, {"picked": 3})
    assert said(run) == {"mug@1": ("keep", "", None), "mug@2": ("reject", "soft", None), "vase@1": ("", "", 5)}
    pick = read_picks(run)["mug", tiles_digest(run, "mug"), 2]
    assert (pick.sha256, len(pick.at)) == (f"{2:064x}", 20)
    tiles = await ask.tiles()
    assert (tiles["mug@2"]["pick"], tiles["mug@2"]["reason"], tiles["vase@1"]["rating"]) == ("reject", "soft", 5)
    answer = await ask.post("/api/picks", {"picks": [line(tiles["mug@1"], pick="", rating=0, reason="")]})
    assert said(run)["mug@1"] == ("", "", None)


def tiles_digest(run: Path, item_id: str) -> str:
    return next(digest for item, digest, _ in read_picks(run) if item == item_id)


async def test_a_file_that_changed_meanwhile_is_not_picked_nor_is_anything_else(run: Path, ask: Asking) -> None:
    tiles = await ask.tiles()
    lines = [line(tiles["mug@1"], pick="keep"), line(tiles["mug@2"], pick="keep", sha256="f" * 64)]
    answer = await ask.post("/api/picks", {"picks": lines})
    assert answer.status == 409
    assert answer.values["error"].startswith("Output 2 of mug has another file than the one you looked at.")
    assert said(run) == {}


@pytest.mark.parametrize(
    ("name", "change"), [("jug@0", {"n": 1}), ("bowl@0", {"n": 1}), ("mug@1", {"n": 4}), ("mug@1", {"key": 99})]
)
async def test_what_is_no_output_is_not_picked(run: Path, ask: Asking, name: str, change: dict[str, int]) -> None:
    tiles = await ask.tiles()
    answer = await ask.post("/api/picks", {"picks": [line(tiles[name], pick="keep", **change)]})
    assert answer.status == 409
    assert not (run / "picks.jsonl").exists()


async def test_all_that_a_filter_shows_and_nothing_else(run: Path, ask: Asking) -> None:
    tiles = await ask.tiles()
    await ask.post("/api/picks", {"picks": [line(tiles["mug@3"], pick="reject", rating=2, reason="soft")]})
    choice = {"pick": "keep", "rating": None, "reason": None}
    answer = await ask.post("/api/picks/all", {"filter": {"text": "mug", "pick": ["none"]}, "most": 2, **choice})
    assert answer.values == {"picked": 2}
    assert said(run) == {
        "mug@3": ("reject", "soft", 2), "mug@1": ("keep", "", None), "mug@2": ("keep", "", None),
    }  # fmt: skip
    answer = await ask.post("/api/picks/all", {"filter": {}, "most": 6, **choice})
    assert answer.values == {"picked": 2}  # what was so already is not written again
    assert said(run)["mug@3"] == ("keep", "soft", 2)


async def test_never_more_than_were_shown(run: Path, ask: Asking) -> None:
    answer = await ask.post("/api/picks/all", {"filter": {"state": ["done"]}, "most": 3, "pick": "keep"})
    assert answer.status == 409
    assert answer.values["error"].startswith("More than 3 outputs are shown by now.")
    assert said(run) == {}


async def test_an_item_of_a_run_that_goes_on_is_picked_as_it_is_now(run: Path, ask: Asking) -> None:
    journal = Journal(run)
    try:
        with journal.transaction():
            Buyer(journal).done("jug", outputs=2)
        async with asyncio.timeout(20):
            while "jug@2" not in (tiles := await ask.tiles()):  # the viewer looks twice a second
                pass
        answer = await ask.post("/api/picks", {"picks": [line(tiles["jug@2"], pick="keep")]})
        assert (answer.status, said(run)) == (200, {"jug@2": ("keep", "", None)})
    finally:
        journal.close()


async def test_where_nothing_can_be_written_it_says_why(ask: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise DiskError("cannot write picks.jsonl: Read-only file system")

    monkeypatch.setattr("batchgen.viewer.data.append_picks", full)
    tiles = await ask.tiles()
    answer = await ask.post("/api/picks", {"picks": [line(tiles["mug@1"], pick="keep")]})
    assert (answer.status, answer.values["error"]) == (503, "cannot write picks.jsonl: Read-only file system")
    assert (await ask("/api/overview")).status == 200
