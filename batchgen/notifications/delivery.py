"""Delivering notifications, in threads of their own: a run never waits for a server that is told of it.

The HTTP client is the standard library's, which blocks: a thread that hangs in it, in a look-up of a name for example,
is left behind. Redirects are not followed, so that what was meant for one server goes to no other; only an answer of
2xx counts as delivered.
"""

import http.client
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue

from batchgen.client.route import Route
from batchgen.core.text import printable
from batchgen.core.version import __version__
from batchgen.notifications.addresses import Address
from batchgen.notifications.message import Message, Patience


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message."""

    what: str
    where: str
    problem: str | None
    """Why it was not delivered; None: it was."""

    @property
    def sentence(self) -> str:
        """The same for the log and for people."""
        if self.problem is None:
            return f"{self.what} was delivered to {self.where}"
        return f"{self.what} was not delivered to {self.where}: {self.problem}"


class Refused(Exception):  # noqa: N818 - an answer, not an error of ours
    """The server answered something else than 2xx."""

    def __init__(self, status: int) -> None:
        hint = " (a redirect, which is not followed: give the address that it leads to)" if 300 <= status < 400 else ""
        super().__init__(f"it answered {status}{hint}")
        self.passes = status == 429 or status >= 500
        """Whether another attempt may help."""


class Channel:
    """Delivers messages to one address, one after another, in a thread that starts with the first one."""

    def __init__(self, address: Address, route: Route, patience: Patience) -> None:
        self._address, self._route, self._patience = address, route, patience
        self._queue: SimpleQueue[Message | None] = SimpleQueue()
        self._waiting: deque[Message] = deque()
        self._outcomes: deque[Outcome] = deque()
        self._thread: threading.Thread | None = None
        self._closing = False

    def post(self, message: Message) -> None:
        """Have a message delivered, and return at once. Raises RuntimeError if no thread can be started."""
        self._waiting.append(message)
        self._queue.put(message)
        if self._thread is None:
            # A daemon: Python does not wait for it when the process ends.
            thread = threading.Thread(target=self._work, name="batchgen notifications", daemon=True)
            thread.start()
            self._thread = thread

    def outcomes(self) -> list[Outcome]:
        """Return what became of messages since this was last asked."""
        found = []
        while self._outcomes:
            found.append(self._outcomes.popleft())
        return found

    def close(self) -> None:
        """Take no more messages; the thread ends once those that wait are delivered, or given up."""
        self._closing = True
        self._queue.put(None)

    def wait(self, until: float) -> None:
        """Wait for the end of the thread, until `time.monotonic()` shows so many seconds. Call `close` first."""
        if self._thread is None:
            return
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._thread.is_alive():
            late = f"there was no answer within {self._patience.linger:g} s"
            self._outcomes.extend(Outcome(message.what, self._address.shown, late) for message in tuple(self._waiting))

    def _work(self) -> None:
        failing = False
        while (message := self._queue.get()) is not None:
            # What a server does not take must not keep the latest from it, the end of the run above all.
            if failing and len(self._waiting) > 1:
                problem: str | None = "one before it was not delivered either, and a later one waits"
            else:
                problem = deliver(message, self._address, self._route, self._patience, in_hurry=self._in_hurry)
                failing = problem is not None
            self._outcomes.append(Outcome(message.what, self._address.shown, problem))
            self._waiting.popleft()

    def _in_hurry(self) -> bool:
        return self._closing and len(self._waiting) > 1


def deliver(
    message: Message,
    address: Address,
    route: Route,
    patience: Patience,
    *,
    pause: Callable[[float], None] = time.sleep,
    in_hurry: Callable[[], bool] = lambda: False,
) -> str | None:
    """Deliver a message, and return None, or why that was not possible. There is one attempt if it is `in_hurry`."""
    for wait in (*patience.waits, None):
        try:
            _send(message, address, route, patience.attempt)
        except Refused as refusal:
            problem, passes = str(refusal), refusal.passes
        except (OSError, http.client.HTTPException) as error:
            problem, passes = printable(_reason(error), 200), True
        else:
            return None
        if wait is None or not passes or in_hurry():
            return problem
        pause(wait)
    raise AssertionError("the last attempt returns")


def _reason(error: OSError | http.client.HTTPException) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _send(message: Message, address: Address, route: Route, timeout: float) -> None:
    """Send a message once. Raises Refused, OSError, HTTPException."""
    connection = _connection(address, route, timeout)
    try:
        connection.request(
            "POST",
            address.target(message.word),
            message.body,
            {"Content-Type": message.content_type, "User-Agent": f"batchgen/{__version__}", "Connection": "close"},
        )
        with connection.getresponse() as answer:
            status = answer.status
    finally:
        connection.close()
    if not 200 <= status < 300:
        raise Refused(status)


def _connection(address: Address, route: Route, timeout: float) -> http.client.HTTPConnection:
    if address.scheme == "http":
        return http.client.HTTPConnection(address.host, address.port, timeout=timeout)
    if route.proxy is None or address.is_local:
        return http.client.HTTPSConnection(address.host, address.port, timeout=timeout)
    through = http.client.HTTPSConnection(route.proxy.raw_host or "", route.proxy.port, timeout=timeout)
    headers = {} if route.authorization is None else {"Proxy-Authorization": route.authorization}
    through.set_tunnel(address.host, address.port, headers)
    return through
