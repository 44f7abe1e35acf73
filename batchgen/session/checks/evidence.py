"""Third witnesses: the ledger and the files of a run folder, which may know of purchases that its books lack.

Journal and receipts can both be older copies. What then stands in the ledger or below `files/` was paid for, and a run
that believed its books would buy it again.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from batchgen.core.errors import RunFolderError, UsageError
from batchgen.core.records import EVER_CHARGED
from batchgen.core.text import plural, printable
from batchgen.journal import Journal
from batchgen.journal.queries.purchases import files_of_pending, has_pending, knows_purchase
from batchgen.ledger import LEDGER_NAME
from batchgen.store import OutputStore, store_of

if TYPE_CHECKING:
    from batchgen.ledger.charges import Charge

log = logging.getLogger("batchgen")

_NOTED = "ledger"
_SHOWN = 3
_ADVICE = (
    "journal.sqlite3 and receipts.jsonl seem to be older copies. Nothing was bought: restore the newest copies of"
    " both, and run again"
)


def ledger_evidence(folder: Path, run: str | None = None) -> Callable[[sqlite3.Connection], None]:
    """Return what raises RunFolderError where the ledger in `folder` knows of purchases that a journal lacks.

    Only rows of `run` count, where it is given. A ledger that cannot be read, edited by hand maybe, is no evidence.
    """
    return evidence_of(folder / LEDGER_NAME, str(folder / LEDGER_NAME), run)


def evidence_of(path: Path, shown: str, run: str | None) -> Callable[[sqlite3.Connection], None]:
    """As `ledger_evidence`, for a ledger at any path, which messages call `shown`."""

    def check(db: sqlite3.Connection) -> None:
        if not path.exists():
            return
        from batchgen.ledger.charges import file_charges  # a ledger that is as it was left is not read

        unknown, count = [], 0
        try:
            for charge in file_charges(path):
                if run in (None, charge.run) and not _is_known(db, charge):
                    count += 1
                    unknown += [charge] if count <= _SHOWN else []
        except UsageError as error:
            log.warning("the ledger was not compared with the journal: %s", error)
            return
        if count:
            named = ", ".join(
                f"{c.item_id} #{c.attempt}" + (f" as job {c.job_id}" if c.job_id else "") for c in unknown
            )
            raise RunFolderError(
                f"{shown} shows {plural(count, 'purchase')} that the journal lacks ({printable(named)}"
                f"{', …' if count > _SHOWN else ''}): {_ADVICE}. To continue without them, move {LEDGER_NAME} away"
                " and give it with --skip-bought"
            )

    return check


def _is_known(db: sqlite3.Connection, charge: "Charge") -> bool:
    if charge.state not in EVER_CHARGED or not charge.attempt:
        return True
    return knows_purchase(db, charge.item_id, charge.digest, charge.attempt, charge.job_id)


def compare_ledger(journal: Journal, folder: Path) -> None:
    """Compare the ledger with the journal, unless it is the very file that was written from it last.

    Raises RunFolderError where it knows more.
    """
    facts = journal.facts()
    if facts.get(_NOTED, "") != _mark(folder / LEDGER_NAME):
        ledger_evidence(folder, facts.get("run"))(journal.db)


def note_ledger(journal: Journal, folder: Path) -> None:
    """Remember the ledger as it is on disk now, written from this journal; inside a transaction."""
    journal.note(**{_NOTED: _mark(folder / LEDGER_NAME)})


def _mark(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return ""
    return f"{found.st_size}:{found.st_mtime_ns}"


def compare_files(journal: Journal, folder: Path) -> None:
    """Look for files of items that would be bought now although their files are there already.

    Raises RunFolderError where there are any, DiskError. Files that no item is called after are nobody's business, nor
    are those beside files that were delivered under the same id: captions, copies in other formats.
    """
    store = store_of(folder, journal.facts())
    if store.remote or not has_pending(journal.db):
        return  # the place of the outputs in an object store is this folder's alone, by its mark there
    with journal.transaction():
        found = files_of_pending(
            journal.db,
            _stems(store),
            lambda path: not (folder / path).is_symlink(),  # a link is nothing that was downloaded
            _SHOWN,
        )
    if found:
        named = ", ".join(f"{path} of {item}" for item, path in found)
        raise RunFolderError(
            f"{folder} holds files of items that its journal would buy ({printable(named)}): {_ADVICE}. Files from"
            " elsewhere must not have these names"
        )


def _stems(store: OutputStore) -> Iterator[tuple[str, str]]:
    """Yield each file below `files/`, relative to the run folder, with the item's path that would give it its name."""
    for name in store.names():
        if not name.endswith(".part") and PurePosixPath(name).name.isprintable():
            stem = str(PurePosixPath(*PurePosixPath(name).with_suffix("").parts[1:]))
            yield name, stem
            bare, at, number = stem.rpartition("@")
            if at and number.isdecimal():
                yield name, bare
