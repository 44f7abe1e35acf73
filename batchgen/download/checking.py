"""Is a file of the store still what was stored?"""

import hashlib
import os
from io import FileIO

from batchgen.core.records import StoredFile
from batchgen.media import Damaged, Unfamiliar, inspect_file
from batchgen.store import OutputStore


def check_file(store: OutputStore, stored: StoredFile, hash: bool, deep: bool = True) -> str | None:  # noqa: A002, FBT001, FBT002 - `verify` calls it so
    """Return why a file is not what was stored, or None.

    Judged by its length and container, and by its SHA-256 if `hash`, or where the format is not known. Not `deep`: a
    remote store is asked what it knows, and a file is read only where that says no SHA-256. Raises ValueError for a
    name that leads out of the store, StoreError.
    """
    if store.remote and not deep:
        known = store.known(stored.path)
        if known is None:
            return "is missing"
        if known.bytes != stored.bytes:
            return f"has {known.bytes} bytes instead of {stored.bytes}"
        if known.sha256 is not None:
            return None if known.sha256 == stored.sha256 else "has another SHA-256"
    try:
        with store.open(stored.path) as file:
            size = os.fstat(file.fileno()).st_size
            if size != stored.bytes:
                return f"has {size} bytes instead of {stored.bytes}"
            if hash and _sha256(file) != stored.sha256:
                return "has another SHA-256"
            if not _is_familiar(file) and _sha256(file) != stored.sha256:
                return "has another SHA-256"
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except Damaged as damage:
        return str(damage)
    return None


def _is_familiar(file: FileIO) -> bool:
    """Return whether a file's format is known, and the file whole. Raises Damaged where it is not whole."""
    try:
        inspect_file(file)
    except Unfamiliar:
        return False
    return True


def _sha256(file: FileIO) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()
