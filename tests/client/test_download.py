"""An output on its way to its place: whole, durable, never over another file, and never elsewhere."""

import asyncio
import errno
import hashlib
import io
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.rawserver import answering, http, raw_server

from batchgen.api import Api, Output, OutputError, OutputMissing, PollAnswer, SubmitAnswer
from batchgen.client.http import HttpApi
from batchgen.core.batching import BatchedCalls
from batchgen.core.errors import DiskError
from batchgen.core.records import StoredFile
from batchgen.download import Memory, OutputDamaged, OutputUnfamiliar, check_file, fetch, stem_of
from batchgen.store import LocalDisk
from batchgen.store.local_disk import StagedFile


def picture(kind: str = "PNG", size: tuple[int, int] = (64, 48)) -> bytes:
    file = io.BytesIO()
    Image.effect_noise(size, 40).save(file, kind)
    return file.getvalue()


PNG = picture()
LARGE = picture(size=(1600, 1600))
"""More than is collected in memory."""


class OneFile:
    """An API with one output."""

    def __init__(self, *chunks: bytes, length: int | None = None, error: Exception | None = None) -> None:
        self.chunks, self.length, self.error = chunks, length, error
        self.content_type: str | None = None
        self.clock_offset = None

    async def submit(self, body: str, endpoint: str, *, wait: bool) -> SubmitAnswer:
        raise AssertionError("a download buys nothing")

    async def poll(self, job_id: str) -> PollAnswer:
        raise AssertionError("a download polls nothing")

    def open_output(self, url: str) -> AbstractAsyncContextManager[Output]:
        return self._open()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Output]:
        async def chunks() -> AsyncIterator[bytes]:
            for chunk in self.chunks:
                yield chunk
            if self.error is not None:
                raise self.error

        yield Output(self.length, chunks(), self.content_type)

    async def aclose(self) -> None:
        pass


async def inline(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


async def never_aside(path: str) -> None:
    raise AssertionError(f"{path} is in the way")


async def get(
    folder: Path,
    api: Api,
    stem: str = "mug",
    kind: str | None = "image",
    move_aside: Callable[[str], Awaitable[None]] = never_aside,
    seen: str | None = None,
) -> StoredFile:
    fetched = await fetch(
        api,
        "https://files.test/x",
        LocalDisk(folder),
        stem,
        1,
        kind=kind,
        move_aside=move_aside,
        seen=seen,
        offload=inline,
        memory=Memory(),
    )
    return fetched.file


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


async def test_a_file_gets_its_name_from_its_bytes(tmp_path: Path) -> None:
    stored = await get(tmp_path, OneFile(PNG[:100], PNG[100:], length=len(PNG)), "a.b/mug.v2@1")
    assert stored == StoredFile(1, "files/a.b/mug.v2@1.png", len(PNG), hashlib.sha256(PNG).hexdigest())
    assert (tmp_path / stored.path).read_bytes() == PNG
    assert everything(tmp_path) == [stored.path]
    assert check_file(LocalDisk(tmp_path), stored, hash=True) is None


async def test_in_a_thread_and_over_http(tmp_path: Path) -> None:
    jpeg = picture("JPEG")
    async with raw_server(answering(http(200, jpeg))) as server:
        api = HttpApi(server.url, "api18_x")
        try:
            disk = LocalDisk(tmp_path)
            async with BatchedCalls("files") as offload:
                fetched = await fetch(
                    api, server.url + "/f", disk, "x", 2,
                    kind=None, move_aside=never_aside, offload=offload, memory=Memory(),
                )  # fmt: skip
        finally:
            await api.aclose()
    assert fetched.file == StoredFile(2, "files/x.jpg", len(jpeg), hashlib.sha256(jpeg).hexdigest())


async def test_a_body_that_outgrows_memory_without_a_length_is_written_as_it_comes(tmp_path: Path) -> None:
    parts: list[list[str]] = []

    class Growing(OneFile):
        @asynccontextmanager
        async def _open(self) -> AsyncIterator[Output]:
            async def chunks() -> AsyncIterator[bytes]:
                for at in range(0, len(LARGE), 300_000):
                    parts.append(everything(tmp_path))
                    yield LARGE[at : at + 300_000]

            yield Output(None, chunks())

    stored = await get(tmp_path, Growing())
    assert parts[0] == parts[3] == []
    assert parts[-1] == ["files/mug.part"]
    assert stored == StoredFile(1, "files/mug.png", len(LARGE), hashlib.sha256(LARGE).hexdigest())
    assert check_file(LocalDisk(tmp_path), stored, hash=True) is None


async def test_memory_is_bounded_over_all_downloads_and_given_back(tmp_path: Path) -> None:
    """Two megabytes: a second download starts when a first one is known to be small, a third when one is over."""
    memory, opened, gate = Memory(2 << 20), [], asyncio.Event()

    class Slow(OneFile):
        @asynccontextmanager
        async def _open(self) -> AsyncIterator[Output]:
            async def chunks() -> AsyncIterator[bytes]:
                await gate.wait()
                yield self.chunks[0]

            opened.append(self)
            yield Output(self.length, chunks())

    small, one, two, three = Slow(PNG, length=len(PNG)), Slow(PNG), Slow(PNG), Slow(PNG, error=OutputMissing("gone"))
    async with asyncio.TaskGroup() as group:
        for number, api in enumerate((one, small, two, three)):
            group.create_task(
                fetch(
                    api, "https://files.test/x", LocalDisk(tmp_path), str(number), 1,
                    kind=None, move_aside=never_aside, offload=inline, memory=memory,
                )
            )  # fmt: skip
        for _ in range(20):
            await asyncio.sleep(0)
        assert opened == [one, small]
        gate.set()
    assert opened == [one, small, two, three]
    async with memory.hold(2 << 20):
        pass  # all of it is free again


@pytest.mark.parametrize("content", [PNG, LARGE], ids=["small", "large"])
async def test_the_event_loop_touches_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    """Whether a download succeeds, fails, is cancelled, or finds its name taken."""
    loop_thread, calls = threading.get_ident(), set[str]()

    def note(patch: pytest.MonkeyPatch, module: Any, name: str) -> None:
        real = getattr(module, name)

        def noted(*args: Any, **more: Any) -> Any:
            if threading.get_ident() == loop_thread:
                raise AssertionError(f"{name} in the event loop")
            calls.add(name)
            return real(*args, **more)

        patch.setattr(module, name, noted)

    store = LocalDisk(tmp_path)
    (tmp_path / "files").mkdir()
    (tmp_path / "files/taken.png").write_bytes(b"earlier")
    async with BatchedCalls("files") as offload:

        async def aside(path: str) -> None:
            await offload(store.move, [(path, "superseded/taken.png")])

        async def get_it(api: Api, stem: str) -> StoredFile:
            fetched = await fetch(
                api, "https://files.test/x", store, stem, 1,
                kind=None, move_aside=aside, offload=offload, memory=Memory(),
            )  # fmt: skip
            return fetched.file

        waiting = Gated(content)
        with monkeypatch.context() as patch:
            for name in ("open", "fsync", "replace", "unlink", "mkdir", "fstat", "lstat", "stat", "close", "rename"):
                note(patch, os, name)
            note(patch, io, "open")
            cancelled = asyncio.create_task(get_it(waiting, "cancelled"))
            stored = await get_it(OneFile(content), "taken")
            for damaged in (OneFile(content[:-1]), OneFile(content, error=OutputMissing("gone"))):
                with pytest.raises(OutputError):
                    await get_it(damaged, "damaged")
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
    assert {"open", "fsync", "replace", "rename"} <= calls
    assert (tmp_path / stored.path).read_bytes() == content
    assert everything(tmp_path) == ["files/taken.png", "superseded/taken.png"]


@pytest.mark.parametrize(
    ("api", "kind", "error"),
    [
        (OneFile(PNG, length=len(PNG) + 1), "image", OutputError),
        (OneFile(PNG, length=len(PNG) - 1), "image", OutputError),
        (OneFile(PNG[:-1]), "image", OutputDamaged),
        (OneFile(), "image", OutputDamaged),
        (OneFile(b"<html><title>502</title></html>"), "image", OutputDamaged),
        (OneFile(b'{"error": {}}'), None, OutputDamaged),
        (OneFile(PNG), "video", OutputDamaged),
        (OneFile(PNG[:50], error=OutputMissing("gone")), "image", OutputMissing),
        (OneFile(PNG[:50], error=RuntimeError("a bug")), "image", RuntimeError),
    ],
)
async def test_nothing_is_left_of_a_failure(
    tmp_path: Path, api: OneFile, kind: str | None, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        await get(tmp_path, api, kind=kind)
    assert type(caught.value) is error
    assert everything(tmp_path) == []


async def test_nothing_is_left_of_a_cancelled_download(tmp_path: Path) -> None:
    class Endless(OneFile):
        @asynccontextmanager
        async def _open(self) -> AsyncIterator[Output]:
            async def chunks() -> AsyncIterator[bytes]:
                yield LARGE
                started.set()
                await asyncio.Event().wait()

            yield Output(None, chunks())

    started = asyncio.Event()
    task = asyncio.create_task(get(tmp_path, Endless()))
    await started.wait()
    assert everything(tmp_path) == ["files/mug.part"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert everything(tmp_path) == []


async def test_what_has_the_name_makes_way(tmp_path: Path) -> None:
    moved = []

    async def aside(path: str) -> None:
        moved.append(path)
        (tmp_path / path).rename(tmp_path / "aside")

    (tmp_path / "files").mkdir()
    (tmp_path / "files/mug.png").write_bytes(b"earlier")
    (tmp_path / "files/mug.part").write_bytes(b"left over by a kill, and longer than the file" * 1000)
    await get(tmp_path, OneFile(PNG), move_aside=aside)
    assert moved == ["files/mug.png"]
    assert (tmp_path / "aside").read_bytes() == b"earlier"
    assert (tmp_path / "files/mug.png").read_bytes() == PNG


async def test_nothing_is_ever_overwritten(tmp_path: Path) -> None:
    async def lazy(path: str) -> None:
        pass

    (tmp_path / "files").mkdir()
    (tmp_path / "files/mug.png").write_bytes(b"earlier")
    with pytest.raises(FileExistsError):
        await get(tmp_path, OneFile(PNG), move_aside=lazy)
    assert (tmp_path / "files/mug.png").read_bytes() == b"earlier"


@pytest.mark.parametrize("stem", ["", "/etc/x", "../x", "a/../../x", "a//x", "./x", "a/./b", "a\0b"])
async def test_a_path_that_leaves_the_folder_is_a_bug(tmp_path: Path, stem: str) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with pytest.raises(ValueError, match="not a path below"):
        await get(run, OneFile(PNG), stem)
    assert everything(tmp_path) == []


async def test_a_link_does_not_lead_out(tmp_path: Path) -> None:
    run, outside = tmp_path / "run", tmp_path / "outside"
    (run / "files").mkdir(parents=True)
    outside.mkdir()
    (outside / "precious").write_bytes(b"precious")
    (run / "files/link").symlink_to(outside)
    (run / "files/round").symlink_to(run / "files/round")
    (run / "files/mug.part").symlink_to(outside / "precious")
    (run / "files/mug.png").symlink_to(outside / "precious")
    for stem in ("link/x", "link/deep/x"):
        with pytest.raises(DiskError, match="symbolic link"):
            await get(run, OneFile(PNG), stem)

    async def aside(path: str) -> None:
        (run / path).rename(run / "aside.png")

    await get(run, OneFile(PNG), move_aside=aside)
    assert (run / "files/mug.png").read_bytes() == PNG
    assert not (run / "files/mug.png").is_symlink()
    assert everything(outside) == ["precious"]
    assert (outside / "precious").read_bytes() == b"precious"


async def test_the_folder_of_files_may_be_on_another_disk(tmp_path: Path) -> None:
    run, disk = tmp_path / "run", tmp_path / "disk"
    run.mkdir()
    disk.mkdir()
    (run / "files").symlink_to(disk)
    stored = await get(run, OneFile(PNG), "a/b")
    assert stored.path == "files/a/b.png"
    assert (disk / "a/b.png").read_bytes() == PNG


async def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(DiskError, match="No space left"):
            await get(tmp_path, OneFile(PNG))
    assert everything(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
async def test_a_disk_that_fills_up_while_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    def onto_a_full_disk(self: Path, mode: str = "r", buffering: int = -1) -> Any:
        return real(Path("/dev/full"), "r+b", 0) if mode == "x+b" else real(self, mode, buffering)

    monkeypatch.setattr(Path, "open", onto_a_full_disk)
    with pytest.raises(DiskError, match="No space left"):
        await get(tmp_path, OneFile(PNG))


async def test_a_folder_that_may_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(DiskError, match="Permission denied"):
        await get(tmp_path, OneFile(PNG))


async def test_the_order_of_durability(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """New folders are synced in their parents; the bytes are synced before the rename, the folder after it."""
    events: list[tuple[str, str]] = []
    real_sync, real_replace = os.fsync, Path.replace

    def sync(handle: int) -> None:
        events.append(("sync", str(Path(f"/proc/self/fd/{handle}").readlink())))
        real_sync(handle)

    def replace(self: Path, target: Path) -> Path:
        events.append(("rename", str(target)))
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    await get(tmp_path, OneFile(PNG), "a/mug")
    assert events == [
        ("sync", str(tmp_path)),
        ("sync", str(tmp_path / "files")),
        ("sync", str(tmp_path / "files/a/mug.part")),
        ("rename", str(tmp_path / "files/a/mug.png")),
        ("sync", str(tmp_path / "files/a")),
    ]


def test_stems() -> None:
    assert stem_of("a/mug", 1, 1) == "a/mug"
    assert [stem_of("a/mug", n, 2) for n in (1, 2)] == ["a/mug@1", "a/mug@2"]


def test_checks(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    path = tmp_path / "files/mug.png"
    stored = StoredFile(1, "files/mug.png", len(PNG), hashlib.sha256(PNG).hexdigest())
    assert check_file(LocalDisk(tmp_path), stored, hash=True) == "is missing"
    path.write_bytes(PNG)
    assert check_file(LocalDisk(tmp_path), stored, hash=True) is None
    path.write_bytes(PNG[:-1])
    assert check_file(LocalDisk(tmp_path), stored, hash=False) == f"has {len(PNG) - 1} bytes instead of {len(PNG)}"
    other = picture()
    path.write_bytes(other)
    another = StoredFile(1, "files/mug.png", len(other), stored.sha256)
    assert check_file(LocalDisk(tmp_path), another, hash=False) is None
    assert check_file(LocalDisk(tmp_path), another, hash=True) == "has another SHA-256"
    junk = b"x" * len(PNG)
    path.write_bytes(junk)
    assert "not an image or video" in str(check_file(LocalDisk(tmp_path), stored, hash=False))
    path.unlink()
    path.mkdir()
    assert "cannot be read" in str(check_file(LocalDisk(tmp_path), stored, hash=False))
    with pytest.raises(ValueError, match="not a path below"):
        check_file(LocalDisk(tmp_path), StoredFile(1, "../x", 1, ""), hash=False)


def test_what_the_system_takes_in_pieces_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Reluctant(io.FileIO):
        def write(self, data: Any) -> int:
            return super().write(data[:3])

    monkeypatch.setattr("batchgen.store.staging._create", lambda part, _: Reluctant(part, "w"))
    staged = StagedFile(tmp_path, tmp_path / "a")
    staged.write(b"ten bytes.")
    assert (tmp_path / "a").read_bytes() == b"ten bytes."
    staged.discard()


class Gated(OneFile):
    """An API whose one output waits in its middle."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.gate = asyncio.Event()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Output]:
        async def chunks() -> AsyncIterator[bytes]:
            yield self.chunks[0][:-50]
            await self.gate.wait()
            yield self.chunks[0][-50:]

        yield Output(None, chunks())


async def test_of_two_downloads_of_one_name_none_passes_for_the_other(tmp_path: Path) -> None:
    first, second = Gated(picture(size=(1600, 1600))), Gated(LARGE)
    downloads = []
    for api in (first, second):
        downloads.append(asyncio.create_task(get(tmp_path, api)))
        await asyncio.sleep(0)
    first.gate.set()
    with pytest.raises(OutputError, match="another download"):
        await downloads[0]
    assert everything(tmp_path) == ["files/mug.part"], "the second one's"
    second.gate.set()
    stored = await downloads[1]
    assert (tmp_path / stored.path).read_bytes() == LARGE


@pytest.mark.parametrize("stem", ["a/b", "a", "x" * 253, "loop/x"])
async def test_what_cannot_be_opened_is_a_disk_error(tmp_path: Path, stem: str) -> None:
    files = tmp_path / "files"
    (files / "a.part").mkdir(parents=True)
    (files / "a").write_text("a file where a folder should be")
    (files / "loop").symlink_to("loop")
    with pytest.raises(DiskError):
        await get(tmp_path, OneFile(PNG), stem)


async def test_a_file_that_cannot_be_looked_at_is_a_disk_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr("batchgen.media.mmap.mmap", broken)
    with pytest.raises(DiskError, match="No such device"):
        await get(tmp_path, OneFile(LARGE))
    assert everything(tmp_path) == []


FOREIGN = b"\0\1\2\3 of a format to come"


@pytest.mark.parametrize(
    ("content_type", "extension"),
    [
        (None, "bin"), ("image/x-exr", "exr"), ("video/x-msvideo", "avi"), ("image/png", "bin"), ("text/html", "bin"),
        ("application/x-sh", "bin"), ("../../etc", "bin"),
    ],
)  # fmt: skip
async def test_what_is_not_known_is_kept_when_it_comes_twice(
    tmp_path: Path, content_type: str | None, extension: str
) -> None:
    api = OneFile(FOREIGN)
    api.content_type = content_type
    with pytest.raises(OutputUnfamiliar) as first:
        await get(tmp_path, api)
    assert everything(tmp_path) == []
    with pytest.raises(OutputUnfamiliar):
        await get(tmp_path, OneFile(FOREIGN + b"!"), seen=first.value.sha256)
    stored = await get(tmp_path, api, seen=first.value.sha256)
    assert stored == StoredFile(1, f"files/mug.{extension}", len(FOREIGN), first.value.sha256, familiar=False)
    assert check_file(LocalDisk(tmp_path), stored, hash=True) is None
    assert check_file(LocalDisk(tmp_path), stored, hash=False) is None
    (tmp_path / stored.path).write_bytes(FOREIGN[::-1])
    assert check_file(LocalDisk(tmp_path), stored, hash=False) == "has another SHA-256"


async def test_a_text_is_not_kept_however_often_it_comes(tmp_path: Path) -> None:
    page = b"<html>Sorry</html>"
    with pytest.raises(OutputDamaged):
        await get(tmp_path, OneFile(page), seen=hashlib.sha256(page).hexdigest())
