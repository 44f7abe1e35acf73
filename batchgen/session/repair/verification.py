"""The files of a run against its journal."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from batchgen.download import check_file
from batchgen.journal import FILE_NAME, open_for_reading, sqlite_errors
from batchgen.journal.queries.report_rows import FileRow, facts_of, file_count, file_rows, knows_file, lacking_files
from batchgen.scheduler.refetch import Difference
from batchgen.store import OutputStore, store_of

_ASKED_AT_ONCE, _READ_AT_ONCE = 32, 4
"""Files in an object store."""
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
    folder: Path, *, quick: bool, deep: bool = False, found: Callable[[Difference], None],
    watch: Watch = lambda rows, _: rows,
) -> Checked:  # fmt: skip
    """Check every file that the journal of a run folder knows; `found` is called with each that differs.

    `quick` leaves out the SHA-256; `deep` reads also what lies in an object store, which is else asked for length and
    SHA-256. Raises RunFolderError, StoreError.
    """
    path = folder / FILE_NAME
    files = size = differing = 0
    with closing(open_for_reading(path)) as db, sqlite_errors(path):
        facts = facts_of(db)
        run, store = facts.get("run", folder.name), store_of(folder, facts)
        for row, reason in _reasons(store, watch(file_rows(db), file_count(db)), hash_too=not quick, deep=deep):
            files += 1
            size += row.file.bytes
            if reason is not None:
                differing += 1
                found(Difference(row, reason))
        for row in lacking_files(db):
            differing += 1
            found(Difference(row, "was ordered but never delivered"))
    return Checked(run, files, size, differing, tuple(_unknown(folder, store)))


def _reasons(
    store: OutputStore, rows: Iterable[FileRow], *, hash_too: bool, deep: bool
) -> Iterator[tuple[FileRow, str | None]]:
    """Yield each file in its order with why it is not what was stored; None: it is."""
    if not store.remote:
        yield from ((row, check_file(store, row.file, hash_too)) for row in rows)
        return
    at_once = _READ_AT_ONCE if deep else _ASKED_AT_ONCE
    under_way: deque[tuple[FileRow, Future[str | None]]] = deque()
    with ThreadPoolExecutor(at_once, "verify") as pool:
        for row in rows:
            under_way.append((row, pool.submit(check_file, store, row.file, hash_too, deep)))
            if len(under_way) > at_once:
                first, reason = under_way.popleft()
                yield first, reason.result()
        for first, reason in under_way:
            yield first, reason.result()


def _unknown(folder: Path, store: OutputStore) -> Iterator[str]:
    path = folder / FILE_NAME
    # A snapshot of its own: what a run stored while the files were checked is known by now.
    with closing(open_for_reading(path)) as db, sqlite_errors(path):
        yield from (name for name in store.names() if not knows_file(db, name))
