"""Fetching one output of a job: streamed beside its place, checked, made durable, renamed into it last."""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from batchgen.api import Api, OutputError
from batchgen.core.errors import DiskError
from batchgen.core.files import disk_errors, sync_folder
from batchgen.core.records import StoredFile
from batchgen.media import Damaged, Unfamiliar, extension_for, inspect, inspect_file

Offload = Callable[..., Awaitable[Any]]
"""Calls a function with arguments somewhere else than in the event loop, as `asyncio.to_thread` does."""
_QUICKLY_JUDGED = 1 << 20
"""Bytes that are looked through within a millisecond or so: no longer than the loop may stand still."""


class OutputDamaged(OutputError):  # noqa: N818 - a state of the output, as its siblings in `batchgen.api`
    """The bytes arrived, but they are not the whole image or video that they should be."""


class OutputUnfamiliar(OutputDamaged):
    """The bytes arrived, and are of no format that is known: whether they are whole shows when they come once more."""

    def __init__(self, message: str, sha256: str) -> None:
        super().__init__(message)
        self.sha256 = sha256


def stem_of(path: str, output: int, outputs: int) -> str:
    """Return where an output goes below `files/`, without its extension: `PATH` for an only one, else `PATH@N`."""
    return path if outputs == 1 else f"{path}@{output}"


async def fetch(
    api: Api,
    url: str,
    folder: Path,
    stem: str,
    output: int,
    *,
    kind: str | None,
    make_way: Callable[[str], Awaitable[None]],
    seen: str | None = None,
    offload: Offload = asyncio.to_thread,
    received: Callable[[], None] = lambda: None,
) -> StoredFile:
    """Fetch the output at `url` into `files/STEM.EXTENSION` below the run folder `folder`, durably.

    The extension follows from the bytes. Those of a format that is not known are kept where they have the SHA-256
    `seen`, of an earlier arrival; then it follows from what the server calls them. `kind` is what the job should have
    made, `image` or `video`, where known. `make_way` is awaited with the path of a file that already has the name, and
    moves it away; `received` is called when all bytes are here, and only the disk is still waited for. While the
    download runs, and after a hard kill, the bytes stand in `files/STEM.part`; after any other end that file is gone.

    Raises OutputError and its kinds (`OutputDamaged` and `OutputUnfamiliar` among them), and DiskError.
    """
    part = _part_of(folder, stem)
    with _opened(part) as file:
        try:
            arrival = await _stream(api, url, file, part)
            received()
            with disk_errors(part):
                extension, familiar = await _judge(file, arrival, kind, seen, offload)
                await offload(os.fsync, file.fileno())
            path = f"files/{stem}.{extension}"
            final = folder / path
            if not _place(file, part, final):
                await make_way(path)
                if not _place(file, part, final):
                    raise FileExistsError(f"{final} was not moved out of the way")  # a bug: nothing is overwritten
        except BaseException:
            _discard(file, part)
            raise
    await offload(_sync_folder, final.parent)
    return StoredFile(output, path, arrival.size, arrival.sha256, familiar)


def check_file(folder: Path, stored: StoredFile, hash: bool) -> str | None:  # noqa: A002, FBT001 - `verify` calls it so
    """Return why a file below the run folder is not what was stored, or None.

    Judged by its length and container, and by its SHA-256 if `hash`, or where the format is not known. Raises
    ValueError for a path out of the folder.
    """
    path = _inside(folder, stored.path)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
        if size != stored.bytes:
            return f"has {size} bytes instead of {stored.bytes}"
        if hash and _sha256(path) != stored.sha256:
            return "has another SHA-256"
        if not _is_familiar(path) and _sha256(path) != stored.sha256:
            return "has another SHA-256"
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except Damaged as damage:
        return str(damage)
    return None


def _is_familiar(path: Path) -> bool:
    """Return whether a file's format is known, and the file whole. Raises Damaged where it is not whole."""
    try:
        inspect(path)
    except Unfamiliar:
        return False
    return True


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _inside(root: Path, path: str) -> Path:
    """Return `root / path`; raises ValueError, since it is a bug, where the path does not stay below `root`."""
    if not path or "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError(f"not a path below a folder: {path!r}")
    return root / path


def _part_of(folder: Path, stem: str) -> Path:
    """Return where the bytes of an output are collected. Raises DiskError where that lies outside of the folder."""
    root = folder / "files"
    part = Path(f"{_inside(root, stem)}.part")
    # The folder of all files may be a link to a larger disk; below it, a link must not lead out of it.
    if "/" in stem and not Path(os.path.realpath(part.parent)).is_relative_to(os.path.realpath(root)):
        raise DiskError(f"cannot write {part}: a symbolic link there leads out of {root}; remove it")
    return part


@contextmanager
def _opened(part: Path) -> Iterator[FileIO]:
    """Open a new file, in folders that are made, durably, where they are missing. Raises DiskError."""
    with disk_errors(part):
        try:
            file = part.open("x+b", buffering=0)
        except (FileNotFoundError, FileExistsError) as error:
            if isinstance(error, FileExistsError):
                part.unlink()
            else:
                _make_folders(part.parent)
            file = part.open("x+b", buffering=0)
    try:
        yield file
    finally:
        with disk_errors(part):
            file.close()


def _make_folders(folder: Path) -> None:
    missing = [parent for parent in (folder, *folder.parents) if not parent.is_dir()]
    for parent in reversed(missing):
        parent.mkdir()
        sync_folder(parent.parent)


@dataclass(frozen=True, slots=True)
class _Arrival:
    """What is known of bytes that have all arrived."""

    size: int
    sha256: str
    content_type: str | None


async def _stream(api: Api, url: str, file: FileIO, part: Path) -> _Arrival:
    """Write the output's bytes to `file`."""
    digest = hashlib.sha256()
    size = 0
    async with api.open_output(url) as output:
        async for chunk in output.chunks:
            with disk_errors(part):
                _write(file, chunk)
            digest.update(chunk)
            size += len(chunk)
    if output.length is not None and size != output.length:
        raise OutputError(f"the file is cut short: {size} of {output.length} bytes")
    return _Arrival(size, digest.hexdigest(), output.content_type)


def _write(file: FileIO, data: bytes) -> None:
    """Write all of `data`: write(2) may take less, as on a disk that is about to be full."""
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]


async def _judge(
    file: FileIO, arrival: _Arrival, kind: str | None, seen: str | None, offload: Offload
) -> tuple[str, bool]:
    """Return the extension of a file that is found whole, and of the kind that was ordered, and whether it is known.

    Raises OutputDamaged.
    """
    try:
        # Where there is little to look at, another thread would only be in the way.
        media = inspect_file(file) if arrival.size <= _QUICKLY_JUDGED else await offload(inspect_file, file)
    except Unfamiliar as unknown:
        if seen != arrival.sha256:
            raise OutputUnfamiliar(f"the file {unknown}", arrival.sha256) from unknown
        return extension_for(arrival.content_type), False
    except Damaged as damage:
        raise OutputDamaged(f"the file {damage}") from damage
    if kind is not None and media.kind != kind:
        raise OutputDamaged(f"the file is no {kind}, which was ordered, but {media.extension}")
    return media.extension, True


def _place(file: FileIO, part: Path, final: Path) -> bool:
    """Give a file that is safe on disk its name, and return whether that was free.

    Raises OutputError where another download of the same name has put its own file into the place of this one.
    """
    if os.path.lexists(final):
        return False
    if not _is_at(file, part):
        raise OutputError("another download of the same name came between")
    with disk_errors(final):
        part.replace(final)
    return True


def _discard(file: FileIO, part: Path) -> None:
    """Remove what was not finished, unless another download has taken its place; the first error is the one told."""
    with suppress(OSError):
        if _is_at(file, part):
            part.unlink()


def _is_at(file: FileIO, part: Path) -> bool:
    with disk_errors(part):
        try:
            return os.path.samestat(os.fstat(file.fileno()), part.lstat())
        except FileNotFoundError:
            return False


def _sync_folder(folder: Path) -> None:
    with disk_errors(folder):
        sync_folder(folder)
