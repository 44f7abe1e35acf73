"""The file of the receipts: lines are only ever appended, and a digest of all of them is kept as they are written."""

import hashlib
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from batchgen.core.files import disk_errors, sync_folder
from batchgen.receipts.lines import Line, read_line

FILE_NAME = "receipts.jsonl"
_CHUNK = 1 << 20
LONGEST_LINE = 1 << 16
"""Bytes; a line of ours is far shorter."""
_SHARED = 0o640
"""Readable by the owner's group at most: purchases are private."""


@dataclass(frozen=True, slots=True)
class Vouched:
    """What a journal says about its receipts: the number of their first bytes, and the SHA-256 of these."""

    run_id: str
    generation: int
    """How often the file was rewritten; 0: there never was one."""
    bytes: int
    sha256: str


class ReceiptsSink(Protocol):
    """What lines of receipts are written to."""

    def append(self, lines: Sequence[Line], *, sync: bool) -> None:
        """Append lines; with `sync`, everything that was appended so far is durable when this returns."""
        ...


class Receipts:
    """An open file of receipts; the caller owns the run folder. Safe for two threads."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make an empty one. Raises DiskError."""
        self.path = path
        self._lock = threading.Lock()
        with disk_errors(path):
            new = not path.exists()
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, _SHARED)
            if new:
                sync_folder(path.parent)
            self.bytes = os.fstat(self._file).st_size
            self._synced = self.bytes
        self._digest = hashlib.sha256()
        """Over all bytes, once `verify` has read them."""
        self.copy: ReceiptsSink | None = None
        """Where all further lines are written to as well; what is there already must be there."""

    def close(self) -> None:
        """Close it; the system writes what was not synced."""
        os.close(self._file)

    def verify(self, count: int) -> str | None:
        """Read the whole file; return the SHA-256 of its first `count` bytes, or None where there are fewer.

        A torn last line after them is cut off: it was never acknowledged. From then on, lines may be appended.
        """
        digest, position = hashlib.sha256(), 0
        with disk_errors(self.path):
            while position < count and (chunk := os.pread(self._file, min(_CHUNK, count - position), position)):
                digest.update(chunk)
                position += len(chunk)
            vouched = digest.hexdigest() if position == count else None
            torn = b""
            while chunk := os.pread(self._file, _CHUNK, position + len(torn)):
                whole, end, torn = (torn + chunk).rpartition(b"\n")
                if len(torn) > LONGEST_LINE:  # not a torn line of ours
                    end, torn = end + torn, b""
                digest.update(whole + end)
                position += len(whole) + len(end)
            if torn:
                os.ftruncate(self._file, position)
        self.bytes = self._synced = position
        self._digest = digest
        return vouched

    def lines(self, start: int = 0) -> Iterator[tuple[int, str, dict[str, Any]]]:
        """Yield the first byte, the kind and the content of each line from byte `start` on; the kind is empty for a
        line that cannot be read. A torn last line is left out. Raises DiskError."""
        position, rest = start, b""
        with disk_errors(self.path):
            while chunk := os.pread(self._file, _CHUNK, position + len(rest)):
                *whole, rest = (rest + chunk).split(b"\n")
                for raw in whole:
                    kind, content = read_line(raw) or ("", {})
                    yield position, kind, content
                    position += len(raw) + 1
                if len(rest) > LONGEST_LINE:
                    yield position, "", {}
                    position, rest = position + len(rest), b""

    def chunks(self) -> Iterator[bytes]:
        """Yield all bytes in pieces, while nobody appends. Raises DiskError."""
        position = 0
        with disk_errors(self.path):
            while chunk := os.pread(self._file, _CHUNK, position):
                yield chunk
                position += len(chunk)

    def append(self, lines: Sequence[Line], *, sync: bool) -> None:
        """Append lines; with `sync`, everything written so far is on disk when this returns, and in the copy.

        Raises DiskError; then none of these lines is in the file, unless the sync itself failed. Raises what the copy
        raises; then they are.
        """
        data = "".join(line.text for line in lines).encode()
        with self._lock, disk_errors(self.path):
            try:
                left = memoryview(data)
                while left:
                    left = left[os.write(self._file, left) :]
            except OSError:
                os.ftruncate(self._file, self.bytes)  # half a line must not precede the next one
                raise
            self.bytes += len(data)
            self._digest.update(data)
            if sync:
                sync_data(self._file)
                self._synced = self.bytes
        if self.copy is not None:
            self.copy.append(lines, sync=sync)

    def sync(self) -> bool:
        """Sync everything to the disk; return whether there was anything to sync. Raises DiskError."""
        with self._lock, disk_errors(self.path):
            if self._synced == self.bytes:
                return False
            sync_data(self._file)
            self._synced = self.bytes
            return True

    def size_and_digest(self) -> tuple[int, str]:
        """Return the number of bytes and their SHA-256; another thread may be appending."""
        with self._lock:
            return self.bytes, self._digest.hexdigest()

    def intact(self) -> bool:
        """Whether the open file is still the one at its path."""
        try:
            return os.path.samestat(os.fstat(self._file), self.path.stat())
        except OSError:
            return False  # deleted, or out of reach

    def copy_to(self, path: Path) -> None:
        """Write all lines to a new file, even if this one was deleted meanwhile. Raises DiskError."""
        with disk_errors(path), path.open("xb") as out:
            for chunk in self.chunks():
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())


def sync_data(file: int) -> None:
    """Sync a file's bytes to the disk: with fdatasync(2), or on macOS, which lacks it, with F_FULLFSYNC."""
    if hasattr(os, "fdatasync"):
        os.fdatasync(file)
    else:
        import fcntl

        fcntl.fcntl(file, fcntl.F_FULLFSYNC)  # type: ignore[attr-defined,unused-ignore]  # macOS has it


def replace_with(path: Path, lines: Iterable[Line]) -> None:
    """Rewrite the whole file: stage, sync, rename. Raises DiskError."""
    staged = path.with_name(f".{path.name}.part")
    with disk_errors(path):
        staged.unlink(missing_ok=True)
        new = Receipts(staged)
        try:
            new.verify(0)
            batch: list[Line] = []
            for line in lines:
                batch.append(line)
                if len(batch) == 4096:
                    new.append(batch, sync=False)
                    batch.clear()
            new.append(batch, sync=True)
        except BaseException:
            staged.unlink(missing_ok=True)
            raise
        finally:
            new.close()
        staged.replace(path)
        sync_folder(path.parent)
