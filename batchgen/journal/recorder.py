"""Many tasks write the journal, and one thread commits for all of them: group commit.

Everything that is handed in during a commit goes into the next one, so that they share the cost of a sync. An
operation returns only after the commit that holds it: what was awaited is on disk.
"""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ParamSpec, Protocol, Self, TypeVar

from batchgen.core.batching import BatchWorker, Outcome
from batchgen.journal.database import JournalLockedError
from batchgen.journal.journal import Journal

log = logging.getLogger("batchgen")

_P = ParamSpec("_P")
_T = TypeVar("_T")
_PATIENCE = 5.0
"""Seconds that a group waits for another program that writes; then the callers may try again."""
_Operation = Callable[[], Any]
_Batch = tuple[Sequence[_Operation], list[Any] | None]
"""Operations, and their results unless one of them raised."""


class Recorder(Protocol):
    """Runs an operation of the journal and returns its result once it is durable, or raises what it raised."""

    async def __call__(self, operation: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run `operation(*args, **kwargs)` inside a transaction, and commit."""
        ...


class InlineRecorder:
    """Commits each operation by itself, on the caller's thread: for virtual time and for small jobs."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def __call__(self, operation: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """See `Recorder`."""
        with self._journal.transaction():
            return operation(*args, **kwargs)


class GroupRecorder:
    """Runs operations in the loop and commits them in a thread, which alone waits for the disk; an async context
    manager. On leaving, all that was handed in is on disk."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._writer: BatchWorker[_Operation, _Batch] = BatchWorker(self._run_all, self._commit, "journal")

    async def __aenter__(self) -> Self:
        # The loop must not be held up by another program; the thread may wait for it.
        self._journal.wait_for_locks(0)
        await self._writer.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._writer.__aexit__()
        self._journal.wait_for_locks(_PATIENCE)

    async def __call__(self, operation: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """See `Recorder`. Raises RuntimeError outside of the context."""
        result: _T = await self._writer(partial(operation, *args, **kwargs))
        return result

    def _run_all(self, operations: Sequence[_Operation]) -> _Batch:
        try:
            self._journal.begin_transaction()
            return operations, [operation() for operation in operations]
        except Exception:  # noqa: BLE001 - raised again when each operation is run by itself
            return operations, None

    def _commit(self, batch: _Batch) -> list[Outcome]:
        operations, results = batch
        if results is not None:
            try:
                self._journal.commit()
                return [(result, None) for result in results]
            except Exception as error:  # noqa: BLE001 - nothing raised here would reach the callers
                log.warning("a commit of %d steps failed; trying each by itself: %s", len(operations), error)
        # One operation failed, or the commit did: the group is rolled back, and each operation is run by itself.
        outcomes: list[Outcome] = []
        patience = _PATIENCE
        for operation in operations:
            outcomes.append(self._alone(operation, patience))
            if isinstance(outcomes[-1][1], JournalLockedError):
                patience = 0.0  # what waited for one waited for all of them
        return outcomes

    def _alone(self, operation: _Operation, patience: float) -> Outcome:
        try:
            self._journal.wait_for_locks(patience)
            self._journal.roll_back()
            with self._journal.transaction():
                return operation(), None
        except Exception as error:  # noqa: BLE001 - raised again where the result is awaited
            return None, error
        finally:
            self._journal.wait_for_locks(0)
