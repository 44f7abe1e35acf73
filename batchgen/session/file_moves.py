"""Files follow purchases that were given to other items: by way of a name in between, since two may change places."""

from batchgen.journal import Journal
from batchgen.journal.requested.renames import Move, cancel_move, mark_arrived, mark_waiting, pending_moves
from batchgen.scheduler.superseded import claim_superseded_name
from batchgen.store import OutputStore

_BATCH = 500


def finish_moves(store: OutputStore, journal: Journal) -> None:
    """Bring every file that is on its way to its new name; whatever lies there already goes to `superseded/`.

    Each file is renamed first, then the journal learns of it: after a crash in between, the next call finds it at its
    new place. All of them leave their old places before the first one arrives. Raises DiskError.
    """
    while batch := pending_moves(journal.db, waiting=False, most=_BATCH):
        store.move([(m.path, m.waiting) for m in batch])
        with journal.transaction():
            mark_waiting(journal.db, batch)
    while batch := pending_moves(journal.db, waiting=True, most=_BATCH):
        for m in batch:
            if store.length(m.path) is not None and store.length(m.target) is not None:
                _move_aside(store, m.target, journal)
        store.move([(m.path, m.target) for m in batch])
        with journal.transaction():
            for m in batch:
                _arrived(m, journal)


def _move_aside(store: OutputStore, path: str, journal: Journal) -> None:
    with journal.transaction():
        place = claim_superseded_name(store, path, journal)
    store.move([(path, place)])


def _arrived(m: Move, journal: Journal) -> None:
    owner = journal.owner_of(m.target)
    if owner is None or owner == (m.attempt, m.number):
        mark_arrived(journal.db, m, journal.lines)
    else:
        cancel_move(journal.db, m)  # its file was removed, and the place is another's
