"""Local pictures in manifests: their files are checked, and their bytes stand for them in a request."""

import hashlib
import json
import sqlite3
import struct
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.catalog import load_catalog
from batchgen.core.errors import ManifestError
from batchgen.item_table.pictures import Picture, picture_file, pictures_in
from batchgen.manifest import Manifest, load_manifest
from batchgen.manifest.item import pictures
from batchgen.simulator.media import tiny
from batchgen.store.pictures import PublicPlace

CATALOG = load_catalog()
ZEUS, EDIT = "zeus-1.0-image-to-video", "hera-1.0-image-edit"
PNG = tiny("image")
BUCKET = "s3://bucket/inputs"


def other_png(number: int) -> bytes:
    """A whole picture that differs from others: what follows its end is no part of it, but of its bytes."""
    return PNG + struct.pack(">I", number)


def staged(folder: Path, *items: dict[str, Any], assets: str | None = BUCKET, **top: Any) -> Manifest:
    run = {} if assets is None else {"run": {"assets": assets}}
    written = {"version": 1, "name": "m", **run, "items": list(items), **top}
    (folder / "m.yaml").write_text(json.dumps(written), encoding="utf-8")
    return load_manifest(folder / "m.yaml", folder / "stage", CATALOG)


def rows(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    with closing(sqlite3.connect(folder / "stage")) as db:
        found = db.execute("SELECT digest, body FROM item ORDER BY position").fetchall()
    return [(digest, json.loads(body)) for digest, body in found]


def clip(picture: object, **more: Any) -> dict[str, Any]:
    return {"model": ZEUS, "prompt": "It turns", "image": picture, **more}


def faults(folder: Path, *items: dict[str, Any], **more: Any) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        staged(folder, *items, **more)
    return [problem.message for problem in caught.value.problems]


def test_the_bytes_stand_for_a_picture_wherever_it_lies(tmp_path: Path) -> None:
    (tmp_path / "shots").mkdir()
    (tmp_path / "shots" / "mug.png").write_bytes(PNG)
    assert staged(tmp_path, clip("./shots/mug.png")).assets == BUCKET
    ((digest, body),) = rows(tmp_path)
    picture = Picture(hashlib.sha256(PNG).hexdigest(), "png")
    assert pictures_in(json.dumps(body)) == {"image": picture}
    assert picture_file(tmp_path / "stage", picture) == tmp_path / "shots" / "mug.png"
    (tmp_path / "shots" / "mug.png").rename(tmp_path / "moved.jpeg")
    for moved in (BUCKET, "gs://elsewhere", "https://cdn.example/shots/"):
        staged(tmp_path, clip("moved.jpeg"), assets=moved)
        assert rows(tmp_path) == [(digest, body)]
    (tmp_path / "moved.jpeg").write_bytes(other_png(1))
    staged(tmp_path, clip("moved.jpeg"))
    assert rows(tmp_path)[0][0] != digest


def test_lists_rows_copies_and_series_take_them(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(other_png(number))
    (tmp_path / "rows.csv").write_text("Shot\n0.png\n1.png\n2.png\n", encoding="utf-8")
    address = "https://example.com/a.png"
    staged(
        tmp_path,
        {"model": EDIT, "prompt": "x", "images": ["0.png", address, "1.png"]},
        {"rows": "rows.csv", **clip("${Shot}")},
        clip("0.png", seeds=2),
        *(clip("0.png", id=f"s{n}", prompt=f"p{n}") for n in range(3)),
        *(clip(f"{n}.png", id=f"t{n}") for n in range(3)),
    )
    found = [body for _, body in rows(tmp_path)]
    assert found[0]["images"][1] == address
    sha256 = [hashlib.sha256(other_png(n)).hexdigest() for n in range(3)]
    used = [[p.sha256 for p in pictures_in(json.dumps(body)).values()] for body in found]
    assert used == [[sha256[0], sha256[1]], *[[s] for s in sha256], *[[sha256[0]]] * 5, *[[s] for s in sha256]]


def test_each_file_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    with patch.object(pictures, "_looked_at", wraps=pictures._looked_at) as looked:
        staged(tmp_path, *(clip("a.png", prompt=f"{n}") for n in range(30)))
    assert looked.call_count == 1


def test_what_cannot_be_sent_is_told_before_anything_is_bought(tmp_path: Path) -> None:
    (tmp_path / "cut.png").write_bytes(PNG[:-10])
    (tmp_path / "a.gif").write_bytes(
        b"GIF89a\x01\x00\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
    )
    (tmp_path / "large.png").write_bytes(PNG + bytes(10_000_001 - len(PNG)))
    (tmp_path / "most.png").write_bytes(PNG + bytes(10_000_000 - len(PNG)))
    found = faults(
        tmp_path,
        clip("gone.png"), clip("cut.png"), clip("a.gif"), clip("large.png"), clip("most.png"), clip("."),
        {"model": EDIT, "prompt": "x", "images": ["most.png", "gone.png"]},
    )  # fmt: skip
    assert found[0] == "`image`: there is no picture gone.png"
    assert found[1].startswith("`image`: cut.png is cut short")
    assert found[2] == "`image`: a.gif is GIF; the API takes JPEG, PNG, WebP and BMP"
    assert found[3] == "`image`: large.png has 10.0 MB; the API takes at most 10 MB"
    assert found[4] == "`image`: . is no file"
    assert found[5:] == ["`images[1]`: there is no picture gone.png"]


def test_without_a_place_a_local_path_stays_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    (message,) = faults(tmp_path, clip("a.png"), assets=None)
    assert message == (
        "`image` must be a public http(s) URL; a local path cannot be sent without `run.assets`, as in"
        " s3://BUCKET/PREFIX"
    )


def test_what_is_no_path_is_judged_as_before(tmp_path: Path) -> None:
    found = faults(tmp_path, *map(clip, ("file:///a.png", "data:image/png;base64,AA", " ", "ftp://a/b", 5)))
    assert len(found) == 5
    assert all("`image` " in message for message in found)


def test_nobody_writes_what_stands_for_a_picture(tmp_path: Path) -> None:
    (message,) = faults(tmp_path, clip(Picture("a" * 64, "png").stand_in))
    assert message == "`image` is what stands for a local picture; write the file's path"


@pytest.mark.parametrize("path", ["../a.png", "/shots/a.png", "x/../../a.png"])
def test_a_public_place_has_the_manifests_folder_alone(tmp_path: Path, path: str) -> None:
    (message,) = faults(tmp_path, clip(path), assets="https://cdn.example")
    assert message == f"`image`: {path} must lie in the manifest's folder, whose files `run.assets` has"


@pytest.mark.parametrize(
    "assets", ["shots", "ftp://host/x", "https://", "https://user@host/x", "https://host/x?y=1", "s3://k:s@b", "", 5]
)
def test_a_place_that_cannot_be_used_is_told(tmp_path: Path, assets: Any) -> None:
    (message,) = faults(tmp_path, clip("https://example.com/a.png"), assets=assets)
    assert message.startswith("`run.assets`: ")


def test_an_address_of_a_public_place_is_percent_encoded(tmp_path: Path) -> None:
    place = PublicPlace("https://cdn.example/shots", tmp_path)
    assert place.address("x", tmp_path / "ä" / "a b?#.png") == "https://cdn.example/shots/%C3%A4/a%20b%3F%23.png"


@given(st.text(max_size=30))
def test_no_text_is_taken_for_a_picture_but_a_stand_in(text: str) -> None:
    assert pictures_in(json.dumps({"image": text, "images": [text]})) == {}
