"""The seam to a store of outputs. Nothing half-written ever has a final name, and nothing is ever overwritten."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from io import FileIO
from pathlib import Path
from typing import Protocol


class StagedReplacedError(Exception):
    """Another download of the same output has put its own bytes into the place of these."""


class Staged(Protocol):
    """The bytes of one output while they arrive: in a local file, so that they can be inspected before they count."""

    @property
    def file(self) -> FileIO:
        """The local file, open for reading and writing."""
        ...

    @property
    def place(self) -> Path:
        """Where the local file is, for messages."""
        ...

    def write(self, data: bytes) -> None:
        """Append bytes. Raises DiskError."""
        ...

    def sync(self) -> None:
        """Make the bytes durable; to be called before `publish`. Blocks. Raises DiskError."""
        ...

    def publish(self, name: str) -> bool:
        """Give the bytes their final name, and return whether that was free; where it was not, nothing happens.

        Raises StagedReplacedError, DiskError. Not durable before `OutputStore.settle`.
        """
        ...

    def discard(self) -> None:
        """Remove bytes that will not be published, unless another download has taken their place."""
        ...


class OutputStore(Protocol):
    """A place for outputs. Names that lead out of it raise ValueError, since they are a bug."""

    def stage(self, stem: str) -> AbstractContextManager[Staged]:
        """Begin an output that will be named `files/STEM.EXTENSION`. Raises DiskError."""
        ...

    def settle(self, name: str) -> None:
        """Make durable that `name` was published. Blocks. Raises DiskError."""
        ...

    def open(self, name: str) -> FileIO:
        """Open an output for reading. Raises OSError, FileNotFoundError among them."""
        ...

    def length(self, name: str) -> int | None:
        """Return how many bytes an output has; None where there is none. Raises DiskError."""
        ...

    def move(self, moves: Iterable[tuple[str, str]]) -> None:
        """Give outputs other names (from, to), durably. The new names are free, as far as the caller knows.

        What somebody removed cannot be moved, and is passed over. Raises DiskError.
        """
        ...
