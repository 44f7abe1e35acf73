"""One run of the scheduler, from an open journal to the summary: puts client, recorder and scheduler together."""

import asyncio
import json
import logging
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path

from batchgen.catalog import Catalog, outputs_of, price_key
from batchgen.client import DIRECT, HttpApi, Route
from batchgen.core.batching import BatchedCalls
from batchgen.core.clock import utc_now
from batchgen.core.credentials import ApiKey
from batchgen.core.descriptors import Shares, shares
from batchgen.core.errors import BatchgenError, DescriptorsError, DiskError
from batchgen.core.files import free_bytes
from batchgen.core.records import LIVE, UNSUCCESSFUL, Item, State
from batchgen.journal import GroupRecorder, Journal
from batchgen.journal.queries.report_rows import bytes_per_job
from batchgen.ledger import next_write, write_ledger
from batchgen.policy.stopping import Stop, space_needed
from batchgen.scheduler import Ending, RunPolicy, RunPorts, RunState, Scheduler
from batchgen.session.checks.evidence import note_ledger
from batchgen.session.conclusion import conclude, rescue
from batchgen.session.host import SNAPSHOT_EVERY, Ended, Host, Listener, Snapshot, Started, StopHandle
from batchgen.session.summary import Summary
from batchgen.settings import Settings
from batchgen.store import LocalDisk

log = logging.getLogger("batchgen")

_MIB = 1024 * 1024
_DISK_EVERY = 1.0
"""Seconds between two looks at the free room."""


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run folder that is owned, bound and listed, and everything that one run of the scheduler needs beside it."""

    name: str
    journal: Journal
    settings: Settings
    catalog: Catalog
    base_url: str
    key: ApiKey
    buying: bool
    wait_for_balance: bool = False
    ask_lost: bool = True
    """Whether lost jobs are asked for again, at no cost."""
    route: Route = DIRECT
    """The way to the API."""
    free: Callable[[Path], int] = free_bytes
    """How many bytes are free on the disk of a folder."""

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self.journal.path.parent


def execute(run: OpenRun, host: Host) -> Summary:
    """Run until everything is finished or there is a reason to stop; write ledger and summary.

    Not in a thread whose event loop is running. Raises DiskError, RunFolderError.
    """
    try:
        try:
            with asyncio.Runner(loop_factory=host.loop_factory) as runner:
                ending = runner.run(_run(run, host))
        finally:
            host.listen(Ended())
    except BatchgenError as error:
        if run.journal.intact():
            raise
        raise rescue(run.journal) from error
    return conclude(run.name, run.journal, ending)


async def _run(run: OpenRun, host: Host) -> Ending:
    journal, settings = run.journal, run.settings
    with journal.transaction():
        interrupted = journal.doubt_interrupted()
    if interrupted:
        log.warning("%d submissions of an earlier invocation had no recorded answer: in doubt", interrupted)
    budget = journal.budget(settings.max_cost, settings.budget)
    api = HttpApi(run.base_url, run.key.reveal(), route=run.route)
    try:
        async with GroupRecorder(journal) as record, BatchedCalls("files") as offload:
            draws = random.Random()  # noqa: S311 - jitter
            ports = RunPorts(api, journal, record, LocalDisk(run.folder), utc_now, draws, offload)
            run_state = RunState(ports, policy_of(run, shares(host.descriptors)), budget, journal.counts())
            scheduler = Scheduler(run_state)
            with _heard(host.stop, scheduler):
                host.listen(Started())
                await _look_at_disk(run, run_state)
                return await _with_helpers(run, run_state, scheduler, host.listen)
    finally:
        await api.aclose()


@contextmanager
def _heard(stop: StopHandle, scheduler: Scheduler) -> Iterator[None]:
    """Let the scheduler obey the handle while the block runs."""
    loop, context = asyncio.get_running_loop(), copy_context()

    def obey() -> None:
        if stop.stop_now_requested:
            scheduler.interrupt_now()
        else:
            scheduler.interrupt()

    def hear() -> None:
        with suppress(RuntimeError):  # the loop was closed meanwhile: there is nothing left to stop
            loop.call_soon_threadsafe(obey, context=context)  # else the run's log would not hear of it

    with stop.heard_by(hear):
        yield


async def _with_helpers(run: OpenRun, run_state: RunState, scheduler: Scheduler, listen: Listener) -> Ending:
    """Run the scheduler, and beside it what watches the disk, writes the ledger and tells how it stands."""
    helpers = [
        asyncio.create_task(_tell_progress(run_state, listen)),
        asyncio.create_task(_rewrite_ledger(run, run_state)),
        asyncio.create_task(_watch_disk(run, run_state)),
    ]
    try:
        ending = await _stopped_in_order(scheduler)
    finally:
        for helper in helpers:
            helper.cancel()
        ended = await asyncio.gather(*helpers, return_exceptions=True)
        listen(snapshot_of(run_state))
    for error in ended:
        if isinstance(error, Exception):  # and no cancellation
            raise error
    return ending


async def _stopped_in_order(scheduler: Scheduler) -> Ending:
    """Run the scheduler to its end. A cancellation stops it as an interruption does, and is raised afterwards."""
    running = asyncio.create_task(scheduler.run())
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        scheduler.interrupt()
        await asyncio.wait([running])
        running.result()  # what went wrong meanwhile outranks it
        raise


def policy_of(run: OpenRun, bounds: Shares) -> RunPolicy:
    """Return what is bought under which conditions, with what the parameter tables say of the models."""
    catalog = run.catalog
    return RunPolicy(
        settings=run.settings,
        account=run.key.fingerprint,
        catalog_version=catalog.version,
        endpoints={model.id: model.endpoint for model in catalog.models.values()},
        kinds={model.id: model.output for model in catalog.models.values()},
        price_key=lambda item: price_key(catalog.models[item.model], json.loads(item.body)),
        outputs=lambda item: _ordered(catalog, item),
        buying=run.buying,
        wait_for_balance=run.wait_for_balance,
        shares=bounds,
        ask_lost=run.ask_lost,
    )


def _ordered(catalog: Catalog, item: Item) -> int:
    model = catalog.models.get(item.model)
    return 1 if model is None else outputs_of(model, json.loads(item.body))


def snapshot_of(run_state: RunState) -> Snapshot:
    """Return how a run stands now."""
    counts: Mapping[State, int] = run_state.counts
    return Snapshot(
        items=sum(counts.values()),
        done=counts.get(State.DONE, 0),
        in_flight=sum(counts.get(state, 0) for state in LIVE),
        failed=sum(counts.get(state, 0) for state in UNSUCCESSFUL),
        in_doubt=counts.get(State.IN_DOUBT, 0),
        spent=run_state.budget.life.charged - run_state.budget.life.refunded,
        left=run_state.budget.left(),
    )


async def _tell_progress(run_state: RunState, listen: Listener) -> None:
    while True:
        listen(snapshot_of(run_state))
        await asyncio.sleep(SNAPSHOT_EVERY)


async def _watch_disk(run: OpenRun, run_state: RunState) -> None:
    while True:
        await asyncio.sleep(_DISK_EVERY)
        if not run.journal.intact():
            run_state.stop(Stop.DISK, f"{run.folder} was deleted or replaced during the run")
            return
        await _look_at_disk(run, run_state)


async def _look_at_disk(run: OpenRun, run_state: RunState) -> None:
    """Stop buying while there is still room for what is paid for."""
    if not run.buying:
        return
    average = await run_state.record(bytes_per_job, run.journal.db)
    jobs = sum(run_state.counts[state] for state in LIVE)
    needed = space_needed(run.settings.min_free * _MIB, jobs, average)
    free = run.free(run.folder)
    if free < needed:
        run_state.stop(
            Stop.DISK_LOW,
            f"{free // _MIB:,} MiB are free on the disk of {run.folder}, but {needed // _MIB:,} MiB are needed before"
            " more is bought: free up space there",
        )


async def _rewrite_ledger(run: OpenRun, run_state: RunState) -> None:
    """Keep the ledger on disk not too far behind, at a small share of the work."""
    loop = asyncio.get_running_loop()
    written, took = loop.time(), 0.0
    while True:
        await asyncio.sleep(5.0)
        if next_write(took, loop.time() - written):
            start = loop.time()
            try:
                await asyncio.to_thread(write_ledger, run.name, run.folder)
                await run_state.record(note_ledger, run.journal, run.folder)
            except DescriptorsError as error:
                log.warning("the ledger is written later: %s", error)
            except DiskError as error:
                run_state.stop(Stop.DISK_LOW, str(error))
            written = loop.time()
            took = written - start
