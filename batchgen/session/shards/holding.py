"""A shard's lease for as long as a session runs: taken before anything is looked at, renewed by a thread, let go."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from batchgen.core.errors import BatchgenError
from batchgen.journal import Journal
from batchgen.lease import (
    HeldLease,
    LeaseLostError,
    LeasePlace,
    ProcessName,
    ReceiptsCopy,
    SharedFolder,
    begin_copy,
    bind,
    take,
)
from batchgen.lease.holding import BEAT_EVERY
from batchgen.lease.objects import ObjectPlace
from batchgen.session.host import StopHandle
from batchgen.session.locate import remote_outputs, simulated_name
from batchgen.session.prepare import PreparedRun
from batchgen.session.shards.divisions import refuse_other_divisions, was_merged
from batchgen.session.shards.restoring import restore
from batchgen.shards import Shard, refuse_idle_shards
from batchgen.store import Address, is_address

log = logging.getLogger("batchgen")

LEASES = ".shards"
"""The folder for leases in an output folder; no run can have this name."""


class HeldShard:
    """A shard whose lease this session holds."""

    def __init__(self, lease: HeldLease) -> None:
        self._lease = lease
        self._copy: ReceiptsCopy | None = None

    def holds(self) -> bool:
        """Whether no other process can be this shard by now. Waits for nothing."""
        return self._lease.holds()

    @property
    def lost(self) -> bool:
        """Whether another process has become this shard."""
        return self._lease.lost

    def keep_receipts(self, journal: Journal) -> None:
        """Keep a copy of the receipts beside the lease from now on, before anything is bought.

        Raises LeaseLostError, DiskError, StoreError.
        """
        self._copy = begin_copy(self._lease, journal.receipts)
        journal.receipts.copy = self._copy

    def close(self) -> None:
        """Write what waits, and let the lease go, unless it is another's by now."""
        if self.lost:
            return
        try:
            if self._copy is not None:
                self._copy.close()
            self._lease.release()
        except BatchgenError as error:
            log.warning("the lease of this shard was not released, so the next start waits: %s", error)


@contextmanager
def hold(prepared: PreparedRun, shard: Shard, stop: StopHandle, tell: Callable[[str], None]) -> Iterator[HeldShard]:
    """See `batchgen.session.shards.held.held_shard`."""
    refuse_idle_shards(prepared.whole, shard)
    place, run = _place(prepared), _name(prepared)
    refuse_other_divisions(prepared.folder, shard)
    bind(place, run, shard.count, lambda count: was_merged(prepared.folder, count))
    name = f"{run}/{shard.index}-of-{shard.count}/lease"
    lease = take(place, name, ProcessName.of_this(), tell=tell, wait=_waiting(stop))
    with _renewed(lease):
        held = HeldShard(lease)
        try:
            if (told := restore(lease, prepared.folder)) is not None:
                tell(told)
            yield held
        finally:
            held.close()


def _place(prepared: PreparedRun) -> LeasePlace:
    """Return the place for leases: the one that was given, else beside the outputs of all shards."""
    request = prepared.request
    if request.lease is not None:
        given = request.lease
        return ObjectPlace(Address.parse(given)) if is_address(given) else SharedFolder(Path(given).absolute())
    outputs = remote_outputs(request.output, request.environment)
    return SharedFolder(prepared.folder.parent / LEASES) if outputs is None else ObjectPlace(outputs.below(LEASES))


def _name(prepared: PreparedRun) -> str:
    """Return the name of the whole run."""
    request = prepared.request
    name = request.name or prepared.manifest.name
    return simulated_name(name) if request.simulate and request.name is None else name


def _waiting(stop: StopHandle) -> Callable[[float], None]:
    done = threading.Event()

    def wait(seconds: float) -> None:
        with stop.heard_by(done.set):
            if done.wait(seconds):
                raise KeyboardInterrupt

    return wait


@contextmanager
def _renewed(lease: HeldLease) -> Iterator[None]:
    """Let a thread renew a lease while the block runs."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(BEAT_EVERY):
            try:
                lease.renew()
            except LeaseLostError as error:
                log.warning("%s", error)
                return
            except BatchgenError as error:
                log.warning("the lease of this shard was not renewed: %s", error)

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
