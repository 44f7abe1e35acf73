"""Workers for a session: the service that they reach, the engine that places them, and the coordinator between."""

import secrets
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from batchgen.core.credentials import VARIABLE, ApiKey
from batchgen.core.files import disk_errors, open_private
from batchgen.engine.cluster.address import EngineAddress, LocalEngine
from batchgen.engine.cluster.dask import open_cluster
from batchgen.engine.coordinator.coordinator import Coordinator
from batchgen.engine.coordinator.leftovers import Leftovers
from batchgen.engine.coordinator.service import Service, own_address, served
from batchgen.engine.terms import Terms
from batchgen.engine.worker.task import KEY_FILE_VARIABLE, MARK
from batchgen.scheduler import RunState
from batchgen.scheduler.workers import Workers
from batchgen.session.open_run import OpenRun
from batchgen.session.workers.left_behind import WORKERS
from batchgen.store import OUTPUTS

SCRATCH = "scratch"
"""The folder in `WORKERS` for what the engine keeps while it runs."""
_DURATIONS = 200
"""Jobs of earlier invocations whose durations workers begin with."""


class DaskWorkers:
    """See `batchgen.session.open_run.Engine`."""

    def __init__(self, address: EngineAddress) -> None:
        self._address = address

    @asynccontextmanager
    async def workers(self, run: OpenRun, run_state: RunState) -> AsyncIterator[Workers | None]:
        if not run.buying or not run.journal.lendable(-1, 1):
            yield None  # what is left is done here
            return
        address, folder = self._address, run.folder / WORKERS
        mark = _mark(folder)
        if isinstance(address, LocalEngine):
            host, environment = "127.0.0.1", environment_of(run.key)
        else:
            host, environment = own_address(address.host.strip("[]"), address.port), {}
        service = Service()
        run.journal.lends = True
        async with served(service, host) as url:
            cluster = await open_cluster(address, folder / SCRATCH, environment=environment)
            try:
                service.coordinator = coordinator = Coordinator(
                    run_state, cluster, url=url, token=service.token, terms=_terms(run, mark).encoded(),
                    leftovers=Leftovers(run.folder),
                )  # fmt: skip
                yield coordinator
            finally:
                await cluster.close()
                _tidy(folder)


def environment_of(key: ApiKey) -> dict[str, str]:
    """Return what workers that this process starts find the key by; others have one in their own environment."""
    return {VARIABLE: key.reveal(), KEY_FILE_VARIABLE: ""}  # a file that the variable names would come first


def _tidy(folder: Path) -> None:
    """Remove what is of no use any more; what starts have left behind stays."""
    (folder / MARK).unlink(missing_ok=True)
    shutil.rmtree(folder / SCRATCH, ignore_errors=True)
    with suppress(OSError):  # not empty
        folder.rmdir()


def _mark(folder: Path) -> str:
    """Write down what tells a worker that it sees the run folder, and return it."""
    mark = secrets.token_hex(16)
    with disk_errors(folder):
        folder.mkdir(exist_ok=True)
        with open(folder / MARK, "w", encoding="utf-8", opener=open_private) as file:
            file.write(mark)
    return mark


def _terms(run: OpenRun, mark: str) -> Terms:
    catalog, settings = run.catalog, run.settings
    return Terms(
        run=run.name, folder=run.folder.absolute(), mark=mark, outputs=run.journal.facts().get(OUTPUTS, ""),
        base_url=run.base_url, account=run.key.fingerprint, catalog_version=catalog.version,
        tables="" if catalog.file is None else catalog.file.read_text(encoding="utf-8-sig"), settings=settings,
        wait_for_balance=run.wait_for_balance, until=run.until,
        capped=(settings.max_cost, settings.budget) != (None, None) or run.sharing is not None,
        durations=run.journal.durations(_DURATIONS),
    )  # fmt: skip
