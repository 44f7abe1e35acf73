"""A journal rebuilt from `receipts.jsonl`, for a run folder whose own is lost or damaged.

The receipts know what was bought, under which job and for how much; the manifest gives the requests, and their digests
tell whether they fit. What the manifest does not have, or has otherwise by now, is kept without its request: it is
polled and downloaded all the same.
"""

import shutil
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from batchgen.core.clock import utc_now
from batchgen.core.errors import RunFolderError
from batchgen.core.files import disk_errors, sync_folder
from batchgen.core.records import State
from batchgen.journal import FILE_NAME, Spend, own, own_journal, spend_of, sqlite_errors
from batchgen.journal.database import open_database
from batchgen.journal.merging.marks import refuse_closed
from batchgen.journal.queries.run_status import purchased_counts_of
from batchgen.journal.recovery.aftermath import is_stored
from batchgen.journal.recovery.reconcile import name_receipts, vouch
from batchgen.journal.recovery.replay import Replay
from batchgen.receipts import FILE_NAME as RECEIPTS
from batchgen.receipts import Receipts

_SUFFIXES = ("", "-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a rebuilt journal holds."""

    counts: dict[State, int]
    """Items that were bought, or may have been, by state."""
    spend: Spend
    unread: int
    """Lines of the receipts that cannot be read."""
    kept: Path | None
    """Where the journal is that stood there before."""


def recover(folder: Path) -> Recovered:
    """Rebuild the journal of the run folder `folder` from its receipts; one that exists is moved aside.

    It is made beside the old one and put in place whole. Its items have no requests yet: list them from the manifest.
    Raises RunFolderError where there are no receipts, or where another process owns the folder; DiskError.
    """
    if not (folder / RECEIPTS).is_file():
        raise RunFolderError(f"{folder} has no {RECEIPTS} to make a journal from; restore {FILE_NAME} from a backup")
    with own(folder, utc_now()), ExitStack() as stack:
        refuse_closed(folder)
        if (folder / FILE_NAME).exists():  # a run whose lock file was removed may still be active
            stack.enter_context(own_journal(folder / FILE_NAME, create=False))
        scratch = folder / ".recover"
        with disk_errors(scratch):
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
        try:
            made = _made(folder, scratch / FILE_NAME)
            kept = _moved_aside(folder)
            with disk_errors(folder):
                (scratch / FILE_NAME).replace(folder / FILE_NAME)
                sync_folder(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return Recovered(*made, kept)


def _made(folder: Path, path: Path) -> tuple[dict[State, int], Spend, int]:
    file = Receipts(folder / RECEIPTS)
    with closing(file), sqlite_errors(path), closing(open_database(path, create=True)) as db:
        file.verify(0)
        lines = file.lines()
        _, kind, head = next(lines, (0, "", {}))
        if kind != "receipts":
            raise RunFolderError(f"{file.path} does not begin like receipts; restore {FILE_NAME} from a backup")
        db.execute("BEGIN")
        name_receipts(db, head["run_id"], head["generation"])
        replay, unread = Replay(db), 0
        for _, kind, line in lines:
            unread += not kind
            replay.take(kind, line)
        replay.finish(is_stored(db, folder))
        if not unread:  # else the next opening keeps the file aside, and rewrites it
            vouch(db, file)
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = DELETE")  # one file, whole, which is then put in place
        return purchased_counts_of(db), spend_of(db), unread


def _moved_aside(folder: Path) -> Path | None:
    """Give a journal that exists, and what SQLite keeps beside it, another name; return that, if there was one."""
    if not any((folder / f"{FILE_NAME}{suffix}").exists() for suffix in _SUFFIXES):
        return None
    names = (folder / f"{FILE_NAME}.before-recover-{number}" for number in count(1))
    place = next(path for path in names if not any(Path(f"{path}{suffix}").exists() for suffix in _SUFFIXES))
    with disk_errors(place):
        for suffix in _SUFFIXES:
            old = folder / f"{FILE_NAME}{suffix}"
            if old.exists():
                old.replace(f"{place}{suffix}")
        sync_folder(folder)
    return place if place.exists() else None
