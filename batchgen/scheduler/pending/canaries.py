"""Canaries: some items of each shape are bought first, and nothing else before all of them have come as they should."""

from collections.abc import Callable, Sequence

from batchgen.core.records import FINAL, State
from batchgen.core.text import plural, printable
from batchgen.journal import Work
from batchgen.journal.queries.canaries import CanaryRow, canary_rows, candidates_after, find_waiting, with_sources
from batchgen.policy.canaries import CanaryChoice, Candidate
from batchgen.policy.stopping import Stop
from batchgen.scheduler.run_state import RunState, log

_PAGE = 4096
"""Items to look at between two turns of the loop."""
_SHOWN = 5
"""How many canaries are named one by one."""


class Canaries:
    """Items that are bought before all others, with what they need, until all of them have ended."""

    def __init__(self, run_state: RunState, keys: Sequence[int], passed: Callable[[], None]) -> None:
        """`passed` is called once all of them have come as they should."""
        self._run_state = run_state
        self._passed = passed
        self.keys = frozenset(keys)
        self._open: set[int] = set()
        """Those that have not ended."""
        self._unjudged: set[int] = set()
        """Those that are done, and whose files are still looked at."""
        self._over = False
        run_state.watch(self._on_state)
        run_state.watch_judgements(self._on_judgement)

    @property
    def judging(self) -> bool:
        """Whether all have ended, and the files of some are still looked at."""
        return not self._open and bool(self._unjudged)

    async def begin(self) -> None:
        """Look how they stand from earlier invocations: one that did not succeed stops the run at once."""
        rows = await self._rows()
        self._open = {row.work.key for row in rows if row.state not in FINAL}
        self._unjudged = self._to_be_judged(rows)
        bad = [row for row in rows if row.state in FINAL and not _good(row)]
        if bad:
            self._stop(bad)
        elif not self._open | self._unjudged:
            self._pass()
        else:
            log.info("%s to be bought or judged first", plural(len(self._open | self._unjudged), "canary item"))

    def _to_be_judged(self, rows: Sequence[CanaryRow]) -> set[int]:
        """Return those whose files this run will look at."""
        can_judge = self._run_state.policy.standards.can_judge
        return {row.work.key for row in rows if row.unjudged and can_judge(row.work.item)}

    def _on_state(self, work: Work, state: State) -> None:
        if work.key not in self.keys:
            return
        if state not in FINAL:
            self._open.add(work.key)
            self._unjudged.discard(work.key)
            return
        self._open.discard(work.key)
        if state is State.DONE:
            self._unjudged.add(work.key)  # the judgement follows
        self._look()

    def _on_judgement(self, work: Work, _: Sequence[str]) -> None:
        if work.key in self._unjudged:
            self._unjudged.discard(work.key)
            self._look()

    def _look(self) -> None:
        if not (self._open or self._unjudged or self._over):
            self._run_state.spawn(self._conclude())

    async def _conclude(self) -> None:
        """All have ended and are judged: go on with all others, or stop."""
        rows = await self._rows()
        bad = [row for row in rows if not _good(row)]
        if self._over or any(row.state not in FINAL for row in rows):
            return  # a lost one was found again meanwhile
        self._unjudged = self._to_be_judged(rows)
        if self._unjudged:
            return  # what was judged were the files of an earlier purchase
        if bad:
            self._stop(bad)
        else:
            log.info("%s passed", plural(len(rows), "canary item"))
            self._pass()

    async def stop_for_unbought(self) -> None:
        """Say so where everything else is finished, and some of them could not be bought or judged."""
        self._stop([row for row in await self._rows() if row.work.key in self._unjudged or not _good(row)])

    async def _rows(self) -> list[CanaryRow]:
        rows: list[CanaryRow] = await self._run_state.record(
            canary_rows, self._run_state.ports.journal.db, sorted(self.keys)
        )
        return rows

    def _pass(self) -> None:
        self._over = True
        self._passed()

    def _stop(self, bad: Sequence[CanaryRow]) -> None:
        self._over = True
        shown = "; ".join(map(_text, bad[:_SHOWN]))
        more = f"; and {len(bad) - _SHOWN:,} more" if len(bad) > _SHOWN else ""
        self._run_state.stop(
            Stop.CANARY,
            f"{plural(len(bad), 'canary item')} did not pass: {shown}{more}",
        )


async def chosen_canaries(run_state: RunState, count: int) -> list[int]:
    """Return the keys of the items to buy first, `count` of each shape, and of what they need."""
    db, shape_of = run_state.ports.journal.db, run_state.policy.shape
    choice, after = CanaryChoice(count), 0
    await run_state.record(find_waiting, db)
    while rows := await run_state.record(candidates_after, db, after, _PAGE):
        after = rows[-1].key
        for row in rows:
            shape = shape_of(row.model, row.body)
            choice.see(
                Candidate(row.key, row.position, shape, row.state, flagged=bool(row.flagged), judged=not row.unjudged)
            )
    return await run_state.record(with_sources, db, choice.chosen())


def _good(row: CanaryRow) -> bool:
    return row.state is State.DONE and not row.flags


def _text(row: CanaryRow) -> str:
    if row.flags:
        return f"{row.work.item.id} is flagged ({row.flags.replace(';', ', ')})"
    if row.state is State.DONE:
        return f"{row.work.item.id} could not be judged (its file could not be read, see batchgen.log)"
    reason = f" ({printable(row.reason, 200)})" if row.reason else ""
    return f"{row.work.item.id} {_WORDS[row.state]}{reason}"


_WORDS = {
    State.FAILED: "failed",
    State.REJECTED: "was rejected",
    State.LOST: "is lost",
    State.IN_DOUBT: "is in doubt",
    State.SKIPPED: "was skipped",
    State.PENDING: "could not be bought",
    State.SUBMITTING: "has not ended",
    State.PROCESSING: "has not ended",
    State.READY: "has not ended",
}
