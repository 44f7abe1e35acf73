"""The seam to a place that several machines can write to: records that are replaced only knowingly, and logs.

Names are short and of our own making: `spring/0/lease`. Every method may wait for a disk or a network, and raises
DiskError or StoreError where the place cannot be used.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Versioned:
    """A record as it was read."""

    content: bytes
    version: str
    """Changes with each writing of the record, and is never used again."""


class Log(Protocol):
    """A log that one process writes, from its beginning to its end."""

    def append(self, data: bytes) -> None:
        """Add bytes, which are durable when this returns."""
        ...

    def close(self) -> None:
        """Write no more."""
        ...


class LeasePlace(Protocol):
    """A place for leases."""

    def read(self, name: str) -> Versioned | None:
        """Return the newest version of a record; None where there is none."""
        ...

    def create(self, name: str, content: bytes) -> str | None:
        """Write a record that does not exist yet, and return its version; None where it exists. One of several wins."""
        ...

    def replace(self, name: str, content: bytes, version: str) -> str | None:
        """Write the next version of a record; None where `version` is not the newest one. One of several wins."""
        ...

    def begin_log(self, name: str) -> Log:
        """Begin a log. Raises RunFolderError where there is one of this name."""
        ...

    def read_log(self, name: str) -> Iterator[bytes] | None:
        """Return the bytes of a log in pieces; None where there is none. Raises RunFolderError where a part is gone."""
        ...
