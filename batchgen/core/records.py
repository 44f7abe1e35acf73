"""The frozen values that travel between the floors. Money is Decimal (USD), times are aware datetimes in UTC."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class State(StrEnum):
    """Where an item stands. The states and what leads from one to the other are the promise of the program."""

    PENDING = "pending"
    """To be bought: no POST for it is under way."""
    SUBMITTING = "submitting"
    """Its purchase is written down; whether the POST has left shows only in the answer."""
    PROCESSING = "processing"
    """Accepted and charged; the answer is recorded, and the provider works on it."""
    READY = "ready"
    """The provider has finished it; some or all of its files are still to be fetched."""
    DONE = "done"
    """All of its files have their final names, are synced, and their hashes are known."""
    FAILED = "failed"
    """The provider could not make it and gave the money back."""
    REJECTED = "rejected"
    """The API will never take this request (400, 404 model_not_found); it cost nothing."""
    IN_DOUBT = "in_doubt"
    """A request left and no job id came back: money may be gone."""
    LOST = "lost"
    """Paid for and out of reach: the provider has forgotten the job, or has no output for it any more."""
    SKIPPED = "skipped"
    """Takes the output of another item that did not succeed; open again once that one has."""


LIVE = frozenset({State.SUBMITTING, State.PROCESSING, State.READY})
"""States in which money was or may have been spent and the item has not reached an end."""


@dataclass(frozen=True, slots=True)
class Input:
    """Another item's output used as a parameter (a chain): `image: ${items.mug.output.3}`."""

    parameter: str
    """Where the URL belongs in the body: `image`, or `images/0` in a list."""
    item_id: str
    output: int
    """Counts from 1."""


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
