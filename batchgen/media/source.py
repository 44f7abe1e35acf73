"""Bounded reading of a file whose bytes are not trusted."""

import struct
from collections.abc import Iterator
from mmap import mmap

_STEPS = 1_000_000


class Damaged(Exception):  # noqa: N818 - the name says what the file is
    """A file that is cut short, or not an image or video at all; its text is the reason."""


class Unfamiliar(Damaged):
    """Not text, and not in a known format: nobody can tell whether it is complete."""


class Source:
    """The bytes of one file. Whatever lies beyond the end raises `Damaged`, and so does a walk without end."""

    __slots__ = ("_steps", "data", "size")

    def __init__(self, data: mmap | bytes) -> None:
        self.data = data
        self.size = len(data)
        self._steps = _STEPS

    def step(self, parts: int = 1) -> None:
        """Count parts of the file. A real one has thousands; a hostile one would have a billion."""
        self._steps -= parts
        if self._steps < 0:
            raise Damaged("has more parts than any real file")

    def bytes(self, start: int, count: int) -> bytes:
        """Return `count` bytes from `start`."""
        end = start + count
        if end > self.size:
            self.need(end)
        return self.data[start:end]

    def need(self, end: int) -> None:
        """Raise `Damaged` where the file ends before `end`."""
        if end > self.size:
            raise Damaged(f"is cut short: {self.size} bytes, and at least {end} are needed")

    def number(self, start: int, count: int, *, little: bool = False) -> int:
        """Return an unsigned number of `count` bytes, big-endian unless `little`."""
        end = start + count
        if end > self.size:
            self.need(end)
        return int.from_bytes(self.data[start:end], "little" if little else "big")

    def table(self, start: int, rows: int, row: str, end: int) -> Iterator[tuple[int, ...]]:
        """Return `rows` rows of `struct` format `row` from `start`; raises `Damaged` where they pass `end`."""
        layout = struct.Struct(row)
        if start + rows * layout.size > end:
            raise Damaged("has a table that is longer than its box")
        return (layout.unpack_from(self.data, start + index * layout.size) for index in range(rows))
