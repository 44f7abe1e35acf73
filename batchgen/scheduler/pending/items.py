"""The items that are still to be submitted, read from the journal in the manifest's order as they are needed."""

from collections.abc import Iterable, Iterator, Sequence

from batchgen.core.records import State
from batchgen.core.text import plural
from batchgen.journal import Work
from batchgen.policy.stopping import Stop
from batchgen.policy.wall_time import shown
from batchgen.scheduler.pending.canaries import Canaries, chosen_canaries
from batchgen.scheduler.pending.queue import QueuedItem, SubmissionQueue
from batchgen.scheduler.run_state import RunState

_Alike = tuple[str, str]
"""The model and the price key of jobs that take about as long as each other."""
_PAGE = 256
"""Pending items to read from the journal at a time, so that memory does not grow with the manifest."""


class PendingItems:
    """Hands out the items that may be submitted, each of them once until it is put back or retried."""

    def __init__(self, run_state: RunState) -> None:
        self._run_state = run_state
        self._queue = SubmissionQueue()
        self._read_up_to = -1
        """Position in the manifest up to which pending items were read."""
        self._exhausted = not run_state.policy.buying
        self._reading = False
        self._freed_meanwhile: list[tuple[int, Work]] = []
        """Items that can be bought since the page that is being read was asked for."""
        self._known: set[int] = set()
        """Items that are queued or submitted, by key: none of them may be queued a second time."""
        self._canaries: Canaries | None = None
        """What has to come first; nothing else is read or queued meanwhile."""
        self._late: set[_Alike] = set()
        """What was left out since it would end too late (`RunPolicy.until`)."""

    @property
    def idle(self) -> bool:
        """Whether nothing is left to submit, now or later."""
        return self._exhausted and self._queue.empty and not any(map(self._in_time, self._late))

    @property
    def reading(self) -> bool:
        """Whether a page is being read, which may hold items or not."""
        return self._reading

    @property
    def judging(self) -> bool:
        """Whether everything waits until the files of what came first have been looked at."""
        return self._canaries is not None and self._canaries.judging

    @property
    def held(self) -> bool:
        """Whether everything else waits for what has to come first."""
        return self._canaries is not None

    async def begin(self) -> None:
        """Choose what has to come first. To be called once, before anything is taken."""
        run_state = self._run_state
        if run_state.policy.buying and run_state.policy.settings.canary:
            keys = await chosen_canaries(run_state, run_state.policy.settings.canary)
            if keys:
                self._canaries = Canaries(run_state, keys, self._canaries_passed)
                await self._canaries.begin()

    def _canaries_passed(self) -> None:
        """All others may go now."""
        self._canaries = None
        self._read_up_to, self._exhausted = -1, False
        self._run_state.wake.set()

    def read_ahead(self) -> None:
        """Start to read the next page, if it is time for that."""
        if not self._reading and (in_time := set(filter(self._in_time, self._late))):
            # Jobs that ended meanwhile have shown that others like them would be in time: once more from the top.
            self._late -= in_time
            self._read_up_to, self._exhausted = -1, False
        if self._queue.wants_page and not self._exhausted and not self._reading:
            self._reading = True
            self._run_state.spawn(self._read())

    def take(self) -> QueuedItem | None:
        """Take the next item that may be submitted now, leaving out what would be late; None if there is none."""
        run_state = self._run_state
        while (queued := self._queue.take(run_state.now, run_state.budget.may_submit)) is not None:
            like = (queued.work.item.model, queued.price_key)
            if self._in_time(like):
                return queued
            self._late.add(like)
            self.forget(queued.work.key)
            run_state.wake.set()  # there may be more to read, or nothing left to wait for
        return None

    def _in_time(self, like: _Alike) -> bool:
        """Return whether a job like these would have ended by the time at which the run is to be over."""
        run_state, until = self._run_state, self._run_state.policy.until
        return until is None or until.allows(run_state.durations.of(*like), run_state.ports.utc_now())

    def _late_models(self) -> Iterator[str]:
        """Yield the models of which every job would end too late: their items need not even be read."""
        run_state, until = self._run_state, self._run_state.policy.until
        for model in {model for model, _ in self._late}:
            known = run_state.durations.all_of(model)
            if until is not None and not any(until.allows(one, run_state.ports.utc_now()) for one in known):
                yield model

    async def stop_for_left_items(self) -> None:
        """Say so where everything else is finished, and items are left, since they are late or wait for canaries."""
        run_state = self._run_state
        if self._canaries is not None and not self._late:
            await self._canaries.stop_for_unbought()
        if not self._late:
            return
        startable: int = await run_state.record(run_state.ports.journal.startable)
        if startable:
            self.stop_until()

    def stop_until(self) -> None:
        """Stop for the time at which the run is to be over."""
        run_state, until = self._run_state, self._run_state.policy.until
        if until is not None:
            left = plural(run_state.counts[State.PENDING], "item")
            run_state.stop(Stop.UNTIL, f"the run is to be over at {shown(until.moment)}; {left} would end later")

    def next_due(self) -> float | None:
        """Return the loop time at which the next retry may be submitted, or None."""
        return self._queue.next_due(self._run_state.now)

    def put_back(self, queued: QueuedItem) -> None:
        """Make an item that was taken the next one again."""
        self._queue.put_back(queued)

    def retry(self, queued: QueuedItem, due: float) -> None:
        """Hand out an item that was taken once more, at this loop time, in seconds."""
        self._queue.retry(queued, due)

    def forget(self, key: int) -> None:
        """An item that was taken is no longer pending, or left to the next run; from now on it may be queued again."""
        self._known.discard(key)

    def free(self, items: Sequence[tuple[int, Work]]) -> None:
        """Take items whose sources are there by now, unless they are still to be read in their turn."""
        if not self._run_state.policy.buying:
            return
        if self._canaries is not None:
            items = [row for row in items if row[1].key in self._canaries.keys]
        if self._reading:
            self._freed_meanwhile += items
            return
        self._enqueue(row for row in items if self._exhausted or row[0] <= self._read_up_to)

    async def _read(self) -> None:
        run_state, canaries = self._run_state, self._canaries
        journal, late = run_state.ports.journal, frozenset(self._late_models())
        self._late.update((model, "") for model in late)
        try:
            if canaries is not None:
                rows = await run_state.record(journal.pending_among, canaries.keys)
            else:
                rows = await run_state.record(journal.pending, self._read_up_to, _PAGE, late)
        finally:
            self._reading = False
        if canaries is self._canaries:  # else they have passed meanwhile, and reading begins anew
            self._exhausted = canaries is not None or len(rows) < _PAGE
            if rows:
                self._read_up_to = rows[-1][0]
                self._enqueue(rows)
        freed, self._freed_meanwhile = self._freed_meanwhile, []
        self.free(freed)

    def _enqueue(self, rows: Iterable[tuple[int, Work]]) -> None:
        key_of = self._run_state.policy.price_key
        new = [(position, work) for position, work in rows if work.key not in self._known]
        self._known.update(work.key for _, work in new)
        self._queue.extend(QueuedItem(position, work, key_of(work.item)) for position, work in new)
