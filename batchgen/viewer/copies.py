"""Local copies of outputs that are in an object store, for as long as somebody looks at them."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from batchgen.core.errors import BatchgenError
from batchgen.store import Known, OutputStore

_MOST = 24
"""Copies that are kept: a browser asks for a video part by part."""


@dataclass(slots=True)
class Copy:
    """A copy of an output."""

    file: FileIO
    size: int
    sha256: str
    held: int = 0
    """How many use it just now."""

    @property
    def path(self) -> Path:
        """Where it is; it goes when the file is closed."""
        return Path(str(self.file.name))


class Copies:
    """The copies that were used last. Belongs to one event loop; must be closed."""

    def __init__(self, store: OutputStore, most: int = _MOST) -> None:
        self._store, self._most = store, most
        self._copies: OrderedDict[tuple[str, Known], Copy] = OrderedDict()
        self._fetching = asyncio.Lock()

    @asynccontextmanager
    async def holding(self, name: str) -> AsyncIterator[Copy]:
        """Give a copy of an output as it is now, which stays while the block runs. Raises OSError."""
        async with self._fetching:  # one object at a time, and none twice
            copy = await self._found(name)
            copy.held += 1
        try:
            yield copy
        finally:
            copy.held -= 1
            self._drop()

    def close(self) -> None:
        """Remove all copies."""
        for copy in self._copies.values():
            copy.file.close()
        self._copies.clear()

    async def _found(self, name: str) -> Copy:
        try:
            known = await asyncio.to_thread(self._store.known, name)
        except BatchgenError as error:
            raise OSError(str(error)) from error
        if known is None:
            raise FileNotFoundError(name)
        if (name, known) not in self._copies:
            file = await asyncio.to_thread(self._store.open, name)
            self._copies[name, known] = Copy(file, known.bytes, known.sha256 or "")
        self._copies.move_to_end((name, known))
        return self._copies[name, known]

    def _drop(self) -> None:
        for key, copy in list(self._copies.items()):
            if len(self._copies) <= self._most:
                return
            if not copy.held:
                copy.file.close()
                del self._copies[key]
