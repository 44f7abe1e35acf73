"""POSTs on kept connections and on own ones, against servers that close connections without saying so.

Client and server are real and speak over sockets of this machine, but in virtual time: the loop's clock jumps to the
next timer when no socket has anything to say. So the pauses and a round trip of 100 ms cost nothing, and each case is
the same every time. The server holds back what it receives and what it sends, its closing too, by half a round trip.
"""

import asyncio
import gc
import json
import random
import selectors
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.measure import KEY, part, run
from benchmarks.table import Row

HALF = 0.05
"""Seconds to travel one way; half a round trip."""
JITTER = 0.01
"""The mean of what is added to each journey from the server, exponentially distributed, in seconds."""
IN_FLIGHT = 8
_BLOCK = 50
"""Submissions of one place between two changes of the pace."""


@dataclass(frozen=True, slots=True)
class Habit:
    """How a server treats its connections."""

    idle: float | None = None
    """Closes after so many seconds without a request."""
    farewell: bytes = b""
    """What it sends before that."""
    answers: int | None = None
    """Closes after so many answers, without having said so."""
    unanswered: float = 0.0
    """The share of requests after which it closes instead of answering."""
    restarts: float | None = None
    """Closes all idle connections about every so many seconds."""

    @property
    def idle_only(self) -> bool:
        """Whether it closes nothing but what is idle, after some time or after an answer."""
        return self.restarts is None and not self.unanswered


_TIMEOUT = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
HABITS = {
    "0 s of idleness": Habit(idle=0.0),
    "1 s of idleness": Habit(idle=1.0),
    "5 s of idleness": Habit(idle=5.0),
    "60 s of idleness": Habit(idle=60.0),
    "5 s of idleness, with a 408": Habit(idle=5.0, farewell=_TIMEOUT),
    "100 answers": Habit(idle=60.0, answers=100),
    "1 % of requests, instead of answering": Habit(idle=60.0, unanswered=0.01),
    "a restart, about every 100 s": Habit(idle=60.0, restarts=100.0),
}
RULES = ("own", "rule", "warm")
"""Own connections; the client's rule; and of this rule only that the last answer is less than a second old."""


def rows(submissions: int) -> Iterator[Row]:
    """Count what is in doubt."""
    for name in HABITS:
        own, rule, warm = (run(part("hangups", name, kind, submissions)).json() for kind in RULES)
        shown = f"{rule['doubts']} in doubt, {rule['kept']:.0%} on kept connections"
        beside = f"own connections: {own['doubts']}; if warm were enough: {warm['doubts']}"
        yield Row(f"{submissions:,} POSTs, the server closes after {name}", shown, beside)


# ---- virtual time over real sockets --------------------------------------------------------------------------------


class _Leap(selectors.DefaultSelector):  # type: ignore[misc, valid-type]  # which one it is depends on the system
    """A selector that hears sockets, and instead of waiting for a timer moves the clock on."""

    seconds = 0.0

    def select(self, timeout: float | None = None) -> Any:
        """Return what sockets have to say at this moment of virtual time."""
        heard = super().select(1.0 if timeout is None else 0)
        if not heard and timeout is not None and timeout > 0:
            self.seconds += timeout + 1e-9
        return heard


class VirtualSockets(asyncio.SelectorEventLoop):
    """A loop in virtual time whose sockets are real, for both ends of them in one process."""

    def __init__(self) -> None:
        self._leap = _Leap()
        super().__init__(self._leap)

    def time(self) -> float:
        """Return virtual seconds."""
        return self._leap.seconds


# ---- the server ----------------------------------------------------------------------------------------------------


class Server:
    """What the connections share."""

    def __init__(self, habit: Habit, draws: random.Random) -> None:
        self.habit = habit
        self.draws = draws
        self.bought: Counter[str] = Counter()
        self.connections: set[Connection] = set()
        self.opened = 0

    async def restart(self, every: float) -> None:
        """Close what is idle, again and again."""
        while True:
            await asyncio.sleep(self.draws.expovariate(1 / every))
            for connection in list(self.connections):
                if not connection.busy:
                    connection.hang_up()


class Connection(asyncio.Protocol):
    """One connection; every method but those of `asyncio.Protocol` happens in the server's place and time."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._received = b""
        self._answers = 0
        self._sent_by = 0.0
        self._idle: asyncio.TimerHandle | None = None
        self._gone = False
        self.busy = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport: Any = transport
        self._server.opened += 1
        self._server.connections.add(self)

    def connection_lost(self, _: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._gone = True
        self._server.connections.discard(self)
        if self._idle is not None:
            self._idle.cancel()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._loop.call_later(HALF, self._arrive, data)

    def _arrive(self, data: bytes) -> None:
        if self._gone:
            return  # and the client hears of the end only
        self._received += data
        head, mark, body = self._received.partition(b"\r\n\r\n")
        post = head.startswith(b"POST")
        if not mark or (post and len(body) < int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])):
            return
        self._received = b""
        self.busy = True
        if self._idle is not None:
            self._idle.cancel()
        habit, draws = self._server.habit, self._server.draws
        name = json.loads(body)["prompt"] if post else head.split(b" ")[1].decode().rpartition("/")[2]
        if post:
            self._server.bought[name] += 1
        if draws.random() < habit.unanswered:
            self.hang_up()
            return
        told = json.dumps({"id": name, "status": "processing", "model": "m", "cost_usd": 0.1}).encode()
        self._send(b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\n\r\n%b" % (len(told), told))
        self._answers += 1
        self.busy = False
        if b"onnection: close" in head or habit.idle == 0.0 or self._answers == habit.answers:
            self.hang_up()
        elif habit.idle is not None:
            self._idle = self._loop.call_later(habit.idle, self._time_out)

    def _time_out(self) -> None:
        if self._server.habit.farewell:
            self._send(self._server.habit.farewell)
        self.hang_up()

    def hang_up(self) -> None:
        """Close the connection."""
        self._gone = True
        self._travel(self._transport.close)

    def _send(self, data: bytes) -> None:
        self._travel(lambda: self._transport.write(data))

    def _travel(self, arrive: Callable[[], None]) -> None:
        # In order: what is sent later does not arrive earlier.
        journey = HALF + self._server.draws.expovariate(1 / JITTER)
        self._sent_by = max(self._sent_by + 1e-6, self._loop.time() + journey)
        self._loop.call_at(self._sent_by, arrive)


# ---- the client ----------------------------------------------------------------------------------------------------


def _obey(rule: str, connections: Any) -> None:
    """Have a client's connections follow a rule."""
    from batchgen.client import kept

    if rule == "own":
        connections.distrust()
    else:
        # The client would trust no kept connection after the first doubt, which would hide how many there can be.
        connections.distrust = lambda: None
    if rule == "warm":
        kept.SETTLED, kept.MARGIN = 0.0, float("-inf")


async def _play(habit: Habit, rule: str, submissions: int) -> dict[str, float]:
    from batchgen.api import Accepted, Unclear
    from batchgen.client.http import HttpApi

    draws = random.Random(f"{habit}, {submissions}")
    loop = asyncio.get_running_loop()
    epoch = datetime(2026, 1, 1, tzinfo=UTC)
    server = Server(habit, draws)
    listener = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    api = HttpApi(url, KEY, now=lambda: epoch + timedelta(seconds=loop.time()))
    _obey(rule, api._wire._kept)  # noqa: SLF001 - there is no setting for it
    doubts = 0
    names = iter(range(submissions))
    own = _count_own(api)

    async def place() -> None:
        nonlocal doubts
        pace = 1.0
        for turn, name in enumerate(names):
            if turn % _BLOCK == 0:
                pace = 0.05 * 200 ** draws.random()  # 0.05 to 10 s between requests: with others, any pause at all
            answer = await api.submit(json.dumps({"prompt": f"i{name}"}), "/v1/generate", wait=False)
            assert isinstance(answer, Accepted | Unclear), answer
            doubts += isinstance(answer, Unclear)
            await asyncio.sleep(draws.expovariate(1 / pace))
            await api.poll(f"i{name}")
            await asyncio.sleep(0.012)  # what is known is committed before the next POST

    restarting = None if habit.restarts is None else asyncio.create_task(server.restart(habit.restarts))
    await asyncio.gather(*(place() for _ in range(IN_FLIGHT)))
    if restarting is not None:
        restarting.cancel()
        with suppress(asyncio.CancelledError):
            await restarting
    await api.aclose()
    listener.close()
    assert max(server.bought.values()) == 1, "nothing is sent twice"
    return {"doubts": doubts, "kept": 1 - own() / submissions, "opened": server.opened, "hours": loop.time() / 3600}


def _count_own(api: Any) -> Callable[[], int]:
    """Count the POSTs that have a connection of their own."""
    connector = api._wire._single  # noqa: SLF001 - the client does not say which one it has taken
    connect, sent = connector.connect, Counter[str]()

    def counting(*arguments: Any, **options: Any) -> Any:
        sent["own"] += 1
        return connect(*arguments, **options)

    connector.connect = counting
    return lambda: sent["own"]


def play(habit: Habit, rule: str, submissions: int) -> dict[str, float]:
    """Return how many submissions end in doubt, the share on kept connections, and how many connections there were."""
    with asyncio.Runner(loop_factory=VirtualSockets) as runner:
        return runner.run(_play(habit, rule, submissions))


def main() -> None:
    """Play one case and print it as JSON."""
    name, rule, submissions = sys.argv[1:]
    gc.set_threshold(100_000, 10, 10)
    print(json.dumps(play(HABITS[name], rule, int(submissions))))


if __name__ == "__main__":
    main()
