"""Runs of the scheduler over an in-memory provider: one folder, one virtual clock, as many invocations as wanted."""

import asyncio
import json
import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from batchgen.api import Api, Output, PollAnswer, SubmitAnswer
from batchgen.budget import Money, Purse
from batchgen.digest import canonical_json, digest_of
from batchgen.halting import exit_code
from batchgen.journal import InlineRecorder, Journal
from batchgen.records import Item, State
from batchgen.scheduler import Board, Ending, Scheduler, Seams, Terms
from batchgen.settings import Settings
from batchgen.virtual.checks import ENDED, check_books, check_caps, check_end, check_files, consent_to
from batchgen.virtual.faults import Fault, Faults
from batchgen.virtual.loop import VirtualClock, VirtualLoop
from batchgen.virtual.memory_api import MemoryApi, Offer, Provider

_P = ParamSpec("_P")
_T = TypeVar("_T")
MODEL = "hera-1.0-text-to-image"


def make_items(count: int, *, model: str = MODEL, price: str = "0.05", outputs: int = 1, name: str = "i") -> list[Item]:
    """Return so many items that differ in their prompt. `price` in USD should be the provider's."""
    return [make_item(f"{name}{n}", model=model, price=price, outputs=outputs) for n in range(count)]


def make_item(id_: str, prompt: str = "", *, model: str = MODEL, price: str = "0.05", outputs: int = 1) -> Item:
    """Return one item; its prompt is its id where none is given."""
    body = canonical_json({"model": model, "prompt": prompt or id_, "num_images": outputs})
    return Item(id_, model, body, digest_of(body), (), id_, "virtual.yaml:1", Decimal(price))


class Fuse:
    """Ends a run at its n-th step, as a kill would: a step is one side of an await of the API or the recorder."""

    def __init__(self, at: int | None) -> None:
        self._at = at
        self.steps = 0
        self.blown = False

    async def step(self) -> None:
        """Go on, or never."""
        self.steps += 1
        if self._at is not None and self.steps >= self._at:
            self.blown = True
            loop = asyncio.get_running_loop()
            loop.stop()
            # Others that were ready in this very turn still come this far, and no further.
            await loop.create_future()


class Witness:
    """Stands beside a run and writes down every breach of a promise at the moment it happens."""

    def __init__(self, provider: Provider, journal: Journal) -> None:
        self._provider = provider
        self._intents: Counter[str] = Counter()
        self._recorded = {row[0] for row in journal.db.execute("SELECT job_id FROM attempt WHERE job_id IS NOT NULL")}
        self.board: Board | None = None
        self.found: list[str] = []

    def committed(self, operation: Callable[..., Any], args: Sequence[Any]) -> None:
        """An operation of the journal is on disk."""
        name = getattr(operation, "__name__", "")
        if name == "begin":
            self._intents[args[0].item.digest] += 1
        elif name == "accept":
            self._recorded.add(args[1].id)
        self.look()

    def submits(self, body: str) -> None:
        """A POST is about to leave."""
        digest = digest_of(body)
        if not self._intents[digest]:
            self.found.append(f"the body {digest[:8]} left before its intent was on disk")
        self._intents[digest] -= 1
        self.look()
        board = self.board
        if board is not None and board.in_flight > board.terms.settings.concurrency:
            self.found.append(f"{board.in_flight} in flight at a submission")

    def polls(self, job_id: str) -> None:
        """A poll is about to leave."""
        if job_id not in self._recorded:
            self.found.append(f"{job_id} is polled before its acceptance is on disk")

    def look(self) -> None:
        """Check what must hold at each moment."""
        if self.board is not None:
            faults = self._provider.fate.faults
            exact = not faults.rates.get(Fault.DRIFT) and all(e.fault is not Fault.DRIFT for e in faults.script)
            net = self._provider.books.net(self._provider.clock.seconds)
            self.found += check_caps(self.board, net, exact=exact)


class _Recorder:
    """Commits at once, as a writer thread's queue would in the same order, and tells its waiter a little later."""

    def __init__(self, journal: Journal, fuse: Fuse, witness: Witness, draws: random.Random) -> None:
        self._inline = InlineRecorder(journal)
        self._fuse = fuse
        self._witness = witness
        self._draws = draws

    async def __call__(self, operation: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        await self._fuse.step()
        result = await self._inline(operation, *args, **kwargs)
        self._witness.committed(operation, args)
        await self._fuse.step()
        await asyncio.sleep(self._draws.choice((0.0, 0.001, 0.02)))
        return result


class _Watched(Api):
    """A `MemoryApi` with a fuse and a witness at every await."""

    def __init__(self, api: MemoryApi, fuse: Fuse, witness: Witness) -> None:
        self._api = api
        self._fuse = fuse
        self._witness = witness

    async def submit(self, body: str, endpoint: str, *, wait: bool) -> SubmitAnswer:
        await self._fuse.step()
        self._witness.submits(body)
        answer = await self._api.submit(body, endpoint, wait=wait)
        await self._fuse.step()
        return answer

    async def poll(self, job_id: str) -> PollAnswer:
        await self._fuse.step()
        self._witness.polls(job_id)
        answer = await self._api.poll(job_id)
        await self._fuse.step()
        return answer

    def open_output(self, url: str) -> "_WatchedOpening":
        return _WatchedOpening(self._api, self._fuse, url)

    async def aclose(self) -> None:
        await self._api.aclose()


class _WatchedOpening:
    def __init__(self, api: MemoryApi, fuse: Fuse, url: str) -> None:
        self._opening = api.open_output(url)
        self._fuse = fuse

    async def __aenter__(self) -> Output:
        await self._fuse.step()
        output = await self._opening.__aenter__()
        await self._fuse.step()
        return output

    async def __aexit__(self, *_: object) -> None:
        """Nothing is left open."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one invocation ended."""

    ending: Ending | None
    """None: it was killed."""
    exit_code: int | None
    counts: dict[State, int]
    board: Board
    seconds: float
    """Virtual time from start to end."""
    steps: int
    """Awaits of API and recorder; a `crash_at` below this kills."""

    @property
    def word(self) -> str | None:
        """Why it stopped early, as in the summary."""
        return self.ending.stop.word if self.ending and self.ending.stop else None


class World:
    """A run folder, a provider and a clock. Breaches of promises gather in `violations`."""

    def __init__(
        self, folder: Path, items: Iterable[Item], *, seed: int = 0, settings: Settings | None = None,
        faults: Faults | None = None, offer: Offer | None = None,
    ) -> None:  # fmt: skip
        self.folder = folder
        self.items = list(items)
        self.settings = settings or Settings()
        self.clock = VirtualClock()
        self.provider = Provider(self.clock, seed, faults=faults, offer=offer)
        self.draws = random.Random(f"harness {seed}")  # noqa: S311 - a simulation must be repeatable
        self.consented = consent_to(self.items)
        self.violations: list[str] = []
        self.crashes = 0
        folder.mkdir(parents=True, exist_ok=True)

    def invoke(
        self, *, settings: Settings | None = None, account: str = "key", buying: bool = True,
        crash_at: int | None = None, at: Sequence[tuple[float, Callable[[Scheduler], None]]] = (),
        before: Callable[[Journal], None] = lambda _: None,
    ) -> Outcome:  # fmt: skip
        """Run once, as `batchgen run` would (or `collect`, not `buying`), to its end or to the `crash_at`-th step.

        `at` holds actions by seconds from the start; `before` acts on the journal first, inside a transaction. Raises
        what the scheduler raises, DeadlockError and SpinningError.
        """
        journal = Journal(self.folder, create=True)
        with closing(journal):
            if buying:
                self._list(journal)
            with journal.transaction():
                journal.doubt_interrupted()
                before(journal)
            fuse, witness = Fuse(crash_at), Witness(self.provider, journal)
            board = self._board(journal, settings or self.settings, account, buying=buying, fuse=fuse, witness=witness)
            witness.board = board
            started = self.clock.seconds
            ending = self._drive(Scheduler(board), fuse, at)
            counts = journal.counts()
            self.violations += witness.found
            self.violations += check_books(journal, self.provider.books, self.consented, self.clock.seconds)
            self.violations += check_files(journal, self.folder)
            if ending is not None:
                self.violations += check_end(board, journal)
        code = exit_code(ending.stop, counts) if ending is not None else None
        return Outcome(ending, code, counts, board, self.clock.seconds - started, fuse.steps)

    def counts(self) -> dict[State, int]:
        """Return how many items are in each state."""
        with closing(Journal(self.folder)) as journal:
            return journal.counts()

    def settled(self) -> bool:
        """Whether every item has reached an end."""
        return self.counts().keys() <= ENDED

    def _list(self, journal: Journal) -> None:
        stage = self.folder / "stage.sqlite3"
        stage.unlink(missing_ok=True)
        with closing(sqlite3.connect(stage)) as db, db:
            db.execute("CREATE TABLE item (position, id, digest, model, body, tags, path, source, estimated, inputs)")
            db.executemany(
                "INSERT INTO item VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '[]')",
                (
                    (n, i.id, i.digest, i.model, i.body, json.dumps(dict(i.tags)), i.path, i.source, str(i.estimated))
                    for n, i in enumerate(self.items, 1)
                ),
            )
        journal.list_items(stage)
        stage.unlink()

    def _board(
        self,
        journal: Journal,
        settings: Settings,
        account: str,
        *,
        buying: bool,
        fuse: Fuse,
        witness: Witness,
    ) -> Board:
        spend = journal.spend()
        purse = Purse(Money(spend.charged, spend.refunded, in_doubt=spend.in_doubt), settings.max_cost, settings.budget)
        models = {item.model for item in self.items}
        record = _Recorder(journal, fuse, witness, self.draws)
        api = _Watched(MemoryApi(self.provider, account), fuse, witness)
        seams = Seams(api, journal, record, self.folder, self.clock.utc_now, self.draws, _at_once)
        endpoints = dict.fromkeys(models, "/v1/images/generations")
        terms = Terms(settings, account, "virtual", endpoints, dict.fromkeys(models, "image"), buying)
        return Board(seams, terms, purse, journal.counts())

    def _drive(
        self, scheduler: Scheduler, fuse: Fuse, at: Sequence[tuple[float, Callable[[Scheduler], None]]]
    ) -> Ending | None:
        loop = VirtualLoop(self.clock)
        try:
            main = loop.create_task(scheduler.run())
            main.add_done_callback(lambda _: loop.stop())
            for seconds, action in at:
                loop.call_later(seconds, action, scheduler)
            loop.run_forever()
            if not fuse.blown:
                return main.result()
            self.crashes += 1
            return None
        finally:
            # A killed process leaves its half-written files behind; closing its coroutines would remove them.
            parts = {part: part.read_bytes() for part in (self.folder / "files").rglob("*.part")} if fuse.blown else {}
            loop.abandon()
            for part, content in parts.items():
                part.write_bytes(content)


async def _at_once(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)
