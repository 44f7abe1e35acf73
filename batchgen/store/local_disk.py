"""Outputs on a local disk, below the run folder: staged beside their place, synced, and renamed into it last."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path

from batchgen.core.files import disk_errors, sync_folder
from batchgen.store.port import Known, StagedReplacedError
from batchgen.store.staging import PartFile, check_name, inside


class StagedFile(PartFile):
    """See `batchgen.store.port.Staged`. After a hard kill, the bytes stand in `files/STEM.part`."""

    def __init__(self, folder: Path, place: Path) -> None:
        super().__init__(place, folder / "files")
        self._folder = folder

    def begin_sync(self) -> None:
        if sys.platform == "linux":
            with suppress(OSError):  # a file system that cannot do it syncs later
                # Linux begins to write what is said not to be needed, and keeps it until it is written.
                os.posix_fadvise(self.file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def sync(self) -> None:
        with disk_errors(self.place):
            os.fsync(self.file.fileno())

    def publish(self, name: str, sha256: str) -> bool:  # noqa: ARG002 - a disk keeps none
        final = inside(self._folder, name)
        if os.path.lexists(final):
            return False
        if not self.is_in_place():
            raise StagedReplacedError("another download took the same name")
        with disk_errors(final):
            self.place.replace(final)
            self.close()
        return True


class LocalDisk:
    """See `batchgen.store.port.OutputStore`."""

    remote = False
    full = False
    """Whether the disk is full is looked at elsewhere, and stops the run."""
    most_local = None

    def __init__(self, folder: Path) -> None:
        """`folder` is the run folder."""
        self._folder = folder

    def stage(self, stem: str) -> StagedFile:
        check_name(stem)
        return StagedFile(self._folder, Path(f"{self._folder}/files/{stem}.part"))

    def sync(self, name: str) -> None:
        folder = inside(self._folder, name).parent
        with disk_errors(folder):
            sync_folder(folder)

    def open(self, name: str) -> FileIO:
        return inside(self._folder, name).open("rb", buffering=0)

    def length(self, name: str) -> int | None:
        check_name(name)
        path = f"{self._folder}/{name}"  # no Path: each file of a run is looked at, at its start and end
        try:
            return os.stat(path).st_size  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            with disk_errors(Path(path)):
                raise

    def known(self, name: str) -> Known | None:
        length = self.length(name)
        return None if length is None else Known(length, None)

    def distrust(self, name: str) -> None:
        check_name(name)  # a disk takes nothing for the same

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
            before, after = inside(self._folder, old), inside(self._folder, new)
            with disk_errors(after):
                if before.exists():
                    after.parent.mkdir(parents=True, exist_ok=True)
                    before.rename(after)
                    changed |= {before.parent, after.parent}
        for folder in changed:
            with disk_errors(folder):
                sync_folder(folder)
