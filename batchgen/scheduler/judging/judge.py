"""The judge: decodes files that are on disk, one at a time and outside the event loop, and records what it finds.

What is left to judge stands in the journal, and what a run does not get to is caught up later (`batchgen check`).
Nothing waits for the judge but the end of a run, for a limited time.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine
from functools import partial
from typing import Any

from batchgen.journal.delivered import UnjudgedFile
from batchgen.scheduler.judging.judgement import judged
from batchgen.scheduler.run_state import RunState, log

JUDGE_PATIENCE = 60.0
"""Seconds for which a run that has finished everything else waits for the judge."""
_FIRST = (0, 0)
_AT_ONCE = 4
"""Purchases that are being judged: while a file of one is decoded, what was found of others is recorded."""
_MOST_DUE = 10_000
"""Purchases that wait in memory; beyond that, they are looked for in the journal once everything else is finished."""


class Judge:
    """Judges the files that the journal says are not judged yet."""

    def __init__(self, run_state: RunState) -> None:
        self._run_state = run_state
        self._standards = run_state.policy.standards
        self._due: deque[int] = deque()
        """The purchases of this invocation whose files are to be judged, by the attempt's key."""
        self._more = run_state.policy.unjudged
        """Whether there may be others."""
        self._running = 0
        """Tasks that judge."""
        self._decoding = asyncio.Lock()
        self._closed = False

    @property
    def idle(self) -> bool:
        """Whether nothing is left that it will judge."""
        return self._closed or not (self._due or self._more or self._running)

    def add(self, attempt: int) -> None:
        """A purchase (by its key) has files to be judged."""
        if not self._standards.decodes:
            return
        if len(self._due) < _MOST_DUE:
            self._due.append(attempt)
        else:
            self._more = True

    def close(self) -> None:
        """Leave the rest to a later look."""
        self._closed = True

    def start(self, *, nearly_finished: bool) -> None:
        """Begin to judge where there is something to judge.

        What earlier invocations left waits until everything else is finished: if a file brings the decoder down, and
        the process with it, that must not keep the next runs from what is paid for.
        """
        if self._closed:
            return
        while self._due and self._running < _AT_ONCE:
            self._begin(self._judge_due(self._due.popleft()))
        if self._more and nearly_finished and not self._running:
            self._more = False
            self._begin(self._judge_from(_FIRST))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._running += 1
        self._run_state.spawn(work).add_done_callback(self._ended)

    def _ended(self, _: object) -> None:
        self._running -= 1

    async def _judge_due(self, attempt: int) -> None:
        await self._judge_from((attempt, 0), attempt)
        while self._due and not self._ending:
            attempt = self._due.popleft()
            await self._judge_from((attempt, 0), attempt)

    @property
    def _ending(self) -> bool:
        return self._closed or self._run_state.stopping

    async def _judge_from(self, place: tuple[int, int], only: int | None = None) -> None:
        """Judge the files after a place; `only` those of one purchase, if it is given."""
        while not self._ending:
            file = await self._run_state.record(self._run_state.ports.journal.next_unjudged, place)
            if file is None or only not in (None, file.attempt):
                return
            place = file.place
            if self._standards.can_judge(file.work.item):
                await self._judge(file)

    async def _judge(self, file: UnjudgedFile) -> None:
        run_state, ports, name = self._run_state, self._run_state.ports, file.file.path
        try:
            async with self._decoding:
                if self._ending:
                    return
                found = await ports.decode(partial(judged, self._standards, ports.store, file))
        except OSError as error:
            log.warning("%s cannot be judged: %s", name, error.strerror)
            return
        look = None if found.look is None else found.look.hash
        verdict = await run_state.record(ports.journal.record_judgement, file, look, found.flags)
        if found.flags:
            log.warning("%s: %s is flagged: %s", file.work.item.id, name, ", ".join(found.flags))
        if verdict.complete:
            run_state.judged(file.work, verdict.flags)
