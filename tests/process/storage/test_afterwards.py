"""What is done with a run whose outputs are in an object store: handing over, reports, looking at it."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from support.running import FAST, batchgen, simulator
from support.storage.proxy import Watched, watched_bucket
from support.viewing import Answer, opened

from batchgen.store.remote import connect
from batchgen.viewer import Viewer

MANIFEST = """version: 1
name: spring
items:
  - {id: mug, prompt: A mug, model: hera-1.0-text-to-image, num_images: 2}
  - {id: spin, prompt: It turns, model: centaurus-1.0-text-to-video}
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "job.yaml").write_text(MANIFEST, encoding="utf-8")
    return tmp_path


@pytest.fixture
def watched(here: Path) -> Iterator[Watched]:
    """The store after a run; what passed before is forgotten."""
    with watched_bucket() as found, simulator("--speed", 100) as api:
        ended = batchgen("run", "job.yaml", "--base-url", api.url, "--output", found.place, *FAST, cwd=here)
        assert ended.returncode == 0, ended.stderr
        found.requests.clear()
        yield found


def content_of(watched: Watched, name: str) -> bytes:
    return bytes(obstore.get(connect(watched.place.below("spring")), name).bytes())


def test_an_export_fetches_each_output_once(here: Path, watched: Watched) -> None:
    first = batchgen("export", "spring", "handed", cwd=here)
    assert (first.returncode, watched.count("GET", "/files/")) == (0, 3), first.stderr
    assert (here / "handed" / "images" / "mug@1.png").read_bytes() == content_of(watched, "files/mug@1.png")
    watched.requests.clear()
    again = batchgen("export", "spring", "handed", cwd=here)
    assert (again.returncode, watched.count("GET", "/files/")) == (0, 0), again.stderr
    assert not any((here / "output" / "spring" / "spool").iterdir())


def test_an_export_says_what_the_store_no_longer_has(here: Path, watched: Watched) -> None:
    obstore.delete(connect(watched.place.below("spring")), "files/mug@2.png")
    ended = batchgen("export", "spring", "handed", cwd=here)
    assert ended.returncode == 1
    assert re.search(r"mug@2\.png: is not in the run folder", ended.stdout + ended.stderr)


def test_marks_go_into_the_copies(here: Path, watched: Watched) -> None:
    ended = batchgen("export", "spring", "handed", "--mark", cwd=here)
    assert ended.returncode == 0, ended.stderr
    assert b"trainedAlgorithmicMedia" in (here / "handed" / "images" / "mug@1.png").read_bytes()
    assert b"trainedAlgorithmicMedia" not in content_of(watched, "files/mug@1.png")


def test_a_report_makes_the_thumbnails_from_the_store(here: Path, watched: Watched) -> None:
    folder = here / "output" / "spring"
    assert not (folder / "thumbs").exists()
    made = batchgen("report", "spring", cwd=here)
    assert made.returncode == 0, made.stderr
    assert len(list((folder / "thumbs").rglob("*.webp"))) == watched.count("GET", "/files/") == 3
    assert not any((folder / "spool").iterdir())


async def test_the_viewer_shows_outputs_and_lets_videos_seek(here: Path, watched: Watched) -> None:
    folder = here / "output" / "spring"
    film = await asyncio.to_thread(content_of, watched, "files/spin.mp4")
    watched.requests.clear()

    async def part(first: int, last: int) -> Answer:
        return await ask("/files/spin.mp4", headers={"Range": f"bytes={first}-{last}"})

    async with Viewer(folder, port=0) as viewer, opened(viewer) as ask:
        tiles = await ask.tiles()
        for first in (0, 100, 200):
            answer = await part(first, first + 99)
            assert (answer.status, answer.body) == (206, film[first : first + 100])
        assert watched.count("GET", "spin.mp4") == 1, "a copy serves all parts"
        thumbnail = await ask(f"/thumbs/{tiles['mug@1']['sha256'][:2]}/{tiles['mug@1']['sha256']}.webp")
        assert (thumbnail.status, thumbnail.headers["Content-Type"]) == (200, "image/webp")
        watched.fault = lambda _: 403
        assert (await ask("/files/mug@2.png")).status == 404
    assert not any((folder / "spool").iterdir())
