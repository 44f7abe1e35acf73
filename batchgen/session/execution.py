"""One run of the scheduler, from an open journal to the summary: puts client, recorder and scheduler together."""

import asyncio
import json
import logging
import random
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext, suppress
from contextvars import copy_context
from dataclasses import replace
from typing import TYPE_CHECKING

from batchgen.catalog import Catalog, outputs_of, price_key, shape_of
from batchgen.client import connect_later
from batchgen.core.batching import BatchedCalls
from batchgen.core.clock import utc_now
from batchgen.core.descriptors import Shares, shares
from batchgen.core.errors import BatchgenError, DescriptorsError, DiskError
from batchgen.core.records import FINAL, LIVE, UNSENT, UNSETTLED, Item, State
from batchgen.journal import GroupRecorder, Work, is_simulated
from batchgen.journal.queries.report_rows import bytes_per_job
from batchgen.journal.queries.run_status import item_result
from batchgen.ledger import next_write, write_ledger
from batchgen.policy.stopping import Stop, space_needed
from batchgen.policy.until import Until
from batchgen.scheduler import Ending, RunPolicy, RunPorts, RunState, Scheduler
from batchgen.scheduler.ports import always
from batchgen.scheduler.workers import Workers
from batchgen.session.checks.evidence import note_ledger
from batchgen.session.checks.pictures import pictures_from
from batchgen.session.conclusion import conclude, rescue
from batchgen.session.host import Ended, Host, ItemEnded, Listener, Notice, Started, StopHandle
from batchgen.session.judging.standards import standards_of
from batchgen.session.open_run import OpenRun
from batchgen.session.outputs.publishing import publish_papers
from batchgen.session.reporting import report_at_end, thumbnails_beside
from batchgen.session.shards import watch_lease
from batchgen.session.sharing import crossed_text, open_budget
from batchgen.session.summary import Summary
from batchgen.session.watching import Watch, snapshot_of
from batchgen.session.workers.left_behind import take_in
from batchgen.standing.last_run import LastRun, last_run_fact
from batchgen.store import store_of
from batchgen.store.upload_threads import uploading

if TYPE_CHECKING:
    from batchgen.shared_limits.orders import Crossed

log = logging.getLogger("batchgen")

_MIB = 1024 * 1024
_BOOKS_EVERY = 1.0
"""Seconds after which other runs at the latest see what became of a claim."""
_DISK_EVERY = 1.0
"""Seconds between two looks at the free room."""


def execute(run: OpenRun, host: Host) -> Summary:
    """Run until everything is finished or there is a reason to stop; write ledger, summary and report.

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
    summary = conclude(run.name, run.journal, ending, run.only)
    report = report_at_end(
        run.journal, run.settings.report, host.listen,
        items=sum(summary.counts.values()), interrupted=ending.stop is Stop.INTERRUPTED,
    )  # fmt: skip
    failure = publish_papers(run.journal)
    if failure is not None:
        host.listen(Notice(f"ledger, summary and report were not uploaded: {failure}"))
    return replace(summary, report=report)


async def _run(run: OpenRun, host: Host) -> Ending:
    journal, settings = run.journal, run.settings
    take_in(
        journal, run.folder, lambda text: host.listen(Notice(text)), stopped=lambda: host.stop.stop_requested
    )  # fmt: skip
    with journal.transaction():
        interrupted = journal.doubt_interrupted()
        journal.note(**last_run_fact(_beginning(run)))
    if interrupted:
        log.warning("%d submissions of an earlier invocation had no recorded answer: in doubt", interrupted)

    months: list[str] = []

    def warn(crossed: "Crossed") -> None:
        log.warning("%s", crossed_text(crossed))
        host.listen(Notice(crossed_text(crossed)))
        months.append(crossed_text(crossed))

    store = store_of(run.folder, journal.facts())
    holds = always if run.shard is None else run.shard.holds
    api = connect_later(run.base_url, run.key.reveal(), route=run.route, may_post=holds)
    try:
        async with (
            GroupRecorder(journal) as record,
            BatchedCalls("files") as offload,
            BatchedCalls("judge") as decode,
            uploading(store) as upload,
            pictures_from(run.pictures) as pictures,
            open_budget(journal, settings, run.sharing, warn) as budget,
        ):
            draws = random.Random()  # noqa: S311 - jitter
            ports = RunPorts(api, journal, record, store, utc_now, draws, offload, decode, upload, pictures, holds)
            run_state = RunState(ports, policy_of(run, shares(host.descriptors)), budget, journal.counts())
            if any(run_state.counts[state] for state in (*UNSENT, *UNSETTLED)):
                api.open()  # so that what it needs is loaded before anything is bought
            if host.items:
                _tell_of_items(run, run_state, host.listen)
            watch = Watch(
                run.name, run_state, host.listen,
                caps=run.asked_caps, doubts=interrupted, months=months, simulated=is_simulated(journal.facts()),
            )  # fmt: skip
            async with _workers(run, run_state) as workers:
                scheduler = Scheduler(run_state, workers)
                with _heard(host.stop, scheduler):
                    host.listen(Started(run.folder, lambda: snapshot_of(run_state)))
                    await _look_at_disk(run, run_state)
                    async with thumbnails_beside(run.folder, run_state):
                        return await _with_helpers(run, run_state, scheduler, watch)
    finally:
        await api.aclose()


def _workers(run: OpenRun, run_state: RunState) -> AbstractAsyncContextManager[Workers | None]:
    return nullcontext() if run.engine is None else run.engine.workers(run, run_state)


def _beginning(run: OpenRun) -> LastRun:
    spend, settings = run.journal.spend(), run.settings
    return LastRun(
        began_at=utc_now(),
        max_cost=settings.max_cost,
        budget=settings.budget,
        spent_before=spend.charged - spend.refunded,
    )


def _tell_of_items(run: OpenRun, run_state: RunState, listen: Listener) -> None:
    """Tell of each item that comes to an end, once that is on disk."""

    async def tell(work: Work) -> None:
        listen(ItemEnded(await run_state.record(item_result, run.journal.db, run.folder, work.key)))

    def on_state(work: Work, state: State) -> None:
        if state in FINAL:
            run_state.spawn(tell(work))

    run_state.watch(on_state)


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


async def _with_helpers(run: OpenRun, run_state: RunState, scheduler: Scheduler, watch: Watch) -> Ending:
    """Run the scheduler, and beside it what watches the disk, writes the ledger and tells how it stands."""
    helpers = [
        asyncio.create_task(watch.keep_telling()),
        asyncio.create_task(_rewrite_ledger(run, run_state)),
        asyncio.create_task(_watch_disk(run, run_state)),
        *([asyncio.create_task(_tell_the_books(run_state))] if run.sharing else []),
        *([asyncio.create_task(watch_lease(run.shard, run_state))] if run.shard else []),
    ]
    try:
        ending = await _stopped_in_order(scheduler)
    finally:
        for helper in helpers:
            helper.cancel()
        ended = await asyncio.gather(*helpers, return_exceptions=True)
        watch.tell()
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
        shape=lambda model, body: _shape(catalog, model, body),
        outputs=lambda item: _ordered(catalog, item),
        standards=standards_of(catalog),
        unjudged=run.journal.has_unjudged(),
        chained=run.journal.has_chains(),
        buying=run.buying,
        wait_for_balance=run.wait_for_balance,
        until=None if run.until is None else Until(run.until),
        shares=bounds,
        ask_lost=run.ask_lost,
    )


def _shape(catalog: Catalog, model_id: str, body: str) -> str:
    model = catalog.models.get(model_id)
    return model_id if model is None else shape_of(model, json.loads(body))


def _ordered(catalog: Catalog, item: Item) -> int:
    model = catalog.models.get(item.model)
    return 1 if model is None else outputs_of(model, json.loads(item.body))


async def _tell_the_books(run_state: RunState) -> None:
    while True:
        await asyncio.sleep(_BOOKS_EVERY)
        try:
            await run_state.budget.flush()
        except BatchgenError as error:
            run_state.stop(Stop.DISK_LOW, str(error))


async def _watch_disk(run: OpenRun, run_state: RunState) -> None:
    while True:
        await asyncio.sleep(_DISK_EVERY)
        if not await run_state.ports.offload(run.journal.intact):
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
    if (most := run_state.ports.store.most_local) is not None:
        needed = min(needed, run.settings.min_free * _MIB + most)
    free = await run_state.ports.offload(run.free, run.folder)
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
