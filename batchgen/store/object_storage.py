"""Outputs in an object store: spooled on the local disk, uploaded when they are whole, and then freed there.

An object is there as a whole or not at all, and bears the SHA-256 of its bytes as metadata, by which an upload whose
end nobody recorded is known again. Names are claimed by conditional requests; the bucket is never listed.
"""

import errno
import hashlib
import mmap
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from batchgen.core.errors import StoreError
from batchgen.core.files import disk_errors
from batchgen.store.content_types import CONTENT_TYPES
from batchgen.store.port import Known, StagedReplacedError
from batchgen.store.remote import Address, connect, store_errors
from batchgen.store.staging import PartFile, check_name, inside

if TYPE_CHECKING:
    from obstore import Attributes
    from obstore.store import ObjectStore

_T = TypeVar("_T")
Copied = Literal["copied", "there", "missing", "in_the_way"]
"""What came of a copy: made, the same bytes were there, there is nothing to copy, or other bytes have its name."""
SPOOL = "spool"
"""The folder, within the run folder, for outputs on their way."""
UPLOADS = "uploads"
"""Below it, large outputs lie until they are whole and have their name."""
_SHA256 = "sha256"
_SINGLE_PUT = 64 << 20
"""Bytes of the largest output that one request takes; larger ones go in parts."""
_PART = 16 << 20
_PARTS_AT_ONCE = 4
_MOST_SPOOLED = 1 << 30
"""Bytes; the outputs that are being received then may come on top."""
_TRIES = 3
"""For what the library does not repeat by itself: a request that was cut off may have been carried out."""
_PAUSE = 1.0
"""Seconds before the second try, doubled before the third."""
_CHUNK = 1 << 20


class _Spool:
    """How many bytes lie in the spool, for all threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._held: dict[object, int] = {}
        self._total = 0

    @property
    def full(self) -> bool:
        return self._total >= self._most

    def add(self, holder: object, count: int) -> None:
        with self._lock:
            self._held[holder] = self._held.get(holder, 0) + count
            self._total += count

    def free(self, holder: object) -> None:
        with self._lock:
            self._total -= self._held.pop(holder, 0)


class SpooledFile(PartFile):
    """See `batchgen.store.port.Staged`. After a hard kill, its bytes are fetched again; the spool is emptied."""

    def __init__(self, storage: "ObjectStorage", place: Path, spool: _Spool) -> None:
        super().__init__(place, storage.spool)
        self._storage, self._spool = storage, spool

    def write(self, data: bytes) -> None:
        super().write(data)
        self._spool.add(self, len(data))

    def begin_sync(self) -> None:
        """Nothing needs to be durable here: what is not uploaded is fetched again."""

    def sync(self) -> None:
        """See `begin_sync`."""

    def publish(self, name: str, sha256: str) -> bool:
        check_name(name)
        if not self.is_in_place():
            raise StagedReplacedError("another download took the same name")
        if not self._storage.upload(self, name, sha256):
            return False
        self.discard()
        return True

    def discard(self) -> None:
        super().discard()
        self._spool.free(self)


class _Copy(FileIO):
    """A local copy of an output, which goes when it is closed."""

    def close(self) -> None:
        if not self.closed:
            super().close()
            Path(str(self.name)).unlink(missing_ok=True)


class ObjectStorage:
    """See `batchgen.store.port.OutputStore`; used by several threads. Names are objects below `address`."""

    remote = True

    def __init__(
        self, address: Address, folder: Path, *, most_spooled: int = _MOST_SPOOLED, single_put: int = _SINGLE_PUT,
        store: "Callable[[Address], ObjectStore]" = connect, pause: float = _PAUSE,
    ) -> None:  # fmt: skip
        """`folder` is the run folder. Nothing is requested yet; `connect` may raise UsageError at the first request."""
        self.address = address
        self.spool = folder / SPOOL
        self.most_local = most_spooled
        self._spool = _Spool(most_spooled)
        self._single_put = single_put
        self._connect = store
        self._pause = pause
        self._distrusted: set[str] = set()

    @cached_property
    def _store(self) -> "ObjectStore":
        return self._connect(self.address)

    @property
    def full(self) -> bool:
        return self._spool.full

    def stage(self, stem: str) -> SpooledFile:
        return SpooledFile(self, Path(f"{inside(self.spool, stem)}.part"), self._spool)

    def sync(self, name: str) -> None:
        check_name(name)  # what was uploaded is durable

    def open(self, name: str) -> FileIO:
        import obstore

        check_name(name)
        self.spool.mkdir(exist_ok=True)
        handle, place = tempfile.mkstemp(dir=self.spool, prefix=".", suffix=f"-{Path(name).name[-80:]}")
        os.close(handle)
        copy = _Copy(place, "r+b")
        try:
            with self._errors(name):
                for chunk in obstore.get(self._store, name).stream(min_chunk_size=_CHUNK):
                    copy.write(chunk)
            copy.seek(0)
        except StoreError as error:
            copy.close()
            raise OSError(errno.EIO, str(error)) from error
        except BaseException:
            copy.close()
            raise
        return copy

    def length(self, name: str) -> int | None:
        known = self.known(name)
        return None if known is None else known.bytes

    def known(self, name: str) -> Known | None:
        import obstore

        check_name(name)
        try:
            with self._errors(name):
                found = obstore.get(self._store, name, options={"head": True})
                return Known(found.meta["size"], found.attributes.get(_SHA256))
        except FileNotFoundError:
            return None

    def distrust(self, name: str) -> None:
        check_name(name)
        self._distrusted.add(name)

    def names(self) -> Iterator[str]:
        return iter(())

    def move(self, moves: Iterable[tuple[str, str]]) -> None:
        for old, new in moves:
            check_name(old)
            check_name(new)
            before = self.known(old)
            if before is None:
                continue
            if not self._copied(old, new, before):
                raise StoreError(f"{self.address}/{new} is in the way of {old}: move it elsewhere")
            self._delete(old)
            self._distrusted.discard(old)

    def copy(self, old: str, new: str, known: Known) -> Copied:
        """Have the store copy an object, which is `known`, unless there is one of the new name; say what came of it.

        `there`: that one has the same bytes, as far as its checksum tells. Raises StoreError.
        """
        check_name(old)
        check_name(new)
        return self._insist(lambda: self._copy(old, new, known))

    def _copy(self, old: str, new: str, known: Known) -> Copied:
        there = self.known(new)
        if there is not None:
            return "there" if there == known else "in_the_way"
        if self.known(old) is None:
            return "missing"
        return "copied" if self._copied(old, new, known) else "in_the_way"

    def put_file(self, name: str, path: Path) -> str:
        """Upload a local file as it is now, in the place of what had the name, and return its SHA-256.

        Raises StoreError, DiskError.
        """
        import obstore

        check_name(name)
        with disk_errors(path), path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        type_ = {"html": "text/html; charset=utf-8", "csv": "text/csv; charset=utf-8", "json": "application/json"}
        attributes: Attributes = {
            "Content-Type": type_.get(path.suffix[1:], "text/plain; charset=utf-8"),
            _SHA256: sha256,
        }
        with disk_errors(path), self._errors(name):
            obstore.put(self._store, name, path, attributes=attributes, chunk_size=_PART)
        return sha256

    def put_new(self, name: str, content: bytes) -> bool:
        """Make a small object, and return whether there was none of this name. Raises StoreError."""
        import obstore

        check_name(name)
        with self._errors(name):
            try:
                obstore.put(self._store, name, content, mode="create", use_multipart=False)
            except obstore.exceptions.AlreadyExistsError:
                return False
        return True

    def read(self, name: str) -> bytes | None:
        """Return the content of a small object; None if it does not exist. Raises StoreError."""
        import obstore

        check_name(name)
        try:
            with self._errors(name):
                return bytes(obstore.get(self._store, name).bytes())
        except FileNotFoundError:
            return None

    # ---- uploading ----

    def upload(self, staged: SpooledFile, name: str, sha256: str) -> bool:
        """Upload a spooled file, and return whether it has the name now: False where other bytes have it.

        Raises StoreError.
        """
        with disk_errors(staged.place):
            size = os.fstat(staged.file.fileno()).st_size
        upload = self._put if size <= self._single_put else self._put_in_parts
        return self._insist(lambda: upload(staged, name, Known(size, sha256)))

    def _put(self, staged: SpooledFile, name: str, known: Known) -> bool:
        import obstore

        # Mapped, so that many uploads at once are no more than pages of the system's cache.
        handle = staged.file.fileno()
        data = mmap.mmap(handle, known.bytes, access=mmap.ACCESS_READ) if known.bytes else b""
        with self._errors(name):
            try:
                obstore.put(
                    self._store, name, data, mode="create", use_multipart=False, attributes=_attributes(name, known)
                )
            except obstore.exceptions.AlreadyExistsError:
                return self._holds(name, known)
        return True

    def _put_in_parts(self, staged: SpooledFile, name: str, known: Known) -> bool:
        """Upload under a name of its own, and copy when it is whole: parts alone cannot be conditional."""
        import obstore

        temporary = f"{UPLOADS}/{name}"
        with self._errors(name):
            obstore.put(
                self._store, temporary, staged.place, attributes=_attributes(name, known),
                chunk_size=_PART, max_concurrency=_PARTS_AT_ONCE,
            )  # fmt: skip
        copied = self._copied(temporary, name, known)
        self._delete(temporary)
        return copied

    def _copied(self, old: str, new: str, known: Known) -> bool:
        """Copy an object unless other bytes have the new name; return whether these have it now.

        Where a store ignores the condition, whatever takes the name between the look and the copy is overwritten.
        """
        import obstore

        if self.known(new) is not None:
            return self._holds(new, known)
        with self._errors(new):
            try:
                obstore.copy(self._store, old, new, overwrite=False)
            except obstore.exceptions.AlreadyExistsError:
                return self._holds(new, known)
        return True

    def _holds(self, name: str, wanted: Known) -> bool:
        """Return whether an object is the very bytes that were to be put there."""
        known = self.known(name)
        if known is None:  # it went again, or is on its way
            raise StoreError(f"{self.address}/{name}: another upload of it was under way")
        return known == wanted and name not in self._distrusted

    def _delete(self, name: str) -> None:
        import obstore

        with self._errors(name), suppress(FileNotFoundError):
            obstore.delete(self._store, name)

    def _insist(self, request: Callable[[], _T]) -> _T:
        for pause in range(_TRIES - 1):
            try:
                return request()
            except StoreError:
                time.sleep(self._pause * (1 << pause))
        return request()

    def _errors(self, name: str) -> AbstractContextManager[None]:
        return store_errors(f"{self.address}/{name}")


def _attributes(name: str, known: Known) -> "Attributes":
    type_ = CONTENT_TYPES.get(name.rpartition(".")[2], "application/octet-stream")
    return {"Content-Type": type_, _SHA256: known.sha256 or ""}
