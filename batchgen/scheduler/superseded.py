"""Files of earlier purchases move to `superseded/`; nothing is ever overwritten."""

from itertools import count
from pathlib import Path, PurePosixPath

from batchgen.files import disk_errors, publish
from batchgen.journal import Journal, Recorder


async def make_way(folder: Path, path: str, journal: Journal, record: Recorder) -> None:
    """Move the file at `path` (relative to the run folder, below `files/`) to a free place below `superseded/`.

    The journal learns the new place first, then the file moves: after a crash between the two, the next call finds a
    file that the journal already has at its new place, and finishes the move. One call at a time. Raises DiskError.
    """
    owned = await record(journal.owner_of, path) is not None
    below = PurePosixPath(path).relative_to("files")
    for number in count(1):
        name = below.name if number == 1 else f"{below.stem}~{number}{below.suffix}"
        place = str(PurePosixPath("superseded") / below.with_name(name))
        taken = (folder / place).exists()
        known = await record(journal.owner_of, place) is not None
        if not taken and known and not owned:
            break
        if not taken and not known:
            await record(journal.move_file, path, place)
            break
    target = folder / place
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        publish(folder / path, target)
