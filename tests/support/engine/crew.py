"""A coordinator and its workers in virtual time, with an engine between them that does what engines do."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from batchgen.api import Api, NotSent, PollAnswer, SubmitAnswer
from batchgen.core.records import Item
from batchgen.engine.cluster.port import Ticket
from batchgen.engine.codec import Json, get_work
from batchgen.engine.coordinator.coordinator import Coordinator
from batchgen.engine.coordinator.leftovers import as_step
from batchgen.engine.messages import PROTOCOL, Answer, Begun, Exchange, new_start
from batchgen.engine.terms import settings_of_start
from batchgen.engine.transport import GoneError, UnreachableError
from batchgen.engine.worker.journal import StartJournal
from batchgen.engine.worker.link import Link
from batchgen.engine.worker.run import run_start
from batchgen.journal import InlineRecorder, Journal
from batchgen.scheduler import RunPolicy, RunPorts, RunState, Scheduler
from batchgen.session.workers.left_behind import WORKERS, outcomes_in, take_in
from batchgen.store import LocalDisk
from batchgen.virtual import MemoryApi, Outcome, World

Action = Callable[["Crew"], None]


class Process:
    """A worker's process: it can be frozen for a while, or killed, which is the same for ever."""

    def __init__(self) -> None:
        self._runs = asyncio.Event()
        self._runs.set()
        self.dead = False

    def freeze(self) -> None:
        self._runs.clear()

    def thaw(self) -> None:
        if not self.dead:
            self._runs.set()

    def kill(self) -> None:
        self.dead = True
        self._runs.clear()

    async def step(self) -> None:
        """Go on, unless it stands still."""
        await self._runs.wait()


@dataclass
class Placed:
    """See `batchgen.engine.cluster.port.Placed`."""

    ticket: Ticket
    ended: bool = False
    fault: str | None = None

    def forget(self) -> None:
        pass


@dataclass
class Running:
    """A ticket on a worker."""

    process: Process
    start: str
    folder: Path
    placed: Placed
    over: bool = False


class Crew:
    """An engine with some workers (see `batchgen.engine.cluster.port.Cluster`), and the way to their coordinator."""

    def __init__(self, world: "CrewWorld", workers: int, seed: int) -> None:
        self.world = world
        self.workers = workers
        self.lost: str | None = None
        self.running: list[Running] = []
        self.coordinator: Coordinator | None = None
        self.unreachable = False
        """Whether nothing reaches the coordinator."""
        self.loses = 0.0
        """Share of messages, and of answers, that are lost."""
        self.draws = random.Random(f"crew {seed}")
        self._queue: list[Placed] = []
        self._changed: Callable[[], None] = lambda: None
        self._tasks: set[asyncio.Task[None]] = set()
        self.unable = False
        """Whether its workers cannot even begin."""
        self.reruns = False
        """Whether it runs tickets again that have ended."""
        self.hides = False
        """Whether the coordinator cannot see what starts leave behind."""

    # ---- the engine ----

    @property
    def slots(self) -> int:
        return self.workers

    def on_change(self, call: Callable[[], None]) -> None:
        self._changed = call

    def place(self, ticket: Ticket) -> Placed:
        placed = Placed(ticket)
        self._queue.append(placed)
        self._fill()
        return placed

    async def close(self) -> None:
        pass

    def _fill(self) -> None:
        while self._queue and self.lost is None and sum(not r.over for r in self.running) < self.workers:
            placed = self._queue.pop(0)
            task = asyncio.get_running_loop().create_task(self._run(placed))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, placed: Placed) -> None:
        start = new_start()
        running = Running(Process(), start, self.world.folder / WORKERS / start, placed)
        self.running.append(running)
        await asyncio.sleep(0.01)
        if not self.unable:
            await self.world.work(self, running)
        running.over = placed.ended = True
        if self.reruns and self.draws.random() < 0.5:
            self._queue.append(Placed(placed.ticket))
        self._fill()
        self._changed()

    # ---- what befalls workers ----

    def living(self) -> list[Running]:
        return [running for running in self.running if not running.over and not running.process.dead]

    def kill(self, running: Running) -> None:
        """Kill a worker; the engine gives its slot to the next ticket."""
        running.process.kill()
        running.over = running.placed.ended = True
        running.placed.fault = "KilledWorker"
        self._fill()
        self._changed()

    def evidence(self, start: str, purchases: Sequence[str]) -> list[Json] | None:
        found = next((running for running in self.running if running.start == start), None)
        if self.hides or found is None or not (found.process.dead or found.over) or not found.folder.is_dir():
            return None
        return [as_step(*pair) for pair in outcomes_in(found.folder, purchases).items()]

    def remove(self, start: str) -> None:
        pass

    # ---- the way to the coordinator ----

    async def carry(self, running: Running, call: Callable[[Coordinator], Any]) -> Any:
        await running.process.step()
        await asyncio.sleep(self.draws.uniform(0.001, 0.05))
        if self.unreachable or self.coordinator is None or self.draws.random() < self.loses:
            await asyncio.sleep(1.0)
            raise UnreachableError("the message was lost")
        answer = await call(self.coordinator)
        if self.unreachable or self.draws.random() < self.loses:
            await asyncio.sleep(1.0)
            raise UnreachableError("the answer was lost")
        await asyncio.sleep(self.draws.uniform(0.001, 0.05))
        await running.process.step()
        if answer is None:
            raise GoneError
        return answer


class CrewTransport:
    """See `batchgen.engine.transport.Transport`. What is said is written and read again, as on a wire."""

    def __init__(self, crew: Crew, running: Running) -> None:
        self._crew = crew
        self._running = running

    async def begin(self, start: str, worker: str) -> Begun:
        begun = await self._crew.carry(self._running, lambda c: c.begun(start, worker, PROTOCOL))
        return Begun.decoded(_wire(begun.encoded()))

    async def exchange(self, exchange: Exchange) -> Answer:
        said = Exchange.decoded(_wire(exchange.encoded()))
        answer = await self._crew.carry(self._running, lambda c: c.exchanged(said))
        return Answer.decoded(_wire(answer.encoded()))


def _wire(content: Json) -> Json:
    import json

    carried: Json = json.loads(json.dumps(content))
    return carried


class CrewApi(Api):
    """The API as one worker reaches it: it asks whether it may buy directly before a request leaves."""

    def __init__(self, api: MemoryApi, process: Process, holds: Callable[[], bool]) -> None:
        self._api, self._process, self._holds = api, process, holds

    @property
    def clock_offset(self) -> Any:
        return self._api.clock_offset

    async def submit(self, body: str, endpoint: str, *, wait: bool) -> SubmitAnswer:
        await self._process.step()
        if not self._holds():
            return NotSent("the coordinator was not heard of for too long")
        answer = await self._api.submit(body, endpoint, wait=wait)
        await self._process.step()
        return answer

    async def poll(self, job_id: str) -> PollAnswer:
        await self._process.step()
        answer = await self._api.poll(job_id)
        await self._process.step()
        return answer

    def open_output(self, url: str) -> Any:
        return self._api.open_output(url)

    async def public_address(self, url: str) -> str:
        return await self._api.public_address(url)

    async def aclose(self) -> None:
        await self._api.aclose()


class CrewRecorder:
    """The recorder of a worker: a process that stands still records nothing."""

    def __init__(self, journal: Journal, process: Process) -> None:
        self._inline, self._process = InlineRecorder(journal), process

    async def __call__(self, operation: Callable[..., Any], *args: Any, **options: Any) -> Any:
        await self._process.step()
        result = await self._inline(operation, *args, **options)
        await asyncio.sleep(0.001)
        await self._process.step()
        return result


class CrewWorld(World):
    """A world whose items are bought by workers. A crash is one of the coordinator; its workers live on."""

    def __init__(self, folder: Path, items: Sequence[Item], *, workers: int = 3, seed: int = 1, **how: Any) -> None:
        super().__init__(folder, items, seed=seed, **how)
        self.count = workers
        self.seed = seed
        self.crew = Crew(self, workers, seed)
        self.actions: list[tuple[float, Action]] = []
        self.heeds = True
        """Whether workers ask whether they may still buy."""

    def hire(self, *actions: tuple[float, Action], **how: Any) -> Outcome:
        """Run once, with actions by seconds from the start."""
        self.crew = Crew(self, self.count, self.seed + self.crashes)
        for name, value in how.pop("crew", {}).items():
            setattr(self.crew, name, value)
        at = [(seconds, lambda _, action=action: action(self.crew)) for seconds, action in actions]
        return self.invoke(at=at, **how)  # type: ignore[arg-type]  # the action ignores the scheduler

    def invoke_with_interruption(self, seconds: float) -> Outcome:
        """Run, and interrupt after so many seconds."""
        self.crew = Crew(self, self.count, self.seed)
        return self.invoke(at=[(seconds, lambda scheduler: scheduler.interrupt())])

    def invoke(self, **how: Any) -> Outcome:
        before = how.pop("before", lambda _: None)

        def prepare(journal: Journal) -> None:
            journal.lends = True
            before(journal)

        if (self.folder / WORKERS).is_dir() and self.folder.exists():
            with closing(Journal(self.folder)) as journal:
                take_in(journal, self.folder, lambda _: None, wait=0.0)
        return super().invoke(before=prepare, **how)

    def _scheduler(self, run_state: RunState) -> Scheduler:
        crew = self.crew
        crew.coordinator = Coordinator(run_state, crew, url="", token="", terms={}, leftovers=crew)
        self._policy = run_state.policy
        self.scheduler = Scheduler(run_state, crew.coordinator)
        return self.scheduler

    async def work(self, crew: Crew, running: Running) -> None:
        """What a ticket runs."""
        transport = CrewTransport(crew, running)
        try:
            begun = await transport.begin(running.start, running.start[:4])
        except (UnreachableError, GoneError):
            return
        if not begun.items:
            return
        items = [get_work(content) for content in begun.items]
        running.folder.mkdir(parents=True)
        link = Link(transport, running.start, lambda: self.clock.seconds)
        journal = StartJournal(running.folder)
        with journal.transaction():
            journal.borrow(items)
        policy: RunPolicy = replace(
            self._policy,
            settings=settings_of_start(self._policy.settings, len(items)),
            chained=False,
            ask_lost=False,
        )
        holds = link.holds if self.heeds else lambda: True
        api = CrewApi(MemoryApi(self.provider, policy.account, self._utc_now), running.process, holds)
        ports = RunPorts(
            api, journal, CrewRecorder(journal, running.process), LocalDisk(self.folder), self._utc_now, self.draws,
            _at_once, self.decode,
        )  # fmt: skip
        capped = (self.settings.max_cost, self.settings.budget) != (None, None)
        await run_start(ports, policy, journal, link, capped=capped, reached=begun.reached)
        journal.close()


async def _at_once(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)
