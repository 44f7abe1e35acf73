"""The frozen values that all rooms share. Money is Decimal (USD), times are aware datetimes in UTC."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class State(StrEnum):
    """The state of an item. The states and the transitions between them are what the program promises."""

    PENDING = "pending"
    """To be bought: no POST for it is under way."""
    SUBMITTING = "submitting"
    """The intent to buy it is on disk; only the answer shows whether the POST has left."""
    PROCESSING = "processing"
    """Accepted and charged; the answer is recorded, and the provider works on it."""
    READY = "ready"
    """The provider has finished it; some or all of its files are still to be downloaded."""
    DONE = "done"
    """All of its files have their final names, are synced, and their hashes are known."""
    FAILED = "failed"
    """The provider could not make it and refunded the charge."""
    REJECTED = "rejected"
    """The API will never accept this request (400, 404 model_not_found); it cost nothing."""
    IN_DOUBT = "in_doubt"
    """A request was sent and no job id came back: it may have been charged."""
    LOST = "lost"
    """Charged and out of reach: the provider no longer knows the job, or no longer has its output."""
    SKIPPED = "skipped"
    """Needs the output of another item that did not succeed; pending again once that one has."""


class StateSet(frozenset[State]):
    """A set of states, for Python and for SQL."""

    @property
    def ordered(self) -> tuple[State, ...]:
        """The states in the order of `State`."""
        return tuple(state for state in State if state in self)

    @property
    def sql(self) -> str:
        """The states as an SQL list in the order of `State`, as in `('submitting', 'ready')`."""
        return f"({', '.join(map(repr, map(str, self.ordered)))})"


# Each state is in one of the first four sets; `tests/unit/core/test_records.py` says which of the others it belongs to.
UNSENT = StateSet({State.PENDING})
"""Nothing was sent for the item, or nothing that counts any more."""
LIVE = StateSet({State.SUBMITTING, State.PROCESSING, State.READY})
"""On its way: money was or may have been spent, and the item has not reached an end."""
DOUBTFUL = StateSet({State.IN_DOUBT})
"""Waits for the user to find out whether it was charged."""
ENDED = StateSet({State.DONE, State.FAILED, State.REJECTED, State.LOST, State.SKIPPED})
"""Has ended; only a new purchase changes that."""

UNSETTLED = StateSet(LIVE | DOUBTFUL)
"""Counts and is followed up even when the manifest no longer asks for the item."""
FINAL = StateSet(ENDED | DOUBTFUL)
"""Where a run that has done all it could leaves an item."""
UNANSWERED = StateSet({State.SUBMITTING, State.IN_DOUBT})
"""A POST has left, or may have left, and whether it was charged is not known."""
COLLECTABLE = StateSet({State.PROCESSING, State.READY})
"""Accepted by the API, and not yet all on disk."""
UNBOUGHT = StateSet({State.PENDING, State.SKIPPED})
"""To be bought, now or once what it needs is there."""
COMPLETED = StateSet({State.READY, State.DONE})
"""The provider has finished the job and lists its outputs."""
BOUGHT = StateSet({*LIVE, State.DONE, State.IN_DOUBT, State.LOST})
"""Money was or may have been spent, and was not given back: buying the item again may be paying for it twice."""
PAID = StateSet({*COLLECTABLE, State.DONE, State.LOST})
"""Charged, and the charge was not given back."""
CHARGED = StateSet({*PAID, State.FAILED})
"""What it was charged is known, whatever was given back."""
EVER_CHARGED = StateSet({*CHARGED, State.IN_DOUBT})
"""It was charged, or may have been, whatever was given back: every newer journal knows a purchase in such a state."""
UNSUCCESSFUL = StateSet({State.FAILED, State.REJECTED, State.LOST})
"""Ended without outputs; what `--retry` takes."""
INCOMPLETE = StateSet({*UNSUCCESSFUL, State.SKIPPED})
"""Ended without outputs, for whatever reason: the run as a whole has not succeeded."""


PICKED = 0
"""The number of an output that a person has not chosen yet."""


@dataclass(frozen=True, slots=True)
class Input:
    """Another item's output used as a parameter (a chain): `image: ${items.mug.output.3}`."""

    parameter: str
    """Where the address belongs in the body: `image`, or `images/0` in a list."""
    item_id: str
    output: int
    """Counts from 1; `PICKED` until a person has chosen one."""

    @property
    def text(self) -> str:
        """The reference as it is written in a manifest."""
        return f"${{items.{self.item_id}.{'picked' if self.output == PICKED else f'output.{self.output}'}}}"


@dataclass(frozen=True, slots=True)
class Item:
    """One purchase that a manifest asks for, fully expanded. (id, digest) is its identity."""

    id: str
    model: str
    body: str
    """The request body exactly as it is sent: canonical JSON (see `batchgen.core.digest`)."""
    digest: str
    tags: tuple[tuple[str, str], ...]
    """Sorted by name."""
    path: str
    """Where its files go below `files/`, without an extension; relative, with `/`."""
    source: str
    """`file:line`, of the row's own file where it comes from rows."""
    estimated: Decimal
    """USD, from the parameter tables."""
    inputs: tuple[Input, ...] = ()
    expect: str | None = None
    """The checks of what is delivered, as canonical JSON; None: there are none. Never sent, and not in the digest."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One output on disk, renamed, fsynced and hashed."""

    output: int
    """Counts from 1."""
    path: str
    """Relative to the run folder, with `/`."""
    bytes: int
    sha256: str
    familiar: bool = True
    """Whether its format is known, so that more than its length and hash could be checked."""
