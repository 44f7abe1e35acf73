"""What the parts of the scheduler share: counts, money, tasks, and the order to stop."""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ParamSpec, TypeVar

from batchgen.api import Api
from batchgen.core.clock import UtcNow
from batchgen.core.descriptors import PLENTY, Shares
from batchgen.core.errors import BatchgenError
from batchgen.core.records import UNSETTLED, Item, State
from batchgen.core.text import plural
from batchgen.journal import Attempt, Journal, JournalLockedError, Recorder, Work
from batchgen.policy.absence import Absence
from batchgen.policy.budget_port import Budget
from batchgen.policy.polling import Durations
from batchgen.policy.queue_stats import QueueStats
from batchgen.policy.stopping import ApiHealth, Stop
from batchgen.policy.submission_backoff import SubmissionBackoff
from batchgen.receipts import Line
from batchgen.settings import Settings
from batchgen.store import OutputStore

log = logging.getLogger("batchgen")

_P = ParamSpec("_P")
_T = TypeVar("_T")
_CLOCKS_AGREE = timedelta(minutes=1)
_EXPIRY_MARGIN = timedelta(minutes=10)
"""Giving a paid job up too early costs its price, too late a poll; and `Date` is no exact clock."""
_LOCKED, _LOCKED_AT_END = 600.0, 15.0
"""Seconds that a journal held by another program is waited for: while a run goes on, and once it is ending."""
_LOCKED_PAUSE = 1.0
_PRECEDENCE = (130, 5, 3)
"""Exit codes, the one first that wins where several apply (DESIGN, "Commands")."""


@dataclass(frozen=True, slots=True)
class RunPorts:
    """The world outside a run, handed in."""

    api: Api
    journal: Journal
    record: Recorder
    store: OutputStore
    utc_now: UtcNow
    random: random.Random
    offload: Callable[..., Awaitable[Any]] = asyncio.to_thread
    """Runs a blocking function elsewhere; in virtual time, at once."""


@dataclass(frozen=True, slots=True)
class RunPolicy:
    """What is bought under which conditions."""

    settings: Settings
    account: str
    catalog_version: str
    endpoints: Mapping[str, str]
    """Path of the create endpoint by model."""
    kinds: Mapping[str, str]
    """`image` or `video` by model."""
    price_key: Callable[[Item], str]
    """What the price of an item hangs on (`batchgen.catalog.price_key`)."""
    outputs: Callable[[Item], int] = lambda _: 1
    """How many outputs an item orders (`batchgen.catalog.outputs_of`)."""
    buying: bool = True
    wait_for_balance: bool = False
    """Whether an empty balance is waited for, instead of ending submissions."""
    shares: Shares = PLENTY
    """How much may be under way at the same time, whatever the settings allow."""
    ask_lost: bool = False
    """Whether lost jobs are asked for again, once."""


class TrackedJob:
    """A job that the API accepted, on its way to its files. Times are loop times in seconds."""

    __slots__ = (
        "absence", "accepted", "asked", "attempt", "awaited", "bought_now", "empty", "failures", "lost", "parked",
        "polls", "reclaimed", "since", "slot",
    )  # fmt: skip

    def __init__(self, attempt: Attempt, accepted: float, *, since: float | None = None) -> None:
        self.attempt = attempt
        self.accepted = accepted
        """When its POST left; for a job of an earlier invocation, when the answer came, as our clock has it."""
        self.since = accepted if since is None else since
        """Since when it certainly is at work, whatever our clock says: what it is parked by."""
        self.asked = accepted
        """When the last poll left."""
        self.bought_now = since is None
        self.polls = attempt.polls
        self.absence = attempt.absence
        """Answers that said it is not known, since it last was seen."""
        self.empty = Absence()
        """Answers that said it was completed, and listed no output, or no more than before."""
        self.slot = True
        """Whether it takes one of the places at the provider, and counts in `RunState.in_flight`."""
        self.awaited = 0
        """Outputs of a ready job that it has not listed yet: it is only asked for these."""
        self.failures = 0
        """Polls in a row without a usable answer."""
        self.parked = False
        self.lost = False
        """Whether it counts as lost, and is only asked for once more."""
        self.reclaimed = False
        """Whether it counted as lost before."""


class RunState:
    """The shared state of one run; changed by the parts, on one event loop only."""

    def __init__(self, ports: RunPorts, policy: RunPolicy, budget: Budget, counts: Mapping[State, int]) -> None:
        self.ports = ports
        self.policy = policy
        self.budget = budget
        self.counts: Counter[State] = Counter(counts)
        self.api_health = ApiHealth()
        self.submission_backoff = SubmissionBackoff()
        self.durations: dict[str, Durations] = {}
        self.queue_stats = QueueStats()
        self.stop: Stop | None = None
        self.drained = False
        """Whether the wait for parked jobs is over, whatever stopped submissions before."""
        self.detail = ""
        """One sentence for the user on why the run stops."""
        self.clock: str | None = None
        """One sentence for the user where our clock and the provider's do not agree."""
        self.error: BaseException | None = None
        self.in_flight = 0
        """Jobs submitted and not known to have ended, without parked ones."""
        self.parked = 0
        self.waiting_files = 0
        """Outputs known and not yet on disk."""
        self.trouble = ""
        """What the last failure to reach the API was."""
        self.failures = 0
        """Failed, rejected and lost items of this invocation."""
        self.unrecorded: list[str] = []
        """What was accepted and could not be recorded, `ITEM as job ID`: the last trace of charges."""
        self._locked_since: float | None = None
        """When another program was first found to hold the journal, if one does."""
        self.wake = asyncio.Event()
        self.tasks: dict[asyncio.Task[None], None] = {}
        """Everything under way, oldest first."""

    @property
    def now(self) -> float:
        """The loop's time in seconds."""
        return asyncio.get_running_loop().time()

    @property
    def winding_down(self) -> bool:
        """Whether nothing but what is already under way may go on."""
        return self.stop is not None and (self.drained or not self.stop.finishes)

    def expired(self, expires: datetime | None) -> bool:
        """Whether a moment has certainly passed by the provider's clock; never by ours alone."""
        offset = self.ports.api.clock_offset
        if expires is None or offset is None:
            return False
        return self.ports.utc_now() + offset > expires + _EXPIRY_MARGIN

    def compare_clocks(self) -> None:
        """Tell once where our clock and the provider's do not agree."""
        offset = self.ports.api.clock_offset
        if self.clock is not None or offset is None or abs(offset) <= _CLOCKS_AGREE:
            return
        seconds, side = abs(offset).total_seconds(), "behind" if offset > timedelta(0) else "ahead of"
        self.clock = (
            f"this computer's clock is {seconds:,.0f} s {side} the API's: set it. Expiry is judged by the API's"
            " clock, but the times in the ledger and the log are off by as much"
        )
        log.warning("%s", self.clock)

    async def record(self, operation: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run an operation of the journal; what it returns is on disk.

        A journal that another program holds is waited for: what was paid for must be written down.
        """
        while True:
            try:
                result = await self.ports.record(operation, *args, **kwargs)
            except JournalLockedError as error:
                await self._wait_or_raise(error)
            else:
                self._locked_since = None
                return result

    async def record_paid(
        self, line: Callable[[], Line], operation: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> _T:
        """As `record`, for an acceptance: where the journal is held, its receipt does not wait for it."""
        try:
            return await self.ports.record(operation, *args, **kwargs)
        except JournalLockedError:
            self.ports.journal.write_receipt(line())
        return await self.record(operation, *args, **kwargs)

    async def _wait_or_raise(self, error: JournalLockedError) -> None:
        """Wait a little, or raise where another program has held the journal for too long."""
        if self._locked_since is None:
            self._locked_since = self.now
            log.warning("%s; waiting for it", error)
        if self.now - self._locked_since >= (_LOCKED_AT_END if self.winding_down else _LOCKED):
            raise error
        await asyncio.sleep(_LOCKED_PAUSE)

    def moved(self, work: Work, before: State, after: State) -> None:
        """An item changed its state; one that is listed no longer counts until it is settled (`Journal.counts`)."""
        for state, step in ((before, -1), (after, 1)):
            if work.requested or state in UNSETTLED:
                self.counts[state] += step

    def durations_of(self, model: str) -> Durations:
        """Return what is learned of a model."""
        return self.durations.setdefault(model, Durations())

    def halt(self, stop: Stop, detail: str) -> None:
        """Stop for a reason; the weightiest one stays, and of equals the first."""
        if self.stop is None or _weight(stop) < _weight(self.stop):
            self.stop, self.detail = stop, detail
            log.info("stopping (%s): %s", stop.word, detail)
        self.wake.set()

    def check_failures(self) -> None:
        """One more item ended badly: stop where the limit is reached."""
        self.failures += 1
        limit = self.policy.settings.max_failures
        if limit is not None and self.failures >= limit:
            self.halt(
                Stop.MAX_FAILURES,
                f"{plural(self.failures, 'item')} failed or were rejected, as many as max_failures allows",
            )

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task; the loop wakes when it ends, and what it raises ends the run."""
        task = asyncio.create_task(work)
        self.tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.pop(task, None)
        self.wake.set()
        if task.cancelled() or (error := task.exception()) is None:
            return
        # A bug outranks an expected error: it must not hide behind a full disk.
        if self.error is None or (isinstance(self.error, BatchgenError) and not isinstance(error, BatchgenError)):
            self.error = error
        self.halt(Stop.DISK, str(error))

    @property
    def busy(self) -> bool:
        """Whether any task is under way."""
        return bool(self.tasks)


def _weight(stop: Stop) -> tuple[int, bool]:
    """Return what sorts reasons to stop, the weightiest first: by exit code, and to drop all before to finish."""
    return _PRECEDENCE.index(stop.exit_code), stop.finishes
