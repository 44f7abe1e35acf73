"""What stands between the scheduler and its fakes: a point at which it crashes, and a monitor of its promises."""

import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, ParamSpec, TypeVar

from batchgen.api import Api, Output, PollAnswer, SubmitAnswer
from batchgen.core.records import Item, State
from batchgen.journal import InlineRecorder, Journal
from batchgen.journal.queries.purchases import estimates, job_rows
from batchgen.journal.transitions import Transitions
from batchgen.scheduler import RunState
from batchgen.virtual.canary_checks import CanaryChecks
from batchgen.virtual.chain_checks import check_inputs
from batchgen.virtual.checks import check_caps, surprise
from batchgen.virtual.memory_api import MemoryApi
from batchgen.virtual.observed import price_key_of
from batchgen.virtual.provider import VirtualProvider
from batchgen.virtual.public_addresses import pictures_in

_P = ParamSpec("_P")
_T = TypeVar("_T")


class CrashPoint:
    """Ends a run at its n-th step, as a kill would: a step is one side of an await of the API or the recorder."""

    def __init__(self, at: int | None) -> None:
        self._at = at
        self.steps = 0
        self.reached = False

    async def step(self) -> None:
        """Continue, or never return."""
        self.steps += 1
        if self._at is not None and self.steps >= self._at:
            self.reached = True
            loop = asyncio.get_running_loop()
            loop.stop()
            # Others that were ready in this very turn still come this far, and no further.
            await loop.create_future()


class PromiseMonitor:
    """Watches a run and records every broken promise at the moment it happens."""

    def __init__(self, provider: VirtualProvider, journal: Journal) -> None:
        self._provider = provider
        self._db = journal.db
        self._intents: Counter[str] = Counter()
        self._chained: dict[str, Item] = {}
        """Items that need outputs of others, by the request that is about to leave for them."""
        self._recorded = {row.job_id for row in job_rows(journal.db)}
        self._open: Counter[str] = Counter()
        """The requests that were sent and not yet answered, by price key."""
        self._estimates = {price_key_of(body): Decimal(estimated) for body, estimated in estimates(journal.db)}
        self.run_state: RunState | None = None
        self._canaries: CanaryChecks | None = None
        self.found: list[str] = []

    def committed(self, operation: Callable[..., Any], args: Sequence[Any]) -> None:
        """An operation of the journal is on disk."""
        name = getattr(operation, "__name__", "")
        if name == Transitions.record_intent.__name__:
            self._intents[args[0].item.digest] += 1
            if args[0].item.inputs:
                self._chained[args[0].item.body] = args[0].item
            self._estimates[price_key_of(args[0].item.body)] = args[0].item.estimated
        elif name in (Transitions.accept.__name__, Transitions.accept_or_doubt.__name__):
            self._recorded.add(args[1].id)
        elif name == "operation":  # what a worker has told
            self._recorded |= {row.job_id for row in job_rows(self._db)}
        self.look()

    def submits(self, body: str) -> None:
        """A POST is about to leave."""
        digest = self._provider.identity(body)
        if not self._intents[digest]:
            self.found.append(f"the body {digest[:8]} left before its intent was on disk")
        self._intents[digest] -= 1
        item = self._chained.pop(body, None)
        if item is not None:
            self.found += check_inputs(self._db, item, body, self._provider.clock.seconds)
        elif any(pictures_in(body)):
            self.found.append(f"{digest[:8]} left with outputs of other items, and its intent has none")
        self.look()
        run_state = self.run_state
        if run_state is not None and run_state.in_flight > run_state.policy.settings.concurrency:
            self.found.append(f"{run_state.in_flight} in flight at a submission")
        if run_state is not None:
            self._check_night(run_state, body, digest)
        if run_state is not None and (run_state.policy.settings.max_cost, run_state.policy.settings.budget) != (
            None,
            None,
        ):
            self._check_turn(price_key_of(body))
        self._open[price_key_of(body)] += 1

    def _check_night(self, run_state: RunState, body: str, digest: str) -> None:
        """Nothing leaves once the run was to be over, nor before the items that have to come first."""
        until, count = run_state.policy.until, run_state.policy.settings.canary
        if until is not None and run_state.ports.utc_now() >= until.moment:
            self.found.append(f"{digest[:8]} leaves after the run was to be over")
        if count and not run_state.ports.journal.has_chains():
            self._canaries = self._canaries or CanaryChecks(self._db, count, decodes=run_state.policy.standards.decodes)
            self.found += self._canaries.submits(body, digest)

    def answered(self, body: str) -> None:
        """A POST is over."""
        self._open[price_key_of(body)] -= 1

    def _check_turn(self, key: str) -> None:
        """Under a cap, a request whose price no answer has confirmed leaves when no other such one is open."""
        provider, observed = self._provider, self._provider.observed
        if key in observed.confirmed:
            return
        for other, count in (+self._open).items():
            if other not in observed.confirmed:
                self.found.append(f"{key} leaves beside {count} requests of {other}, and neither price is confirmed")
        for job_id in self._recorded & observed.jobs.keys():  # others are told in doubts
            told, job = observed.jobs[job_id], provider.books.jobs[job_id]
            unseen = told.key not in observed.confirmed and told.first_asked == math.inf
            if unseen and provider.find(job_id, job.account) is not None:
                self.found.append(f"{key} leaves beside {job_id}, which was not asked for its price")

    def polls(self, job_id: str) -> None:
        """A poll is about to leave."""
        if job_id not in self._recorded:
            self.found.append(f"{job_id} is polled before its acceptance is on disk")

    def look(self) -> None:
        """Check what must hold at each moment."""
        if self.run_state is not None:
            observed, run_state = self._provider.observed, self.run_state
            observed.most_open = max(
                observed.most_open, run_state.in_flight + run_state.parked + run_state.counts[State.LOST]
            )
            allowed = surprise(self.run_state, observed, self._estimates)
            self.found += check_caps(self.run_state, self._provider.books.net(self._provider.clock.seconds), allowed)


class WatchedRecorder:
    """Commits at once, as a writer thread's queue would in the same order, and tells its waiter a little later."""

    def __init__(
        self, journal: Journal, crash_point: CrashPoint, monitor: PromiseMonitor, draws: random.Random
    ) -> None:
        self._inline = InlineRecorder(journal)
        self._crash_point = crash_point
        self._monitor = monitor
        self._draws = draws

    async def __call__(self, operation: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        await self._crash_point.step()
        result = await self._inline(operation, *args, **kwargs)
        self._monitor.committed(operation, args)
        await self._crash_point.step()
        await asyncio.sleep(self._draws.choice((0.0, 0.001, 0.02)))
        return result


class WatchedApi(Api):
    """A `MemoryApi` with a crash point and a monitor at every await."""

    def __init__(self, api: MemoryApi, crash_point: CrashPoint, monitor: PromiseMonitor) -> None:
        self._api = api
        self._crash_point = crash_point
        self._monitor = monitor

    @property
    def clock_offset(self) -> timedelta | None:
        return self._api.clock_offset

    async def submit(self, body: str, endpoint: str, *, wait: bool) -> SubmitAnswer:
        await self._crash_point.step()
        self._monitor.submits(body)
        answer = await self._api.submit(body, endpoint, wait=wait)
        self._monitor.answered(body)
        await self._crash_point.step()
        return answer

    async def poll(self, job_id: str) -> PollAnswer:
        await self._crash_point.step()
        self._monitor.polls(job_id)
        answer = await self._api.poll(job_id)
        await self._crash_point.step()
        return answer

    def open_output(self, url: str) -> "_WatchedOpening":
        return _WatchedOpening(self._api, self._crash_point, url)

    async def public_address(self, url: str) -> str:
        await self._crash_point.step()
        address = await self._api.public_address(url)
        await self._crash_point.step()
        return address

    async def aclose(self) -> None:
        await self._api.aclose()


class _WatchedOpening:
    def __init__(self, api: MemoryApi, crash_point: CrashPoint, url: str) -> None:
        self._opening = api.open_output(url)
        self._crash_point = crash_point

    async def __aenter__(self) -> Output:
        await self._crash_point.step()
        output = await self._opening.__aenter__()
        await self._crash_point.step()
        return output

    async def __aexit__(self, *_: object) -> None:
        """Nothing is left open."""
