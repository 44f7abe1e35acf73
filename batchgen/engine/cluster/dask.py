"""A Dask cluster as an engine: `Cluster` over `distributed`, for processes of our own and for a cluster of others."""

import asyncio
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType

from batchgen.core.errors import UsageError
from batchgen.core.version import install_hint
from batchgen.engine.cluster.address import EngineAddress, LocalEngine
from batchgen.engine.cluster.connection import Connection
from batchgen.engine.cluster.local import LocalProcesses
from batchgen.engine.cluster.port import Cluster, Placed, Ticket

WORK = "batchgen.engine.worker.task:work"
"""The function that tickets are for."""
_NOTHING: Mapping[str, str] = MappingProxyType({})


async def open_cluster(
    address: EngineAddress, scratch: Path, *, environment: Mapping[str, str] = _NOTHING, run: str = WORK
) -> Cluster:
    """Return the cluster that `--engine` names; the caller closes it.

    What workers of our own keep while they run lies in a folder below `scratch`, which is removed at the end; they have
    this process's environment, and `environment` besides. `run` is what a ticket runs, as `package.module:function`.

    Raises UsageError where the extra `dask` is missing, OutsideError where no scheduler can be reached or no process
    starts.
    """
    if any(find_spec(name) is None for name in ("distributed", "cryptography")):
        raise UsageError(f"--engine {address} needs the extra dask: {install_hint('dask')}")
    cluster = DaskCluster(run)
    await cluster.open(address, scratch, environment)
    return cluster


class DaskCluster:
    """See `Cluster`. Belongs to one event loop."""

    def __init__(self, run: str = WORK) -> None:
        self._run = run
        self._slots = 0
        self._lost: str | None = None
        self._calls: list[Callable[[], None]] = []
        self._connection: Connection | None = None
        self._processes: LocalProcesses | None = None

    async def open(self, address: EngineAddress, scratch: Path, environment: Mapping[str, str]) -> None:
        """Start what is to be started, and connect. Raises OutsideError; then, and when cancelled, nothing is left."""
        security = None
        if isinstance(address, LocalEngine):
            self._processes = LocalProcesses(address.workers, scratch, self.is_lost)
            url, security = await self._processes.start(environment)
        else:
            url = address.url
        connection = Connection(url, self, security)
        try:
            await connection.open()
        except BaseException:
            await self.close()
            raise
        self._connection = connection

    @property
    def slots(self) -> int:
        """See `Cluster`."""
        return 0 if self._lost is not None else self._slots

    @property
    def lost(self) -> str | None:
        """See `Cluster`."""
        return self._lost

    def place(self, ticket: Ticket) -> Placed:
        """See `Cluster`. Where the engine is lost, it ends at once, with a fault."""
        placed = _Placed(self._tell)
        if self._connection is None or self._lost is not None:
            asyncio.get_running_loop().call_soon(placed.end, self._lost or "the engine is closed")
        else:
            placed.drop = self._connection.place(self._run, ticket, placed)
        return placed

    def on_change(self, call: Callable[[], None]) -> None:
        """See `Cluster`."""
        self._calls.append(call)

    async def close(self) -> None:
        """See `Cluster`. May be called again, also after a call that was cancelled."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None
        if self._processes is not None:
            await self._processes.close()
            self._processes = None

    def slots_are(self, slots: int) -> None:
        """See `Listener`."""
        self._slots = slots
        self._tell()

    def is_lost(self, reason: str) -> None:
        """See `Listener`. The first reason is kept: the next ones follow from it."""
        if self._lost is None:
            self._lost = reason
            self._tell()

    def _tell(self) -> None:
        for call in list(self._calls):
            call()


class _Placed:
    """See `Placed`; what has been forgotten stays as it was."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell: Callable[[], None] | None = tell
        self._ended = False
        self._fault: str | None = None
        self.drop: Callable[[], None] = lambda: None

    @property
    def ended(self) -> bool:
        return self._ended

    @property
    def fault(self) -> str | None:
        return self._fault

    def end(self, fault: str | None) -> None:
        if self._tell is None or self._ended:
            return
        self._ended, self._fault = True, fault
        self._tell()

    def forget(self) -> None:
        self._tell = None
        self.drop()
