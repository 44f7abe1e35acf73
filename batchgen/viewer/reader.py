"""Reads a run folder for the viewer: in a thread of its own, so that no query holds up the server."""

import asyncio
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from batchgen.core.errors import BatchgenError, RunFolderError
from batchgen.journal import FILE_NAME
from batchgen.page import RunPage

T = TypeVar("T")
_MOST_KNOWN = 100_000


class Reader:
    """A run folder that is read by one thread. Must be closed.

    A journal that was put in the place of another one, by `recover` for instance, is opened in its stead.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._page: RunPage | None = None
        self._identity: tuple[int, int] | None = None
        self._closing = False
        self.opened = 0
        """How often a journal was opened."""

    async def call(self, work: Callable[[RunPage], T]) -> T:
        """Return what `work` returns of the page. Raises RunFolderError where the folder is gone or damaged."""
        self._check_open()
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._do, work)

    async def close(self) -> None:
        """Break off what is being read, and close the journal."""
        self._closing = True
        if self._page is not None:
            self._page.db.interrupt()
        await asyncio.get_running_loop().run_in_executor(self._pool, self._shut)
        self._pool.shutdown()

    def _do(self, work: Callable[[RunPage], T]) -> T:
        self._check_open()
        try:
            return work(self._opened())
        except sqlite3.OperationalError:
            self._check_open()  # it was broken off
            raise

    def _check_open(self) -> None:
        if self._closing:
            raise RunFolderError("the viewer stops")

    def _opened(self) -> RunPage:
        """Return the page of the journal that lies in the folder now."""
        try:
            found = (self.folder / FILE_NAME).stat()
        except OSError as error:
            self._shut()
            raise RunFolderError(f"{self.folder} is not there any more, or cannot be read: {error.strerror}") from error
        identity = found.st_dev, found.st_ino
        if self._page is None or identity != self._identity:
            self._shut()
            self._page, self._identity = RunPage(self.folder), identity
            self.opened += 1
        return self._page

    def _shut(self) -> None:
        if self._page is not None:
            self._page.db.close()
            self._page = None


class Overviews:
    """Sums up a run in a thread of its own: of very many items that takes seconds, which no page of tiles waits for."""

    def __init__(self, pages: Reader) -> None:
        """`pages` reads the tiles of the same run folder: what they say is not looked up twice."""
        self._pages = pages
        self._reader = Reader(pages.folder)
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[dict[str, Any]] | None = None

    async def latest(self) -> dict[str, Any]:
        """Return how the run stands now, summed up once for all who ask meanwhile. Raises RunFolderError."""
        self._next = self._next or asyncio.create_task(self._sum_up())
        return await asyncio.shield(self._next)

    async def close(self) -> None:
        """Break off what is being summed up."""
        await self._reader.close()

    async def _sum_up(self) -> dict[str, Any]:
        async with self._turn:
            self._next = None  # who asks from here on may ask for what has changed since
            tiles = await self._pages.call(lambda page: page.tile_sums())
            return await self._reader.call(lambda page: page.overview(tiles))


async def prepare(reader: Reader, overviews: Overviews) -> None:
    """Have ready what the first page and the first search need, in parts, so that others are answered between them.

    Whoever asks for what could not be made ready is told why.
    """
    with suppress(BatchgenError):
        await asyncio.gather(overviews.latest(), _prepare_pages(reader))


async def _prepare_pages(reader: Reader) -> None:
    while await reader.call(lambda page: page.prepare()):
        pass


class Known:
    """The files that the page was told of lately; no others are served. Bounded."""

    def __init__(self) -> None:
        self._paths: OrderedDict[str, None] = OrderedDict()
        self._thumbnails: OrderedDict[str, str] = OrderedDict()

    def add(self, tiles: Iterable[dict[str, Any]]) -> None:
        """Note the files of tiles that the page is told of."""
        for tile in tiles:
            if tile["file"]:
                _note(self._paths, tile["file"], None)
            if tile["file"] and tile["thumb"]:
                _note(self._thumbnails, tile["sha256"], tile["file"])

    def __contains__(self, path: str) -> bool:
        """Whether a file is one of them, by its path relative to the run folder."""
        return path in self._paths

    def with_sha256(self, sha256: str) -> str | None:
        """Return the path of the file with a SHA-256; None if there is none among them."""
        return self._thumbnails.get(sha256)


def _note(among: OrderedDict[str, T], key: str, value: T) -> None:
    among[key] = value
    among.move_to_end(key)
    if len(among) > _MOST_KNOWN:
        among.popitem(last=False)
