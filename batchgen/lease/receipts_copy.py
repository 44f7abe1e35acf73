"""A shard's receipts beside its lease: what outlives the pod that bought it.

Each process that takes the lease begins a copy of its own with all that the receipts hold, and adds every line before
it is acknowledged. So the newest complete copy knows every request that may have left.
"""

import threading
from collections.abc import Iterator, Sequence

from batchgen.lease.holding import HeldLease
from batchgen.lease.port import Log
from batchgen.receipts import Line, Receipts

_PIECE = 8 << 20
"""Bytes that are written at once."""


class ReceiptsCopy:
    """The copy that this process writes. Safe for two threads."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._unsynced: list[str] = []
        self._lock = threading.Lock()

    def append(self, lines: Sequence[Line], *, sync: bool) -> None:
        """See `ReceiptsSink`. Lines that need no sync wait for the next ones that do. Raises DiskError, StoreError."""
        texts = [line.text for line in lines]
        with self._lock:
            if not sync:
                self._unsynced += texts
                return
            self._log.append("".join([*self._unsynced, *texts]).encode())
            self._unsynced.clear()

    def close(self) -> None:
        """Write what waits, and nothing more. Raises DiskError, StoreError."""
        with self._lock:
            try:
                if self._unsynced:
                    self._log.append("".join(self._unsynced).encode())
                    self._unsynced.clear()
            finally:
                self._log.close()


def begin_copy(lease: HeldLease, receipts: Receipts) -> ReceiptsCopy:
    """Begin the copy of a lease's generation with what the receipts hold; nobody appends to them meanwhile.

    Once this returns it is complete, and the lease says so. Raises LeaseLostError, DiskError, StoreError.
    """
    receipts.sync()
    log = lease.place.begin_log(_name(lease, lease.record.generation))
    held = b""
    for chunk in receipts.chunks():
        held += chunk
        if len(held) >= _PIECE:
            log.append(held)
            held = b""
    log.append(held)
    lease.note_receipts()
    return ReceiptsCopy(log)


def newest_copy(lease: HeldLease) -> Iterator[bytes] | None:
    """Return the newest complete copy in pieces; None where there is none. Raises RunFolderError, StoreError."""
    generation = lease.record.receipts
    return lease.place.read_log(_name(lease, generation)) if generation else None


def _name(lease: HeldLease, generation: int) -> str:
    return f"{lease.name.rpartition('/')[0]}/receipts-{generation}"
