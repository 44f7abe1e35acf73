"""The folder that an export is written to: nothing leaves it, and what no export wrote is never touched."""

import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path

from batchgen.core.errors import RunFolderError, UsageError
from batchgen.core.files import disk_errors
from batchgen.export.state import STATE_NAME, Exported, Header, read_state, write_state
from batchgen.journal import FILE_NAME


class Obstacle(Exception):  # noqa: N818 - one file cannot be exported; the others are
    """Why a file is not in the export, or not as it should be."""


class Destination:
    """An export's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root = os.path.realpath(folder)
        self._parent = lru_cache(maxsize=1024)(self._make_parent)

    def path(self, name: str) -> Path:
        """Return where a file belongs, whose folder is made where it is missing.

        Raises Obstacle where a link leads out of the export, DiskError.
        """
        parts = name.split("/")
        if "\0" in name or any(part in ("", ".", "..") for part in parts):
            raise RunFolderError(f"the journal has a file at {name!r}, which is not below a folder")
        return self._parent("/".join(parts[:-1])) / parts[-1]

    def _make_parent(self, name: str) -> Path:
        parent = self.folder / name
        if not Path(os.path.realpath(parent)).is_relative_to(self._root):
            raise Obstacle(f"{name} is a link that leads out of the export")
        with disk_errors(parent):
            parent.mkdir(parents=True, exist_ok=True)
        return parent

    def remove(self, name: str) -> None:
        """Remove a file, and folders that are empty then. Raises Obstacle, DiskError."""
        path = self.path(name)
        self._parent.cache_clear()
        with disk_errors(path):
            path.unlink(missing_ok=True)
        for parent in path.parents:
            if parent == self.folder:
                return
            with suppress(OSError):  # it holds something else
                parent.rmdir()


def opened(folder: Path, run: Path, header: Header) -> tuple[Header, Iterator[Exported]]:
    """Return what an earlier export of a run wrote to `folder`; `header` and no files where there was none.

    Nothing is written. Raises UsageError where it cannot be exported to: it lies in a run folder, or holds anything
    else.
    """
    real = Path(os.path.realpath(folder))
    inside = next((parent for parent in (real, *real.parents) if (parent / FILE_NAME).is_file()), None)
    if inside is not None or real.is_relative_to(os.path.realpath(run)):
        raise UsageError(f"{folder} is inside the run folder {inside or run}; export to a folder outside of it")
    if not os.path.lexists(folder):
        return header, iter(())
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    entries = read_state(folder)
    known = next(entries, None)
    if known is None:
        if any(folder.iterdir()):
            raise UsageError(f"{folder} holds other files; export to a new or empty folder")
        return header, iter(())
    if not isinstance(known, Header) or known.run_id != header.run_id:
        raise UsageError(f"{folder} holds an export of another run; export to a new or empty folder")
    return known, (entry for entry in entries if isinstance(entry, Exported))


def archive_of(folder: Path) -> Path:
    """Return the archive that belongs to an export's folder: `DEST.zip` beside it."""
    real = Path(os.path.realpath(folder))
    return real.with_name(f"{real.name}.zip")


def archive_mark(found: os.stat_result) -> str:
    """Return what tells an archive from another one, without reading it."""
    return f"{found.st_size}-{found.st_mtime_ns}"


def check_archive(folder: Path, header: Header) -> None:
    """Raise UsageError where something else has the name of the archive."""
    path = archive_of(folder)
    found = stat_of(path)
    if found is not None and archive_mark(found) not in header.archives.split():
        raise UsageError(f"{path} exists already and was not written by an export, or was changed since; move it away")


@contextmanager
def owned(folder: Path, header: Header) -> Iterator[Destination]:
    """Make a folder an export's, for one program at a time. Raises UsageError, DiskError."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(handle, folder)
        if not (folder / STATE_NAME).exists():
            write_state(folder, header, ())
        yield Destination(folder)
    finally:
        os.close(handle)


def _lock(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"another export is writing to {folder}") from None
    except OSError:
        return  # some network disks have no locks; exporting there is still worth it


def stat_of(path: Path) -> os.stat_result | None:
    """Return what `path` itself is, not what a link leads to; None where there is nothing. Raises DiskError."""
    with disk_errors(path):
        try:
            return path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal. Raises DiskError."""
    with disk_errors(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_untouched(path: Path, found: os.stat_result, known: Exported | None) -> bool:
    """Return whether a file is as an export wrote it; it is read only where its size and time leave that open."""
    if known is None or not stat.S_ISREG(found.st_mode) or found.st_size != known.bytes:
        return False
    return found.st_mtime_ns == known.mtime_ns or sha256_of(path) == known.sha256
