"""Outputs on a local disk, below the run folder: staged beside their place, synced, and renamed into it last."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path

from batchgen.core.errors import DiskError
from batchgen.core.files import disk_errors, sync_folder
from batchgen.store.port import StagedReplacedError


class StagedFile:
    """See `batchgen.store.port.Staged`. After a hard kill, the bytes stand in `files/STEM.part`."""

    def __init__(self, folder: Path, place: Path) -> None:
        self._folder = folder
        self._file: FileIO | None = None
        self.place = place

    @property
    def file(self) -> FileIO:
        if self._file is None:
            self._file = _create(self.place, self._folder / "files")
        return self._file

    def write(self, data: bytes) -> None:
        file = self.file
        with disk_errors(self.place):
            left = memoryview(data)
            while left:  # write(2) may take less, as on a disk that is about to be full
                left = left[file.write(left) :]

    def begin_sync(self) -> None:
        if sys.platform == "linux":
            with suppress(OSError):  # a file system that cannot do it syncs later
                # Linux begins to write what is said not to be needed, and keeps it until it is written.
                os.posix_fadvise(self.file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def sync(self) -> None:
        with disk_errors(self.place):
            os.fsync(self.file.fileno())

    def publish(self, name: str) -> bool:
        final = _inside(self._folder, name)
        if os.path.lexists(final):
            return False
        if not self._is_in_place():
            raise StagedReplacedError("another download took the same name")
        with disk_errors(final):
            self.place.replace(final)
            self._close()
        return True

    def discard(self) -> None:
        with suppress(OSError, DiskError):  # the error that made it useless is the one to tell
            try:
                if self._file is not None and not self._file.closed and self._is_in_place():
                    self.place.unlink()
            finally:
                self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _is_in_place(self) -> bool:
        with disk_errors(self.place):
            try:
                return os.path.samestat(os.fstat(self.file.fileno()), self.place.lstat())
            except FileNotFoundError:
                return False


class LocalDisk:
    """See `batchgen.store.port.OutputStore`."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the run folder."""
        self._folder = folder

    def stage(self, stem: str) -> StagedFile:
        return StagedFile(self._folder, Path(f"{_inside(self._folder / 'files', stem)}.part"))

    def sync(self, name: str) -> None:
        folder = _inside(self._folder, name).parent
        with disk_errors(folder):
            sync_folder(folder)

    def open(self, name: str) -> FileIO:
        return _inside(self._folder, name).open("rb", buffering=0)

    def length(self, name: str) -> int | None:
        _check(name)
        path = f"{self._folder}/{name}"  # no Path: each file of a run is looked at, at its start and end
        try:
            return os.stat(path).st_size  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            with disk_errors(Path(path)):
                raise

    def names(self) -> Iterator[str]:
        root = self._folder / "files"
        with disk_errors(root):
            for folder, _, names in os.walk(root):
                below = Path(folder).relative_to(self._folder)
                for name in names:
                    yield (below / name).as_posix()

    def move(self, moves: Iterable[tuple[str, str]]) -> None:
        changed = set()
        for old, new in moves:
            before, after = _inside(self._folder, old), _inside(self._folder, new)
            with disk_errors(after):
                if before.exists():
                    after.parent.mkdir(parents=True, exist_ok=True)
                    before.rename(after)
                    changed |= {before.parent, after.parent}
        for folder in changed:
            with disk_errors(folder):
                sync_folder(folder)


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
        parent.mkdir()
        sync_folder(parent.parent)


def _inside(root: Path, path: str) -> Path:
    """Return `root / path`; raises ValueError as `_check` does."""
    _check(path)
    return root / path


def _check(path: str) -> None:
    """Raise ValueError, since it is a bug, where a path does not stay below the folder that it is relative to."""
    if not path or "\0" in path or not _NOWHERE.isdisjoint(path.split("/")):
        raise ValueError(f"not a path below a folder: {path!r}")


_NOWHERE = frozenset({"", ".", ".."})
