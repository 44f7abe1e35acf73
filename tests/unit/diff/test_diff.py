"""Two manifests beside each other: what differs, what both cost, and how it is shown."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from batchgen.catalog import load_catalog
from batchgen.diff import Money, as_markdown, as_text, change_of, compare_manifests, json_lines
from batchgen.item_table import Kind

HEAD = "version: 1\nname: x\ndefaults: {model: hera-1.0-text-to-image}\nitems:\n"


def manifest(folder: Path, name: str, *items: str) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(HEAD + "".join(f"  - {{{item}}}\n" for item in items), encoding="utf-8")
    return path


BEFORE = (
    "id: same, prompt: x", "id: gone, prompt: y", "id: old, prompt: moved", "id: edited, prompt: a, num_images: 2",
    "id: tagged, prompt: t, tags: {k: a}",
    'id: clip, model: zeus-1.0-image-to-video, image: "${items.edited.output}", prompt: c',
)  # fmt: skip
AFTER = (
    "id: tagged, prompt: t, tags: {k: b}", "id: new, prompt: moved", "id: edited, prompt: b, num_images: 3",
    "id: same, prompt: x", "id: added, prompt: z",
    'id: clip, model: zeus-1.0-image-to-video, image: "${items.edited.output}", prompt: c',
)  # fmt: skip


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    return manifest(tmp_path, "before", *BEFORE), manifest(tmp_path, "after", *AFTER)


def test_each_item_differs_in_one_way(pair: tuple[Path, Path]) -> None:
    with compare_manifests(*pair, load_catalog()) as comparison:
        found = {(d.after or d.before).id: d for d in comparison}  # type: ignore[union-attr]  # one side is there
        assert {item_id: d.kind for item_id, d in found.items()} == {
            "added": Kind.ADDED, "gone": Kind.GONE, "edited": Kind.CHANGED, "clip": Kind.CHANGED, "new": Kind.RENAMED,
            "tagged": Kind.RELABELLED,
        }  # fmt: skip
        assert [(c.name, c.before, c.after) for c in change_of(found["edited"])] == [
            ("num_images", 2, 3), ("prompt", "a", "b"),
        ]  # fmt: skip
        (source,) = change_of(found["clip"])
        assert (source.name, source.by_source) == ("image", True)
        assert [(c.name, c.before, c.after) for c in change_of(found["tagged"])] == [("tags.k", "a", "b")]
        assert comparison.counts[Kind.CHANGED] == 2
        assert comparison.difference == Decimal("0.056")
        assert comparison.exceeds(Decimal("0.05"))
        assert not comparison.exceeds(Decimal("0.056"))


def test_the_text_names_each(pair: tuple[Path, Path]) -> None:
    with compare_manifests(*pair, load_catalog()) as comparison:
        text = as_text(comparison, "before", "after")
    for part in (
        "+ added", "- gone", "~ edited", "num_images: 2 → 3", "> old → new", "= tagged", "tags.k: a → b",
        "image: its source ${items.edited.output.1} has changed",
    ):  # fmt: skip
        assert part in text
    assert text.splitlines()[-1].split() == ["total", "$0.636", "$0.692", "+$0.056"]


def test_the_json_is_whole(pair: tuple[Path, Path]) -> None:
    with compare_manifests(*pair, load_catalog()) as comparison:
        shown = json.loads("\n".join(json_lines(comparison, "before", "after")))
    assert (shown["added"], shown["gone"], shown["changed"], shown["renamed"]) == (1, 1, 2, 1)
    assert shown["total"] == {
        "items_before": 6, "items_after": 6, "before_usd": "0.636", "after_usd": "0.692", "difference_usd": "0.056",
    }  # fmt: skip
    assert len(shown["differences"]) == 6
    renamed = next(entry for entry in shown["differences"] if entry["difference"] == "renamed")
    assert (renamed["before"], renamed["id"]) == ("old", "new")


def test_equal_manifests_differ_in_nothing(pair: tuple[Path, Path]) -> None:
    with compare_manifests(pair[0], pair[0], load_catalog()) as comparison:
        assert "no differences" in as_text(comparison, "a", "a")
        assert json.loads("\n".join(json_lines(comparison, "a", "a")))["differences"] == []


def test_markdown_shows_hostile_prompts_as_they_are(tmp_path: Path) -> None:
    before = manifest(tmp_path, "a", "id: a, prompt: x")
    after = manifest(tmp_path, "b", "id: a, prompt: '```` </details>| <img src=x> ![](https://x.example/y) @team'")
    with compare_manifests(before, after, load_catalog()) as comparison:
        shown = as_markdown(comparison, "a", "b|<b>`[x](y)").splitlines()
    assert shown[0] == "<!-- batchgen diff x -->"
    assert shown[1].startswith("**<code>a</code> → <code>b&#124;&#60;b&#62;&#96;&#91;x&#93;&#40;y&#41;</code>**")
    # All of it is in a block of code, whose fence is longer than any run of backticks in it.
    fences = [number for number, line in enumerate(shown) if line == "`````"]
    (hostile,) = [number for number, line in enumerate(shown) if "<img" in line]
    assert len(fences) == 2
    assert fences[0] < hostile < fences[1]
    assert not any("<img" in line or "@team" in line for line in shown[: fences[0]] + shown[fences[1] :])


def test_markdown_fits_into_a_comment(tmp_path: Path) -> None:
    """GitHub takes 65,536 characters."""
    before = manifest(tmp_path, "a", "id: a, prompt: x")
    after = manifest(tmp_path, "b", *(f"id: n{n}, prompt: '{'|`<' * 600}'" for n in range(300)))
    with compare_manifests(before, after, load_catalog()) as comparison:
        assert len(as_markdown(comparison, "a" * 10_000, "<" * 10_000)) < 60_000


def test_requests_under_new_ids_are_renamed_where_the_old_ids_have_others(tmp_path: Path) -> None:
    """As a run would see it: with ids that are numbers, a line put in at the top buys one item, not all of them."""
    texts = ["a", "b", "c"]
    before = manifest(tmp_path, "a", *(f"id: n{n}, prompt: {text}" for n, text in enumerate(texts)))
    after = manifest(tmp_path, "b", *(f"id: n{n}, prompt: {text}" for n, text in enumerate(["new", *texts])))
    with compare_manifests(before, after, load_catalog()) as comparison:
        found = [(d.kind, d.before and d.before.id, d.after and d.after.id) for d in comparison]
    assert found == [
        (Kind.ADDED, None, "n0"), (Kind.RENAMED, "n0", "n1"), (Kind.RENAMED, "n1", "n2"), (Kind.RENAMED, "n2", "n3"),
    ]  # fmt: skip


def test_an_unknown_price_may_be_any_rise_unless_nothing_of_it_differs(tmp_path: Path) -> None:
    catalog = load_catalog()
    model = catalog.models["hera-1.0-text-to-image"]
    unpriced = replace(catalog, models={**catalog.models, model.id: replace(model, price=None)})
    one = manifest(tmp_path, "a", "id: a, prompt: x")
    two = manifest(tmp_path, "b", "id: a, prompt: x", "id: b, prompt: y")
    cases = [(one, one, False), (two, one, False), (one, two, True)]
    for before, after, exceeds in cases:
        with compare_manifests(before, after, unpriced) as comparison:
            assert comparison.exceeds(Decimal(1_000_000)) is exceeds
            assert as_text(comparison, "a", "b").splitlines()[-3].split() == ["total", "unknown", "unknown", "unknown"]
            total = json.loads("\n".join(json_lines(comparison, "a", "b")))["total"]
            assert (total["before_usd"], total["after_usd"], total["difference_usd"]) == (None, None, None)


def test_many_differences_are_bounded(tmp_path: Path) -> None:
    before = manifest(tmp_path, "a", "id: a, prompt: x")
    after = manifest(tmp_path, "b", *(f"id: n{n}, prompt: x{n}" for n in range(300)))
    with compare_manifests(before, after, load_catalog()) as comparison:
        assert "and 201 more: `--json` lists all" in as_text(comparison, "a", "b")
        assert len(as_markdown(comparison, "a", "b").splitlines()) < 130


def test_an_unknown_price_is_never_0_and_never_a_saving() -> None:
    money = Money().plus(2, "0.30").plus(1, None)
    assert (money.items, money.known, money.unknown) == (3, Decimal("0.60"), 1)
