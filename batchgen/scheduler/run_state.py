"""What the parts of the scheduler share: counts, money, tasks, and the reason to stop."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ParamSpec, TypeVar

from batchgen.core.errors import BatchgenError
from batchgen.core.records import UNSETTLED, State, StoredFile
from batchgen.core.text import plural
from batchgen.journal import Attempt, JournalLockedError, Work
from batchgen.policy.budget_port import Budget
from batchgen.policy.failures import beyond
from batchgen.policy.polling import Durations, LearnedDurations
from batchgen.policy.queue_stats import QueueStats
from batchgen.policy.stopping import ApiHealth, Stop
from batchgen.policy.submission_backoff import SubmissionBackoff
from batchgen.receipts import Line
from batchgen.scheduler.ports import RunPolicy, RunPorts

log = logging.getLogger("batchgen")

_P = ParamSpec("_P")
_T = TypeVar("_T")
_CLOCK_TOLERANCE = timedelta(minutes=1)
_EXPIRY_MARGIN = timedelta(minutes=10)
"""To drop a paid job too early costs its price, too late only a poll; and the `Date` header is not an exact clock."""
_LOCK_TIMEOUT, _LOCK_TIMEOUT_STOPPING = 600.0, 15.0
"""How many seconds to wait for a journal that another program holds: during a run, and once it is stopping."""
_LOCK_RETRY = 1.0


class RunState:
    """The shared state of one run, changed by its parts, on one event loop only. Times are loop times in seconds."""

    def __init__(self, ports: RunPorts, policy: RunPolicy, budget: Budget, counts: Mapping[State, int]) -> None:
        self.ports = ports
        self.policy = policy
        self.budget = budget
        self.counts: Counter[State] = Counter(counts)
        self.api_health = ApiHealth()
        self.submission_backoff = SubmissionBackoff()
        self.durations = LearnedDurations()
        self.queue_stats = QueueStats()
        self.stopped_because: Stop | None = None
        """Why nothing more is submitted; None while the run buys."""
        self.stop_detail = ""
        """One sentence for the user on it."""
        self.drained = False
        """Whether the wait for parked jobs is over, whatever stopped submissions before."""
        self.clock: str | None = None
        """One sentence for the user if our clock and the provider's differ."""
        self.error: BaseException | None = None
        """What a task raised."""
        self.in_flight = 0
        """Jobs submitted and not known to have ended, without parked ones."""
        self.parked = 0
        self.waiting_files = 0
        """Outputs that are listed and not yet on disk."""
        self.unreachable_reason = ""
        """Why the API could not be reached, the last time that it could not."""
        self.bought = 0
        """Submissions of this invocation that were accepted or are in doubt."""
        self.lent = 0
        """Requests of workers for this run that are under way."""
        self.failures = 0
        """Items that failed, were rejected or lost in this invocation."""
        self.delivered = 0
        """Items that were done in this invocation."""
        self.judged_items = 0
        """Items all of whose files were judged in this invocation, as far as it can."""
        self.flagged_items = 0
        """Those of them with a flagged file."""
        self.unrecorded: list[str] = []
        """What was accepted and could not be recorded, as `ITEM as job ID`: the last trace of these charges."""
        self._locked_since: float | None = None
        """Since when another program holds the journal, if one does."""
        self.wake = asyncio.Event()
        """Set when there may be something new to start."""
        self.tasks: dict[asyncio.Task[None], None] = {}
        """All tasks that are running, oldest first."""
        self._watchers: list[Callable[[Work, State], None]] = []
        self._judgement_watchers: list[Callable[[Work, Sequence[str]], None]] = []
        self._file_watchers: list[Callable[[StoredFile], None]] = []

    @property
    def now(self) -> float:
        """The loop's time in seconds."""
        return asyncio.get_running_loop().time()

    @property
    def stopping(self) -> bool:
        """Whether everything stops, polls and downloads of paid work included."""
        return self.stopped_because is not None and (self.drained or not self.stopped_because.finishes)

    def expired(self, expires: datetime | None) -> bool:
        """Return whether a moment has certainly passed by the provider's clock; never by ours alone."""
        offset = self.ports.api.clock_offset
        if expires is None or offset is None:
            return False
        return self.ports.utc_now() + offset > expires + _EXPIRY_MARGIN

    def compare_clocks(self) -> None:
        """Warn once if our clock and the provider's differ."""
        offset = self.ports.api.clock_offset
        if self.clock is not None or offset is None or abs(offset) <= _CLOCK_TOLERANCE:
            return
        seconds, side = abs(offset).total_seconds(), "behind" if offset > timedelta(0) else "ahead of"
        self.clock = (
            f"this computer's clock is {seconds:,.0f} s {side} the API's: set it. Expiry is judged by the API's"
            " clock, but the times in the ledger and the log are off by as much"
        )
        log.warning("%s", self.clock)

    async def record(self, operation: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run an operation of the journal and return its result, once that is on disk.

        Waits for a journal that another program holds: what was paid for must be recorded.
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
        """As `record`, for an acceptance: if the journal is held, its receipt is written without waiting."""
        try:
            return await self.ports.record(operation, *args, **kwargs)
        except JournalLockedError:
            self.ports.journal.write_receipt(line())
        return await self.record(operation, *args, **kwargs)

    async def _wait_or_raise(self, error: JournalLockedError) -> None:
        """Wait a little, or raise if another program has held the journal for too long."""
        if self._locked_since is None:
            self._locked_since = self.now
            log.warning("%s; waiting for it", error)
        if self.now - self._locked_since >= (_LOCK_TIMEOUT_STOPPING if self.stopping else _LOCK_TIMEOUT):
            raise error
        await asyncio.sleep(_LOCK_RETRY)

    def state_changed(self, work: Work, before: State, after: State) -> None:
        """Count an item in its new state; one no longer requested counts until it is settled (`Journal.counts`)."""
        for state, step in ((before, -1), (after, 1)):
            if work.requested or state in UNSETTLED:
                self.counts[state] += step
        self.delivered += after is State.DONE
        for watcher in self._watchers:
            watcher(work, after)

    def watch(self, watcher: Callable[[Work, State], None]) -> None:
        """Call `watcher(work, state)` whenever an item has changed to a state, once that is on disk."""
        self._watchers.append(watcher)

    def watch_files(self, watcher: Callable[[StoredFile], None]) -> None:
        """Call `watcher(file)` whenever a file of a requested item is on disk and recorded."""
        self._file_watchers.append(watcher)

    def file_arrived(self, file: StoredFile) -> None:
        """A file of a requested item is on disk and recorded."""
        for watcher in self._file_watchers:
            watcher(file)

    def watch_judgements(self, watcher: Callable[[Work, Sequence[str]], None]) -> None:
        """Call `watcher(work, flags)` once all files of an item are judged and that is on disk.

        As far as this run can judge them, and after the item has changed to done. One that an earlier invocation
        finished may come too.
        """
        self._judgement_watchers.append(watcher)

    def judged(self, work: Work, flags: Sequence[str]) -> None:
        """All files of an item are judged, as far as this run can, with these flags: stop at the limit."""
        self.judged_items += 1
        self.flagged_items += bool(flags)
        limit = self.policy.settings.max_flagged
        if flags and beyond(limit, self.flagged_items, self.judged_items):
            self.stop(
                Stop.MAX_FLAGGED,
                f"{self.flagged_items:,} of {plural(self.judged_items, 'item')} that were judged brought flagged files;"
                f" max_flagged is {limit}",
            )
        for watcher in self._judgement_watchers:
            watcher(work, flags)

    def durations_of(self, attempt: Attempt) -> Durations:
        """Return how long jobs like that of an attempt took."""
        return self.durations.of(attempt.work.item.model, attempt.price_key)

    def stop(self, reason: Stop, detail: str) -> None:
        """Submit nothing more. Of several reasons the gravest counts, and of equal ones the first."""
        if self.stopped_because is None or reason.outranks(self.stopped_because):
            self.stopped_because, self.stop_detail = reason, detail
            log.info("stopping (%s): %s", reason.word, detail)
        self.wake.set()

    def is_enough(self, posts: int) -> bool:
        """Return whether as much is bought as max_new allows, with so many requests here, and those of workers."""
        most = self.policy.settings.max_new
        return most is not None and self.bought + posts + self.lent >= most

    def stop_at_max_new(self) -> None:
        """Stop for max_new, unless answers that are awaited may still leave room below it."""
        if not self.lent:
            self.stop(Stop.MAX_NEW, f"{plural(self.bought, 'new job')} submitted, as many as max_new allows")

    def count_failure(self) -> None:
        """One more item failed, was rejected or is lost: stop at the limit."""
        self.failures += 1
        limit, ended = self.policy.settings.max_failures, self.failures + self.delivered
        if beyond(limit, self.failures, ended):
            self.stop(
                Stop.MAX_FAILURES,
                f"{self.failures:,} of {plural(ended, 'item')} that ended failed, were rejected or are lost;"
                f" max_failures is {limit}",
            )

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task. The loop wakes when it ends, and an exception in it stops the run."""
        task = asyncio.create_task(work)
        self.tasks[task] = None
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.pop(task, None)
        self.wake.set()
        if task.cancelled() or (error := task.exception()) is None:
            return
        # A bug outranks an expected error: it must not hide behind a full disk.
        if self.error is None or (isinstance(self.error, BatchgenError) and not isinstance(error, BatchgenError)):
            self.error = error
        self.stop(Stop.DISK, str(error))
