"""Samples stay the same, grow without changing, and priorities reach what is needed."""

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.catalog import load_catalog
from batchgen.core.errors import ManifestError
from batchgen.journal import Journal
from batchgen.manifest import load_manifest
from batchgen.manifest.entry.sampling import Sample

IDS = st.lists(st.text("abcdefg123", min_size=1, max_size=6), min_size=1, max_size=40, unique=True)


def drawn(ids: list[str], size: int) -> set[str]:
    sample = Sample(size)
    for item_id in ids:
        sample.see(item_id)
    return {item_id for item_id in ids if sample.takes(item_id)}


@given(IDS, st.integers(1, 50), st.integers(0, 10))
def test_a_sample_has_its_size_whatever_the_order_and_a_larger_one_holds_it(
    ids: list[str], size: int, more: int
) -> None:
    first = drawn(ids, size)
    assert len(first) == min(size, len(ids))
    assert drawn(list(reversed(ids)), size) == first
    assert drawn(ids, size + more) >= first


@pytest.mark.parametrize("size", range(1, 6))
def test_twins_take_no_more_places_than_there_are(tmp_path: Path, size: int) -> None:
    (tmp_path / "rows.txt").write_text("same\nsame\nsame\nother\nthird\n", encoding="utf-8")
    manifest = tmp_path / "m.yaml"
    items = f"  - {{rows: rows.txt, prompt: 'A ${{line}}', sample: {size}}}"
    manifest.write_text(MANIFEST.format(items=items), encoding="utf-8")
    assert load_manifest(manifest, tmp_path / "table", load_catalog()).items == size


@pytest.mark.parametrize("size", [1, 2])
def test_two_items_of_one_id_are_told_though_only_one_has_a_place(tmp_path: Path, size: int) -> None:
    manifest = tmp_path / "m.yaml"
    items = f"  - {{id: 'x-${{n}}', matrix: {{n: ['1:2', '1/2']}}, prompt: 'A ${{n}}', sample: {size}}}"
    manifest.write_text(MANIFEST.format(items=items), encoding="utf-8")
    with pytest.raises(ManifestError) as caught:
        load_manifest(manifest, tmp_path / "table", load_catalog())
    (problem,) = caught.value.problems
    assert problem.message.startswith("the id `x-1-2` is made twice here")


def test_a_sample_of_rows_that_cannot_be_read_is_judged_once(tmp_path: Path) -> None:
    manifest = tmp_path / "m.yaml"
    items = "  - {rows: none.txt, tags: {a: k}, id: '${tags.a}', prompt: '${line}', sample: 2}"
    manifest.write_text(MANIFEST.format(items=items), encoding="utf-8")
    with pytest.raises(ManifestError) as caught:
        load_manifest(manifest, tmp_path / "table", load_catalog())
    (problem,) = caught.value.problems
    assert problem.message.startswith("there is no file")


@given(IDS, IDS, st.integers(1, 20))
def test_items_that_are_added_only_take_places(ids: list[str], added: list[str], size: int) -> None:
    new = [item_id for item_id in added if item_id not in ids]
    after = drawn([*ids, *new], size)
    assert after & set(ids) <= drawn(ids, size)


MANIFEST = """\
version: 1
name: x
defaults: {{model: hera-1.0-text-to-image}}
items:
{items}
"""


def order(folder: Path, *items: str) -> list[str]:
    """The items in the order in which they are bought."""
    manifest, table = folder / "m.yaml", folder / "table"
    manifest.write_text(MANIFEST.format(items="\n".join(f"  - {{{item}}}" for item in items)), encoding="utf-8")
    load_manifest(manifest, table, load_catalog())
    (folder / "run").mkdir(exist_ok=True)
    with closing(Journal(folder / "run", create=True)) as journal:
        journal.list_items(table)
        rows = journal.db.execute("SELECT id FROM item WHERE position IS NOT NULL ORDER BY position")
        return [item_id for (item_id,) in rows]


def test_higher_priorities_come_first_then_the_order_of_the_manifest(tmp_path: Path) -> None:
    assert order(
        tmp_path, "id: a, prompt: x", "id: b, prompt: x, priority: 2", "id: c, prompt: x, priority: -1",
        "id: d, prompt: x", "id: e, prompt: x, priority: 2",
    ) == ["b", "e", "a", "d", "c"]  # fmt: skip
    # Without priorities they are in the order of the manifest again.
    assert order(tmp_path, "id: b, prompt: x", "id: a, prompt: x") == ["b", "a"]


def test_what_an_item_needs_is_at_least_as_urgent(tmp_path: Path) -> None:
    needs = "model: hera-1.0-image-edit, prompt: x, images"
    assert order(
        tmp_path, "id: a, prompt: x", "id: source, prompt: x, priority: -5",
        f'id: edit, {needs}: ["${{items.source.output}}"]',
        f'id: last, {needs}: ["${{items.edit.output}}"], priority: 3',
        "id: low, prompt: x, priority: -6", f'id: plain, {needs}: ["${{items.low.output}}"]',
    ) == ["source", "edit", "last", "a", "low", "plain"]  # fmt: skip


def test_an_urgent_item_makes_all_that_it_needs_urgent_at_any_remove(tmp_path: Path) -> None:
    """Each link of the chain is more urgent than the one before; a source of several takes the highest."""
    link = '{{id: "i{}", model: hera-1.0-image-edit, prompt: x, images: ["${{items.i{}.output}}"], priority: {}}}'
    chain = [link.format(n, n - 1, n)[1:-1] for n in range(1, 300)]
    also = [link.format(1000 + n, 0, 400 - n)[1:-1] for n in range(1, 20)]
    found = order(tmp_path, *also, *chain, "id: plain, prompt: x, priority: 398", "id: i0, prompt: x")
    assert found[:4] == ["i1001", "i0", "i1002", "plain"]
    assert found[4:] == [f"i{n}" for n in (*range(1003, 1020), *range(1, 300))]


def test_a_priority_is_no_part_of_the_request(tmp_path: Path) -> None:
    def digest(priority: str) -> str:
        order(tmp_path, f"id: a, prompt: x{priority}")
        with closing(Journal(tmp_path / "run")) as journal:
            return str(journal.db.execute("SELECT digest FROM item WHERE position = 1").fetchone()[0])

    assert digest(", priority: 9") == digest("")


def test_a_sample_larger_than_what_there_is_warns(tmp_path: Path) -> None:
    manifest = tmp_path / "m.yaml"
    manifest.write_text(
        MANIFEST.format(items='  - {id: "${n}", matrix: {n: [1, 2]}, prompt: "x ${n}", sample: 3}'), encoding="utf-8"
    )
    (warning,) = load_manifest(manifest, tmp_path / "table", load_catalog()).warnings.shown
    assert (warning.line, warning.message) == (5, "there are only 2 items to draw a sample from")


@pytest.mark.parametrize("rows", [200, 2000])
def test_a_sample_of_rows_is_read_twice_and_stays_the_same(tmp_path: Path, rows: int) -> None:
    (tmp_path / "rows.txt").write_text("".join(f"thing {n}\n" for n in range(rows)), encoding="utf-8")
    manifest = tmp_path / "m.yaml"
    manifest.write_text(
        MANIFEST.format(items="  - {rows: rows.txt, prompt: 'A ${line}', sample: 20}"), encoding="utf-8"
    )
    assert load_manifest(manifest, tmp_path / "table", load_catalog()).items == 20
