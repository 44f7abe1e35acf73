"""Files of earlier purchases move to `superseded/`, so that nothing is ever overwritten."""

from itertools import count
from pathlib import PurePosixPath

from batchgen.download import Offload, stem_of
from batchgen.journal import Attempt, Journal, Recorder
from batchgen.store import OutputStore


async def move_aside(store: OutputStore, path: str, journal: Journal, record: Recorder, offload: Offload) -> None:
    """Give the file `path`, below `files/`, a free name below `superseded/`.

    The new name is recorded first, then the file moves: after a crash between the two, the next call finds the new
    name in the journal and finishes the move. One call at a time. Raises DiskError.
    """
    name = await record(claim_superseded_name, store, path, journal)
    await offload(store.move, [(path, name)])


def claim_superseded_name(store: OutputStore, path: str, journal: Journal) -> str:
    """Return a free name below `superseded/` for a file below `files/`, and record the file under it.

    Inside a transaction. The caller moves the file itself. Raises DiskError.
    """
    owned = journal.owner_of(path) is not None
    below = PurePosixPath(path).relative_to("files")
    for number in count(1):
        last_part = below.name if number == 1 else f"{below.stem}~{number}{below.suffix}"
        name = str(PurePosixPath("superseded") / below.with_name(last_part))
        taken = store.length(name) is not None
        recorded = journal.owner_of(name) is not None
        if not taken and recorded and not owned:
            return name  # recorded before a crash, and not moved yet
        if not taken and not recorded:
            journal.move_file(path, name)
            return name
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
        if store.length(file.path) is not None:
            if store.length(name) is not None:
                await move_aside(store, name, journal, record, offload)
            await offload(store.move, [(file.path, name)])
        if store.length(name) is not None and await record(journal.owner_of, name) is None:
            await record(journal.move_file, file.path, name)
