"""Files follow purchases that were given to other items: by way of a name in between, since two may change places."""

from collections.abc import Iterable
from pathlib import Path

from batchgen.core.files import disk_errors, sync_folder
from batchgen.journal import Journal
from batchgen.journal.renames import Move, arrive, forget, moves, wait_with
from batchgen.scheduler.superseded import free_place, move

_BATCH = 500


def finish_moves(folder: Path, journal: Journal) -> None:
    """Bring every file that is on its way to its new name; whatever lies there already goes to `superseded/`.

    Each file is renamed first, then the journal learns of it: after a crash in between, the next call finds it at its
    new place. All of them leave their old places before the first one arrives. Raises DiskError.
    """
    while batch := moves(journal.db, waiting=False, most=_BATCH):
        _rename_all(folder, [(m.path, m.waiting) for m in batch])
        with journal.transaction():
            wait_with(journal.db, batch)
    while batch := moves(journal.db, waiting=True, most=_BATCH):
        for m in batch:
            if (folder / m.path).exists() and (folder / m.target).exists():
                _make_way(folder, m.target, journal)
        _rename_all(folder, [(m.path, m.target) for m in batch])
        with journal.transaction():
            for m in batch:
                _arrived(m, journal)


def _rename_all(folder: Path, pairs: Iterable[tuple[str, str]]) -> None:
    """Rename what is there to be renamed, durably."""
    parents = set()
    for old, new in pairs:
        before, after = folder / old, folder / new
        with disk_errors(after):
            if before.exists():  # what somebody removed cannot be moved, and its record need not stand in the way
                after.parent.mkdir(parents=True, exist_ok=True)
                before.rename(after)
                parents |= {before.parent, after.parent}
    for parent in parents:
        with disk_errors(parent):
            sync_folder(parent)


def _make_way(folder: Path, path: str, journal: Journal) -> None:
    with journal.transaction():
        place = free_place(folder, path, journal)
    move(folder / path, folder / place)


def _arrived(m: Move, journal: Journal) -> None:
    owner = journal.owner_of(m.target)
    if owner is None or owner == (m.attempt, m.number):
        arrive(journal.db, m, journal.lines)
    else:
        forget(journal.db, m)  # its file was removed, and the place is another's
