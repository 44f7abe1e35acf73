"""Fetching one output of a job: staged, checked, made durable, and published last."""

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from io import FileIO
from typing import Any

from batchgen.api import Api, OutputError
from batchgen.core.files import disk_errors
from batchgen.core.records import StoredFile
from batchgen.media import Damaged, Unfamiliar, extension_for, inspect_file
from batchgen.store import OutputStore, Staged, StagedReplacedError

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
    store: OutputStore,
    stem: str,
    output: int,
    *,
    kind: str | None,
    make_way: Callable[[str], Awaitable[None]],
    seen: str | None = None,
    offload: Offload = asyncio.to_thread,
    received: Callable[[], None] = lambda: None,
) -> StoredFile:
    """Fetch the output at `url` into the store as `files/STEM.EXTENSION`, durably.

    The extension follows from the bytes. Those of a format that is not known are kept where they have the SHA-256
    `seen`, of an earlier arrival; then it follows from what the server calls them. `kind` is what the job should have
    made, `image` or `video`, where known. `make_way` is awaited with the path of a file that already has the name, and
    moves it away; `received` is called when all bytes are here, and only the disk is still waited for.

    Raises OutputError and its kinds (`OutputDamaged` and `OutputUnfamiliar` among them), and DiskError.
    """
    with store.stage(stem) as staged:
        try:
            arrival = await _stream(api, url, staged)
            received()
            with disk_errors(staged.place):
                extension, familiar = await _judge(staged.file, arrival, kind, seen, offload)
            await offload(staged.sync)
            name = f"files/{stem}.{extension}"
            if not _published(staged, name):
                await make_way(name)
                if not _published(staged, name):
                    raise FileExistsError(f"{name} was not moved out of the way")  # a bug: nothing is overwritten
        except BaseException:
            staged.discard()
            raise
    await offload(store.settle, name)
    return StoredFile(output, name, arrival.size, arrival.sha256, familiar)


def _published(staged: Staged, name: str) -> bool:
    try:
        return staged.publish(name)
    except StagedReplacedError as error:
        raise OutputError(str(error)) from error


def check_file(store: OutputStore, stored: StoredFile, hash: bool) -> str | None:  # noqa: A002, FBT001 - `verify` calls it so
    """Return why a file is not what was stored, or None.

    Judged by its length and container, and by its SHA-256 if `hash`, or where the format is not known. Raises
    ValueError for a name that leads out of the store.
    """
    try:
        with store.open(stored.path) as file:
            size = os.fstat(file.fileno()).st_size
            if size != stored.bytes:
                return f"has {size} bytes instead of {stored.bytes}"
            if hash and _sha256(file) != stored.sha256:
                return "has another SHA-256"
            if not _is_familiar(file) and _sha256(file) != stored.sha256:
                return "has another SHA-256"
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except Damaged as damage:
        return str(damage)
    return None


def _is_familiar(file: FileIO) -> bool:
    """Return whether a file's format is known, and the file whole. Raises Damaged where it is not whole."""
    try:
        inspect_file(file)
    except Unfamiliar:
        return False
    return True


def _sha256(file: FileIO) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True, slots=True)
class _Arrival:
    """What is known of bytes that have all arrived."""

    size: int
    sha256: str
    content_type: str | None


async def _stream(api: Api, url: str, staged: Staged) -> _Arrival:
    """Write the bytes of an output to its staged file."""
    digest = hashlib.sha256()
    size = 0
    async with api.open_output(url) as output:
        async for chunk in output.chunks:
            staged.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    if output.length is not None and size != output.length:
        raise OutputError(f"the file is cut short: {size} of {output.length} bytes")
    return _Arrival(size, digest.hexdigest(), output.content_type)


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
        raise OutputDamaged(f"the file is not the {kind} that was ordered but {media.extension}")
    return media.extension, True
