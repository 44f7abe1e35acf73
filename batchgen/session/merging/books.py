"""The books of a run folder that is to be merged: journal and receipts, reconciled in a copy, so that the folder itself
stays as it is.
"""

import shutil
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from batchgen import receipts
from batchgen.core.errors import RunFolderError, UsageError
from batchgen.core.files import disk_errors
from batchgen.core.text import printable
from batchgen.journal import FILE_NAME, SIMULATED, Journal, is_embedded, sqlite_errors
from batchgen.journal.recovery.reconcile import vouched_of
from batchgen.journal.requested.renames import pending_moves
from batchgen.session.checks.evidence import compare_ledger, ledger_evidence
from batchgen.session.run_folder import open_owned_folder


@dataclass(frozen=True, slots=True)
class Books:
    """What a run folder holds, at one moment."""

    folder: Path
    journal: Path
    """A file of the present version that nobody writes, without a log beside it."""
    facts: Mapping[str, str]
    run_id: str
    generation: int
    """Of its receipts."""
    looks: str
    """Changes with every purchase."""
    nameless: bool = False
    """Whether it is a copy of a journal of version 1, whose purchases get random names whenever it is led forward."""

    @property
    def embedded(self) -> bool:
        """Whether its purchases were made at the embedded simulator."""
        return is_embedded(self.facts)


def copied_books(folder: Path, scratch: Path, tell: Callable[[str], None]) -> Books:
    """Copy the books of an owned run folder to `scratch`, a new folder, and reconcile them there.

    Raises RunFolderError, DiskError.
    """
    with disk_errors(scratch):
        scratch.mkdir(mode=0o700)
        for name in (FILE_NAME, f"{FILE_NAME}-wal", receipts.FILE_NAME):
            if (folder / name).exists():
                shutil.copyfile(folder / name, scratch / name)
        for name in ("files", "superseded"):  # whose files prove that a purchase has arrived
            (scratch / name).symlink_to((folder / name).absolute())
    try:
        with closing(Journal(scratch, evidence=ledger_evidence(folder))) as journal, sqlite_errors(journal.path):
            compare_ledger(journal, folder)
            for notice in journal.notices:
                tell(f"{folder}: {notice}")
            if pending_moves(journal.db, waiting=False, most=1) or pending_moves(journal.db, waiting=True, most=1):
                raise RunFolderError(
                    f"files in {folder} are still to be renamed: `batchgen collect {folder}` finishes that"
                )
            books = _books_of(journal, folder)
            # The first receipts of a journal that never had any.
            return replace(books, nameless=books.generation == 1 and not (folder / receipts.FILE_NAME).exists())
    except RunFolderError as error:
        raise RunFolderError(str(error).replace(str(scratch), str(folder))) from error


def books_in_place(folder: Path, tell: Callable[[str], None]) -> Books:
    """Reconcile the books of an owned run folder where they are, and leave its journal without a log.

    Raises RunFolderError, DiskError.
    """
    with open_owned_folder(folder, create=False) as journal:
        for notice in journal.notices:
            tell(f"{folder}: {notice}")
        (busy, *_) = journal.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise RunFolderError(f"another program reads {journal.path}; stop it, then merge again")
        return _books_of(journal, folder)


def _books_of(journal: Journal, folder: Path) -> Books:
    vouched = vouched_of(journal.db)
    looks = f"{vouched.generation} {vouched.bytes} {vouched.sha256}"
    return Books(folder, journal.path, journal.facts(), vouched.run_id, vouched.generation, looks)


def refuse_mixing(books: Iterable[Books]) -> None:
    """Raise RunFolderError where the purchases of run folders belong to several accounts or APIs, or are real in one
    and simulated in another; UsageError where they are runs of manifests with different names.
    """
    together = list(books)
    bound = [one for one in together if "api" in one.facts]
    for other in bound[1:]:
        _refuse_pair(bound[0], other)
        for earlier in bound:
            kinds = {earlier.facts.get(SIMULATED, ""), other.facts.get(SIMULATED, "")}
            if kinds == {"true", "false"}:
                raise RunFolderError(
                    f"the purchases in one of {earlier.folder} and {other.folder} are real, those in the other are"
                    " simulated; they never mix"
                )


def _refuse_pair(first: Books, other: Books) -> None:
    api, another = first.facts["api"], other.facts["api"]
    if first.embedded != other.embedded:
        simulated, real = (first, other) if first.embedded else (other, first)
        raise RunFolderError(
            f"the purchases in {simulated.folder} are simulated, those in {real.folder} are real; they never mix"
        )
    if api != another:
        raise RunFolderError(
            f"the purchases in {first.folder} were made at {printable(api)}, those in {other.folder} at"
            f" {printable(another)}; only run folders of one API can be merged"
        )
    account, second = first.facts.get("account", ""), other.facts.get("account", "")
    if account != second:
        raise RunFolderError(
            f"the purchases in {first.folder} and {other.folder} belong to different accounts (fingerprints"
            f" {printable(account, 40)} and {printable(second, 40)}). If the account only has a new key, give both"
            " folders that key first: `batchgen collect RUN --rotated-key`"
        )
    names = [Path(one.facts["manifest"]).name for one in (first, other) if "manifest" in one.facts]
    if len(set(names)) > 1:
        raise UsageError(
            f"{first.folder} is a run of {printable(names[0], 200)}, and {other.folder} one of"
            f" {printable(names[1], 200)}: only runs of one manifest can be merged"
        )
