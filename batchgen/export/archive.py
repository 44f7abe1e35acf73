"""An export as one ZIP archive: the same export makes the same bytes."""

import os
import shutil
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from batchgen.core.files import disk_errors, publish
from batchgen.export.destination import stat_of

_CHUNK = 1 << 20
_MODE = 0o644 << 16
_UNIX = 3


def write_archive(
    folder: Path, names: Iterable[str], archive: Path, announce: Callable[[os.stat_result], None]
) -> None:
    """Write an archive of these files of a folder, in this order, in place of an earlier one. Raises DiskError.

    `announce` is called with what the archive is, before it has its name.

    Stored, not compressed: pictures and films are already, and compressors differ from version to version. All times
    are the earliest that the format knows. Files of more than 4 GiB, and archives of more than 65,535 files, are
    ZIP64.
    """
    staged = archive.with_name(f".{archive.name}.part")
    with disk_errors(archive):
        try:
            with staged.open("wb") as out:
                with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as pack:
                    for name in names:
                        _add(pack, folder, name)
                out.flush()
                os.fsync(out.fileno())
            announce(staged.stat())
            publish(staged, archive)
        finally:
            staged.unlink(missing_ok=True)


def _add(pack: zipfile.ZipFile, folder: Path, name: str) -> None:
    path = folder / name
    found = stat_of(path)
    entry = zipfile.ZipInfo(name)
    entry.create_system, entry.external_attr = _UNIX, _MODE
    entry.file_size = found.st_size if found is not None else 0  # whether it needs ZIP64
    with path.open("rb") as source, pack.open(entry, "w") as target:
        shutil.copyfileobj(source, target, _CHUNK)
