"""Leases in an object store, by conditional writes: `If-None-Match: *` makes a record, `If-Match` replaces it.

A log is a row of small objects, since objects cannot be appended to: `receipts-3/0000000042`.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from batchgen.core.errors import RunFolderError, StoreError
from batchgen.lease.port import Log, Versioned
from batchgen.store.remote import Address, connect, store_errors

if TYPE_CHECKING:
    from obstore import PutMode

_TOGETHER = 16
"""Parts of a log that are read at the same time."""


class ObjectPlace:
    """See `LeasePlace`. Raises UsageError where the store cannot be used at all."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._store = connect(address)

    def __str__(self) -> str:
        return str(self._address)

    def read(self, name: str) -> Versioned | None:
        """See `LeasePlace`."""
        import obstore

        with store_errors(self._said(name)):
            try:
                found = obstore.get(self._store, name)
            except FileNotFoundError:
                return None
            return Versioned(bytes(found.bytes()), self._version(found.meta["e_tag"], found.meta["version"]))

    def create(self, name: str, content: bytes) -> str | None:
        """See `LeasePlace`."""
        return self._put(name, content, "create")

    def replace(self, name: str, content: bytes, version: str) -> str | None:
        """See `LeasePlace`."""
        tag, _, number = version.partition(" ")
        return self._put(name, content, {"e_tag": tag, "version": number} if number else {"e_tag": tag})

    def _put(self, name: str, content: bytes, mode: "PutMode") -> str | None:
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with store_errors(self._said(name)):
            try:
                put = obstore.put(self._store, name, content, mode=mode, use_multipart=False)
                return self._version(put["e_tag"], put["version"])
            except FileNotFoundError as error:
                raise StoreError(f"{self._address}: there is no such bucket, or the lease in it was deleted") from error
            except (AlreadyExistsError, PreconditionError):
                pass
        # A write whose answer was lost is repeated, and refused then although it is ours. No two writers ever write
        # the same record.
        found = self.read(name)
        return found.version if found is not None and found.content == content else None

    def _version(self, tag: str | None, number: str | None) -> str:
        if tag is None:
            raise StoreError(f"{self._address}: the store names no versions (ETag), so it is no place for leases")
        return f"{tag} {number}" if number else tag

    def begin_log(self, name: str) -> Log:
        """See `LeasePlace`."""
        if self._parts(name):
            raise RunFolderError(f"{self._said(name)} exists already: another process writes it")
        return _ObjectLog(self, name)

    def read_log(self, name: str) -> Iterator[bytes] | None:
        """See `LeasePlace`."""
        parts = self._parts(name)
        if parts != [_part(name, number) for number in range(len(parts))]:
            raise RunFolderError(f"{self._said(name)} lacks some of its parts")
        return self._contents(parts) if parts else None

    def _parts(self, name: str) -> list[str]:
        import obstore

        with store_errors(self._said(name)):
            return sorted(found["path"] for batch in obstore.list(self._store, f"{name}/") for found in batch)

    def _contents(self, parts: list[str]) -> Iterator[bytes]:
        with ThreadPoolExecutor(_TOGETHER, "lease") as pool:
            for start in range(0, len(parts), _TOGETHER):
                for found in pool.map(self.read, parts[start : start + _TOGETHER]):
                    if found is None:
                        raise RunFolderError(f"{self._said(parts[start])} or one after it has gone meanwhile")
                    yield found.content

    def _said(self, name: str) -> str:
        return f"{self._address}/{name}"


class _ObjectLog:
    """See `Log`."""

    def __init__(self, place: ObjectPlace, name: str) -> None:
        self._place, self._name, self._next = place, name, 0

    def append(self, data: bytes) -> None:
        """See `Log`. What an attempt that failed may have written stays, and the next part follows it."""
        while data:
            number, self._next = self._next, self._next + 1
            if self._place.create(_part(self._name, number), data) is not None:
                return

    def close(self) -> None:
        """See `Log`."""


def _part(name: str, number: int) -> str:
    return f"{name}/{number:010}"
