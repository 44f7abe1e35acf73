"""Makes all thumbnails that are missing, and waits for them: for `batchgen report`."""

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

from batchgen.media.thumbnail import NoThumbnailError
from batchgen.thumbnails.place import is_there, thumbnail_path
from batchgen.thumbnails.thumbnailer import Thumbnailer

AtHand = Callable[[Path], AbstractContextManager[Path]]
_MOST_PROCESSES = 4


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """What became of the thumbnails that were wanted."""

    there: int
    """Files that had one already."""
    made: int
    failed: Mapping[str, int]
    """Files that have none, by the reason, as in: there is no decoder of jxl."""


def make_thumbnails(
    run_folder: Path, files: Iterable[tuple[Path, str]], looked: Callable[[], object] = lambda: None,
    at_hand: AtHand = nullcontext,
) -> Thumbnails:  # fmt: skip
    """Make the thumbnails of `files` (path and SHA-256) that are missing, and return what became of them. Blocks.

    As many files are worked on as there are cores, up to four; memory does not grow with their number. `looked` is
    called after each file. `at_hand` gives the path at which a file can be read during its block; it may raise OSError.
    Not for the thread of an event loop.
    """
    return asyncio.run(_make_thumbnails(run_folder, files, looked, at_hand))


async def _make_thumbnails(
    run_folder: Path, files: Iterable[tuple[Path, str]], looked: Callable[[], object], at_hand: AtHand
) -> Thumbnails:
    processes = min(os.cpu_count() or 1, _MOST_PROCESSES)
    thumbnailer = Thumbnailer(run_folder, processes=processes)
    free = asyncio.Semaphore(2 * processes)  # each process finds its next file waiting
    there = made = 0
    failed: Counter[str] = Counter()

    async def make(path: Path, sha256: str) -> None:
        nonlocal made
        try:
            with ExitStack() as stack:
                place = await asyncio.to_thread(stack.enter_context, at_hand(path))  # it may wait for a network
                await thumbnailer.make(place, sha256)
            made += 1
        except NoThumbnailError as error:
            failed[str(error)] += 1
        except OSError as error:
            failed[f"it cannot be read: {error.strerror}"] += 1
        finally:
            free.release()
            looked()

    try:
        async with asyncio.TaskGroup() as tasks:
            for path, sha256 in files:
                if is_there(thumbnail_path(run_folder, sha256)):
                    there += 1
                    looked()
                    continue
                await free.acquire()
                tasks.create_task(make(path, sha256))
    finally:
        await thumbnailer.close()
    return Thumbnails(there, made, dict(failed))
