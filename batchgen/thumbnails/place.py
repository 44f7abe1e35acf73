"""Where a thumbnail is: by the SHA-256 of its file, so that it is never stale and never made twice."""

import re
from pathlib import Path

THUMBNAILS = "thumbs"
"""The folder of the thumbnails in a run folder."""
_SHA256 = re.compile(r"[0-9a-f]{64}")


def thumbnail_path(run_folder: Path, sha256: str) -> Path:
    """Return where the thumbnail of a file belongs, by the file's SHA-256 in 64 hexadecimal digits.

    Raises ValueError for anything else: a request of a browser is no way to other paths.
    """
    if not _SHA256.fullmatch(sha256):
        raise ValueError("a SHA-256 has 64 hexadecimal digits")
    return run_folder / thumbnail_name(sha256)


def thumbnail_name(sha256: str) -> str:
    """Return the same place relative to the run folder, for a SHA-256 from the journal."""
    return f"{THUMBNAILS}/{sha256[:2]}/{sha256}.webp"


def is_there(thumbnail: Path) -> bool:
    """Return whether a thumbnail has been made; an empty one was cut short by a crash of the machine."""
    try:
        return thumbnail.stat().st_size > 0
    except OSError:
        return False
