"""Files of earlier purchases move to `superseded/`, so that nothing is ever overwritten."""

from collections.abc import Collection
from itertools import count
from pathlib import PurePosixPath

from batchgen.download import Offload, stem_of
from batchgen.journal import Attempt, Journal, Recorder
from batchgen.store import OutputStore


async def move_aside(store: OutputStore, path: str, journal: Journal, record: Recorder, offload: Offload) -> None:
    """Give the file `path`, below `files/`, a free name below `superseded/`.

    The new name is recorded first, then the file moves: after a crash between the two, the next call finds the new
    name in the journal and finishes the move. One call at a time. Raises DiskError, StoreError.
    """
    taken: set[str] = set()
    while True:
        # The store may be slow to answer, and the journal waits for nobody.
        name, recorded = await record(_superseded_name, path, journal, taken)
        if not await offload(_is_taken, store, name, path if recorded else None):
            break
        taken.add(name)
    name = await record(_claim, path, journal, taken)
    await offload(store.move, [(path, name)])


def claim_superseded_name(store: OutputStore, path: str, journal: Journal) -> str:
    """Return a free name below `superseded/` for a file below `files/`, and record the file under it.

    Inside a transaction. The caller moves the file itself. Raises DiskError, StoreError.
    """
    taken: set[str] = set()
    while True:
        name, recorded = _superseded_name(path, journal, taken)
        if not _is_taken(store, name, path if recorded else None):
            return _claim(path, journal, taken)
        taken.add(name)


def _is_taken(store: OutputStore, name: str, moving: str | None) -> bool:
    """Return whether a name is taken by anything but the copy that a move of `moving` had made when it was cut off."""
    known = store.known(name)
    if known is None:
        return False
    return moving is None or known.sha256 is None or known != store.known(moving)


def _claim(path: str, journal: Journal, taken: Collection[str]) -> str:
    name, recorded = _superseded_name(path, journal, taken)
    if not recorded:
        journal.move_file(path, name)
    return name


def _superseded_name(path: str, journal: Journal, taken: Collection[str]) -> tuple[str, bool]:
    """Return the first name for a file that is not `taken`, and whether the file is recorded under it already."""
    owned = journal.owner_of(path) is not None
    below = PurePosixPath(path).relative_to("files")
    for number in count(1):
        last_part = below.name if number == 1 else f"{below.stem}~{number}{below.suffix}"
        name = str(PurePosixPath("superseded") / below.with_name(last_part))
        recorded = journal.owner_of(name) is not None
        if name not in taken and not (recorded and owned):
            return name, recorded  # recorded: before a crash, and not moved yet
    raise AssertionError  # for the type checker: the numbers do not end


async def move_earlier_files_aside(
    store: OutputStore, attempt: Attempt, journal: Journal, record: Recorder, offload: Offload
) -> None:
    """Move the files of all earlier attempts of an item aside. One call at a time. Raises DiskError."""
    for path in await record(journal.earlier_files, attempt):
        await move_aside(store, path, journal, record, offload)


async def restore_files(store: OutputStore, journal: Journal, record: Recorder, offload: Offload) -> None:
    """Move back the files of items that are in the manifest again as they were bought, since an edit was undone.

    The file moves first, then its name is recorded: after a crash between the two, the next call finds the file under
    its name already. Raises DiskError.
    """
    for file in await record(journal.files_to_restore):
        name = f"files/{stem_of(file.item_path, file.output, file.outputs)}{PurePosixPath(file.path).suffix}"
        if await offload(store.length, file.path) is not None:
            if await offload(store.length, name) is not None:
                await move_aside(store, name, journal, record, offload)
            await offload(store.move, [(file.path, name)])
        if await offload(store.length, name) is not None and await record(journal.owner_of, name) is None:
            await record(journal.move_file, file.path, name)
