"""Whether a run is a shard, which most are not: then nothing of leases is loaded."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from batchgen.core.errors import UsageError
from batchgen.session.host import StopHandle
from batchgen.session.prepare import PreparedRun

if TYPE_CHECKING:
    from batchgen.session.shards.holding import HeldShard


def held_shard(
    prepared: PreparedRun, stop: StopHandle, tell: Callable[[str], None]
) -> "AbstractContextManager[HeldShard | None]":
    """Be the shard that was asked for while the block runs, with its run folder brought to what its lease knows.

    None where the run is not divided. Raises RunFolderError where another process is this shard, where the run was
    divided otherwise, or where what was bought is not known; UsageError, DiskError, StoreError.
    """
    request = prepared.request
    if request.shard is None:
        if request.lease is not None:
            raise UsageError("--lease is for a shard: give --shard I/N too")
        return nullcontext()
    from batchgen.session.shards.holding import hold

    return hold(prepared, request.shard, stop, tell)
