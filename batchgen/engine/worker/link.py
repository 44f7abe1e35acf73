"""A start's link to its coordinator: it asks, tells, and knows at any moment whether it may still buy.

One exchange is under way at a time, and it is repeated until it is answered. What is asked and told meanwhile goes with
the next one. While nothing happens, an exchange every half second says that the start lives, and hears whether it is to
stop.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from batchgen.core.text import printable
from batchgen.engine.codec import Json, UnreadableError
from batchgen.engine.messages import HEARD_WITHIN, Answer, Ask, Ended, Exchange, Granted
from batchgen.engine.tells import cancelled
from batchgen.engine.transport import GoneError, Transport, UnreachableError
from batchgen.policy.stopping import Stop

_BEAT = 0.5
"""Seconds between two exchanges without anything to say."""
_PACE = 0.1
"""Seconds between two exchanges otherwise: what happens meanwhile goes together."""
_MOST_TOLD = 100
"""What is told in one exchange at most: each may come with an answer of 64 KiB, and a message has a limit."""
_RETRY = 0.25
_GIVE_UP = 10.0
"""Seconds without an answer after which a start ends: without its coordinator it may not buy."""
_FAREWELL = 30.0
"""Seconds for which it tries to say how it has ended."""


class Ruled(Protocol):
    """What a link rules: the run of a start."""

    def obey(self, reason: Stop, detail: str) -> None:
        """Stop for a reason that the coordinator has, or for its absence."""
        ...

    def obey_at_once(self) -> None:
        """As `obey`, without waiting for answers."""
        ...

    @property
    def in_flight(self) -> int:
        """Jobs under way, and items for which leave is asked."""
        ...


class Link:
    """See the module. Times are of `seconds`, which only goes forward, also while the machine sleeps."""

    def __init__(self, transport: Transport, start: str, seconds: Callable[[], float]) -> None:
        self._transport = transport
        self._start = start
        self._seconds = seconds
        self._until = 0.0
        """When the coordinator's word that this start may buy lapses."""
        self._asked: dict[int, asyncio.Future[Granted | bool]] = {}
        """By item, who waits for leave. True: asked in vain; False: not now."""
        self._asks: list[Ask] = []
        self._tells: list[Json] = []
        self._something = asyncio.Event()
        self._number = 0
        self._ended: Ended | None = None
        self._heard = seconds()
        self._stopped = False
        self._patience = _PACE
        """Seconds until it asks again for what it has no answer to."""
        self.gone = False
        """Whether the coordinator has given this start up."""
        self.ruled: Ruled | None = None

    def holds(self) -> bool:
        """Whether this start may still buy. Waits for nothing."""
        return self._seconds() < self._until

    def tell(self, step: Json) -> None:
        """Tell the coordinator of something that has happened; in order, and exactly once."""
        self._tells.append(step)
        self._something.set()

    async def ask(self, item: int, price_key: str) -> Granted | bool:
        """Return leave to buy an item (by its key) once; True where it is asked in vain, False for not now."""
        if self._stopped:
            return False
        answer: asyncio.Future[Granted | bool] = asyncio.get_running_loop().create_future()
        self._asked[item] = answer
        self._asks.append(Ask(item, price_key))
        self._something.set()
        return await answer

    async def keep_up(self) -> None:
        """Exchange until `end` has been answered, or there is nobody any more who could answer.

        Raises what is a bug; the start has stopped then.
        """
        try:
            await self._keep_up()
        except Exception:
            self._lose("the link to the coordinator failed")  # whoever asks would wait for ever
            raise

    async def _keep_up(self) -> None:
        while not self.gone:
            exchange = self._next()
            sent = self._seconds()
            answer = await self._answer_to(exchange)
            if answer is None:
                return
            self._obey(answer, sent)
            if exchange.ended is not None:
                return
            await self._pause()

    def end(self, ended: Ended) -> None:
        """Say how the start has ended; nothing is told after that."""
        self._ended = ended
        self._something.set()

    # ---- inside ----

    def _next(self) -> Exchange:
        self._something.clear()
        self._number += 1
        asks, self._asks = self._asks, []
        tells, self._tells = self._tells[:_MOST_TOLD], self._tells[_MOST_TOLD:]
        if self._tells:
            self._something.set()
        ended = None if self._tells else self._ended  # nothing is told after that
        in_flight = 0 if self.ruled is None else self.ruled.in_flight
        return Exchange(self._start, self._number, max(0, in_flight - len(self._asked)), asks, tells, ended)

    async def _answer_to(self, exchange: Exchange) -> Answer | None:
        """Send an exchange until it is answered; None where it never will be."""
        while True:
            try:
                answer = await self._transport.exchange(exchange)
            except GoneError:
                self._lose("the coordinator has given this worker up")
                return None
            except (UnreachableError, UnreadableError) as error:  # the latter is not from the coordinator: a proxy's
                silent = self._seconds() - self._heard
                if silent > _GIVE_UP:
                    self._stop(Stop.INTERRUPTED, f"the coordinator cannot be reached: {printable(str(error), 200)}")
                if silent > _GIVE_UP + _FAREWELL:
                    self._lose("the coordinator cannot be reached")
                    return None
                await asyncio.sleep(_RETRY)
            else:
                self._heard = self._seconds()
                return answer

    def _obey(self, answer: Answer, sent: float) -> None:
        self._until = sent + HEARD_WITHIN if answer.live else 0.0
        for granted in answer.granted:
            self._patience = _PACE
            if not self._resolve(granted.item, granted) and granted.name.purchase is not None:
                self.tell(cancelled(granted.name.purchase))  # who asked has stopped meanwhile: nothing is sent
        for item in answer.left:
            self._resolve(item, in_vain=True)
        if answer.stop is not None:
            self._stop(Stop[answer.stop[0]], answer.stop[1])
        if answer.at_once and self.ruled is not None:
            self.ruled.obey_at_once()

    def _resolve(self, item: int, granted: Granted | None = None, *, in_vain: bool = False) -> bool:
        """Answer who waits for leave to buy an item; return whether anybody does."""
        waiting = self._asked.pop(item, None)
        if waiting is None or waiting.done():
            return False
        waiting.set_result(in_vain if granted is None else granted)
        return True

    def _stop(self, reason: Stop, detail: str) -> None:
        self._stopped = True
        for item in list(self._asked):
            self._resolve(item)
        if self.ruled is not None:
            self.ruled.obey(reason, detail)

    def _lose(self, why: str) -> None:
        self.gone = True
        self._until = 0.0
        self._stop(Stop.INTERRUPTED, why)

    async def _pause(self) -> None:
        """Wait until there is something to say, a little longer for what comes with it, and not too long.

        Whoever waits for a place asks again soon, and then less and less often.
        """
        self._patience = min(_BEAT, self._patience * 2)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience if self._asked else _BEAT):
                await self._something.wait()
                if not self._asks and self._ended is None:
                    await asyncio.sleep(_PACE)
