"""The frozen values that travel between the floors. Money is Decimal (USD), times are aware datetimes in UTC."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class State(StrEnum):
    """Where an item stands. The states and what leads from one to the other are the promise of the program."""

    PENDING = "pending"
    """Nothing was sent."""
    SUBMITTING = "submitting"
    """The intent is on disk; the POST may be on its way."""
    PROCESSING = "processing"
    """The API accepted it; id, cost and expiry are on disk."""
    READY = "ready"
    """Done at the provider, not yet (all) downloaded."""
    DONE = "done"
    """Every file renamed, fsynced, hashed."""
    FAILED = "failed"
    """Failed at the provider, refunded."""
    REJECTED = "rejected"
    """Refused for good, not charged."""
    IN_DOUBT = "in_doubt"
    """May have been charged; no id is known."""
    LOST = "lost"
    """Accepted and charged, but the provider no longer knows it, or its output is gone or empty."""
    SKIPPED = "skipped"
    """Waits on an item that did not succeed."""


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
    """The request body exactly as it is sent: canonical JSON (see `batchgen.digest`)."""
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
