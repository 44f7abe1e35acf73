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
from batchgen.media import Damaged, Media, Unfamiliar, extension_for, inspect_file
from batchgen.media.facts import UNKNOWN, Facts
from batchgen.store import OutputStore, Staged, StagedReplacedError

Offload = Callable[..., Awaitable[Any]]
"""Calls a function with arguments outside the event loop, as `asyncio.to_thread` does."""
_QUICKLY_JUDGED = 1 << 20
"""Bytes that can be inspected in about a millisecond: the event loop must not be blocked for longer."""


class OutputDamaged(OutputError):  # noqa: N818 - a state of the output, as its siblings in `batchgen.api`
    """The bytes arrived, but they are not a whole image or video of the kind that was ordered."""


class OutputUnfamiliar(OutputDamaged):
    """The bytes arrived, in an unknown format: only if they arrive the same once more can they be trusted."""

    def __init__(self, message: str, sha256: str) -> None:
        super().__init__(message)
        self.sha256 = sha256


@dataclass(frozen=True, slots=True)
class Fetched:
    """An output that is on disk, and what it is."""

    file: StoredFile
    facts: Facts


def stem_of(path: str, output: int, outputs: int) -> str:
    """Return the name of an output below `files/`, without extension: `PATH` if it is the only one, else `PATH@N`."""
    return path if outputs == 1 else f"{path}@{output}"


async def fetch(
    api: Api,
    url: str,
    store: OutputStore,
    stem: str,
    output: int,
    *,
    kind: str | None,
    move_aside: Callable[[str], Awaitable[None]],
    seen: str | None = None,
    offload: Offload = asyncio.to_thread,
    received: Callable[[], None] = lambda: None,
) -> Fetched:
    """Fetch the output at `url` into the store as `files/STEM.EXTENSION`, durably, and return what it is.

    The extension follows from the bytes. Bytes of an unknown format are kept if they have the SHA-256 `seen`, that of
    an earlier arrival; then the extension follows from the server's content type. `kind` is what the job should have
    made, `image` or `video`, if known. `move_aside` is awaited with the name of a file that already has the final name,
    to move it; `received` is called when all bytes have arrived and only the disk is waited for.

    Raises OutputError or a subclass of it (`OutputDamaged` and `OutputUnfamiliar` among them), and DiskError.
    """
    with store.stage(stem) as staged:
        try:
            arrival = await _stream(api, url, staged)
            received()
            with disk_errors(staged.place):
                media = await _inspect(staged.file, arrival, kind, seen, offload)
            await offload(staged.sync)
            extension = extension_for(arrival.content_type) if media is None else media.extension
            name = f"files/{stem}.{extension}"
            if not _published(staged, name):
                await move_aside(name)
                if not _published(staged, name):
                    raise FileExistsError(f"{name} was not moved aside")  # a bug: nothing is overwritten
        except BaseException:
            staged.discard()
            raise
    await offload(store.sync, name)
    file = StoredFile(output, name, arrival.size, arrival.sha256, familiar=media is not None)
    return Fetched(file, UNKNOWN if media is None else media.facts)


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
    """The bytes of an output that have arrived, as far as they are described."""

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


async def _inspect(
    file: FileIO, arrival: _Arrival, kind: str | None, seen: str | None, offload: Offload
) -> Media | None:
    """Return what a file is; None if its format is not known.

    Raises OutputDamaged if the file is not whole or not of the kind that was ordered.
    """
    try:
        # A small file is inspected here: that costs less than handing it to a thread.
        media: Media = inspect_file(file) if arrival.size <= _QUICKLY_JUDGED else await offload(inspect_file, file)
    except Unfamiliar as unknown:
        if seen != arrival.sha256:
            raise OutputUnfamiliar(f"the file {unknown}", arrival.sha256) from unknown
        return None
    except Damaged as damage:
        raise OutputDamaged(f"the file {damage}") from damage
    if kind is not None and media.kind != kind:
        raise OutputDamaged(f"the file is not the {kind} that was ordered but {media.extension}")
    return media
