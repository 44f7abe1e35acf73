"""A run folder as a page sees it: tiles, filters, pages, details, and what changes while a run goes on."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.bought import Buyer, item, journal_of, list_items

from batchgen.core.errors import RunFolderError, UsageError
from batchgen.core.records import Input, State, StoredFile
from batchgen.journal import Journal
from batchgen.journal.queries.page import TileIndex
from batchgen.page import Filter, RunPage, run_page
from batchgen.picks import Pick, append_picks

HOSTILE = "</script><img src=x> \u2028 {{7*7}} \x00 Ünïcode"
ITEMS = [
    item("mug", "A ceramic MUG", tags={"client": "acme", "sku": "M-1"}),
    item("vase", HOSTILE, tags={"client": "zenith"}),
    item("bowl", "A bowl of fruit", tags={"client": "acme"}, model="hera-1.0-image-edit"),
    item("jug", "A jug", tags={}),
    item("cup", "A cup", tags={"client": "acme"}),
]
DIGESTS = {one.id: one.digest for one in ITEMS}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with journal_of(tmp_path, ITEMS) as journal:
        buyer = Buyer(journal)
        buyer.done("mug", outputs=3, cost="0.168")
        buyer.done("vase")
        buyer.fail("bowl", "the model was overloaded", cost="0.084")
        buyer.doubt("jug", "the connection was reset")
    journal = Journal(tmp_path)
    yield journal
    journal.close()


@pytest.fixture
def page(journal: Journal) -> Iterator[RunPage]:
    with RunPage(journal.path.parent) as page:
        yield page


def names(tiles: list[dict[str, Any]]) -> list[str]:
    return [f"{tile['id']}@{tile['n']}" for tile in tiles]


def found(page: RunPage, **where: Any) -> list[str]:
    answer = page.tiles(Filter(**where), 0, 500)
    assert answer["total"] == len(answer["tiles"])
    assert names(list(page.iter_tiles(Filter(**where)))) == names(answer["tiles"])
    return names(answer["tiles"])


def keep(folder: Path, item_id: str, number: int, pick: Any = "keep", rating: int | None = None) -> None:
    append_picks(folder, [Pick(item_id, DIGESTS[item_id], number, f"{number:064x}", pick, "soft", rating)])


def test_a_tile_for_each_output_and_one_for_an_item_without_any(page: RunPage) -> None:
    tiles = page.tiles(Filter(), 0, 500)["tiles"]
    assert names(tiles) == ["mug@1", "mug@2", "mug@3", "vase@1", "bowl@0", "jug@0", "cup@0"]
    assert tiles[1] == {
        "key": 1, "n": 2, "of": 3, "id": "mug", "state": "done", "model": "hera-1.0-text-to-image", "kind": "image",
        "file": "files/mug@2.png", "thumb": f"thumbs/00/{2:064x}.webp", "width": None, "height": None,
        "duration_s": None, "bytes": 102, "sha256": f"{2:064x}", "flags": [], "pick": "", "rating": 0, "reason": "",
        "tags": {"client": "acme", "sku": "M-1"}, "prompt": "A ceramic MUG", "error": "", "net_usd": "0.168",
    }  # fmt: skip
    assert tiles[3]["prompt"] == HOSTILE, "whoever shows it escapes it"
    assert (tiles[4]["state"], tiles[4]["file"], tiles[4]["thumb"], tiles[4]["net_usd"]) == ("failed", "", "", "0.00")
    assert "overloaded" in tiles[4]["error"]


def test_filters(page: RunPage) -> None:
    assert found(page, text="mug ceramic") == ["mug@1", "mug@2", "mug@3"]
    assert found(page, text="BOWL") == ["bowl@0"]
    assert found(page, text="ÜNÏCODE") == ["vase@1"]
    assert found(page, text="mug bowl") == []
    assert found(page, states=("failed", "in_doubt")) == ["bowl@0", "jug@0"]
    assert found(page, models=("hera-1.0-image-edit",)) == ["bowl@0"]
    assert found(page, tags=("client=acme",), states=("done",)) == ["mug@1", "mug@2", "mug@3"]
    assert found(page, tags=("client=zenith", "sku=M-1")) == ["mug@1", "mug@2", "mug@3", "vase@1"]
    assert found(page, tags=("client=",), models=("no such",), flags=("any",)) == []


def test_flags_are_found(journal: Journal, page: RunPage) -> None:
    with journal.transaction():
        journal.db.execute(
            "INSERT INTO delivered (attempt, number, sha256, judged, flags) VALUES (1, 2, ?, 1, 'blank;small')",
            (f"{2:064x}",),
        )
    assert found(page, flags=("blank",)) == found(page, flags=("any",)) == ["mug@2"]
    assert found(page, flags=("lank",)) == []
    assert page.tiles(Filter(flags=("any",)), 0, 1)["tiles"][0]["flags"] == ["blank", "small"]


def test_pages_fit_together(page: RunPage) -> None:
    whole = names(page.tiles(Filter(), 0, 500)["tiles"])
    parts = [page.tiles(Filter(), offset, 3) for offset in (0, 3, 6, 9)]
    assert [name for part in parts for name in names(part["tiles"])] == whole
    assert {part["total"] for part in parts} == {7}
    assert page.tiles(Filter(), 0, 7)["total"] == 7
    assert page.tiles(Filter(states=("failed",)), 1, 3)["total"] == 1, "a part behind the end"


def test_the_page_around_an_item(page: RunPage) -> None:
    assert names(page.tiles(Filter(), 0, 3, around=5)["tiles"]) == ["cup@0"]
    part = page.tiles(Filter(states=("failed", "in_doubt")), 0, 1, around=4)
    assert (part["offset"], names(part["tiles"])) == (1, ["jug@0"])
    assert page.tiles(Filter(states=("done",)), 2, 1, around=5)["offset"] == 2, "none of its tiles fits"


def test_counts_follow_what_changes(journal: Journal, page: RunPage) -> None:
    failed = Filter(states=("failed",))
    assert page.tiles(failed, 0, 1)["total"] == 1
    with journal.transaction():
        Buyer(journal).fail("cup", "overloaded")
    page.refresh()
    assert page.tiles(failed, 0, 1)["total"] == 2
    kept = Filter(picks=("keep",))
    assert page.tiles(kept, 0, 1)["total"] == 0
    keep(page.folder, "mug", 2)
    page.refresh()
    assert page.tiles(kept, 0, 1)["total"] == 1


def test_what_is_new_is_found_by_its_words(journal: Journal, page: RunPage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(page, text="teapot") == []
    monkeypatch.setattr("batchgen.page.run_page.owner", lambda _: " by process 7")
    list_items(journal, [*ITEMS, item("new", "A teapot")])
    page.refresh()
    assert found(page, text="teapot") == ["new@0"]


def test_words_are_searched_together_with_other_conditions_and_from_any_place(page: RunPage) -> None:
    assert found(page, text="MUG ceramic", states=("done",)) == ["mug@1", "mug@2", "mug@3"]
    assert found(page, text="a", tags=("client=acme",)) == ["mug@1", "mug@2", "mug@3", "bowl@0", "cup@0"]
    assert found(page, text="mug vase") == []
    letter = Filter(text="a")
    keys = {tile["id"]: tile["key"] for tile in page.tiles(letter, 0, 50)["tiles"]}
    answer = page.tiles(letter, 0, 2, around=keys["bowl"])
    assert (answer["offset"], names(answer["tiles"])) == (4, ["bowl@0", "jug@0"])
    assert page.tiles(Filter(text="mug"), 0, 2, around=keys["bowl"])["offset"] == 0, "it is not among them"


def test_words_are_found_in_what_changes(journal: Journal, page: RunPage) -> None:
    assert found(page, text="cup") == ["cup@0"]
    with journal.transaction():
        Buyer(journal).done("cup", outputs=2)
    page.refresh()
    assert found(page, text="cup") == ["cup@1", "cup@2"]


def test_a_search_goes_on_though_others_search_meanwhile(tmp_path: Path) -> None:
    with journal_of(tmp_path, [item(f"i{n}", "A mug" if n % 3 else "A vase") for n in range(1800)]):
        pass
    with RunPage(tmp_path) as page:
        mugs = page.iter_tiles(Filter(text="mug"))
        first = next(mugs)
        assert page.tiles(Filter(text="vase"), 0, 1)["total"] == 600
        assert [first["id"], *(tile["id"] for tile in mugs)] == [f"i{n}" for n in range(1800) if n % 3]


def test_what_a_search_needs_is_prepared_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchgen.page.run_page._PREPARED", 2)
    with journal_of(tmp_path, [item(f"i{n}", f"Prompt {n}") for n in range(5)]):
        pass
    with RunPage(tmp_path) as page:
        assert page.prepare()
        assert found(page, text="prompt 4") == ["i4@0"], "a search waits for no preparing"
        assert not page.prepare()


def test_a_run_is_summed_up_once_until_something_changes(
    journal: Journal, page: RunPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    sum_up = run_page.overview_of
    monkeypatch.setattr(run_page, "overview_of", lambda *given, **more: made.append(1) or sum_up(*given, **more))
    first = page.overview()
    assert page.overview() == first | {"made_at": page.overview()["made_at"]}
    assert len(made) == 1
    with journal.transaction():
        Buyer(journal).fail("cup", "overloaded")
    assert page.overview()["counts"]["failed"] == 2
    keep(page.folder, "mug", 2)
    page.refresh()
    assert page.overview()["picks"]["keep"] == 1
    monkeypatch.setattr(run_page, "owner", lambda _: " by process 7")
    assert page.overview()["running"]
    assert len(made) == 4


def test_all_that_fit_come_however_many_there_are(tmp_path: Path) -> None:
    with journal_of(tmp_path, [item(f"i{n}") for n in range(1203)]):
        pass
    with RunPage(tmp_path) as page:
        keys = [tile["key"] for tile in page.iter_tiles(Filter(states=("pending",)))]
    assert keys == list(range(1, 1204))


def test_picks_count_for_the_file_that_they_are_about(page: RunPage) -> None:
    assert found(page, picks=("keep",)) == []
    keep(page.folder, "mug", 2, rating=5)
    keep(page.folder, "vase", 1, "reject")
    append_picks(page.folder, [Pick("mug", DIGESTS["mug"], 3, "f" * 64, "keep")])
    assert page.refresh()
    assert found(page, picks=("keep",)) == found(page, ratings=(5,)) == ["mug@2"]
    assert found(page, picks=("reject",)) == ["vase@1"]
    assert found(page, picks=("none",), states=("done",)) == ["mug@1", "mug@3"]
    tile = page.tiles(Filter(picks=("keep",)), 0, 1)["tiles"][0]
    assert (tile["pick"], tile["rating"], tile["reason"]) == ("keep", 5, "soft")
    keep(page.folder, "mug", 2, "")
    assert page.refresh()
    assert not found(page, picks=("keep",))
    assert not page.refresh(), "nothing has changed"


def test_a_later_pick_of_another_file_takes_back_what_was_said_of_this_one(page: RunPage) -> None:
    keep(page.folder, "mug", 2, rating=5)
    assert found(page, picks=("keep",)) == ["mug@2"]
    append_picks(page.folder, [Pick("mug", DIGESTS["mug"], 2, "f" * 64, "reject")])
    page.refresh()
    assert found(page, picks=("keep",)) == found(page, picks=("reject",)) == found(page, ratings=(5,)) == []
    assert page.tile_sums().picked == {"none": 4, "keep": 0, "reject": 0}


def test_picks_outlive_what_a_run_changes(journal: Journal, page: RunPage, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(page.folder, "mug", 2)
    assert found(page, picks=("keep",)) == ["mug@2"]
    with journal.transaction():
        Buyer(journal).done("cup")
    keep(page.folder, "cup", 1, "reject")
    page.refresh()
    assert (found(page, picks=("keep",)), found(page, picks=("reject",))) == (["mug@2"], ["cup@1"])
    monkeypatch.setattr(run_page, "owner", lambda _: " by process 7")
    page.refresh()  # a run that starts: the index is made anew
    assert (found(page, picks=("keep",)), found(page, picks=("reject",))) == (["mug@2"], ["cup@1"])


def test_picks_that_were_removed_from_their_file_count_no_more(page: RunPage) -> None:
    keep(page.folder, "mug", 1)
    keep(page.folder, "mug", 2)
    assert found(page, picks=("keep",)) == ["mug@1", "mug@2"]
    path = page.folder / "picks.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[1])
    assert page.refresh().keys is None
    assert found(page, picks=("keep",)) == ["mug@2"]
    path.unlink()
    assert page.refresh().keys is None
    assert found(page, picks=("keep",)) == []


def test_a_run_that_goes_on_is_followed(journal: Journal, page: RunPage) -> None:
    assert found(page, states=("done",)) == ["mug@1", "mug@2", "mug@3", "vase@1"]
    assert not page.refresh()
    with journal.transaction():
        attempt = Buyer(journal).ready("cup", 2)
    assert page.refresh().keys == [5]
    assert found(page, states=("ready",)) == ["cup@0"]
    with journal.transaction():
        for number in (1, 2):
            journal.record_file(attempt, StoredFile(number, f"files/cup@{number}.png", 10, f"{number + 50:064x}"))
    assert page.refresh().keys == [5]
    assert found(page, states=("done",))[-2:] == ["cup@1", "cup@2"]
    with journal.transaction():
        journal.db.execute("UPDATE item SET state = 'pending' WHERE id = 'jug'")
    assert page.refresh().keys == [4]
    assert found(page, states=("pending",)) == ["jug@0"]


def test_an_attempt_that_begins_during_a_look_is_seen_by_the_next_one(
    journal: Journal, page: RunPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be done by then: nothing else would show that its item has changed."""
    assert found(page, states=("pending",)) == ["cup@0"]
    newest = TileIndex._newest

    def begun_meanwhile(index: TileIndex) -> int:
        monkeypatch.undo()
        with journal.transaction():
            Buyer(journal).done("cup")
        return newest(index)

    monkeypatch.setattr(TileIndex, "_newest", begun_meanwhile)
    with journal.transaction():
        journal.note(something="else")
    page.refresh()
    page.refresh()
    assert found(page, states=("done",))[-1] == "cup@1"


def test_what_is_judged_later_is_seen(journal: Journal, page: RunPage) -> None:
    with journal.transaction():
        journal.db.execute("INSERT INTO delivered (attempt, number, sha256) VALUES (1, 2, ?)", (f"{2:064x}",))
    assert not found(page, flags=("any",))
    assert page.refresh().keys == [], "what stays unjudged, since nothing here decodes it, has not changed"
    with journal.transaction():
        journal.db.execute("UPDATE delivered SET judged = 1, flags = 'blank'")
    assert page.refresh().keys == [1]
    assert found(page, flags=("any",)) == ["mug@2"]
    with journal.transaction():
        journal.db.execute("UPDATE meta SET value = value")
    assert page.refresh().keys == [], "a look that finds nothing"


def test_a_run_that_starts_may_order_everything_anew(
    journal: Journal, page: RunPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(page)[0] == "mug@1"
    monkeypatch.setattr("batchgen.page.run_page.owner", lambda _: " by process 7")
    list_items(journal, [*reversed(ITEMS), item("new")])
    assert page.refresh().keys is None
    assert found(page) == ["cup@0", "jug@0", "bowl@0", "vase@1", "mug@1", "mug@2", "mug@3", "new@0"]
    list_items(journal, [item("new")])
    assert page.refresh().keys is None, "its first purchase has not begun yet"
    assert found(page) == ["new@0", "jug@0"], "what is in doubt stays in sight"
    with journal.transaction():
        Buyer(journal).intend("new")
    assert page.refresh().keys is None
    with journal.transaction():
        journal.db.execute("UPDATE item SET state = 'processing' WHERE id = 'new'")
    assert len(page.refresh().keys or []) == 1, "from then on, only what has changed is looked at"


def test_a_detail_is_all_that_is_known(tmp_path: Path) -> None:
    source = item("mug", seed=7, num_images=2)
    waiting = replace(item("spin", model="zeus-1.0-image-to-video"), inputs=(Input("image", "mug", 2),))
    with journal_of(tmp_path, [source, waiting]) as journal:
        buyer = Buyer(journal)
        buyer.fail("mug", "overloaded", cost="0.056")
        journal.db.execute("UPDATE item SET state = 'pending' WHERE id = 'mug'")
        buyer.done("mug", 2, cost="0.112")
    with RunPage(tmp_path) as page:
        detail = page.detail(1)
        assert detail is not None
        assert page.detail(99) is None
        spin = page.detail(2)
    assert (detail["prompt"], detail["seed"], detail["params"]) == ("A mug", 7, {"num_images": 2})
    assert detail["source"] == "m.yaml:3"
    assert detail["used_by"] == [{"item_id": "spin", "key": 2}]
    first, second = detail["attempts"]
    assert (first["charged_usd"], first["refunded_usd"], first["net_usd"]) == ("0.056", "-0.056", "0.00")
    assert "overloaded" in first["error_message"]
    assert (second["net_usd"], second["inference_s"], second["took_s"], second["polls"]) == ("0.112", 1.234, 2.0, 4)
    assert second["accepted_at"].endswith("Z")
    assert [output["n"] for output in detail["outputs"]] == [1, 2]
    assert spin is not None
    assert spin["params"]["image"] == "${items.mug.output.2}"
    assert spin["inputs"] == [{"parameter": "image", "item_id": "mug", "key": 1, "output": 2, "job_id": ""}]


def test_a_journal_without_any_attempt(tmp_path: Path) -> None:
    with journal_of(tmp_path, []):
        pass
    with RunPage(tmp_path) as page:
        assert page.tiles(Filter(), 0, 10) == {"total": 0, "offset": 0, "tiles": []}
        assert list(page.iter_tiles()) == []
        assert page.refresh().keys == []


@pytest.mark.thorough
def test_memory_does_not_grow_with_the_items(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        folder = tmp_path / str(count)
        with journal_of(
            folder, (item(f"i{n}", f"Prompt {n}", tags={"sku": f"S{n % 50}"}) for n in range(count))
        ) as journal:
            buyer = Buyer(journal)
            for number in range(0, count, 2):
                buyer.done(f"i{number}", 1 + number % 3)
        tracemalloc.start()
        try:
            with RunPage(folder) as page:
                page.overview()
                assert page.tiles(Filter(text="prompt"), count // 2, 50)["total"] > count
                assert sum(1 for _ in page.iter_tiles()) == sum(1 for _ in page.iter_tiles(Filter(text="prompt")))
                assert all(page.detail(key) for key in range(1, count + 1))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(200)  # what is made once and kept
    assert peak(4000) < 1.2 * peak(800)


def test_a_folder_that_goes_away_is_said(page: RunPage) -> None:
    page.tiles(Filter(), 0, 1)
    (page.folder / "journal.sqlite3").rename(page.folder / "gone")
    with pytest.raises(RunFolderError, match="is not there any more"):
        page.refresh()


def test_a_filter_is_the_parameters_of_an_address_and_back() -> None:
    query = {
        "text": ["a b"], "model": ["m"], "state": ["done", "failed"], "tag": ["client=acme"], "flag": ["any"],
        "pick": ["keep"], "rating": ["4", "5"],
    }  # fmt: skip
    where = Filter.from_query(query | {"offset": ["7"]})
    assert where == Filter(
        text="a b", models=("m",), states=(State.DONE, State.FAILED), tags=("client=acme",), flags=("any",),
        picks=("keep",), ratings=(4, 5),
    )  # fmt: skip
    assert where.to_query() == query
    assert Filter.from_query({}).to_query() == {}


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"rating": ["6"]}, "rating: expected 0 to 5, got '6'"),
        ({"rating": [""]}, "rating: expected 0 to 5, got ''"),
        ({"pick": ["kept"]}, "pick: expected one of none, keep, reject, got 'kept'"),
        ({"state": ["over"]}, "state: expected one of pending"),
        ({"tag": ["x"] * 201}, "tag: too many or too long values"),
        ({"text": ["x" * 1001]}, "text: too many or too long values"),
    ],
)
def test_other_parameters_are_refused(query: dict[str, list[str]], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Filter.from_query(query)
