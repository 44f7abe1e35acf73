"""What a ticket runs on a worker: begin, buy what the coordinator lends and grants, and say how it ended.

Nothing is returned but one word. The key comes from this machine's own environment, and never from a ticket.
"""

import asyncio
import os
import random
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from batchgen.catalog import Catalog, load_catalog
from batchgen.client import DIRECT, Route, find_route, parse_base_url
from batchgen.client.http import HttpApi
from batchgen.core.batching import BatchedCalls
from batchgen.core.clock import utc_now
from batchgen.core.credentials import SIMULATED_KEY, ApiKey, find_key
from batchgen.core.descriptors import current_limit, shares
from batchgen.core.errors import BatchgenError, OutsideError, UsageError
from batchgen.core.files import disk_errors
from batchgen.core.run_log import LOG_NAME, logging_to
from batchgen.engine.cluster.port import Ticket
from batchgen.engine.codec import UnreadableError, get_work
from batchgen.engine.messages import Begun, Ended, new_start
from batchgen.engine.terms import Terms, settings_of_start
from batchgen.engine.transport import GoneError, UnreachableError
from batchgen.engine.worker.coordinator_client import HttpTransport
from batchgen.engine.worker.journal import StartJournal
from batchgen.engine.worker.link import Link
from batchgen.engine.worker.log import TellingHandler
from batchgen.engine.worker.run import run_start
from batchgen.journal import FILE_NAME, GroupRecorder, own, own_journal
from batchgen.lease.holding import Clocks
from batchgen.policy.stopping import Stop
from batchgen.scheduler import RunPorts
from batchgen.session.execution import policy_of
from batchgen.session.open_run import OpenRun
from batchgen.session.workers.left_behind import WORKERS
from batchgen.store import OUTPUTS, store_of
from batchgen.store.upload_threads import uploading

MARK = "here"
"""A file in `WORKERS` by which a worker knows that it sees the run folder of its coordinator."""
KEY_FILE_VARIABLE = "BATCHGEN_API_KEY_FILE"
"""The environment variable that names a file with the key."""


def work(ticket: Ticket) -> str:
    """Do what the coordinator of a ticket has to do, and return how it went, in a word.

    In a thread without a running event loop. Raises what is a bug.
    """
    with asyncio.Runner() as runner:
        return runner.run(_work(ticket))


async def _work(ticket: Ticket) -> str:
    start, worker = new_start(), f"{socket.gethostname()}:{os.getpid()}"
    async with HttpTransport(ticket.url, ticket.token) as transport:
        try:
            begun = await transport.begin(start, worker)
        except (UnreachableError, GoneError):
            return "no coordinator"  # it has ended, or will lend the items to another start
        if not begun.items:
            return "nothing to do"
        link = Link(transport, start, Clocks().seconds)
        try:
            await _buy(begun, link, start)
        except (BatchgenError, UnreadableError) as error:  # before anything was bought: there is nothing to be told
            link.end(Ended(Stop.ENGINE.name, str(error)))
            await link.keep_up()
            return "not able"
    return "gone" if link.gone else "done"


async def _buy(begun: Begun, link: Link, start: str) -> None:
    terms = Terms.decoded(begun.run)
    key, catalog = _key(terms), _catalog(terms)
    items = [get_work(content) for content in begun.items]
    with ExitStack() as stack:
        run_folder, folder = stack.enter_context(_folder(terms, start))
        # What is on its way to an object store waits in the folder of this start, and nobody else's.
        store = store_of(folder, {OUTPUTS: terms.outputs}) if terms.outputs else store_of(run_folder, {})
        stack.enter_context(own(folder, utc_now()))
        stack.enter_context(own_journal(folder / FILE_NAME, create=True))
        stack.enter_context(logging_to(folder / LOG_NAME))
        stack.enter_context(TellingHandler(link))
        journal = stack.enter_context(closing(StartJournal(folder)))
        with journal.transaction():
            journal.borrow(items)
        settings = settings_of_start(terms.settings, len(items))
        open_run = OpenRun(
            name=terms.run, journal=journal, settings=settings, catalog=catalog, base_url=terms.base_url, key=key,
            buying=True, wait_for_balance=terms.wait_for_balance, until=terms.until, ask_lost=False,
        )  # fmt: skip
        api = HttpApi(terms.base_url, key.reveal(), route=_route(terms), may_post=link.holds)
        try:
            async with (
                GroupRecorder(journal) as record,
                BatchedCalls("files") as offload,
                BatchedCalls("judge") as decode,
                uploading(store) as upload,
            ):
                draws = random.Random()  # noqa: S311 - jitter
                ports = RunPorts(api, journal, record, store, utc_now, draws, offload, decode, upload, None, link.holds)
                policy = policy_of(open_run, shares(current_limit()))
                await run_start(
                    ports, policy, journal, link, capped=terms.capped, durations=terms.durations,
                    reached=begun.reached,
                )  # fmt: skip
        finally:
            await api.aclose()
    if not link.gone:  # else the coordinator reads what is left here
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _folder(terms: Terms, start: str) -> Iterator[tuple[Path, Path]]:
    """Give the folder below which outputs go, and the one for the journal of this start.

    Raises UsageError, DiskError.
    """
    if _sees(terms):
        folder = terms.folder / WORKERS / start
        with disk_errors(folder):
            folder.mkdir()
        yield terms.folder, folder
        return
    if not terms.outputs:
        raise UsageError(
            f"the worker on {socket.gethostname()} does not see {terms.folder}: workers on other machines need"
            " outputs in an object store (--output s3://BUCKET/PREFIX)"
        )
    with tempfile.TemporaryDirectory(prefix="batchgen-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch) / start
        with disk_errors(folder):
            folder.mkdir()
        yield Path(scratch), folder


def _sees(terms: Terms) -> bool:
    """Return whether this worker sees the coordinator's run folder, and not another of that name."""
    try:
        return (terms.folder / WORKERS / MARK).read_text(encoding="utf-8") == terms.mark
    except (OSError, ValueError):  # there is none, or it is another user's
        return False


def _key(terms: Terms) -> ApiKey:
    """Return this machine's key. Raises UsageError where there is none, or where it is another account's."""
    if terms.account == SIMULATED_KEY.fingerprint:
        return SIMULATED_KEY
    file = os.environ.get(KEY_FILE_VARIABLE)
    try:
        key = find_key(None, Path(file) if file else None, os.environ)
    except UsageError as error:
        raise UsageError(f"the worker on {socket.gethostname()} has no key: {error}") from error
    if key.fingerprint != terms.account:
        raise UsageError(
            f"the worker on {socket.gethostname()} has the key of another account (fingerprint {key.fingerprint}, not"
            f" {terms.account})"
        )
    return key


def _catalog(terms: Terms) -> Catalog:
    if terms.tables:
        with tempfile.TemporaryDirectory(prefix="batchgen-") as scratch:
            file = Path(scratch) / "tables.toml"
            file.write_text(terms.tables, encoding="utf-8")
            catalog = load_catalog(file)
    else:
        catalog = load_catalog()
    if catalog.version != terms.catalog_version:
        raise OutsideError(
            f"the worker on {socket.gethostname()} has other parameter tables ({catalog.version}, not"
            f" {terms.catalog_version}): install the same batchgen there"
        )
    return catalog


def _route(terms: Terms) -> Route:
    if parse_base_url(terms.base_url).scheme == "http":
        return DIRECT
    return find_route(os.environ.get("BATCHGEN_PROXY"), os.environ)
