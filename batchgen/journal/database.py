"""Opening a journal: for writing, where an older one is led to the present version, and for reading.

SQLite's errors are translated here and nowhere else.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from batchgen import receipts
from batchgen.core.descriptors import TOO_MANY, none_left
from batchgen.core.errors import BatchgenError, DescriptorsError, DiskError, OutsideError, RunFolderError
from batchgen.core.files import disk_errors
from batchgen.journal import schema
from batchgen.journal.integrity import content_fault, log_fault, value_fault
from batchgen.journal.merging.marks import SCRATCH
from batchgen.journal.readonly import connect_for_reading
from batchgen.journal.schema import FILE_NAME
from batchgen.journal.written import watch


class JournalLockedError(OutsideError):
    """Another program holds a lock on the journal, for longer than this one waits."""


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Translate SQLite's errors: a full or unwritable disk into DiskError, damage into RunFolderError, a lock that
    another program holds into JournalLockedError.

    Damage can show in any way when rows become values. So whatever was raised, a journal that proves to be damaged is
    taken for its reason.
    """
    try:
        yield
    except BatchgenError:
        raise
    except sqlite3.DatabaseError as error:
        primary = error.sqlite_errorcode & 0xFF if hasattr(error, "sqlite_errorcode") else None
        if primary in (
            sqlite3.SQLITE_FULL,
            sqlite3.SQLITE_IOERR,
            sqlite3.SQLITE_READONLY,
            sqlite3.SQLITE_CANTOPEN,
        ):
            if primary == sqlite3.SQLITE_CANTOPEN and none_left():
                raise DescriptorsError(f"cannot open the journal {path}: {TOO_MANY}") from error
            raise DiskError(f"cannot write the journal {path}: {error}") from error
        if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise _damaged(path, str(error)) from error
        if primary == sqlite3.SQLITE_BUSY:
            raise JournalLockedError(
                f"the journal {path} is locked by another program; stop that program, then run again"
            ) from error
        if primary == sqlite3.SQLITE_INTERRUPT:
            raise  # broken off on purpose
        if str(error).startswith("Could not decode to UTF-8"):  # raised by Python's module, which sets no code
            raise _damaged(path, "it contains text that is not UTF-8") from error
        _blame(path, error)
        raise
    except Exception as error:
        _blame(path, error)
        raise


def _blame(path: Path, error: Exception) -> None:
    """Raise RunFolderError if the journal at `path` is damaged, as the cause of `error`."""
    if not path.exists():
        return
    with closing(connect_for_reading(path)) as db:
        try:
            # What the tables of an older version hold is looked at once they have been migrated.
            if _version_of(db) != schema.VERSION:
                return
            fault = content_fault(db) or value_fault(db)
        except sqlite3.Error as another:
            fault = str(another)
    if fault is not None:
        raise _damaged(path, fault) from error


def _damaged(path: Path, why: str) -> RunFolderError:
    return RunFolderError(
        f"the journal {path} is damaged ({why}), and starting over would buy everything again; {_advice(path.parent)}"
    )


def _advice(folder: Path) -> str:
    """Say how to get a journal back, as the end of a sentence."""
    if (folder / receipts.FILE_NAME).exists():
        return f"`batchgen recover {folder} MANIFEST` rebuilds it from {receipts.FILE_NAME}"
    return f"restore {FILE_NAME} from a backup"


def refuse_leftovers(folder: Path) -> None:
    """Raise RunFolderError if a folder without a journal holds what a run left: all of it would be bought again."""
    left = [name for name in _LEFTOVERS if _holds_something(folder / name)]
    if left and (folder / SCRATCH).is_dir():
        raise RunFolderError(f"a merge into {folder} was interrupted; repeat the same `batchgen merge` to finish it")
    if left:
        ledger = f" --skip-bought {folder / 'ledger.csv'}" if "ledger.csv" in left else ""
        raise RunFolderError(
            f"{folder} holds {' and '.join(left)} of a run, but no journal of what was bought, and starting over would"
            f" buy everything again; {_advice(folder)}, or start another run with --run NAME{ledger}"
        )


_LEFTOVERS = ("files", "superseded", "ledger.csv", receipts.FILE_NAME)


def _holds_something(path: Path) -> bool:
    # An empty folder, or a link to one on a larger disk, may have been prepared for a first run.
    return any(path.iterdir()) if path.is_dir() else path.exists()


def open_database(path: Path, *, create: bool) -> sqlite3.Connection:
    """Open a journal for writing, durable at every commit. `create` allows making a new one.

    The tables of an older version are migrated first.

    synchronous=FULL in WAL mode syncs the log before a commit returns (SQLite documentation, "PRAGMA synchronous");
    fullfsync asks macOS for the same. Raises RunFolderError for a damaged, missing or newer journal, DiskError.
    """
    if not path.exists() or not path.stat().st_size:
        if not create:
            raise RunFolderError(f"{path.parent} is not a run folder: it has no {FILE_NAME}, or an empty one")
        refuse_leftovers(path.parent)
        if path.with_name(f"{FILE_NAME}-wal").exists():
            raise _damaged(path, "only its log is left")
    with disk_errors(path):
        fault = log_fault(path)
    if fault is not None:
        raise _damaged(path, fault)
    with sqlite_errors(path):
        # One thread uses it at a time, but not always the one that opened it.
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA fullfsync = ON")
            connection.execute("PRAGMA foreign_keys = ON")
            version = _version_of(connection)
            if version == 0:
                # Without a single table, the making of the file was cut short.
                if not create or connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                    raise _damaged(path, "it has no version")
                refuse_leftovers(path.parent)
                schema.make_tables(connection)
            else:
                _check_version(path, version)
                schema.migrate(connection, version)
                if fault := content_fault(connection):
                    raise _damaged(path, fault)
            watch(connection)
        except BaseException:
            connection.close()
            raise
    return connection


def _version_of(db: sqlite3.Connection) -> int:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    return int(version)


def _check_version(path: Path, version: int) -> None:
    """Raise RunFolderError for a version that this program does not know the way from."""
    if version != schema.VERSION and version not in schema.MIGRATIONS:
        raise RunFolderError(
            f"the journal {path} has version {version}, but this batchgen supports version {schema.VERSION}; use the"
            " batchgen that wrote it, or a newer one"
        )


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open a journal for reading, also beside a process that writes it; all items are selected. Raises RunFolderError.

    Nothing is written: of an older version, a copy is migrated and read. It takes as much room in the folder for
    temporary files as the journal does, and goes with the connection.
    """
    if not path.exists():
        raise RunFolderError(f"{path.parent} is not a run folder: it has no {FILE_NAME}")
    with sqlite_errors(path):
        connection = connect_for_reading(path)
        try:
            version = _version_of(connection)
            _check_version(path, version)
            if version != schema.VERSION:
                connection = _migrated_copy(connection, version)
            # One snapshot for all that is read: sums and rows then agree even during a run.
            connection.execute("BEGIN")
            connection.create_function("wanted", 2, lambda *_: True, deterministic=True)
        except BaseException:
            connection.close()
            raise
    return connection


def _migrated_copy(connection: sqlite3.Connection, version: int) -> sqlite3.Connection:
    """Return a copy of a journal with the tables of the present version, and close `connection`."""
    # A nameless database is private, and goes to a temporary file where it grows (SQLite documentation, "In-Memory
    # Databases"); `uri` lets others be attached for reading.
    copy = sqlite3.connect("", uri=True, isolation_level=None)
    try:
        with closing(connection):
            connection.backup(copy)
        schema.migrate(copy, version)
    except BaseException:
        copy.close()
        raise
    return copy
