"""The seam to a store of outputs. Nothing half-written ever has a final name, and nothing is ever overwritten."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Protocol


class StagedReplacedError(Exception):
    """Another download of the same output has replaced the staged bytes with its own."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a store says of an output without reading it."""

    bytes: int
    sha256: str | None
    """None: it keeps none, as a disk."""


class Staged(Protocol):
    """The bytes of one output while they arrive: in a local file, so that they can be inspected before publishing.

    The file is made when it is first used, and open until it is published or discarded: one of them has to be called.
    Everything here may wait for the disk, and `publish` for a network.
    """

    @property
    def file(self) -> FileIO:
        """The local file, open for reading and writing. Raises DiskError."""
        ...

    @property
    def place(self) -> Path:
        """The path of the local file, for messages."""
        ...

    def write(self, data: bytes) -> None:
        """Append bytes. Raises DiskError."""
        ...

    def begin_sync(self) -> None:
        """Let the system begin with what `sync` will wait for, where it can: several syncs then share the work.

        The system may forget what it has written then, and read it from the disk when it is wanted. Raises DiskError.
        """
        ...

    def sync(self) -> None:
        """Make the bytes durable; to be called before `publish`. Raises DiskError."""
        ...

    def publish(self, name: str, sha256: str) -> bool:
        """Give the bytes their final name, and return whether that was free; where it was not, nothing happens.

        `sha256` is that of the bytes: a remote store keeps it, and takes a name as free that these very bytes have.
        Raises StagedReplacedError, DiskError, StoreError. Not durable before `OutputStore.sync`.
        """
        ...

    def discard(self) -> None:
        """Remove bytes that will not be published, unless another download has replaced them. Does nothing to those
        that were."""
        ...


class OutputStore(Protocol):
    """A place for outputs. A name that leads out of it is a bug, and raises ValueError."""

    @property
    def remote(self) -> bool:
        """Whether it lies behind a network: each question costs a request, and outputs that wait are best published
        side by side."""
        ...

    @property
    def full(self) -> bool:
        """Whether nothing more should be staged until something was published or discarded."""
        ...

    @property
    def most_local(self) -> int | None:
        """How many bytes of outputs are on this machine at most; None: all of them."""
        ...

    def stage(self, stem: str) -> Staged:
        """Return an empty place for the bytes of `files/STEM.EXTENSION`, without touching the disk yet."""
        ...

    def sync(self, name: str) -> None:
        """Make durable that `name` was published, and all others in its folder. Raises DiskError."""
        ...

    def open(self, name: str) -> FileIO:
        """Open an output for reading: a local file, or a copy that lasts until it is closed.

        Raises OSError, FileNotFoundError among them.
        """
        ...

    def length(self, name: str) -> int | None:
        """Return how many bytes an output has; None if it does not exist. Raises DiskError, StoreError."""
        ...

    def known(self, name: str) -> Known | None:
        """Return what is known of an output without reading it; None if it does not exist.

        Raises DiskError, StoreError.
        """
        ...

    def distrust(self, name: str) -> None:
        """An output was found damaged: whatever SHA-256 the store keeps of it, bytes that are published under its name
        are not taken for the same."""
        ...

    def names(self) -> Iterator[str]:
        """Yield the names of all files below `files/`, also of staged ones, which end in `.part`. Raises DiskError.

        A remote store is never listed, and yields none.
        """
        ...

    def move(self, moves: Iterable[tuple[str, str]]) -> None:
        """Give outputs other names (from, to) in this order, durably. The caller has made sure that the names are free.

        An output that does not exist is passed over. Raises DiskError, StoreError.
        """
        ...
