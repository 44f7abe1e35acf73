"""Files of earlier purchases move to `superseded/`; nothing is ever overwritten."""

from itertools import count
from pathlib import Path, PurePosixPath

from batchgen.core.files import disk_errors, publish
from batchgen.download import stem_of
from batchgen.journal import Attempt, Journal, Recorder


async def make_way(folder: Path, path: str, journal: Journal, record: Recorder) -> None:
    """Move the file at `path` (relative to the run folder, below `files/`) to a free place below `superseded/`.

    The journal learns the new place first, then the file moves: after a crash between the two, the next call finds a
    file that the journal already has at its new place, and finishes the move. One call at a time. Raises DiskError.
    """
    move(folder / path, folder / await record(free_place, folder, path, journal))


def free_place(folder: Path, path: str, journal: Journal) -> str:
    """Return where a file below `files/` is to go below `superseded/`, and have the journal know it there.

    Inside a transaction; the file itself is moved by the caller.
    """
    owned = journal.owner_of(path) is not None
    below = PurePosixPath(path).relative_to("files")
    for number in count(1):
        name = below.name if number == 1 else f"{below.stem}~{number}{below.suffix}"
        place = str(PurePosixPath("superseded") / below.with_name(name))
        taken = (folder / place).exists()
        known = journal.owner_of(place) is not None
        if not taken and known and not owned:
            return place
        if not taken and not known:
            journal.move_file(path, place)
            return place
    raise AssertionError  # for the type checker: the numbers do not end


async def retire_earlier(folder: Path, attempt: Attempt, journal: Journal, record: Recorder) -> None:
    """Move the files of earlier purchases under the same id aside, whatever they are called. One call at a time."""
    for path in await record(journal.earlier_files, attempt):
        await make_way(folder, path, journal, record)


async def restore(folder: Path, journal: Journal, record: Recorder) -> None:
    """Bring back the files of items that are asked for again as they were bought: an edit was undone.

    The file moves first, then the journal learns of it: after a crash between the two, the next call finds the file at
    its place already. Raises DiskError.
    """
    for back in await record(journal.files_to_restore):
        old = folder / back.path
        place = f"files/{stem_of(back.item_path, back.output, back.outputs)}{PurePosixPath(back.path).suffix}"
        new = folder / place
        if old.exists():
            if new.exists():
                await make_way(folder, place, journal, record)
            move(old, new)
        if new.exists() and await record(journal.owner_of, place) is None:
            await record(journal.move_file, back.path, place)


def move(old: Path, new: Path) -> None:
    """Rename a file durably, where it is there. Raises DiskError."""
    with disk_errors(new):
        new.parent.mkdir(parents=True, exist_ok=True)
        if old.exists():  # what somebody removed cannot be moved, and its record need not stand in the way
            publish(old, new)
