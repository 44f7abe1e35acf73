"""The coordinator's side of a run on workers: it lends items to starts, hears what became of them, and takes over what
a worker that is gone has left behind.

What it is told goes into the journal before it is answered. The engine below it is trusted with nothing: a ticket that
runs twice gets other items the second time, or none.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from math import ceil, inf

from batchgen.core.records import State
from batchgen.core.text import plural, printable
from batchgen.engine.cluster.port import Cluster
from batchgen.engine.codec import Json, UnreadableError, put_work
from batchgen.engine.coordinator.granting import Granting
from batchgen.engine.coordinator.leftovers import LeftBehind
from batchgen.engine.coordinator.starts import Start
from batchgen.engine.coordinator.steps import Step, Steps
from batchgen.engine.coordinator.tickets import Tickets
from batchgen.engine.messages import HEARD_WITHIN, LOST_AFTER, PROTOCOL, Answer, Begun, Ended, Exchange
from batchgen.engine.tells import doubted
from batchgen.journal import Work
from batchgen.policy.stopping import Stop
from batchgen.scheduler import RunState
from batchgen.scheduler.run_state import log
from batchgen.scheduler.workers import Home
from batchgen.session.workers.left_behind import is_start

_MOST_ITEMS, _ENOUGH_ITEMS, _FEWEST_ITEMS = 500, 100, 20
"""Items that a start gets: at most, where there are enough for all workers, and at the end."""
_LOOK_EVERY = 1.0
_SILENT = HEARD_WITHIN + 1.0
"""Seconds without an exchange after which to look whether a start on this machine has died: it may not buy then, even
where the locks of a file system are worth nothing."""
_STOP_GRACE, _GRACE_AT_ONCE = 20.0, 5.0
"""Seconds to wait for the starts when the run stops: longer than they wait for answers to their requests. And where
they are told to wait for none."""
_LEAVES = (Stop.OUTAGE, Stop.UNTIL, Stop.ASSETS, Stop.MONTH)
"""Why a start may leave items pending, without any reason to stop others."""


class Coordinator:
    """See `batchgen.scheduler.workers.Workers`."""

    def __init__(
        self, run_state: RunState, cluster: Cluster, *, url: str, token: str, terms: Mapping[str, object],
        leftovers: LeftBehind,
    ) -> None:  # fmt: skip
        """`url` and `token` are what workers reach it by, and `terms` what they buy with (`Begun.run`)."""
        self._run_state = run_state
        self._cluster = cluster
        self._terms = terms
        self._leftovers = leftovers
        self._starts: dict[str, Start] = {}
        """Those that may still buy or tell something."""
        self._over: dict[str, Answer] = {}
        """The last answers to those that have ended in order, by name: one of them may have been lost."""
        self._tickets = Tickets(run_state, cluster, url=url, token=token)
        self._position, self._exhausted = -1, False
        """Up to where the items of the manifest were lent for the first time, and whether that was the last one."""
        self._returned: dict[int, None] = {}
        """Items, by key, that were lent and came back."""
        self._left: dict[Stop, tuple[int, str]] = {}
        """By reason, how many items stay pending, and what was said of the last ones."""
        self._reading = asyncio.Lock()
        self._nobody = asyncio.Event()
        """Set while there is no start."""
        self._nobody.set()
        self._at_once = False
        self._stop_by = inf
        """Until when starts are waited for once the run stops."""
        self._looked_at = 0.0
        """When `start` was called last."""

    # ---- for the scheduler ----

    @property
    def idle(self) -> bool:
        if not self._exhausted or self._returned or self._reading.locked():  # what is being read may be lent
            return False
        return not any(start.items for start in self._starts.values())

    @property
    def quiet(self) -> bool:
        return not self._starts

    def begin(self, home: Home) -> None:
        self._home = home
        self._granting = Granting(self._run_state, home)
        self._steps = Steps(self._run_state, home)
        self._exhausted = not self._run_state.policy.buying
        self._cluster.on_change(self._run_state.wake.set)

    def start(self) -> float | None:
        run_state, now = self._run_state, self._run_state.now
        self._forgive(now)
        for start in list(self._starts.values()):
            if start.turn.locked():  # it is being answered, or looked after
                continue
            if not start.fenced and now - start.heard_at > _SILENT and now >= start.look_at:
                start.look_at = now + _LOOK_EVERY
                start.fenced = now - start.heard_at > LOST_AFTER
                run_state.spawn(self._look_after(start))
        self._tickets.drop_ended(in_vain=self._to_lend and not self._starts)
        if run_state.stopped_because is not None or self._home.held() or not self._to_lend:
            return now + _LOOK_EVERY if self._starts else None
        if self._cluster.lost is not None:
            if not self._starts:
                run_state.stop(Stop.ENGINE, self._cluster.lost)
        else:
            self._tickets.place(busy=bool(self._starts))
        return now + _LOOK_EVERY

    def _forgive(self, now: float) -> None:
        """What was not heard while this process itself stood still is no sign that a worker has died."""
        standstill = now - self._looked_at - 2 * _LOOK_EVERY
        if standstill > 0:
            for start in self._starts.values():
                start.heard_at += standstill
        self._looked_at = now

    def abandon(self) -> None:
        self._at_once = True
        self._stop_by = min(self._stop_by, self._run_state.now + _GRACE_AT_ONCE)

    async def stop(self) -> None:
        run_state = self._run_state
        self._stop_by = min(self._stop_by, run_state.now + _STOP_GRACE)
        if self._starts:
            log.info("waiting for %s", plural(len(self._starts), "worker"))
        while self._starts and run_state.now < self._stop_by:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._nobody.wait()
            for start in list(self._starts.values()):
                if run_state.now - start.heard_at > _SILENT:
                    await self._look_after(start)
        for start in list(self._starts.values()):
            start.fenced = True  # what is just being granted to it is withheld
            async with start.turn:
                await self._lose(start)
        self._tickets.forget()

    def stop_for_left_items(self) -> None:
        self._granting.stop_for_left_items()  # first: workers only know that there was no room, and not why
        for reason, (count, said) in self._left.items():
            stay = "item stays" if count == 1 else "items stay"
            self._run_state.stop(reason, f"{count:,} {stay} pending: {said}")

    @property
    def _to_lend(self) -> bool:
        return not self._exhausted or bool(self._returned)

    # ---- what starts say ----

    async def begun(self, name: str, worker: str, protocol: int) -> Begun:
        """A start is ready: return what it is to do; nothing for one of another release, which stops the run.

        Raises UnreadableError for a name that is none, or is used up.
        """
        run_state = self._run_state
        if protocol != PROTOCOL:
            run_state.stop(
                Stop.ENGINE, f"the worker {printable(worker, 100)} has another version of batchgen: install the same"
            )
        if not is_start(name):  # a folder has that name, and is removed in the end
            raise UnreadableError("this is no name of a start")
        if name in self._starts or name in self._over:
            raise UnreadableError("this start has begun already")
        async with self._reading:
            items = [] if run_state.stopped_because is not None or self._home.held() else await self._next_items()
            if not items or run_state.stopped_because is not None:
                return Begun()
            start = Start(name, printable(worker, 100), {work.key: (at, work) for at, work in items}, run_state.now)
            self._starts[name] = start
            self._nobody.clear()
            self._tickets.bore_fruit()
        log.info("%s buys up to %s", start.worker, plural(len(items), "item"))
        reached = run_state.api_health.ever_reached
        return Begun([put_work(position, work) for position, work in items], self._terms, reached)

    async def _next_items(self) -> list[tuple[int, Work]]:
        run_state, journal = self._run_state, self._run_state.ports.journal
        count = self._chunk()
        returned = list(self._returned)[:count]
        for key in returned:
            del self._returned[key]
        items: list[tuple[int, Work]] = await run_state.record(journal.pending_among, returned) if returned else []
        if not items and not self._exhausted:
            items = await run_state.record(journal.lendable, self._position, count)
            self._exhausted = len(items) < count
            if items:
                self._position = items[-1][0]
        run_state.wake.set()
        return items

    def _chunk(self) -> int:
        """Return how many items the next start gets: about a third of its share of what is left."""
        pending, slots = self._run_state.counts[State.PENDING], max(1, self._cluster.slots)
        share = max(ceil(pending / (3 * slots)), min(_ENOUGH_ITEMS, ceil(pending / slots)))
        return min(_MOST_ITEMS, max(share, _FEWEST_ITEMS))

    async def exchanged(self, exchange: Exchange) -> Answer | None:
        """A start says what has happened and asks: return the answer; None where it may neither buy nor tell any more.

        On disk when this returns. Raises UnreadableError.
        """
        start = self._starts.get(exchange.start)
        if start is None:
            last = self._over.get(exchange.start)
            return last if last is not None and last.number == exchange.number else None
        async with start.turn:
            if start.fenced:
                return None
            if start.answer is not None and exchange.number == start.number:
                return start.answer
            if exchange.number != start.number + 1:
                raise UnreadableError(f"exchange {exchange.number} follows {start.number}")
            steps = self._steps.read(start, [tell for tell in exchange.tells if not _is_said(tell)])
            start.heard_at = self._run_state.now
            self._heed(start, exchange.tells)
            answer: list[Answer] = []

            async def serve() -> None:
                answer.append(await self._answered(start, exchange, steps))

            # A task of the run's: what goes wrong in it ends the run.
            await asyncio.wait([self._run_state.spawn(serve())])
            if not answer:
                return None
            start.number, start.answer = exchange.number, answer[0]
            start.heard_at = self._run_state.now  # it says nothing while it waits for that
            return start.answer

    async def _answered(self, start: Start, exchange: Exchange, steps: Sequence[Step]) -> Answer:
        run_state = self._run_state
        await self._steps.take(start, steps)
        self._occupy(start, min(exchange.busy, len(start.lent)))
        if exchange.ended is not None:
            start.fenced = True
            await self._finish(start, exchange.ended)
            answer = self._over[start.name] = Answer(exchange.number, live=False)
            return answer
        left = [ask.item for ask in exchange.asks if ask.item not in start.items]
        start.waiting.update({ask.item: ask for ask in exchange.asks if ask.item in start.items})
        given = await self._granting.give(start, self._starts.values())
        stop = run_state.stopped_because
        return Answer(
            exchange.number, run_state.ports.holds(), given.granted, [*left, *given.left],
            None if stop is None else ((Stop.INTERRUPTED if run_state.stopping else stop).name, run_state.stop_detail),
            self._at_once,
        )  # fmt: skip

    def _heed(self, start: Start, tells: Sequence[Json]) -> None:
        """Heed what a start tells beside steps of purchases."""
        for tell in tells:
            match tell if _is_said(tell) else None:
                case {"step": "stop", "reason": reason, "detail": detail}:
                    self._run_state.stop(Stop[reason], f"{printable(detail, 500)} ({start.worker})")
                case {"step": "log", "level": level, "text": text}:
                    log.log(level, "%s: %s", start.worker, printable(text, 2000))

    def _occupy(self, start: Start, places: int) -> None:
        self._run_state.in_flight += places - start.places
        start.places = places

    # ---- how starts end ----

    async def _finish(self, start: Start, ended: Ended) -> None:
        """A start is over, and has told everything."""
        run_state, stop = self._run_state, Stop.__members__.get(ended.stop or "")
        why = "the worker ended before the answer came"
        await self._settle(start, [doubted(purchase, why) for purchase in start.open_requests])
        detail = f"{printable(ended.detail, 500)} ({start.worker})"
        if stop in _LEAVES and (start.bought or stop is not Stop.OUTAGE):
            if start.items:
                self._left[stop] = self._left.get(stop, (0, ""))[0] + len(start.items), detail
            start.items.clear()
        elif stop not in (None, Stop.INTERRUPTED, Stop.DRAIN):
            run_state.stop(stop, detail)
        self._end(start)

    async def _look_after(self, start: Start) -> None:
        """Nothing was heard of a start for a while: take over what it was doing, if it has certainly ended."""
        if start.turn.locked() and not start.fenced:
            return  # it is being answered
        async with start.turn:
            if start.name not in self._starts:
                return
            if not start.fenced and await self._evidence_of(start) is None:
                return
            start.fenced = True
            await self._lose(start)

    async def _evidence_of(self, start: Start) -> list[Json] | None:
        """Return what is told of its open requests by what a start has left here; None where that is not known."""
        offload, look = self._run_state.ports.offload, self._leftovers.evidence
        found: list[Json] | None = await offload(look, start.name, start.open_requests)
        return found

    async def _lose(self, start: Start) -> None:
        """Give a start up, which is fenced: what it was doing goes on here, as far as that is known."""
        if start.name not in self._starts:
            return
        told = await self._evidence_of(start)
        if told is None:
            why = "the worker is gone, and whether its request was charged is not known"
            told = [doubted(purchase, why) for purchase in start.open_requests]
        log.warning("%s is gone, with %s under way", start.worker, plural(len(start.lent), "purchase"))
        await self._settle(start, told)
        self._end(start)
        await self._run_state.ports.offload(self._leftovers.remove, start.name)

    async def _settle(self, start: Start, steps: Sequence[Json]) -> None:
        """Take steps of purchases that nobody tells of any more."""
        for step in steps:
            if step["step"] == "doubt":
                item = start.lent[step["purchase"]].attempt.work.item
                log.warning("%s is in doubt: %s", item.id, step["reason"])
        await self._steps.take(start, self._steps.read(start, steps))

    def _end(self, start: Start) -> None:
        """Take over what a start has left behind."""
        self._occupy(start, 0)
        self._steps.judge_the_rest(start)
        for lent in start.lent.values():
            if not lent.disputed:
                self._home.take_back(replace(lent.attempt))
        self._returned.update(dict.fromkeys(start.items))
        del self._starts[start.name]
        self._tickets.bore_fruit()
        if not self._starts:
            self._nobody.set()
        self._run_state.wake.set()


def _is_said(tell: Json) -> bool:
    """Return whether a start tells of itself, and not of a step of a purchase."""
    match tell:
        case {"step": "stop", "reason": str(reason), "detail": str()}:
            return reason in Stop.__members__
        case {"step": "log", "level": int(), "text": str()}:
            return True
        case _:
            return False
