"""The files of a run against its journal."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from batchgen.download import check_file
from batchgen.journal import FILE_NAME, open_for_reading, sqlite_errors
from batchgen.journal.queries.report_rows import FileRow, facts_of, file_count, file_rows, knows_file, lacking_files
from batchgen.scheduler.refetch import Difference
from batchgen.store import LocalDisk

Watch = Callable[[Iterable[FileRow], int], Iterable[FileRow]]
"""Hands the rows on, of which there are so many, and may show how far it has come."""


@dataclass(frozen=True, slots=True)
class Checked:
    """How a run folder's files stand."""

    run: str
    files: int
    bytes: int
    differing: int
    unknown: tuple[str, ...]
    """Files below `files/` that the journal does not know."""


def check(
    folder: Path, *, quick: bool, found: Callable[[Difference], None], watch: Watch = lambda rows, _: rows
) -> Checked:
    """Check every file that the journal of a run folder knows; `found` is called with each that differs.

    `quick` leaves out the SHA-256. Raises RunFolderError.
    """
    path, store = folder / FILE_NAME, LocalDisk(folder)
    files = size = differing = 0
    with closing(open_for_reading(path)) as db, sqlite_errors(path):
        run = facts_of(db).get("run", folder.name)
        for row in watch(file_rows(db), file_count(db)):
            files += 1
            size += row.file.bytes
            reason = check_file(store, row.file, not quick)
            if reason is not None:
                differing += 1
                found(Difference(row, reason))
        for row in lacking_files(db):
            differing += 1
            found(Difference(row, "was ordered but never delivered"))
    return Checked(run, files, size, differing, tuple(_unknown(folder)))


def _unknown(folder: Path) -> Iterator[str]:
    path = folder / FILE_NAME
    # A snapshot of its own: what a run stored while the files were checked is known by now.
    with closing(open_for_reading(path)) as db, sqlite_errors(path):
        yield from (name for name in LocalDisk(folder).names() if not knows_file(db, name))
