"""Opens a journal for reading, also while a run writes it, and where this user may write nothing."""

import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

from batchgen.core.errors import RunFolderError

_TRIES = 3
_NOT_HERE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


def connect_for_reading(path: Path) -> sqlite3.Connection:
    """Return a connection that writes nothing. Raises sqlite3.Error, and RunFolderError where the file cannot be read.

    SQLite reads a database in WAL mode through shared memory beside it, which it has to create unless a run has it open
    (SQLite documentation, "Write-Ahead Logging", section 9). In another user's folder, or on a read-only disk, it
    cannot; there a copy is read. Its option `immutable` does not help: it would not read the log of a run that was
    killed, and a run that starts meanwhile would change what is being read.
    """
    try:
        return _connect(path)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in _NOT_HERE or os.access(path.parent, os.W_OK):
            raise
        return _connect_to_copy(path)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5)
    try:
        connection.execute("PRAGMA user_version").fetchone()  # only a read looks for the shared memory
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_to_copy(path: Path) -> sqlite3.Connection:
    log = path.with_name(f"{path.name}-wal")
    with tempfile.TemporaryDirectory(prefix="batchgen-") as scratch:
        copy = Path(scratch) / path.name
        try:
            for _ in range(_TRIES):
                before = _marks(path, log)
                shutil.copyfile(path, copy)
                if log.exists():
                    shutil.copyfile(log, copy.with_name(log.name))
                if _marks(path, log) == before:
                    break
            else:
                raise RunFolderError(f"the journal {path} is being written and cannot be read from here now; try again")
        except OSError as error:
            raise RunFolderError(f"cannot read the journal {path}: {error.strerror}") from error
        with sqlite3.connect(copy, isolation_level=None) as db:
            db.execute("PRAGMA journal_mode = DELETE")  # folds the log in
        db.close()
        # An open file outlives its name: the copy lasts as long as the connection.
        return _connect(copy)


def _marks(*paths: Path) -> list[tuple[int, int] | None]:
    """Return for each file what changes when it is written; None if it does not exist."""
    marks: list[tuple[int, int] | None] = []
    for path in paths:
        try:
            found = path.stat()
        except FileNotFoundError:
            marks.append(None)
        else:
            marks.append((found.st_size, found.st_mtime_ns))
    return marks
