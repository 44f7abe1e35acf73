"""The lock that keeps a second process out of a run folder."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from batchgen.core.errors import RunFolderError
from batchgen.core.files import disk_errors
from batchgen.core.text import printable, stamp

_NAME = ".lock"
_GLANCES, _GLANCE = 4, 0.02
"""How often to look again, and after how many seconds: `owner`, in another process, takes the lock for a moment."""
_IN_USE = "{} is in use by another batchgen, whose lock file was removed; wait for it, or stop it with Ctrl-C"
_owned_here: set[tuple[int, int]] = set()
"""The journals that runs of this process own, by device and inode."""


@contextmanager
def own(folder: Path, now: datetime) -> Iterator[None]:
    """Own `folder` while the block runs; the kernel releases the lock however the process ends (flock(2)).

    Raises RunFolderError that names the owner where there is one already.
    """
    path = folder / _NAME
    with disk_errors(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            _lock(handle)
        except BlockingIOError as error:
            raise RunFolderError(
                f"{folder} is in use by another batchgen{_owner(handle)}; wait for it, or stop it with Ctrl-C"
            ) from error
        text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": stamp(now)})
        with disk_errors(path):
            os.ftruncate(handle, 0)
            os.pwrite(handle, text.encode(), 0)
        yield
    finally:
        os.close(handle)


def _lock(handle: int) -> None:
    """Lock a file for this process. Raises BlockingIOError where another one holds it for longer than a glance."""
    for _ in range(_GLANCES):
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_GLANCE)
    return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def own_journal(path: Path, *, create: bool) -> Iterator[None]:
    """Own the journal's file itself while the block runs: a lock file can be removed, and another process make its own.

    Begins before the journal is opened and ends after it is closed: SQLite's own locks, which are of another kind
    (fcntl(2)), would go with any other handle of the file that this process closes. `create` makes an empty file where
    there is none. Raises RunFolderError, DiskError.
    """
    if not create and not path.exists():
        raise RunFolderError(f"{path.parent} is not a run folder: it has no {path.name}")
    if _is_owned_here(path):  # not even opened, since closing it would release the locks of the owner's SQLite
        raise RunFolderError(_IN_USE.format(path))
    with disk_errors(path):
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o640)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        identity = _identity(os.fstat(handle))
        _owned_here.add(identity)
        try:
            yield
        finally:
            _owned_here.discard(identity)
    except BlockingIOError as error:
        raise RunFolderError(_IN_USE.format(path)) from error
    finally:
        os.close(handle)


def _is_owned_here(path: Path) -> bool:
    """Whether a run of this process owns the journal `path`."""
    try:
        return _identity(path.stat()) in _owned_here
    except OSError:
        return False  # there is none yet, or opening it will say what is wrong


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def owner(folder: Path) -> str | None:
    """Return who owns `folder` now, as the end of a sentence (possibly empty), or None if it is free."""
    try:
        handle = os.open(folder / _NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None  # never owned, or not readable
    try:
        # A shared lock, released at once: a run that starts at this very moment waits for it.
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _owner(handle)
    else:
        return None
    finally:
        os.close(handle)


def _owner(handle: int) -> str:
    try:
        owner = json.loads(os.pread(handle, 4096, 0))
        return printable(f" (process {owner['pid']} on {owner['host']}, since {owner['since']})", 200)
    except (ValueError, KeyError, TypeError):
        return ""  # the owner has not written its name yet
