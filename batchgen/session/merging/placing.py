"""Brings the files of a run folder into the one that it is merged into: as hard links, or as copies across disks."""

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from batchgen.core.errors import RunFolderError
from batchgen.core.files import disk_errors, sync_folder
from batchgen.core.text import printable
from batchgen.journal.merging.combining import MergedFile

_NO_LINKS = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS, errno.EACCES})
"""Another disk, or a file system or a setting that knows no further hard link of this file."""
_FOLDERS = 1_000
"""As many changed folders are remembered before they are synced."""


@dataclass(slots=True)
class PlacedFiles:
    """What became of files; nothing is ever overwritten, and the folders that they come from stay as they are."""

    linked: int = 0
    copied: int = 0
    there: int = 0
    """Already in their place."""
    missing: int = 0
    """Not where the journal has them; `verify` names them."""


class Placer:
    """Places the files of one run folder after the other in `target`; `finish` makes all of that durable."""

    def __init__(self, target: Path) -> None:
        self.placed = PlacedFiles()
        self._target = target
        self._changed: set[str] = set()

    def place(self, folder: Path, files: Iterable[MergedFile]) -> None:
        """Place files of a run folder. Raises DiskError, and RunFolderError where another file has one's name."""
        for file in files:
            for path in {file.path, file.target}:
                refuse_leading_out(folder, path)
            # No Path: there may be a million of them.
            self._place(f"{folder}/{file.path}", f"{self._target}/{file.target}", file)
            if len(self._changed) >= _FOLDERS:
                self.finish()

    def finish(self) -> None:
        """Make durable what was placed. Raises DiskError."""
        for folder in map(Path, self._changed):
            with disk_errors(folder):
                sync_folder(folder)
        self._changed.clear()

    def _place(self, source: str, place: str, file: MergedFile) -> None:
        try:
            if stat.S_ISLNK(os.lstat(source).st_mode):  # a hard link of it would lead nowhere
                source = os.path.realpath(source, strict=True)
        except (FileNotFoundError, NotADirectoryError):
            self.placed.missing += 1
            return
        except OSError as error:
            raise RunFolderError(f"cannot read {printable(source, 300)}: {error.strerror}") from error
        try:
            os.link(source, place)
            self.placed.linked += 1
        except FileExistsError:
            self._accept(Path(source), Path(place), file)
            return
        except OSError as error:
            self._place_otherwise(Path(source), Path(place), file, error)
        self._changed.add(place.rpartition("/")[0])

    def _place_otherwise(self, source: Path, place: Path, file: MergedFile, error: OSError) -> None:
        """Place a file that could not be linked: there was no folder yet, or the disk is another one."""
        with disk_errors(place):
            if not place.parent.is_dir():
                self._make_folder(place.parent)
                self._place(str(source), str(place), file)
            elif error.errno not in _NO_LINKS:
                raise error
            elif place.exists():
                self._accept(source, place, file)
            else:
                _copy(source, place)
                self.placed.copied += 1

    def _accept(self, source: Path, place: Path, file: MergedFile) -> None:
        """A merge that was interrupted, or one before, has placed it; anything else is in the way."""
        with disk_errors(place):
            if not (place.exists() and place.samefile(source)) and not _is_file(place, file):
                raise RunFolderError(
                    f"{printable(str(place), 300)} is another file than {printable(str(source), 300)}; move it away,"
                    " then merge again"
                )
        self.placed.there += 1

    def _make_folder(self, folder: Path) -> None:
        if not folder.is_dir():
            self._make_folder(folder.parent)
            folder.mkdir()
            self._changed.add(str(folder.parent))


def _is_file(path: Path, file: MergedFile) -> bool:
    if not path.is_file() or path.stat().st_size != file.bytes:
        return False
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == file.sha256


def _copy(source: Path, place: Path) -> None:
    part = place.with_name(f".{place.name}.part")
    try:
        shutil.copyfile(source, part)
        with part.open("rb+") as copy:
            os.fsync(copy.fileno())
        part.rename(place)
    finally:
        part.unlink(missing_ok=True)


def refuse_leading_out(folder: Path, path: str) -> None:
    """Raise RunFolderError for a path that does not stay in the run folder: its journal may come from anybody."""
    first, *others = path.split("/")
    if first not in ("files", "superseded") or not others or not {"", ".", ".."}.isdisjoint(others) or "\0" in path:
        raise RunFolderError(f"the journal in {folder} names a file outside of it: {printable(path, 200)!r}")
