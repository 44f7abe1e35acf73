"""One thread writes the journal, many tasks wait for it: group commit.

All that is asked for while a commit is under way goes into the next one, so that the cost of a sync is shared. An
operation's result comes back only after the commit that holds it: what was awaited is on disk.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ParamSpec, Protocol, Self, TypeVar

from batchgen.grouping import Grouped, Outcome
from batchgen.journal.store import Journal

_P = ParamSpec("_P")
_T = TypeVar("_T")


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
    """Commits through one writer thread; an async context manager. On leaving, all that was handed in is on disk."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._writer: Grouped[Callable[[], Any]] = Grouped(self._commit, "journal")

    async def __aenter__(self) -> Self:
        await self._writer.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._writer.__aexit__()

    async def __call__(self, operation: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """See `Recorder`. Raises RuntimeError outside of the context."""
        result: _T = await self._writer(partial(operation, *args, **kwargs))
        return result

    def _commit(self, group: Sequence[Callable[[], Any]]) -> list[Outcome]:
        try:
            with self._journal.transaction():
                return [(operation(), None) for operation in group]
        except Exception as error:  # noqa: BLE001 - handed to whoever waits, or narrowed down to its author below
            if len(group) == 1:
                return [(None, error)]
        # One operation spoilt the group, and all of it was rolled back: each gets a transaction of its own.
        return [outcome for operation in group for outcome in self._commit([operation])]
