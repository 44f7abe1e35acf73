"""Files and thumbnails over HTTP: parts of videos, and no way to anything else."""

import os
from pathlib import Path

import pytest
from support.viewing import VIDEO, Asking, put_file

from batchgen.media.thumbnail import NoThumbnailError
from batchgen.thumbnails import Thumbnailer, thumbnail_path
from batchgen.viewer.media import open_inside

SECRET = b"not for you"


@pytest.fixture
async def told(ask: Asking) -> Asking:
    """The page, after it was told of all tiles."""
    await ask.tiles()
    return ask


async def test_a_file_comes_with_its_type_and_may_do_nothing(told: Asking) -> None:
    answer = await told("/files/mug@1.png")
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, b"PNG 1", "image/png")
    assert answer.headers["Content-Security-Policy"].startswith("sandbox;")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert (await told("/files/mug%401.png")).status == 200


@pytest.mark.parametrize(
    ("asked", "first", "stop"),
    [
        ("bytes=0-", 0, len(VIDEO)), ("bytes=10-19", 10, 20), ("bytes=-100", len(VIDEO) - 100, len(VIDEO)),
        ("bytes=700000-99999999", 700_000, len(VIDEO)), ("bytes=300000-900000", 300_000, 900_001),
    ],
)  # fmt: skip
async def test_a_video_seeks(told: Asking, asked: str, first: int, stop: int) -> None:
    answer = await told("/files/vase.mp4", headers={"Range": asked})
    assert (answer.status, answer.headers["Content-Type"]) == (206, "video/mp4")
    assert answer.headers["Content-Range"] == f"bytes {first}-{stop - 1}/{len(VIDEO)}"
    assert answer.body == VIDEO[first:stop]


@pytest.mark.parametrize("asked", ["bytes=5-1", "bytes=0-1,5-9", "pieces=0-1", "bytes=-"])
async def test_what_is_no_part_asks_for_all(told: Asking, asked: str) -> None:
    answer = await told("/files/vase.mp4", headers={"Range": asked})
    assert (answer.status, answer.body, answer.headers["Accept-Ranges"]) == (200, VIDEO, "bytes")


async def test_a_part_behind_the_end_is_refused(told: Asking) -> None:
    assert (await told("/files/vase.mp4", headers={"Range": f"bytes={len(VIDEO)}-"})).status == 416


async def test_the_head_of_a_video_says_how_long_it_is(told: Asking) -> None:
    answer = await told("/files/vase.mp4", "HEAD")
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", str(len(VIDEO)))


async def test_what_the_browser_has_is_not_sent_again(run: Path, told: Asking) -> None:
    etag = (await told("/files/vase.mp4", "HEAD")).headers["ETag"]
    assert (await told("/files/vase.mp4", headers={"If-None-Match": etag})).status == 304
    part = {"Range": "bytes=0-9", "If-Range": etag}
    assert (await told("/files/vase.mp4", headers=part)).status == 206
    put_file(run, "files/vase.mp4", VIDEO[:1000])
    answer = await told("/files/vase.mp4", headers=part)
    assert (answer.status, answer.body) == (200, VIDEO[:1000])


async def test_an_empty_file_is_sent(run: Path, told: Asking) -> None:
    put_file(run, "files/mug@1.png", b"")
    assert (await told("/files/mug@1.png")).body == b""


@pytest.mark.parametrize(
    "path",
    [
        "/files/secret.png", "/files/../journal.sqlite3", "/files/..%2fjournal.sqlite3",
        "/files/%2e%2e/journal.sqlite3",
        "/files/..%2f..%2f..%2f..%2fetc%2fpasswd", "/files//etc/passwd",
        "/files/%2fetc%2fpasswd", "/files/mug@1.png%00",
        "/files/%00", "/files/mug@1.png/", "/files/./mug@1.png", "/files/", "/files", "/files/%ff", "/files/%ED%A0%80",
        "/superseded/mug@1.png", "/journal.sqlite3", "/picks.jsonl", "/files/..%5cjournal.sqlite3", "//files/mug@1.png",
        "/page/../files/secret.png", "/files/%252e%252e/journal.sqlite3",
    ],
)  # fmt: skip
async def test_nothing_but_outputs_is_served(run: Path, told: Asking, path: str) -> None:
    put_file(run, "files/secret.png", SECRET)
    answer = await told(path)
    assert answer.status == 404
    assert answer.values["error"]


async def test_files_that_the_page_was_not_told_of_are_not_served(ask: Asking) -> None:
    assert (await ask("/files/mug@1.png")).status == 404


async def test_links_are_not_followed(run: Path, told: Asking, tmp_path: Path) -> None:
    put_file(tmp_path, "secret.png", SECRET)
    (run / "files" / "mug@1.png").unlink()
    (run / "files" / "mug@1.png").symlink_to(tmp_path / "secret.png")
    assert (await told("/files/mug@1.png")).status == 404
    assert (await told(f"/thumbs/00/{1:064x}.webp")).status == 404


async def test_the_folder_of_files_may_be_on_another_disk(run: Path, told: Asking, tmp_path: Path) -> None:
    (run / "files").rename(tmp_path / "elsewhere")
    (run / "files").symlink_to(tmp_path / "elsewhere")
    assert (await told("/files/mug@1.png")).body == b"PNG 1"


@pytest.mark.parametrize(
    "name", ["files/in/x.png", "files/fifo.png", "files/in", "files/../x", "files//x", "x", "/x", ""]
)
def test_only_plain_files_below_the_folder_are_opened(tmp_path: Path, name: str) -> None:
    put_file(tmp_path, "outside/x.png", SECRET)
    put_file(tmp_path, "run/files/x.png", b"x")
    (tmp_path / "run/files/in").symlink_to(tmp_path / "outside")
    os.mkfifo(tmp_path / "run/files/fifo.png")
    with pytest.raises(OSError):
        open_inside(tmp_path / "run", name)
    with open_inside(tmp_path / "run", "files/x.png") as file:
        assert file.size == 1


async def test_a_thumbnail_is_made_when_it_is_wanted(run: Path, told: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = []

    async def make(_: Thumbnailer, path: Path, sha256: str) -> Path:
        wanted.append(path.relative_to(run).as_posix())
        target = thumbnail_path(run, sha256)
        put_file(target.parent, target.name, b"WEBP")
        return target

    monkeypatch.setattr(Thumbnailer, "make", make)
    answer = await told(f"/thumbs/00/{2:064x}.webp")
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, b"WEBP", "image/webp")
    assert "immutable" in answer.headers["Cache-Control"]
    assert wanted == ["files/mug@2.png"]


async def test_a_thumbnail_that_cannot_be_made_is_told(told: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    async def make(_: Thumbnailer, path: Path, sha256: str) -> Path:
        raise NoThumbnailError("not installed: pip install it")

    monkeypatch.setattr(Thumbnailer, "make", make)
    answer = await told(f"/thumbs/00/{2:064x}.webp")
    assert (answer.status, answer.values["error"]) == (404, "There is no thumbnail: not installed: pip install it.")


@pytest.mark.parametrize(
    "path",
    [
        f"00/{9:064x}.webp", f"01/{2:064x}.webp", f"00/{2:064X}.webp", "00/..%2f..%2fjournal.sqlite3", f"{2:064x}.webp",
        f"00/{2:064x}.png", f"00/{2:064x}.webp%00", f"00/{2:064x}.webp%0a", "..%2fjournal.sqlite3",
    ],
)  # fmt: skip
async def test_no_other_thumbnails_are_served(told: Asking, path: str) -> None:
    assert (await told(f"/thumbs/{path}")).status == 404
