"""Leases in a folder that several machines share, such as one on NFS.

No lock is used: what locks are worth on a network file system depends on its servers. A record is a folder of its
versions, `0000000007.json`, each made by link(2), which either makes a name or fails, also over NFS. The highest number
is in force, and the one before the last hundred is removed.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from batchgen.core.errors import DiskError, RunFolderError
from batchgen.core.files import PRIVATE, disk_errors, sync_folder
from batchgen.lease.port import Log, Versioned

_KEPT = 100
"""Versions that stay: a process that slept may come back with an old one, and must find that it is taken."""
_CHUNK = 1 << 20


class SharedFolder:
    """See `LeasePlace`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder)

    def read(self, name: str) -> Versioned | None:
        """See `LeasePlace`."""
        folder = self._folder / name
        with disk_errors(folder):
            # A version that is removed between the two looks has a successor.
            while number := _newest(folder):
                with suppress(FileNotFoundError):
                    return Versioned(_path(folder, number).read_bytes(), str(number))
        return None

    def create(self, name: str, content: bytes) -> str | None:
        """See `LeasePlace`."""
        folder = self._folder / name
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return self._write(folder, 1, content)

    def replace(self, name: str, content: bytes, version: str) -> str | None:
        """See `LeasePlace`."""
        return self._write(self._folder / name, int(version) + 1, content)

    def _write(self, folder: Path, number: int, content: bytes) -> str | None:
        """Make a version; None where it exists, or a later one does."""
        staged, final = folder / f".{secrets.token_hex(8)}.part", _path(folder, number)
        with disk_errors(folder):
            try:
                _write_synced(staged, content)
                if not _linked(staged, final):
                    return None
            finally:
                staged.unlink(missing_ok=True)
            # Where others have come further meanwhile, this number was removed and is free again: it says nothing.
            if _newest(folder) != number:
                final.unlink(missing_ok=True)
                return None
            sync_folder(folder)
            with suppress(FileNotFoundError):
                _path(folder, number - _KEPT).unlink()
        return str(number)

    def begin_log(self, name: str) -> Log:
        """See `LeasePlace`."""
        return _FileLog(self._folder / f"{name}.jsonl")

    def read_log(self, name: str) -> Iterator[bytes] | None:
        """See `LeasePlace`."""
        path = self._folder / f"{name}.jsonl"
        return _chunks(path) if path.exists() else None


class _FileLog:
    """See `Log`."""

    def __init__(self, path: Path) -> None:
        self._path, self._length = path, 0
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, PRIVATE)
            except FileExistsError as error:
                raise RunFolderError(f"{path} exists already: another process writes it") from error
            sync_folder(path.parent)

    def append(self, data: bytes) -> None:
        """See `Log`. Nothing of it is in the file where this raises, unless the sync itself failed."""
        with disk_errors(self._path):
            try:
                left = memoryview(data)
                while left:
                    left = left[os.write(self._file, left) :]
            except OSError:
                os.ftruncate(self._file, self._length)  # half a line must not precede the next one
                raise
            self._length += len(data)
            os.fsync(self._file)

    def close(self) -> None:
        """See `Log`."""
        os.close(self._file)


def _path(folder: Path, number: int) -> Path:
    return folder / f"{number:010}.json"


def _newest(folder: Path) -> int:
    """Return the highest number of a version; 0 where there is none."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return 0
    return max((int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdecimal()), default=0)


def _write_synced(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(handle, left) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def _linked(staged: Path, final: Path) -> bool:
    """Give a file a second name; return whether that was free."""
    try:
        os.link(staged, final)
    except FileExistsError:
        # Over NFS, the answer to a link that was made may be lost, and the second try then fails (open(2)).
        return staged.stat().st_nlink == 2
    except PermissionError as error:
        raise DiskError(f"{final.parent}: hard links cannot be made there; use another place for leases") from error
    return True


def _chunks(path: Path) -> Iterator[bytes]:
    with disk_errors(path), path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk
