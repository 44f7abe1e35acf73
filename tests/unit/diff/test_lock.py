"""Locks: what drifts, what does not, and what is told of it."""

from pathlib import Path
from typing import Any

import pytest

from batchgen.catalog import load_catalog
from batchgen.core.errors import UsageError
from batchgen.lock import Check, check_lock, lock_of, lock_path, read_lock, write_lock
from batchgen.manifest import load_manifest

HEAD = "version: 1\nname: x\ndefaults: {model: hera-1.0-text-to-image}\nitems:\n"
ENTRIES = (
    '  - {id: "n-${n}", matrix: {n: [1, 2]}, prompt: "number ${n}"}\n',
    "  - {rows: rows.txt, prompt: 'A ${line}'}\n",
    "  - {id: mug, prompt: A mug}\n",
    "  - {prompt: A pot, num_images: 2}\n",
)


def lock(folder: Path, text: str) -> dict[str, Any]:
    path = folder / "m.yaml"
    path.write_text(text, encoding="utf-8")
    catalog = load_catalog()
    return lock_of(load_manifest(path, folder / "table", catalog), folder / "table", catalog)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows.txt").write_text("kite\nboat\n", encoding="utf-8")
    return tmp_path


def checked(folder: Path, before: str, after: str) -> Check:
    return check_lock(lock(folder, before), lock(folder, after))


def test_a_lock_has_entries_files_prices_and_the_total(folder: Path) -> None:
    found = lock(folder, HEAD + "".join(ENTRIES))
    assert sorted(entry["items"] for entry in found["entries"].values()) == [1, 1, 2, 2]
    assert list(found["entries"]) == sorted(found["entries"])
    assert set(found["entries"]) >= {"n-${n}", "mug"}
    assert list(found["files"]) == ["rows.txt"]
    assert found["prices"]["hera-1.0-text-to-image"]["usd"] == {"each": "0.056"}
    assert found["total"] == {"items": 6, "estimated_usd": "0.392"}
    write_lock(lock_path(folder / "m.yaml"), found)
    assert read_lock(folder / "m.yaml.lock.json") == found


@pytest.mark.parametrize(
    "after",
    [
        HEAD + "".join(reversed(ENTRIES)),
        "# a comment\n" + HEAD + "\n".join(ENTRIES),
        HEAD.replace("name: x", 'name: "x"') + ENTRIES[0].replace("[1, 2]", "[2, 1]") + "".join(ENTRIES[1:]),
    ],
    ids=["order of entries", "comments and blank lines", "order within an entry"],
)
def test_what_changes_nothing_is_no_drift(folder: Path, after: str) -> None:
    found = checked(folder, HEAD + "".join(ENTRIES), after)
    assert (found.drifts, found.notes) == ((), ())


def test_entries_with_the_same_id_template_may_change_places(folder: Path) -> None:
    (folder / "more.txt").write_text("cup\n", encoding="utf-8")
    entries = [f"  - {{id: '${{line}}', rows: {name}, prompt: 'A ${{line}}'}}\n" for name in ("rows.txt", "more.txt")]
    found = lock(folder, HEAD + "".join(entries))
    assert {key: entry["items"] for key, entry in found["entries"].items()} == {"${line}": 3}
    assert checked(folder, HEAD + "".join(entries), HEAD + "".join(reversed(entries))).drifts == ()


def test_an_item_without_an_id_is_the_same_however_it_is_written(folder: Path) -> None:
    flat, nested = "  - {prompt: A pot, num_images: 2}\n", "  - {prompt: A pot, params: {num_images: 2}}\n"
    assert checked(folder, HEAD + flat, HEAD + nested).drifts == ()


def test_a_total_that_is_not_that_of_its_entries_is_a_drift(folder: Path) -> None:
    """A run is capped at the total, and two branches that each changed a lock may merge without a conflict."""
    now = lock(folder, HEAD + "".join(ENTRIES))
    found = check_lock({**now, "total": {"items": 6, "estimated_usd": "900.00"}}, now)
    assert [drift.what for drift in found.drifts] == ["total"]


def test_another_name_is_a_drift(folder: Path) -> None:
    """It would be another run folder, in which everything is bought."""
    text = HEAD + "".join(ENTRIES)
    assert [drift.what for drift in checked(folder, text, text.replace("name: x", "name: y")).drifts] == ["name"]


@pytest.mark.parametrize(
    ("old", "new", "what", "message"),
    [
        ("[1, 2]", "[1, 2, 3]", "entry n-${n}", "2 items for $0.112 → 3 items for $0.168"),
        ("A mug", "A jug", "entry mug", "1 item for $0.056, and requests or ids have changed"),
        (ENTRIES[2], "", "entry mug", "is gone: 1 item for $0.056"),
        ("id: mug", "id: jug", "entry jug", "is new: 1 item for $0.056"),
    ],
)
def test_what_is_bought_otherwise_is_a_drift(folder: Path, old: str, new: str, what: str, message: str) -> None:
    text = HEAD + "".join(ENTRIES)
    found = checked(folder, text, text.replace(old, new))
    assert (what, message) in {(drift.what, drift.message) for drift in found.drifts}


def test_a_rows_file_that_makes_the_same_items_is_told_and_no_drift(folder: Path) -> None:
    text = HEAD + "".join(ENTRIES)
    before = lock(folder, text)
    (folder / "rows.txt").write_text("kite\n\nboat", encoding="utf-8")
    found = check_lock(before, lock(folder, text))
    assert (found.drifts, found.notes) == ((), ("rows.txt has changed",))
    (folder / "rows.txt").write_text("kite\n", encoding="utf-8")
    assert check_lock(before, lock(folder, text)).drifts


def test_another_price_is_a_drift(folder: Path) -> None:
    now = lock(folder, HEAD + "".join(ENTRIES))
    before = {**now, "catalog_version": "0", "prices": {"hera-1.0-text-to-image": {"usd": {"each": "0.05"}}}}
    found = check_lock(before, now)
    assert [drift.what for drift in found.drifts] == ["prices of hera-1.0-text-to-image"]
    assert found.notes == ("the catalogue is 1, and was 0",)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format_version": 2}', "[" * 100_000,
     '{"format_version": 1, "prices": {}, "files": {}, "entries": {"a": 1}, "total": {"items": 1}}',
     '{"format_version": 1, "prices": {}, "files": {}, "entries": {}, "total": {"items": 1, "estimated_usd": "NaN"}}'],
    ids=range(7),
)  # fmt: skip
def test_what_is_no_lock_is_one_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.lock.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError):
        read_lock(path)


def test_no_lock_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="`batchgen lock` writes it"):
        read_lock(tmp_path / "none.lock.json")
