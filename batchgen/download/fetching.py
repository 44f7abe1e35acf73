"""Fetching an output: the event loop receives its bytes, and a thread saves them (`batchgen.download.saving`)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from batchgen.api import Api, OutputError
from batchgen.core.records import StoredFile
from batchgen.download.saving import SAVE, NameTakenError, Saving
from batchgen.media.facts import Facts
from batchgen.store import OutputStore

Offload = Callable[..., Awaitable[Any]]
"""Calls a function with arguments outside the event loop, one call after the other, even if the caller is cancelled."""
_IN_MEMORY = 1 << 20
"""Bytes of one output that are collected before they are handed to the thread: many outputs are not larger."""
_MOST_IN_MEMORY = 64 << 20


class Memory:
    """Bounds the bytes that all downloads together collect, beside what their connections buffer."""

    def __init__(self, most: int = _MOST_IN_MEMORY) -> None:
        self._free = most
        self._first = asyncio.Lock()
        self._more = asyncio.Event()

    @asynccontextmanager
    async def hold(self, count: int) -> AsyncIterator[Callable[[int], None]]:
        """Wait until so many bytes are free, first come, first served, and keep them during the block.

        Gives a function that gives back all but so many of them early.
        """
        async with self._first:
            while self._free < count:
                self._more.clear()
                await self._more.wait()
            self._free -= count
        held = count

        def keep(needed: int) -> None:
            nonlocal held
            if needed < held:
                self._free += held - needed
                held = needed
                self._more.set()

        try:
            yield keep
        finally:
            keep(0)


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
    offload: Offload,
    memory: Memory,
    upload: Offload | None = None,
    seen: str | None = None,
    received: Callable[[], None] = lambda: None,
) -> Fetched:
    """Fetch the output at `url` into the store as `files/STEM.EXTENSION`, durably, and return what it is.

    The extension follows from the bytes. Bytes of an unknown format are kept if they have the SHA-256 `seen`, that of
    an earlier arrival; then the extension follows from the server's content type. `kind` is what the job should have
    made, `image` or `video`, if known. `move_aside` is awaited with the name of a file that already has the final name,
    to move it; `received` is called when all bytes have arrived and only the store is waited for. `upload` calls what
    waits for a remote store, several at a time; None: the store is a disk.

    Raises OutputError or a subclass of it (`OutputDamaged` and `OutputUnfamiliar` among them), DiskError, StoreError.
    """
    saving = Saving(store, stem, kind=kind, seen=seen)
    try:
        async with memory.hold(_IN_MEMORY) as keep:
            await _receive(api, url, saving, offload, keep)
            received()
            try:
                await _save(saving, offload, upload)
            except NameTakenError as taken:
                await move_aside(taken.name)
                await _save(saving, offload, upload)
    except BaseException as error:
        await offload(saving.discard)
        if isinstance(error, NameTakenError):
            raise FileExistsError(f"{error.name} was not moved aside") from error  # a bug: nothing is overwritten
        raise
    return Fetched(saving.stored(output), saving.facts)


async def _save(saving: Saving, offload: Offload, upload: Offload | None) -> None:
    if upload is None:
        await offload(SAVE, saving)
    else:
        await offload(saving.inspect)
        await upload(saving.publish)


async def _receive(api: Api, url: str, saving: Saving, offload: Offload, keep: Callable[[int], None]) -> None:
    """Collect the bytes of an output; what is more than fits is written as it comes."""
    size = waiting = 0
    async with api.open_output(url) as output:
        saving.content_type = output.content_type
        if output.length is not None:
            keep(output.length)
        async for chunk in output.chunks:
            saving.pieces.append(chunk)
            size += len(chunk)
            waiting += len(chunk)
            if waiting > _IN_MEMORY:
                # Meanwhile, the connection buffers what comes next.
                await offload(saving.append)
                waiting = 0
    if output.length is not None and size != output.length:
        raise OutputError(f"the file is cut short: {size} of {output.length} bytes")
