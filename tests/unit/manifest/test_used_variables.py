"""What matrix and rows set, as far as an entry uses it, is kept with its items."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from batchgen.catalog import load_catalog
from batchgen.manifest import load_manifest

HEAD = "version: 1\nname: m\ndefaults: {model: hera-1.0-text-to-image}\nitems:\n"


def kept(folder: Path, items: str) -> list[tuple[str, Any]]:
    """The ids of the items, and their variables."""
    manifest, table = folder / "m.yaml", folder / "table"
    manifest.write_text(HEAD + items, encoding="utf-8")
    load_manifest(manifest, table, load_catalog())
    with closing(sqlite3.connect(table)) as db:
        rows = db.execute("SELECT id, variables FROM item ORDER BY position").fetchall()
    return [(item_id, None if text is None else json.loads(text)) for item_id, text in rows]


def test_a_matrix_keeps_its_values_with_their_types(tmp_path: Path) -> None:
    items = "  - {id: '${dish}-${count}-${hot}', prompt: 'A ${dish}', matrix: {dish: [soup], count: [2], hot: [true]}}"
    assert kept(tmp_path, items) == [("soup-2-true", {"count": 2, "dish": "soup", "hot": True})]


def test_a_row_keeps_the_columns_that_are_used_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("SKU,Name,Unused\nA-1,Ølkrus,x\nA-2,,y\n", encoding="utf-8")
    items = "  - {rows: r.csv, id: '${SKU}', prompt: 'Row ${row}: ${id}', tags: {name: '${Name}'}}"
    assert kept(tmp_path, items) == [
        ("A-1", {"Name": "Ølkrus", "SKU": "A-1"}),
        ("A-2", {"Name": "", "SKU": "A-2"}),
    ]


def test_a_row_of_jsonl_keeps_its_own_keys_also_one_called_id(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"id": "a", "what": "mug"}\n', encoding="utf-8")
    items = "  - {rows: r.jsonl, id: '${id}', prompt: 'A ${what}, ${row}'}"
    assert kept(tmp_path, items) == [("a", {"id": "a", "what": "mug"})]


@pytest.mark.parametrize("entry", ["{id: mug, prompt: A mug}", "{id: mug, prompt: 'A mug: ${id}', tags: {a: '${id}'}}"])
def test_an_entry_without_rows_and_matrix_keeps_nothing(tmp_path: Path, entry: str) -> None:
    assert kept(tmp_path, f"  - {entry}") == [("mug", None)]


def test_half_of_a_surrogate_pair_that_only_the_id_uses_harms_nothing(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"name": "a\\ud800"}\n', encoding="utf-8")
    assert kept(tmp_path, "  - {rows: r.jsonl, id: '${name}', prompt: A mug}") == [("a", {"name": "a\ud800"})]


def test_variables_have_no_part_in_what_is_bought(tmp_path: Path) -> None:
    """The same requests from rows and written out: only what is kept of their making differs."""
    (tmp_path / "r.txt").write_text("mug\n", encoding="utf-8")

    def identity(items: str) -> list[Any]:
        kept(tmp_path, items)
        with closing(sqlite3.connect(tmp_path / "table")) as db:
            return db.execute("SELECT id, digest, body FROM item").fetchall()

    assert identity("  - {rows: r.txt, id: '${line}', prompt: 'A ${line}'}") == identity("  - {id: mug, prompt: A mug}")
