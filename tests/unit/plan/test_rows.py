"""A plan item by item: as it would be sent, and what has changed."""

import json
from contextlib import closing
from decimal import Decimal
from pathlib import Path

from support.bought import Buyer, item, journal_of

from batchgen.core.records import Item
from batchgen.item_table import write_items
from batchgen.journal import FILE_NAME
from batchgen.journal.queries.comparison import NEW_AND_CHANGED, Buying, ItemStanding, compare
from batchgen.plan import Change, PlanRow, format_row, plan_row, row_json
from batchgen.virtual import make_dependant

BODY = '{"aspect_ratio":"16:9","model":"m","prompt":"A mug"}'


def standing(body: str = BODY, **more: object) -> ItemStanding:
    given = {"inputs": "[]", "bought_body": None, "bought_inputs": None, "bought_as": None} | more
    return ItemStanding("mug", "changed", True, "m", Decimal("0.056"), body, **given)  # type: ignore[arg-type]  # by name


def test_a_row_is_what_would_be_sent() -> None:
    row = plan_row(standing())
    assert row == PlanRow("mug", "changed", "m", Decimal("0.056"), {"aspect_ratio": "16:9"}, "A mug", buys=True)
    assert row_json(row) == {
        "id": "mug", "state": "changed", "model": "m", "estimated_usd": "0.056", "params": {"aspect_ratio": "16:9"},
        "prompt": "A mug", "buys": True, "changed": [],
    }  # fmt: skip


def test_what_has_changed_is_shown_from_and_to() -> None:
    row = plan_row(standing(bought_body='{"model":"m","num_images":2,"prompt":"A mug"}'))
    assert row.changed == (Change("aspect_ratio", None, "16:9"), Change("num_images", 2, None))
    assert row_json(row)["changed"][1] == {"name": "num_images", "from": 2, "to": None}
    assert "num_images: 2 → not set" in format_row(row)


def test_a_source_that_has_changed_is_named() -> None:
    def body(source: str) -> str:
        return json.dumps({"image": {"output": 2, "source": source}, "model": "m", "prompt": "turns"})

    inputs = '[["image", "still", 2]]'
    row = plan_row(standing(body("new"), inputs=inputs, bought_body=body("old"), bought_inputs=inputs))
    reference = "${items.still.output.2}"
    assert row.params == {"image": reference}
    assert row.changed == (Change("image", reference, reference, by_source=True),)
    assert row_json(row)["changed"] == [{"name": "image", "from": reference, "to": reference, "source_changed": True}]
    assert "image: ${items.still.output.2}, whose item has changed" in format_row(row)


def test_texts_are_harmless_on_a_terminal() -> None:
    row = plan_row(standing(json.dumps({"prompt": "one\n\x1b[31mtwo", "seed": "\x1b", "model": "m"})))
    shown = format_row(row)
    assert "\x1b" not in shown
    assert [line.strip() for line in shown.splitlines()[-2:]] == ["prompt: one", "[31mtwo"]


def test_prompts_are_whole_on_their_own_lines_before_and_after() -> None:
    row = plan_row(standing(bought_body='{"aspect_ratio":"16:9","model":"m","prompt":"One\\ntwo"}'))
    assert [line.strip() for line in format_row(row).splitlines()[1:]] == [
        "aspect_ratio: 16:9", "prompt before: One", "two", "prompt: A mug",
    ]  # fmt: skip


def rows(folder: Path, items: list[Item], buying: Buying = NEW_AND_CHANGED) -> list[ItemStanding]:
    table = folder / "items.sqlite3"
    write_items(table, items)
    with compare(table, folder / "run" / FILE_NAME, lambda *_: True, buying) as comparison:
        return list(comparison.items())


def test_items_come_in_the_order_of_the_manifest_and_know_what_was_bought(tmp_path: Path) -> None:
    with journal_of(tmp_path / "run", [item("mug"), item("old", "A pot"), item("fail")]) as journal:
        buyer = Buyer(journal)
        buyer.done("mug")
        buyer.done("old")
        buyer.fail("fail", "why")
    found = rows(tmp_path, [item("zebra", "A zebra"), item("mug", "A big mug"), item("new", "A pot"), item("fail")])
    assert [(i.id, i.standing, i.buys, i.bought_as) for i in found] == [
        ("zebra", "new", True, None), ("mug", "changed", True, None), ("new", "renamed", False, "old"),
        ("fail", "failed", False, None),
    ]  # fmt: skip
    assert found[1].bought_body == item("mug").body
    assert plan_row(found[1]).changed[0].after == "A big mug"


def test_a_chain_behind_an_edited_item_is_changed(tmp_path: Path) -> None:
    still = item("still")
    clip = make_dependant("clip", (still, 1))
    with journal_of(tmp_path / "run", [still, clip]) as journal:
        Buyer(journal).done("still")
        journal.settle_chains()
        Buyer(journal).done("clip")
    edited = item("still", "Another still")
    found = rows(tmp_path, [edited, make_dependant("clip", (edited, 1))])
    assert [i.standing for i in found] == ["changed", "changed"]
    assert plan_row(found[1]).changed[0].by_source


def test_no_sort_of_all_items(tmp_path: Path) -> None:
    """A million items must come as they are read."""
    with journal_of(tmp_path / "run", [item("mug")]):
        pass
    table = tmp_path / "items.sqlite3"
    write_items(table, [item("mug"), item("new")])
    with compare(table, tmp_path / "run" / FILE_NAME, lambda *_: True) as comparison:
        seen: list[str] = []
        comparison._db.set_trace_callback(seen.append)
        list(comparison.items())
        comparison._db.set_trace_callback(None)
        with closing(comparison._db.execute(f"EXPLAIN QUERY PLAN {seen[0]}")) as plan:
            steps = [detail for _, parent, _, detail in plan if parent == 0]
    assert not [step for step in steps if "ORDER BY" in step or step.startswith("MATERIALIZE standings")]
