"""The scripts of a large report, in a folder of their own for each report: an older page never meets a newer script."""

import shutil
from collections import defaultdict
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, Self

from batchgen.core.files import disk_errors, sync_folder
from batchgen.report.data import in_script
from batchgen.report.files import FOLDER


class Scripts:
    """Scripts beside a page, by what they hold."""

    def __init__(self, folder: Path, number: int) -> None:
        """`number` is the name of their folder, which exists, below `FOLDER` in the run folder `folder`."""
        self.number = number
        self._folder = folder / FOLDER / str(number)
        self._names: defaultdict[str, list[str]] = defaultdict(list)

    @classmethod
    def make(cls, run_folder: Path) -> Self:
        """Return those of a new report, with a folder that no other has. Raises DiskError."""
        place = run_folder / FOLDER
        with disk_errors(place):
            place.mkdir(exist_ok=True)
            for number in count(max(_numbers(place), default=0) + 1):
                try:
                    (place / str(number)).mkdir()
                except FileExistsError:  # another process writes a report too
                    continue
                return cls(run_folder, number)
        raise AssertionError("numbers do not end")

    def add(self, kind: str, value: Any) -> None:
        """Write the next script of a kind. Raises DiskError."""
        names = self._names[kind]
        path = self._folder / f"{kind}-{len(names):04}.js"
        with disk_errors(path):
            path.write_text(in_script(f"{kind}-{len(names)}", value), encoding="ascii")
        names.append(f"{FOLDER}/{self.number}/{path.name}")

    def names(self, kind: str) -> list[str]:
        """Return the paths of the scripts of a kind, relative to the run folder."""
        return self._names[kind]

    def sync(self) -> None:
        """Make their names durable. Raises DiskError."""
        with disk_errors(self._folder):
            sync_folder(self._folder)

    def remove(self) -> None:
        """Remove them. Raises OSError."""
        shutil.rmtree(self._folder)
        with suppress(OSError):  # those of an older report are there
            self._folder.parent.rmdir()


def remove_scripts(run_folder: Path, *, but: Scripts | None = None) -> None:
    """Remove the scripts of older reports than `but`; those of a newer one stay, and so does what is not ours.

    Raises DiskError.
    """
    place = run_folder / FOLDER
    with disk_errors(place):
        for number in _numbers(place):
            if but is None or number < but.number:
                shutil.rmtree(place / str(number))
        if but is None and place.is_dir() and not any(place.iterdir()):
            place.rmdir()


def _numbers(place: Path) -> list[int]:
    if not place.is_dir():
        return []
    found = (path for path in place.iterdir() if path.is_dir() and not path.is_symlink())
    return [int(path.name) for path in found if path.name.isdecimal() and path.name.isascii()]
