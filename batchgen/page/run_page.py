"""A run folder opened for a page: how the run stands, its tiles, and what is known of each item."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from batchgen.core.clock import utc_now
from batchgen.core.errors import RunFolderError
from batchgen.core.text import stamp
from batchgen.journal import FILE_NAME, open_for_reading, sqlite_errors
from batchgen.journal.lock import owner
from batchgen.journal.queries.page import (
    Filter,
    TileIndex,
    TileSums,
    every_tile,
    item_rows,
    pickable_rows,
    tile_rows,
)
from batchgen.journal.queries.page.filters import PICKS
from batchgen.journal.queries.page.index import PickedTile, snapshot
from batchgen.page.overview import overview_of
from batchgen.page.tiles import Picks, detail_of, tile_of
from batchgen.picks import FollowedPicks, Pick, PickedOutput, picked_outputs

_CHUNK = 500
_PREPARED = 5_000
"""Items that are looked at in a part of preparing: a few hundredths of a second."""
_USERS = 50
"""How many of the items that use an item's outputs are named."""


@dataclass(frozen=True, slots=True)
class Changed:
    """What a look at the run folder has found."""

    keys: list[int] | None
    """The items that may have changed; None: any of them."""

    def __bool__(self) -> bool:
        """Whether anything may have changed."""
        return self.keys is None or bool(self.keys)


class RunPage:
    """A run folder opened for reading, also while a run goes on. One thread uses it at a time; to be closed."""

    def __init__(self, folder: Path) -> None:
        """Open it. The index of the tiles is made when it is first needed. Raises RunFolderError."""
        self.folder = folder
        self._path = folder / FILE_NAME
        self._db = open_for_reading(self._path)
        with sqlite_errors(self._path):
            self._db.execute("COMMIT")  # a snapshot that stays open would keep a run's log from being folded in
        self._index: TileIndex | None = None
        self._overview: tuple[tuple[TileSums, bool, int], dict[str, Any]] | None = None
        self._followed: FollowedPicks | None = None
        self._version = self._data_version()
        self._owner = owner(folder)
        self._starting = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._db.close()

    @property
    def db(self) -> sqlite3.Connection:
        """The connection to the journal."""
        return self._db

    @contextmanager
    def unchanging(self) -> Iterator[None]:
        """Let all that is returned within the block be of one moment, while a run goes on."""
        with sqlite_errors(self._path):
            self._tile_index()
            with snapshot(self._db):
                yield

    def prepare(self) -> bool:
        """Do a part of what is not done until somebody needs it; return whether some is left."""
        with sqlite_errors(self._path):
            return self._tile_index().collect_words(_PREPARED)

    def tile_sums(self) -> TileSums:
        """Return what the tiles say of the run as a whole, as of the last look at it."""
        with sqlite_errors(self._path):
            return self._tile_index().sums()

    def overview(self, tiles: TileSums | None = None, *, ended: bool = False) -> dict[str, Any]:
        """Return how the run stands as a whole; summed up once, until something changes.

        `tiles` are those of another page of the folder: then this one needs no index. `ended`: the caller is its owner,
        and has ended it.
        """
        with sqlite_errors(self._path):
            tiles, now = tiles or self._tile_index().sums(), utc_now()
            running = not ended and owner(self.folder) is not None
            of = tiles, running, self._data_version()
            if self._overview is None or self._overview[0] != of:
                with snapshot(self._db):
                    self._overview = of, overview_of(self._db, self.folder, tiles, now, running=running)
            return self._overview[1] | {"made_at": stamp(now)}

    def tiles(self, where: Filter, offset: int, limit: int, around: int | None = None) -> dict[str, Any]:
        """Return `total`, `offset` and the `tiles` of a part of those that fit, in the order of the manifest.

        `around` is the key of an item: then it is the part of `limit` tiles that holds its first one, where any fits.
        """
        with sqlite_errors(self._path):
            index = self._tile_index()
            place = None if around is None else index.offset_of(where, around)
            offset = offset if place is None else place // limit * limit
            ranks = index.page(where, offset, limit)
            # A part that is not full is the last one, and shows how many there are.
            last = len(ranks) < limit and (ranks or not offset)
            return {
                "total": offset + len(ranks) if last else index.count(where),
                "offset": offset,
                "tiles": [tile_of(row, self._picks) for row in tile_rows(self._db, ranks)],
            }

    def iter_tiles(self, where: Filter | None = None) -> Iterator[dict[str, Any]]:
        """Yield all tiles that fit, in the same order; memory does not grow with them."""
        with sqlite_errors(self._path):
            if where is None or where == Filter():
                yield from (tile_of(row, self._picks) for row in every_tile(self._db))
                return
            ranks = self._tile_index().ranks(where)
            while chunk := list(islice(ranks, _CHUNK)):
                yield from [tile_of(row, self._picks) for row in tile_rows(self._db, chunk)]

    def iter_notable_tiles(self, most: int, drawn: Callable[[str], bool]) -> Iterator[dict[str, Any]]:
        """Yield the tiles of up to `most` items that somebody should look at, and of those whose id is `drawn`."""
        with sqlite_errors(self._path):
            ranks = self._tile_index().notable(most, drawn)
            while chunk := list(islice(ranks, 500)):
                yield from [tile_of(row, self._picks) for row in tile_rows(self._db, chunk)]

    def pickable(self, where: Filter) -> Iterator[PickedOutput]:
        """Yield the outputs of finished items among the tiles that fit, with their picks; memory does not grow."""
        with sqlite_errors(self._path):
            yield from self._pickable(self._tile_index().ranks(where))

    def pickable_of(self, key: int) -> list[PickedOutput]:
        """Return those of the item with a key."""
        with sqlite_errors(self._path):
            return list(self._pickable(iter(self._tile_index().ranks_of(key))))

    def detail(self, key: int) -> dict[str, Any] | None:
        """Return all that is known of the item with a key; None if there is none."""
        return next(iter(self.details([key])), None)

    def details(self, keys: Sequence[int]) -> list[dict[str, Any]]:
        """Return all that is known of each of the items with these keys, in their order; there are a few hundred."""
        with sqlite_errors(self._path):
            return [detail_of(rows, self._picks) for rows in item_rows(self._db, keys, _USERS)]

    def refresh(self) -> Changed:
        """Look at what has changed since the last look, and let what is returned from now on be as it is now.

        Cheap where nothing has changed. Raises RunFolderError.
        """
        picked = self._refresh_picks()
        if not self._path.exists():
            raise RunFolderError(f"{self.folder} is not there any more")
        with sqlite_errors(self._path):
            who, version = owner(self.folder), self._data_version()
            if who != self._owner:
                self._owner, self._starting = who, True
            elif version == self._version:
                return Changed(None if picked else [])
            self._version = version
            if self._index is None:
                return Changed(None)
            if self._starting:  # a run that starts reads its manifest anew: any item may have another place
                self._starting = who is not None and not self._index.began
                self._index.rebuild()
                return Changed(None)
            keys = self._index.moved()
            return Changed(None if picked else keys)

    def _pickable(self, ranks: Iterator[int]) -> Iterator[PickedOutput]:
        while chunk := list(islice(ranks, _CHUNK)):
            yield from picked_outputs(list(pickable_rows(self._db, chunk)), self._picks)

    @property
    def _picks(self) -> Picks:
        """The last pick of each output, as of the last look; read when they are first needed."""
        if self._followed is None:
            self._followed = FollowedPicks(self.folder)
            self._followed.update()
        return self._followed.picks

    def _tile_index(self) -> TileIndex:
        if self._index is None:
            index = TileIndex(self._db)
            index.pick(map(_as_tile, self._picks.values()), anew=True)
            self._index = index
        return self._index

    def _refresh_picks(self) -> bool:
        """Look at what was picked since the last look, and return whether anything was."""
        if self._followed is None:
            return False
        new = self._followed.update()
        anew = new is None
        picks = self._followed.picks.values() if new is None else new
        if self._index is not None and (anew or picks):
            with sqlite_errors(self._path):
                self._index.pick(map(_as_tile, picks), anew=anew)
        return anew or bool(picks)

    def _data_version(self) -> int:
        (version,) = self._db.execute("PRAGMA main.data_version").fetchone()
        return int(version)


def _as_tile(pick: Pick) -> PickedTile:
    return pick.item, pick.digest, pick.output, pick.sha256, PICKS.index(pick.pick or "none"), pick.rating or 0
