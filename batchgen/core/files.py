"""Staged, durable writes: stage, fsync, rename, fsync of the folder. Nothing half-written ever has its final name."""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from batchgen.core.descriptors import TOO_MANY, is_lack
from batchgen.core.errors import DescriptorsError, DiskError


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Translate errors of the operating system while `path` is written (full, read-only, name too long, …).

    Raises DiskError, and DescriptorsError where too many files were open.
    """
    try:
        yield
    except OSError as error:
        if is_lack(error):
            raise DescriptorsError(f"cannot open {path}: {TOO_MANY}") from error
        raise DiskError(f"cannot write {path}: {error.strerror or type(error).__name__}") from error


def free_bytes(path: Path) -> int:
    """Return how much this user may still write to the disk of `path`, which exists."""
    with disk_errors(path):
        return shutil.disk_usage(path).free


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable (fsync(2): the directory needs an fsync of its own)."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def publish(staged: Path, final: Path) -> None:
    """Rename `staged`, which is already fsynced, to `final`, durably."""
    staged.replace(final)
    sync_folder(final.parent)


PRIVATE = 0o640
"""Journal, receipts and log may be read by their owner and the owner's group only."""


def open_private(path: str, flags: int) -> int:
    """An `opener` for `open`: a new file gets at most the permissions `PRIVATE`, whatever the umask."""
    return os.open(path, flags, PRIVATE)


def make_private(path: Path) -> None:
    """Remove permissions beyond `PRIVATE` if `path` exists and belongs to this user. Raises DiskError."""
    with disk_errors(path), suppress(FileNotFoundError):
        found = path.stat()
        mode = stat.S_IMODE(found.st_mode)
        if found.st_uid == os.geteuid() and mode & ~PRIVATE:
            path.chmod(mode & PRIVATE)


@contextmanager
def staged_text(final: Path) -> Iterator[IO[str]]:
    """Open a UTF-8 text file that replaces `final` if the block succeeds, and is removed if it does not.

    Line ends are written as given. Raises `DiskError` when the disk is full or not writable.
    """
    staged = final.with_name(f".{final.name}.part")
    with disk_errors(final):
        try:
            with staged.open("w", encoding="utf-8", newline="") as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
            publish(staged, final)
        finally:
            staged.unlink(missing_ok=True)
