"""Runs of the scheduler over an in-memory provider: one folder, one virtual clock, any number of invocations."""

import json
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchgen.core.digest import canonical_json, digest_of, output_of
from batchgen.core.records import Input, Item, State
from batchgen.item_table import write_items
from batchgen.journal import FILE_NAME, BuyAgain, Journal
from batchgen.journal.queries.chain_rows import chain_rows
from batchgen.policy.budget_port import Budget
from batchgen.policy.stopping import exit_code
from batchgen.policy.until import Until
from batchgen.receipts import FILE_NAME as RECEIPTS
from batchgen.scheduler import Ending, RunPolicy, RunPorts, RunState, Scheduler
from batchgen.scheduler.judging.judgement import AS_IT_COMES
from batchgen.settings import Settings
from batchgen.store import LocalDisk
from batchgen.virtual.chain_checks import settled
from batchgen.virtual.checks import check_books, check_end, check_files, consent_to, forgotten
from batchgen.virtual.fault_plan import FaultPlan
from batchgen.virtual.loop import VirtualClock, VirtualLoop
from batchgen.virtual.memory_api import MemoryApi
from batchgen.virtual.observed import price_key_of
from batchgen.virtual.provider import Offer, VirtualProvider
from batchgen.virtual.watching import CrashPoint, PromiseMonitor, WatchedApi, WatchedRecorder

MODEL = "hera-1.0-text-to-image"


def make_items(count: int, *, model: str = MODEL, price: str = "0.05", outputs: int = 1, name: str = "i") -> list[Item]:
    """Return `count` items that differ in their prompt. `price`, in USD, should be the provider's."""
    return [make_item(f"{name}{n}", model=model, price=price, outputs=outputs) for n in range(count)]


def make_item(id_: str, prompt: str = "", *, model: str = MODEL, price: str = "0.05", outputs: int = 1) -> Item:
    """Return one item; its prompt is its id if none is given."""
    body = canonical_json({"model": model, "prompt": prompt or id_, "num_images": outputs})
    return Item(id_, model, body, digest_of(body), (), id_, "virtual.yaml:1", Decimal(price))


def make_dependant(
    id_: str, *sources: tuple[Item, int], prompt: str = "", model: str = MODEL, price: str = "0.05"
) -> Item:
    """Return an item that needs outputs (from 1) of others as its pictures."""
    inputs = tuple(Input(f"images/{n}", source.id, output) for n, (source, output) in enumerate(sources))
    pictures = [output_of(source.digest, output) for source, output in sources]
    body = canonical_json({"model": model, "prompt": prompt or id_, "images": pictures})
    return Item(id_, model, body, digest_of(body), (), id_, "virtual.yaml:1", Decimal(price), inputs)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one invocation ended."""

    ending: Ending | None
    """None: it was killed."""
    exit_code: int | None
    counts: dict[State, int]
    run_state: RunState
    seconds: float
    """Virtual time from start to end."""
    steps: int
    """Awaits of API and recorder; a `crash_at` below this kills."""

    @property
    def word(self) -> str | None:
        """Why it stopped early, as in the summary."""
        return self.ending.stop.word if self.ending and self.ending.stop else None


class World:
    """A run folder, a provider and a clock. Broken promises are collected in `violations`."""

    def __init__(
        self, folder: Path, items: Iterable[Item], *, seed: int = 0, settings: Settings | None = None,
        faults: FaultPlan | None = None, offer: Offer | None = None,
    ) -> None:  # fmt: skip
        self.folder = folder
        self.items = list(items)
        self.settings = settings or Settings()
        self.clock = VirtualClock()
        self.ahead = timedelta(0)
        """How far the clock of the machine that runs it is ahead of the provider's."""
        self.provider = VirtualProvider(self.clock, seed, plan=faults, offer=offer)
        self.draws = random.Random(f"harness {seed}")  # noqa: S311 - a simulation must be repeatable
        self.standards = AS_IT_COMES
        """What files are judged by."""
        self.decode: Callable[..., Awaitable[Any]] = _at_once
        self.consented = consent_to(self.items)
        self.violations: list[str] = []
        self.crashes = 0
        self._retried: set[str] = set()
        """The jobs whose items may be bought again."""
        self._copies: list[dict[str, bytes]] = []
        folder.mkdir(parents=True, exist_ok=True)

    def invoke(
        self, *, settings: Settings | None = None, account: str = "key", buying: bool = True,
        wait_for_balance: bool = False, ask_lost: bool | None = None, crash_at: int | None = None,
        retry: Sequence[State] = (), retry_sources: bool = False, until: float | None = None,
        at: Sequence[tuple[float, Callable[[Scheduler], None]]] = (),
        before: Callable[[Journal], None] = lambda _: None,
    ) -> Outcome:  # fmt: skip
        """Run once, as `batchgen run` would (or `collect`, not `buying`), to its end or to the `crash_at`-th step.

        `at` holds actions by seconds from the start; `before` acts on the journal first, inside a transaction;
        `ask_lost` is by default as these commands have it; `retry` and `retry_sources` agree to buy items again that
        ended in these states, or whose files others need and the provider no longer has; `until` is the second from
        the start at which the run is to be over, by the clock of its machine. Raises what the scheduler
        raises, DeadlockError and SpinningError.
        """
        journal = Journal(self.folder, create=True)
        with closing(journal):
            if buying:
                self._list(journal)
            with journal.transaction():
                journal.doubt_interrupted()
                if buying:
                    self._requeue(journal, retry, retry_sources=retry_sources)
                before(journal)
            crash_point, monitor = CrashPoint(crash_at), PromiseMonitor(self.provider, journal)
            policy = self._terms(settings or self.settings, account)
            policy = replace(
                policy,
                buying=buying,
                wait_for_balance=wait_for_balance,
                until=None if until is None else Until(self._utc_now() + timedelta(seconds=until)),
                ask_lost=buying if ask_lost is None else ask_lost,
                standards=self.standards,
                unjudged=journal.has_unjudged(),
            )
            run_state = self._run_state(journal, policy, crash_point, monitor)
            monitor.run_state = run_state
            started = self.clock.seconds
            ending = self._drive(self._scheduler(run_state), crash_point, at)
            counts, fewer = journal.counts(), journal.fewer_outputs()
            self.violations += monitor.found
            self.violations += check_books(journal, self.provider, self.consented)
            if ending is not None:
                # A kill may strike between the journal's word on a move and the move itself, which the next run ends.
                self.violations += check_files(journal, self.folder)
                self.violations += check_end(run_state, journal, ending)
        code = exit_code(ending.stop, counts, missing=fewer) if ending is not None else None
        return Outcome(ending, code, counts, run_state, self.clock.seconds - started, crash_point.steps)

    def keep_copies(self) -> None:
        """Keep the records as they are now, as a backup does."""
        self._copies.append({name: (self.folder / name).read_bytes() for name in (FILE_NAME, RECEIPTS)})

    def put_back(self, name: str) -> bool:
        """Put an older copy of the journal or the receipts in place; return whether there is one."""
        if not self._copies:
            return False
        (self.folder / name).write_bytes(self.draws.choice(self._copies)[name])
        return True

    def counts(self) -> dict[State, int]:
        """Return how many items are in each state."""
        with closing(Journal(self.folder)) as journal:
            return journal.counts()

    def forgotten(self) -> int:
        """Return how many accepted jobs are not in the journal."""
        with closing(Journal(self.folder)) as journal:
            return (+forgotten(journal.db, self.provider.books)).total()

    def settled(self) -> bool:
        """Whether every item has reached an end, or waits for an item in doubt."""
        with closing(Journal(self.folder)) as journal:
            return settled(journal.db)

    def _utc_now(self) -> datetime:
        return self.clock.utc_now() + self.ahead

    def _list(self, journal: Journal) -> None:
        table = self.folder / "items.sqlite3"
        write_items(table, self.items)
        journal.list_items(table)
        table.unlink()

    def _requeue(self, journal: Journal, retry: Sequence[State], *, retry_sources: bool) -> None:
        """Requeue as `batchgen run` does; each job that may be bought again counts as one more consent, once."""
        before = {row.id: row.state for row in chain_rows(journal.db)} if retry or retry_sources else {}
        journal.requeue_for(retry, BuyAgain(), expired_sources=retry_sources)
        for row in chain_rows(journal.db) if before else ():
            agreed = before[row.id] in retry or (retry_sources and before[row.id] is State.DONE)
            if (
                row.state is State.PENDING
                and agreed
                and row.latest_job is not None
                and row.latest_job not in self._retried
            ):
                self._retried.add(row.latest_job)
                self.consented[row.digest] += 1

    def _terms(self, settings: Settings, account: str) -> RunPolicy:
        models = {item.model for item in self.items}
        endpoints = dict.fromkeys(models, "/v1/images/generations")
        return RunPolicy(
            settings,
            account,
            "virtual",
            endpoints,
            dict.fromkeys(models, "image"),
            lambda item: price_key_of(item.body),
            lambda _, body: price_key_of(body),
            lambda item: int(json.loads(item.body).get("num_images", 1)),
        )

    def _run_state(
        self, journal: Journal, policy: RunPolicy, crash_point: CrashPoint, monitor: PromiseMonitor
    ) -> RunState:
        budget = self._budget(journal, policy.settings, crash_point)
        record = WatchedRecorder(journal, crash_point, monitor, self.draws)
        api = WatchedApi(MemoryApi(self.provider, policy.account, self._utc_now), crash_point, monitor)
        ports = RunPorts(api, journal, record, LocalDisk(self.folder), self._utc_now, self.draws, _at_once, self.decode)
        return RunState(ports, policy, budget, journal.counts())

    def _scheduler(self, run_state: RunState) -> Scheduler:
        return Scheduler(run_state)

    def _budget(self, journal: Journal, settings: Settings, _: CrashPoint) -> Budget:
        return journal.budget(settings.max_cost, settings.budget)

    def _drive(
        self, scheduler: Scheduler, crash_point: CrashPoint, at: Sequence[tuple[float, Callable[[Scheduler], None]]]
    ) -> Ending | None:
        loop = VirtualLoop(self.clock)
        try:
            main = loop.create_task(scheduler.run())
            main.add_done_callback(lambda _: loop.stop())
            for seconds, action in at:
                loop.call_later(seconds, action, scheduler)
            loop.run_forever()
            if not crash_point.reached:
                return main.result()
            self.crashes += 1
            return None
        finally:
            # A killed process leaves its half-written files behind; closing its coroutines would remove them.
            parts = (
                {part: part.read_bytes() for part in (self.folder / "files").rglob("*.part")}
                if crash_point.reached
                else {}
            )
            loop.abandon()
            for part, content in parts.items():
                part.write_bytes(content)


async def _at_once(function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)
