"""One invocation, from an open journal to the summary: puts client, recorder, scheduler and progress together."""

import asyncio
import gc
import json
import logging
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from batchgen.catalog import Catalog, outputs_of, price_key
from batchgen.client import DIRECT, HttpApi, Route
from batchgen.core.batching import BatchedCalls
from batchgen.core.clock import utc_now
from batchgen.core.credentials import ApiKey
from batchgen.core.descriptors import Shares, raise_limit, shares
from batchgen.core.errors import BatchgenError, DescriptorsError, DiskError, OutsideError
from batchgen.core.files import free_bytes
from batchgen.core.records import LIVE, UNSUCCESSFUL, Item, State
from batchgen.core.streams import ending_signals
from batchgen.core.text import usd
from batchgen.journal import GroupRecorder, Journal, is_simulated
from batchgen.journal.queries.report_rows import bytes_per_job, present_files
from batchgen.ledger import cost_report, next_write, run_charges, write_ledger
from batchgen.policy.stopping import Stop, exit_code, room_needed
from batchgen.receipts import FILE_NAME
from batchgen.scheduler import Ending, RunPolicy, RunPorts, RunState, Scheduler
from batchgen.session.checks.evidence import note_ledger
from batchgen.session.progress import Reporter, Snapshot, reporter_for
from batchgen.session.summary import Summary, write_summary
from batchgen.settings import Settings
from batchgen.store import LocalDisk

log = logging.getLogger("batchgen")

_MIB = 1024 * 1024
_DISK_EVERY = 1.0
"""Seconds between two looks at the free room."""


@dataclass(frozen=True, slots=True)
class Invocation:
    """Everything that one run of the scheduler needs."""

    name: str
    folder: Path
    journal: Journal
    settings: Settings
    catalog: Catalog
    base_url: str
    key: ApiKey
    buying: bool
    quiet: bool
    wait_for_balance: bool = False
    ask_lost: bool = True
    """Whether lost jobs are asked for again, at no cost."""
    route: Route = DIRECT
    """The way to the API."""
    free: Callable[[Path], int] = free_bytes
    """How many bytes are free on the disk of a folder."""


def execute(invocation: Invocation) -> Summary:
    """Run until everything has ended or there is a reason to stop; write ledger and summary.

    The journal's items are listed already. Raises DiskError, RunFolderError.
    """
    descriptors = raise_limit()
    try:
        with _rare_collections():
            ending = _event_loop_run(lambda: _run(invocation, descriptors))
    except BatchgenError as error:
        if invocation.journal.intact():
            raise
        raise _rescue(invocation) from error
    # What a closed loop leaves in place is its own matter: SIGTERM would end the process without a word (asyncio), and
    # Ctrl-C would go unheard (uvloop).
    for number in ending_signals():
        signal.signal(number, signal.default_int_handler)
    return _conclude(invocation, ending)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Look for unreachable cycles more rarely than Python does: jobs in flight are no garbage, and hardly any is made.

    Measured (`benchmarks/items.py`): a seventh of the CPU of a run otherwise.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _event_loop_run(main: Callable[[], Awaitable[Ending]]) -> Ending:
    async def start() -> Ending:
        return await main()

    try:
        import uvloop  # the extra `fast`
    except ImportError:
        return asyncio.run(start())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(start())


async def _run(invocation: Invocation, descriptors: int) -> Ending:
    journal, settings = invocation.journal, invocation.settings
    with journal.transaction():
        interrupted = journal.doubt_interrupted()
    if interrupted:
        log.warning("%d submissions of an earlier invocation had no recorded answer: in doubt", interrupted)
    budget = journal.budget(settings.max_cost, settings.budget)
    api = HttpApi(invocation.base_url, invocation.key.reveal(), route=invocation.route)
    try:
        async with GroupRecorder(journal) as record, BatchedCalls("files") as offload:
            draws = random.Random()  # noqa: S311 - jitter
            ports = RunPorts(api, journal, record, LocalDisk(invocation.folder), utc_now, draws, offload)
            run_state = RunState(ports, terms_of(invocation, shares(descriptors)), budget, journal.counts())
            scheduler = Scheduler(run_state)
            _handle_signals(scheduler)
            reporter = reporter_for(sys.stderr, quiet=invocation.quiet, elapsed=_stopwatch())
            await _look_at_disk(invocation, run_state)
            helpers = [
                asyncio.create_task(_report(run_state, reporter)),
                asyncio.create_task(_rewrite_ledger(invocation, run_state)),
                asyncio.create_task(_watch_disk(invocation, run_state)),
            ]
            try:
                ending = await scheduler.run()
            finally:
                for helper in helpers:
                    helper.cancel()
                ended = await asyncio.gather(*helpers, return_exceptions=True)
                reporter.show(snapshot_of(run_state))
                reporter.close()
            for error in ended:
                if isinstance(error, Exception):  # and no cancellation
                    raise error
            return ending
    finally:
        await api.aclose()


def terms_of(invocation: Invocation, bounds: Shares) -> RunPolicy:
    """Return the terms of an invocation, with what the tables say of the models."""
    catalog = invocation.catalog
    return RunPolicy(
        settings=invocation.settings,
        account=invocation.key.fingerprint,
        catalog_version=catalog.version,
        endpoints={model.id: model.endpoint for model in catalog.models.values()},
        kinds={model.id: model.output for model in catalog.models.values()},
        price_key=lambda item: price_key(catalog.models[item.model], json.loads(item.body)),
        outputs=lambda item: _ordered(catalog, item),
        buying=invocation.buying,
        wait_for_balance=invocation.wait_for_balance,
        shares=bounds,
        ask_lost=invocation.ask_lost,
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


def _handle_signals(scheduler: Scheduler) -> None:
    """First Ctrl-C, SIGTERM or SIGHUP: end soon and in order. Second: at once; all that was recorded is on disk."""
    loop = asyncio.get_running_loop()
    asked = False

    def on_signal() -> None:
        nonlocal asked
        if asked:
            try:
                logging.shutdown()
            finally:
                os._exit(130)
        asked = True
        scheduler.interrupt()  # before anything is told: who hears it may be gone
        sys.stderr.write("\nending: waiting for answers under way; once more to end at once\n")
        sys.stderr.flush()

    for number in ending_signals():
        loop.add_signal_handler(number, on_signal)


def _stopwatch() -> Callable[[], float]:
    loop = asyncio.get_running_loop()
    start = loop.time()
    return lambda: loop.time() - start


async def _report(run_state: RunState, reporter: Reporter) -> None:
    while True:
        reporter.show(snapshot_of(run_state))
        await asyncio.sleep(reporter.every)


async def _watch_disk(invocation: Invocation, run_state: RunState) -> None:
    while True:
        await asyncio.sleep(_DISK_EVERY)
        if not invocation.journal.intact():
            run_state.halt(Stop.DISK, f"{invocation.folder} was deleted or replaced while the run went on")
            return
        await _look_at_disk(invocation, run_state)


async def _look_at_disk(invocation: Invocation, run_state: RunState) -> None:
    """Stop buying while there is still room for what is paid for."""
    if not invocation.buying:
        return
    average = await run_state.record(bytes_per_job, invocation.journal.db)
    jobs = sum(run_state.counts[state] for state in LIVE)
    needed = room_needed(invocation.settings.min_free * _MIB, jobs, average)
    free = invocation.free(invocation.folder)
    if free < needed:
        run_state.halt(
            Stop.DISK_LOW,
            f"{free // _MIB:,} MiB are free on the disk of {invocation.folder}, and {needed // _MIB:,} are wanted"
            " before more is bought: make room there",
        )


async def _rewrite_ledger(invocation: Invocation, run_state: RunState) -> None:
    """Keep the ledger on disk not too far behind, at a small share of the work."""
    loop = asyncio.get_running_loop()
    written, took = loop.time(), 0.0
    while True:
        await asyncio.sleep(5.0)
        if next_write(took, loop.time() - written):
            start = loop.time()
            try:
                await asyncio.to_thread(write_ledger, invocation.name, invocation.folder)
                await run_state.record(note_ledger, invocation.journal, invocation.folder)
            except DescriptorsError as error:
                log.warning("the ledger is written later: %s", error)
            except DiskError as error:
                run_state.halt(Stop.DISK_LOW, str(error))
            written = loop.time()
            took = written - start


def _rescue(invocation: Invocation) -> OutsideError:
    """Return what is known of a run whose folder is gone. The receipts are still open, and are written beside it."""
    journal, folder = invocation.journal, invocation.folder
    counts, spend = journal.counts(), journal.spend()
    place = next(p for n in count(1) if not (p := folder.with_name(f"{folder.name}.rescued-{n}.jsonl")).exists())
    folder.parent.mkdir(parents=True, exist_ok=True)
    journal.receipts.copy_to(place)
    stand = ", ".join(f"{number:,} {state.replace('_', ' ')}" for state, number in sorted(counts.items()) if number)
    return OutsideError(
        f"{folder} was deleted or replaced while the run went on, so buying stopped. What is known: {stand};"
        f" ${usd(spend.charged)} charged, ${usd(spend.refunded)} refunded, ${usd(spend.in_doubt)} in doubt. The"
        f" receipts were saved as {place}: put the folder back, or put them as {FILE_NAME} into an empty {folder}, and"
        f" `batchgen recover {folder} MANIFEST` brings back what is paid for"
    )


def _conclude(invocation: Invocation, ending: Ending) -> Summary:
    if not invocation.journal.intact():
        raise _rescue(invocation)
    counts: dict[State, int] = invocation.journal.counts()
    simulated = is_simulated(invocation.journal.facts())
    missing, fewer = _missing_files(invocation), invocation.journal.fewer_outputs()
    totals = write_ledger(invocation.name, invocation.folder)
    with invocation.journal.transaction():
        note_ledger(invocation.journal, invocation.folder)
    summary = Summary(
        run=invocation.name,
        folder=invocation.folder,
        counts=counts,
        totals=totals,
        costs=cost_report("model", run_charges(invocation.folder), unique=True, simulated=simulated),
        simulated=simulated,
        stop=ending.stop,
        detail=ending.detail,
        failures=ending.failures,
        missing=missing,
        fewer=fewer,
        advice=ending.advice,
        clock=ending.clock,
        exit_code=exit_code(ending.stop, counts, failures=ending.failures, missing=missing + fewer),
    )
    write_summary(summary)
    log.info("ended with exit code %d", summary.exit_code)
    return summary


def _missing_files(invocation: Invocation) -> int:
    """Return how many files that were bought are not there, or have another length; `verify` looks closer."""

    store = LocalDisk(invocation.folder)

    def is_there(name: str, length: int) -> bool:
        try:
            return store.length(name) == length
        except DiskError:  # what cannot be looked at is missing to whoever wants to use it
            return False

    return sum(not is_there(name, length) for name, length in present_files(invocation.journal.db))
