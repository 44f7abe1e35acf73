"""Local pictures as inputs: uploaded once, sent by signed addresses that nobody else gets to know."""

import json
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch
from urllib.request import urlopen

import pytest
from support.running import FAST, Simulated, batchgen, simulator
from support.storage.objects import SECRET
from support.storage.proxy import Watched, watched_bucket

from batchgen.client.http import HttpApi
from batchgen.item_table import pictures as table_of_pictures
from batchgen.simulator.media import tiny
from batchgen.store import remote

PNG = tiny("image")
ITEMS = """
items:
  - {id: mug, prompt: It turns, model: zeus-1.0-image-to-video, image: shots/mug.png}
  - {id: cup, prompt: Turn it, model: hera-1.0-image-edit, images: [shots/mug.png, shots/cup.png]}
  - {id: jug, prompt: A jug, model: hera-1.0-text-to-image}
"""


@pytest.fixture
def api() -> Iterator[Simulated]:
    with simulator("--speed", 100) as running:
        yield running


@pytest.fixture
def watched() -> Iterator[Watched]:
    with watched_bucket() as found, patch.object(remote, "_RETRY", {**remote._RETRY, "max_retries": 1}):
        yield found


@pytest.fixture
def sent() -> Iterator[list[str]]:
    """The bodies that were sent."""
    bodies: list[str] = []
    submit = HttpApi.submit

    def noted(self: HttpApi, body: str, *args: object, **more: object) -> object:
        bodies.append(body)
        return submit(self, body, *args, **more)  # type: ignore[arg-type]

    with patch.object(HttpApi, "submit", noted):
        yield bodies


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "shots").mkdir()
    (tmp_path / "shots" / "mug.png").write_bytes(PNG)
    (tmp_path / "shots" / "cup.png").write_bytes(PNG + b"cup")
    return tmp_path


def write(here: Path, assets: object) -> None:
    text = f"version: 1\nname: spring\nrun: {{assets: {json.dumps(str(assets))}}}{ITEMS}"
    (here / "job.yaml").write_text(text, encoding="utf-8")


def run(here: Path, api: Simulated) -> "tuple[int, str]":
    ended = batchgen("run", "job.yaml", "--base-url", api.url, "--yes", *FAST, cwd=here)
    return ended.returncode, ended.stdout + ended.stderr


def addresses(bodies: list[str]) -> list[str]:
    found = []
    for body in map(json.loads, bodies):
        found += [body["image"]] if "image" in body else body.get("images", [])
    return found


def written(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_pictures_are_uploaded_once_and_signed(here: Path, api: Simulated, watched: Watched, sent: list[str]) -> None:
    write(here, watched.place.below("in puts"))
    code, told = run(here, api)
    assert code == 0, told
    assert watched.count("PUT") == 2
    fetched = {urlopen(address).read() for address in addresses(sent)}  # noqa: S310 - on loopback
    assert (len(addresses(sent)), fetched) == (3, {PNG, PNG + b"cup"})
    everything = written(here / "output") + told.encode()
    assert SECRET.encode() not in everything
    for address in addresses(sent):
        signature = address.partition("X-Amz-Signature=")[2].partition("&")[0]
        assert len(signature) == 64
        assert signature.encode() not in everything
        assert b"moto-key" not in everything
    sent.clear()
    (here / "shots" / "mug.png").rename(here / "shots" / "old.png")
    moved = (here / "job.yaml").read_text(encoding="utf-8").replace("mug.png", "old.png").replace("in puts", "other")
    (here / "job.yaml").write_text(moved, encoding="utf-8")
    code, told = run(here, api)
    assert (code, sent) == (0, []), told


def test_a_bucket_that_is_missing_is_noticed_before_any_money_moves(
    here: Path, api: Simulated, watched: Watched, sent: list[str]
) -> None:
    write(here, "s3://no-such-bucket-at-all/x")
    code, told = run(here, api)
    assert (code, sent) != (0, []), told
    assert sent == []
    assert "no-such-bucket-at-all" in told


def test_a_file_that_changes_meanwhile_is_not_sent(
    here: Path, api: Simulated, watched: Watched, sent: list[str]
) -> None:
    write(here, watched.place)
    found = table_of_pictures.some_picture

    def changed(database: Path) -> None:
        found(database)
        (here / "shots" / "cup.png").write_bytes(PNG + b"another cup")

    with patch("batchgen.session.checks.pictures.some_picture", changed):
        code, told = run(here, api)
    assert (code, "was changed after the manifest was read" in told) == (5, True), told
    assert sorted(json.loads(body)["prompt"] for body in sent) == ["A jug", "It turns"]
    assert '"pending": 1' in told
    assert run(here, api)[0] == 0


def test_a_public_place_is_sent_as_it_is(here: Path, api: Simulated, sent: list[str]) -> None:
    write(here, "https://cdn.example/base/")
    code, told = run(here, api)
    assert code == 0, told
    assert sorted(addresses(sent)) == [f"https://cdn.example/base/shots/{n}.png" for n in ("cup", "mug", "mug")]


def test_validate_and_plan_upload_nothing(here: Path, watched: Watched) -> None:
    write(here, watched.place)
    for command in ("validate", "plan"):
        ended = batchgen(command, "job.yaml", cwd=here)
        assert ended.returncode == 0, ended.stderr
    assert watched.requests == []


def test_what_was_made_from_a_local_picture_is_not_redone_without_it(here: Path, api: Simulated) -> None:
    write(here, "https://cdn.example/base")
    assert run(here, api)[0] == 0
    assert batchgen("picks", "spring", "--reject", "mug@1", cwd=here).returncode == 0
    ended = batchgen("redo", "spring", "--rejected", cwd=here)
    assert (ended.returncode, "made from local pictures" in ended.stderr) == (2, True), ended.stderr


def test_a_lock_and_a_diff_follow_the_bytes(here: Path) -> None:
    write(here, "s3://bucket/inputs")
    assert batchgen("lock", "job.yaml", cwd=here).returncode == 0
    write(here, "s3://bucket/elsewhere")
    assert batchgen("lock", "job.yaml", "--check", cwd=here).returncode == 0
    (here / "shots" / "cup.png").write_bytes(PNG + b"another cup")
    assert batchgen("lock", "job.yaml", "--check", cwd=here).returncode == 1
    ended = batchgen("diff", "job.yaml", "job.yaml", cwd=here)
    assert ended.returncode == 0, ended.stderr
