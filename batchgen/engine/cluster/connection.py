"""A client of a Dask scheduler, in a thread and an event loop of its own.

Everything of `distributed` that a coordinator needs is here, its errors included. Its client wants Python's own event
loop, and what it does there holds up nothing of ours.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from time import monotonic
from typing import Any, Protocol
from uuid import uuid4

from batchgen.core.errors import OutsideError
from batchgen.core.text import printable
from batchgen.engine.cluster.errand import packed, receive
from batchgen.engine.cluster.port import Ticket
from batchgen.engine.cluster.quiet import import_quietly

CONNECTING = 10.0
"""Seconds in which a scheduler must answer, at the beginning and when the connection has broken."""
_ASKING = 5.0
"""Seconds in which it must say which workers it has."""
_EVERY = 2.0
"""Seconds after which that is asked unprompted: news is lost where the connection breaks for a moment."""
_CLOSING = 5.0
"""Seconds in which the client must have let go of the scheduler."""


class Listener(Protocol):
    """Who is told what becomes of a connection, in the event loop in which it was opened."""

    def slots_are(self, slots: int) -> None:
        """How many tickets can run at the same time, where that has changed."""

    def is_lost(self, reason: str) -> None:
        """It can be used no longer."""


class Task(Protocol):
    """Who is told how a task ended."""

    def end(self, fault: str | None) -> None:
        """Once, with what went wrong; None: nothing."""


class Connection:
    """See the module. Belongs to the event loop in which it is made; `security` is Dask's, None for its own."""

    def __init__(self, url: str, listener: Listener, security: dict[str, Any] | None = None) -> None:
        self._url, self._listener, self._security = url, listener, security
        self._home = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._home.create_future()
        self._over: asyncio.Future[None] = self._home.create_future()
        context = copy_context()  # the run's log is found by it
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="dask", daemon=True)
        # The rest belongs to the thread.
        self._loop = asyncio.new_event_loop()
        self._closing = asyncio.Event()
        self._changed = asyncio.Event()
        self._client: Any = None
        self._followed: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Connect. Raises OutsideError where no scheduler answers; then, and when cancelled, nothing is left open."""
        self._thread.start()
        try:
            await asyncio.shield(self._opened)
        except BaseException:
            await self.close()
            raise

    def place(self, run: str, ticket: Ticket, task: Task) -> Callable[[], None]:
        """Have the scheduler run a ticket's function, and return a call that lets it drop the task."""
        held: list[Any] = []
        self._do(self._submit, run, ticket, task, held)
        return partial(self._do, self._release, held)

    async def close(self) -> None:
        """Let go of the scheduler. Tasks that run there go on."""
        self._do(self._closing.set)
        with suppress(TimeoutError):  # the thread ends with the process at the latest
            async with asyncio.timeout(2 * _CLOSING):
                await asyncio.shield(self._over)

    def _do(self, call: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # its loop is closed: it has been told to end, or has said why it did
            self._loop.call_soon_threadsafe(call, *arguments)

    # ---- in the thread -----------------------------------------------------------------------------------------------

    def _tell(self, call: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop of those who listened is closed
            self._home.call_soon_threadsafe(call, *arguments)

    def _run(self) -> None:
        reason = "the connection to it ended"
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except Exception as error:  # noqa: BLE001 - whatever Dask raises, the run must hear that its engine is gone
            reason = _said(error)
        self._tell(self._ended, reason)

    def _ended(self, reason: str) -> None:
        """In the event loop of those who listen."""
        if not self._opened.done():
            self._opened.set_exception(OutsideError(f"no Dask scheduler can be used at {self._url}: {reason}"))
            self._opened.exception()  # it may be that nobody waits for it any more
        elif not self._closing.is_set():
            self._listener.is_lost(reason)
        if not self._over.done():
            self._over.set_result(None)

    async def _serve(self) -> None:
        import_quietly()
        from distributed import Client, Security

        security = Security(**self._security) if self._security is not None else None
        client = Client(
            self._url, asynchronous=True, timeout=CONNECTING, security=security, set_as_default=False, name="batchgen"
        )
        closing = asyncio.ensure_future(self._closing.wait())
        connecting = asyncio.ensure_future(_connected(client))
        # Dask's own limit is none where something listens that says nothing, such as a server of web pages.
        limit = 1.5 * CONNECTING
        await asyncio.wait((closing, connecting), timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        try:
            if closing.done():
                return
            if not connecting.done():
                raise TimeoutError(f"nothing that speaks Dask's protocol answered within {limit:g} s")
            connecting.result()
            self._client = client
            for topic in ("print", "warn"):  # what anybody's tasks print on the cluster would be printed here
                client.unsubscribe_topic(topic)
            self._tell(self._opened.set_result, None)
            watching = asyncio.ensure_future(self._watch(client))
            await asyncio.wait((closing, watching), return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                self._tell(self._listener.is_lost, watching.result())
                await closing
            watching.cancel()
        finally:
            connecting.cancel()
            with suppress(TimeoutError, OSError):
                await client.close(timeout=_CLOSING)

    async def _watch(self, client: Any) -> str:
        """Follow which workers there are until the scheduler is gone; return how that is said."""
        slots, subscribed, answered = 0, False, monotonic()
        while client.status != "closed":
            self._changed.clear()
            found = None
            if client.status == "running":
                if not subscribed:
                    client.subscribe_topic("all", self._event)
                subscribed = True
                with suppress(OSError):  # TimeoutError is one, and what Dask raises for broken connections
                    found = sum((await asyncio.wait_for(client.nthreads(), _ASKING)).values())
            else:
                subscribed = False
            now = monotonic()
            answered = answered if found is None else now
            if now - answered > 2 * CONNECTING + _ASKING:
                break
            if (found or 0) != slots:
                slots = found or 0
                self._tell(self._listener.slots_are, slots)
            with suppress(TimeoutError):
                async with asyncio.timeout(_EVERY):
                    await self._changed.wait()
        return "the Dask scheduler is gone"

    def _event(self, event: tuple[float, dict[str, Any]]) -> None:
        """One of the scheduler's events; most of them are about other things."""
        if event[1].get("action") in ("add-worker", "remove-worker"):
            self._changed.set()

    def _submit(self, run: str, ticket: Ticket, task: Task, held: list[Any]) -> None:
        if self._client is None or self._client.status == "closed":
            self._tell(task.end, "Dask did not take it: there is no scheduler")
            return
        key = f"batchgen-{ticket.number}-{uuid4().hex}"  # what has a key is run once more only under another one
        held.append(self._client.submit(receive, packed(run, ticket), key=key, pure=False, retries=0))
        following = self._loop.create_task(self._follow(task, held))
        self._followed.add(following)
        following.add_done_callback(self._followed.discard)

    async def _follow(self, task: Task, held: list[Any]) -> None:
        """Wait for the end of a task, and let go of it at once: what Dask still holds, it may run again."""
        future = held[0]
        error = await future.exception()
        status = future.status
        self._release(held)
        self._changed.set()  # it may have ended since the scheduler did
        self._tell(task.end, _fault(status, error))

    def _release(self, held: list[Any]) -> None:
        while held:
            held.pop().release()


async def _connected(client: Any) -> None:
    await client


def _fault(status: str, error: BaseException | None) -> str | None:
    """Return what is said of a task that has ended; None for one that did what it was to do."""
    from distributed import KilledWorker

    if status == "finished":
        return None
    if isinstance(error, KilledWorker):
        return "the worker that it was given to has died"
    return "Dask has dropped it" if error is None else _said(error)


def _said(error: BaseException) -> str:
    return printable(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__, 300)
