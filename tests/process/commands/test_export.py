"""`batchgen export` as its users see it: what it hands over is opened by the programs that it is meant for."""

import csv
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image
from support.readers.hugging import load
from support.running import FAST, batchgen, installed, simulator

MANIFEST = """\
version: 1
name: shop
tags: {client: acme}
items:
  - {id: mug, model: hera-1.0-text-to-image, prompt: "Mug, \\"blue\\" – für zwei", num_images: 2}
  - {id: "${colour}-jug", model: hera-1.0-text-to-image, prompt: "A ${colour} jug", matrix: {colour: [red, grey]}}
  - {id: steam, model: centaurus-1.0-text-to-video, prompt: Steam, seed: 11, tags: {client: bolt}}
  - {id: turn, model: hera-1.0-image-to-video, prompt: It turns, image: "${items.mug.output.1}"}
"""
IMAGES = {"mug@1", "mug@2", "red-jug", "grey-jug"}
VIDEOS = {"steam", "turn"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with pictures, films and a chain."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "shop.yaml").write_text(MANIFEST, encoding="utf-8")
    with simulator("--speed", 500) as api:
        run = ("run", "shop.yaml", "--base-url", api.url, "--max-cost", "5", *FAST)
        ended = batchgen(*run, cwd=folder)
        assert ended.returncode == 0, ended.stderr
    return folder


def metadata(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_run_is_handed_over(project: Path) -> None:
    ended = installed("export", "shop.yaml", "handed", "--costs", "--zip", cwd=project)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[0] == "shop: 6 files in handed: 6 new, 0 replaced, 0 unchanged"
    dest = project / "handed"
    assert {row["file_name"] for row in metadata(dest / "images")} == {f"{name}.png" for name in IMAGES}
    for row in metadata(dest / "images"):
        with Image.open(dest / "images" / row["file_name"]) as picture:
            picture.load()
            assert picture.size == (row["width"], row["height"])
    for row in metadata(dest / "videos"):
        with av.open(str(dest / "videos" / row["file_name"])) as film:
            assert sum(1 for _ in film.decode(video=0)) > 1
            assert abs(float(film.duration or 0) / 1e6 - row["duration"]) < 0.1
    by_name = {row["file_name"]: row for folder in ("images", "videos") for row in metadata(dest / folder)}
    assert by_name["mug@1.png"]["prompt"] == 'Mug, "blue" – für zwei'
    assert json.loads(by_name["red-jug.png"]["variables"]) == {"colour": "red"}
    assert json.loads(by_name["turn.mp4"]["params"]) == {"image": "${items.mug.output.1}"}
    assert (by_name["steam.mp4"]["seed"], json.loads(by_name["steam.mp4"]["tags"])) == (11, {"client": "bolt"})
    ledger = json.loads(batchgen("ledger", "shop", "--by", "tag:client", "--format", "json", cwd=project).stdout)
    with (dest / "costs-sums.csv").open(encoding="utf-8", newline="") as lines:
        sums = {row["name"]: row["net_usd"] for row in csv.DictReader(lines) if row["by"] == "tag_client"}
    assert sums == {group["group"]: group["net_usd"] for group in ledger["groups"]}
    assert set(sums) == {"acme", "bolt"}
    again = json.loads(batchgen("export", "shop.yaml", "handed", "--costs", "--zip", "--json", cwd=project).stdout)
    assert (again["files"], again["unchanged"], again["new"], again["problems"]) == (6, 6, 0, 0)
    assert again["net_usd"] == ledger["total"]["net_usd"]


def test_it_loads_with_datasets(project: Path, tmp_path: Path) -> None:
    assert batchgen("export", "shop", str(tmp_path / "set"), cwd=project).returncode == 0
    columns = {}
    for folder, column in (("images", "image"), ("videos", "video")):
        place = tmp_path / "set" / folder
        loaded = load(place, tmp_path / "cache")
        written = {row["file_name"]: row for row in metadata(place)}
        assert len(loaded["rows"]) == len(written) == (4 if folder == "images" else 2)
        for row in loaded["rows"]:
            expected = written[Path(row[column]).name]
            for name in ("prompt", "model", "params", "tags", "seed", "width", "duration", "sha256", "simulated"):
                assert row[name] == expected[name]
        columns[folder] = loaded["columns"]
    assert [*columns["images"]] == [*columns["videos"]]
    assert columns["videos"]["duration"] == "Value('float64')"
    assert columns["images"]["width"] == columns["videos"]["seed"] == "Value('int64')"


def test_people_choose_what_is_handed_over(project: Path, tmp_path: Path) -> None:
    dest = tmp_path / "chosen"
    assert batchgen("picks", "shop", "--keep", "mug@2", "--reject", "red-jug", cwd=project).returncode == 0
    ended = batchgen("export", "shop", str(dest), cwd=project)
    assert "1 output left out, rejected" in ended.stdout
    assert {path.stem for path in (dest / "images").glob("*.png")} == IMAGES - {"red-jug"}
    ended = batchgen("export", "shop", str(dest), "--kept", cwd=project)
    assert ended.stdout.splitlines()[:2] == [
        f"shop: 1 file in {dest}: 0 new, 0 replaced, 1 unchanged",
        "5 files of an earlier export removed",
    ]
    assert [path.name for path in (dest / "images").glob("*.png")] == ["mug@2.png"]
    assert not (dest / "videos").exists()


def test_marked_copies_open_and_the_bought_files_stay_as_they_are(project: Path, tmp_path: Path) -> None:
    dest = tmp_path / "marked"
    bought = {path.name: path.read_bytes() for path in (project / "output" / "shop" / "files").iterdir()}
    ended = batchgen("export", "shop", str(dest), "--mark", "--only", "mug", "--only", "steam", cwd=project)
    assert "files marked" in ended.stdout
    for row in metadata(dest / "images"):
        data = (dest / "images" / row["file_name"]).read_bytes()
        assert b"trainedAlgorithmicMedia" in data
        assert row["prompt"].encode() not in data
        original = project / "output" / "shop" / "files" / row["file_name"]
        with Image.open(dest / "images" / row["file_name"]) as marked, Image.open(original) as unmarked:
            assert marked.convert("RGB").tobytes() == unmarked.convert("RGB").tobytes()
    with closing(av.open(str(dest / "videos" / "steam.mp4"))) as film:
        assert sum(1 for _ in film.decode(video=0)) > 1
    assert {path.name: path.read_bytes() for path in (project / "output" / "shop" / "files").iterdir()} == bought
    assert batchgen("verify", "shop", cwd=project).returncode == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("shop", "output/shop/files/there"), "is inside the run folder"),
        (("shop", "."), "holds other files; export to a new or empty folder"),
        (("shop", "new", "--prompts"), "--prompts says what --mark writes: give both"),
        (("shop", "new", "--only", "kettle"), "no finished item matches"),
        (("ship", "new"), "there is no run 'ship'"),
    ],
)
def test_what_cannot_be_exported_is_one_clear_error(project: Path, words: tuple[str, ...], message: str) -> None:
    ended = batchgen("export", *words, cwd=project)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert not (project / "new").exists()


def test_a_file_that_is_gone_ends_with_1(project: Path, tmp_path: Path) -> None:
    kept = project / "output" / "shop" / "files" / "grey-jug.png"
    content = kept.read_bytes()
    kept.unlink()
    try:
        ended = batchgen("export", "shop", str(tmp_path / "part"), cwd=project)
    finally:
        kept.write_bytes(content)
    assert ended.returncode == 1
    assert (
        "images/grey-jug.png: is not in the run folder; `batchgen verify RUN --refetch` may get it back" in ended.stderr
    )
    assert "1 file is not as it should be" in ended.stdout
