"""Files of earlier purchases move to `superseded/`; nothing is ever overwritten."""

from itertools import count
from pathlib import PurePosixPath

from batchgen.download import stem_of
from batchgen.journal import Attempt, Journal, Recorder
from batchgen.store import OutputStore


async def make_way(store: OutputStore, path: str, journal: Journal, record: Recorder) -> None:
    """Move the file `path`, below `files/`, to a free place below `superseded/`.

    The journal learns the new place first, then the file moves: after a crash between the two, the next call finds a
    file that the journal already has at its new place, and finishes the move. One call at a time. Raises DiskError.
    """
    place = await record(free_place, store, path, journal)
    store.move([(path, place)])


def free_place(store: OutputStore, path: str, journal: Journal) -> str:
    """Return where a file below `files/` is to go below `superseded/`, and have the journal know it there.

    Inside a transaction; the file itself is moved by the caller.
    """
    owned = journal.owner_of(path) is not None
    below = PurePosixPath(path).relative_to("files")
    for number in count(1):
        name = below.name if number == 1 else f"{below.stem}~{number}{below.suffix}"
        place = str(PurePosixPath("superseded") / below.with_name(name))
        taken = store.length(place) is not None
        known = journal.owner_of(place) is not None
        if not taken and known and not owned:
            return place
        if not taken and not known:
            journal.move_file(path, place)
            return place
    raise AssertionError  # for the type checker: the numbers do not end


async def retire_earlier(store: OutputStore, attempt: Attempt, journal: Journal, record: Recorder) -> None:
    """Move the files of earlier purchases under the same id aside, whatever they are called. One call at a time."""
    for path in await record(journal.earlier_files, attempt):
        await make_way(store, path, journal, record)


async def restore(store: OutputStore, journal: Journal, record: Recorder) -> None:
    """Bring back the files of items that are asked for again as they were bought: an edit was undone.

    The file moves first, then the journal learns of it: after a crash between the two, the next call finds the file at
    its place already. Raises DiskError.
    """
    for back in await record(journal.files_to_restore):
        place = f"files/{stem_of(back.item_path, back.output, back.outputs)}{PurePosixPath(back.path).suffix}"
        if store.length(back.path) is not None:
            if store.length(place) is not None:
                await make_way(store, place, journal, record)
            store.move([(back.path, place)])
        if store.length(place) is not None and await record(journal.owner_of, place) is None:
            await record(journal.move_file, back.path, place)
