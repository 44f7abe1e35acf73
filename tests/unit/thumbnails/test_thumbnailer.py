"""The process that makes thumbnails, and what becomes of it when files are hostile."""

import asyncio
import hashlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from PIL import Image

from batchgen.media.thumbnail import NoThumbnailError
from batchgen.thumbnails import Thumbnailer, child, make_thumbnails, thumbnail_path, thumbnailer
from batchgen.thumbnails.child import Child, CrashedError

File = tuple[Path, str]


def picture(folder: Path, number: int) -> File:
    path = folder / "files" / f"{number}.png"
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (400, 300), (number % 256, 90, 160)).save(path)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def deadly(folder: Path, name: str = "deadly") -> File:
    """A pipe that nobody writes to: whoever reads it waits for ever, as with a decoder that is caught in a loop."""
    path = folder / name
    os.mkfifo(path)
    return path, hashlib.sha256(name.encode()).hexdigest()


@asynccontextmanager
async def opened(folder: Path, processes: int = 1) -> AsyncIterator[Thumbnailer]:
    maker = Thumbnailer(folder, processes=processes)
    try:
        yield maker
    finally:
        await maker.close()


def stand_in(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Have another program run in place of the real one."""

    async def started() -> asyncio.subprocess.Process:
        pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
        return await asyncio.create_subprocess_exec(sys.executable, "-c", code, **pipes)  # type: ignore[arg-type]

    monkeypatch.setattr(child, "_started", started)


async def test_a_thumbnail_lies_where_the_digest_says_and_is_not_made_twice(tmp_path: Path) -> None:
    path, sha256 = picture(tmp_path, 1)
    async with opened(tmp_path) as maker:
        made = await maker.make(path, sha256)
        assert made == tmp_path / "thumbs" / sha256[:2] / f"{sha256}.webp"
        first = made.stat()
        maker.offer(path, sha256)
        assert await maker.make(path, sha256) == made
    assert (made.stat().st_ino, made.stat().st_mtime_ns) == (first.st_ino, first.st_mtime_ns)


async def test_what_was_offered_is_made_before_the_end(tmp_path: Path) -> None:
    files = [picture(tmp_path, number) for number in range(8)]
    maker = Thumbnailer(tmp_path, processes=2)
    for file in files:
        maker.offer(*file)
        maker.offer(*file)
    assert await maker.close(patience=30) == 0
    assert all(thumbnail_path(tmp_path, sha256).exists() for _, sha256 in files)
    maker.offer(*picture(tmp_path, 9))
    assert await maker.close() == 0


async def test_the_end_does_not_wait_longer_than_it_is_told(tmp_path: Path) -> None:
    maker = Thumbnailer(tmp_path)
    maker.offer(*deadly(tmp_path))
    waiting = asyncio.create_task(maker.make(*picture(tmp_path, 2)))
    await asyncio.sleep(0)
    assert await maker.close(patience=0) == 2
    with pytest.raises(NoThumbnailError):
        await waiting


async def test_those_who_wait_for_the_same_file_get_the_same_answer(tmp_path: Path) -> None:
    path, sha256 = picture(tmp_path, 1)
    async with opened(tmp_path, processes=2) as maker:
        maker.offer(path, sha256)
        assert len(set(await asyncio.gather(*(maker.make(path, sha256) for _ in range(5))))) == 1


async def test_who_stops_waiting_takes_nothing_from_the_others(tmp_path: Path) -> None:
    path, sha256 = picture(tmp_path, 1)
    async with opened(tmp_path) as maker:
        gone, stays = (asyncio.create_task(maker.make(path, sha256)) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        assert (await stays).exists()


async def test_the_newest_wish_comes_first_and_too_many_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnailer, "_MOST_WANTED", 3)
    order: list[str] = []

    async def make(self: Child, source: Path, target: Path) -> None:
        order.append(source.stem)

    monkeypatch.setattr(Child, "make", make)
    files = [picture(tmp_path, number) for number in range(5)]
    async with opened(tmp_path) as maker:
        results = await asyncio.gather(*(maker.make(*file) for file in files), return_exceptions=True)
    assert order == ["4", "3", "2"]
    assert [str(result) for result in results[:2]] == ["too many others are waited for"] * 2


async def test_a_file_that_takes_for_ever_is_given_up_and_the_next_one_is_made(tmp_path: Path) -> None:
    one = Child(time_limit=0.2)
    with pytest.raises(CrashedError, match=r"longer than 0\.2 s"):
        await one.make(deadly(tmp_path)[0], tmp_path / "t.webp")
    one._time_limit = 60
    await one.make(picture(tmp_path, 1)[0], tmp_path / "t.webp")
    await one.stop()


KILLED = """
import json, os, pathlib, sys
for line in sys.stdin:
    request = json.loads(line)
    if "deadly" in request["source"]:
        os.kill(os.getpid(), 11)
    pathlib.Path(request["target"]).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(request["target"]).write_bytes(b"made")
    print('{"error": null}', flush=True)
"""


async def test_a_file_that_kills_the_process_is_left_out_and_the_next_one_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, KILLED)
    bad, good = deadly(tmp_path), [picture(tmp_path, number) for number in range(3)]
    async with opened(tmp_path) as maker:
        await maker.make(*good[0])
        with pytest.raises(NoThumbnailError, match=r"ended the process that decodes \(exit code -11\)"):
            await maker.make(*bad)
        with pytest.raises(NoThumbnailError, match="exit code -11"):
            await maker.make(*bad)  # it is remembered, and not tried once more
        assert (await maker.make(*good[1])).exists()
        assert (await maker.make(*good[2])).exists()


async def test_a_process_that_never_works_is_not_started_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts = tmp_path / "starts"
    stand_in(monkeypatch, f"open({str(starts)!r}, 'a').write('x'); raise SystemExit(3)")
    files = [picture(tmp_path, number) for number in range(9)]
    async with opened(tmp_path) as maker:
        results = await asyncio.gather(*(maker.make(*file) for file in files), return_exceptions=True)
    assert all(isinstance(result, NoThumbnailError) for result in results)
    assert len(starts.read_text()) == 5
    assert "does not work" in str(results[0])


async def test_the_process_ends_with_the_program_that_started_it(tmp_path: Path) -> None:
    program = """if True:
        import asyncio, json, os, sys
        from pathlib import Path
        from batchgen.thumbnails.child import Child
        async def main():
            child = Child()
            await child.make(Path(sys.argv[1]), Path(sys.argv[2]))
            print((await child._running()).pid, flush=True)
            request = json.dumps({"source": sys.argv[3], "target": sys.argv[2]})
            (await child._running()).stdin.write(request.encode() + b"\\n")
            os.kill(os.getpid(), 9)
        asyncio.run(main())
    """
    path, _ = picture(tmp_path, 1)
    pipe, _ = deadly(tmp_path)
    arguments = [sys.executable, "-c", program, str(path), str(tmp_path / "t.webp"), str(pipe)]
    ended = await asyncio.to_thread(subprocess.run, arguments, stdout=subprocess.PIPE, check=False)
    assert ended.returncode == -9
    number = int(ended.stdout)
    await gone(lambda: os.kill(number, 0))


async def gone(look: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                look()
            except ProcessLookupError:
                return
            await asyncio.sleep(0.01)


async def test_the_process_is_not_given_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API18_KEY", "api18_Secret0000000000")
    one = Child()
    await one.make(picture(tmp_path, 1)[0], tmp_path / "t.webp")
    process = await one._running()
    environment = Path(f"/proc/{process.pid}/environ")
    if environment.exists():
        assert b"Secret" not in environment.read_bytes()
        assert int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[16]) >= 10  # its niceness
    await one.stop()


async def test_a_process_that_is_stopped_in_the_middle_answers_the_next_request_rightly(tmp_path: Path) -> None:
    one, (path, _) = Child(), picture(tmp_path, 1)
    stuck = asyncio.create_task(one.make(deadly(tmp_path)[0], tmp_path / "t.webp"))
    await asyncio.sleep(0)
    stuck.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stuck
    await one.make(path, tmp_path / "t.webp")
    assert await one.stop() is not None
    assert await one.stop() is None


async def test_a_disk_that_takes_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "thumbs").write_text("in the way")
    async with opened(tmp_path) as maker:
        with pytest.raises(NoThumbnailError, match=r"Not a directory|File exists") as told:
            await maker.make(*picture(tmp_path, 1))
    assert not isinstance(told.value, CrashedError)


def test_all_that_are_missing(tmp_path: Path) -> None:
    files = [picture(tmp_path, number) for number in range(6)]
    broken = tmp_path / "files" / "broken.png"
    broken.write_bytes(files[0][0].read_bytes()[:-20])
    files.append((broken, "0" * 64))
    looked: list[None] = []
    first = make_thumbnails(tmp_path, files, lambda: looked.append(None))
    assert (first.there, first.made) == (0, 6)
    assert list(first.failed.values()) == [1]
    assert len(looked) == 7
    again = make_thumbnails(tmp_path, files)
    assert (again.there, again.made, dict(again.failed)) == (6, 0, dict(first.failed))
    assert sum(1 for path in (tmp_path / "thumbs").rglob("*") if path.is_file()) == 6


def test_without_pillow_it_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thumbnailer, "missing_extra", lambda _: "pip install it")
    assert make_thumbnails(tmp_path, [picture(tmp_path, 1)]).failed == {"not installed: pip install it": 1}


@pytest.mark.parametrize("name", ["", "0" * 63, "../" + "0" * 61, "G" * 64, "0" * 64 + "\n", "A" * 64])
def test_a_place_is_made_of_a_digest_alone(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        thumbnail_path(tmp_path, name)
