"""The local file in which the bytes of an output arrive, whatever becomes of them."""

import os
from contextlib import suppress
from io import FileIO
from pathlib import Path

from batchgen.core.errors import DiskError
from batchgen.core.files import disk_errors, sync_folder


class PartFile:
    """The part of `batchgen.store.port.Staged` that all stores share. After a hard kill, the file is still there."""

    def __init__(self, place: Path, root: Path) -> None:
        """`root` is the folder that `place` has to stay in."""
        self._root = root
        self._file: FileIO | None = None
        self.place = place

    @property
    def file(self) -> FileIO:
        """See `Staged.file`."""
        if self._file is None:
            self._file = _create(self.place, self._root)
        return self._file

    def write(self, data: bytes) -> None:
        """See `Staged.write`."""
        file = self.file
        with disk_errors(self.place):
            left = memoryview(data)
            while left:  # write(2) may take less, as on a disk that is about to be full
                left = left[file.write(left) :]

    def discard(self) -> None:
        """See `Staged.discard`."""
        with suppress(OSError, DiskError):  # the error that made it useless is the one to tell
            try:
                if self._file is not None and not self._file.closed and self.is_in_place():
                    self.place.unlink()
            finally:
                self.close()

    def close(self) -> None:
        """Close the file, if it was ever made."""
        if self._file is not None:
            self._file.close()

    def is_in_place(self) -> bool:
        """Return whether the file at the place is still this one. Raises DiskError."""
        with disk_errors(self.place):
            try:
                return os.path.samestat(os.fstat(self.file.fileno()), self.place.lstat())
            except FileNotFoundError:
                return False


def _create(part: Path, root: Path) -> FileIO:
    """Open a new file below `root`, in folders that are made, durably, where they are missing. Raises DiskError."""
    # The folder of all files may be a link to a larger disk; below it, a link must not lead out of it.
    if part.parent != root and not Path(os.path.realpath(part.parent)).is_relative_to(os.path.realpath(root)):
        raise DiskError(f"cannot write {part}: a symbolic link there points outside {root}; remove it")
    with disk_errors(part):
        try:
            return part.open("x+b", buffering=0)
        except FileExistsError:
            part.unlink()
        except FileNotFoundError:
            _make_folders(part.parent)
        return part.open("x+b", buffering=0)


def _make_folders(folder: Path) -> None:
    missing = [parent for parent in (folder, *folder.parents) if not parent.is_dir()]
    for parent in reversed(missing):
        parent.mkdir(exist_ok=True)
        sync_folder(parent.parent)


def inside(root: Path, path: str) -> Path:
    """Return `root / path`; raises ValueError as `check_name` does."""
    check_name(path)
    return root / path


def check_name(path: str) -> None:
    """Raise ValueError, since it is a bug, where a path does not stay below the folder that it is relative to."""
    if not path or "\0" in path or not _NOWHERE.isdisjoint(path.split("/")):
        raise ValueError(f"not a path below a folder: {path!r}")


_NOWHERE = frozenset({"", ".", ".."})
