"""A request with all its variables replaced: the result of expanding an entry, from which an item is built."""

from collections.abc import Mapping
from json.encoder import encode_basestring as _quoted
from typing import Any, NamedTuple

from batchgen.catalog import Model
from batchgen.manifest.item.references import Reference

MAX_ITEMS = 10_000_000
"""Items in one manifest; a slip in a matrix should not fill the disk."""
MAX_TAGS = 256
"""Different tags in one manifest; each is a column of the ledger."""


MAX_PRIORITY = 1_000_000
"""The highest priority of an item, and below zero the lowest."""


class Tags(NamedTuple):
    """The tags of an item, and the same tags as the JSON object that is stored in the item table."""

    values: Mapping[str, str]
    text: str

    @classmethod
    def of(cls, values: Mapping[str, str]) -> "Tags":
        """Return the tags with their JSON, sorted by name."""
        # Written out by hand: all values are texts, and setting up an encoder takes longer than the work itself.
        entries = [f"{_quoted(name)}:{_quoted(values[name])}" for name in sorted(values)]
        return cls(values, f"{{{','.join(entries)}}}")


class RedoOf(NamedTuple):
    """The purchase that an item buys again: a run's name, and an item's id in it."""

    run: str
    item: str


class ItemRequest(NamedTuple):
    """What to order, once or in copies."""

    id: str | None
    """None: to be made from prompt and digest."""
    model: Model
    body: dict[str, Any]
    tags: Tags
    source: str
    """The file and the line that it comes from, `FILE:LINE`."""
    combination: str = ""
    """The matrix values that it was made from, for messages."""
    redo_of: RedoOf | None = None
    """The purchase that it buys again."""
    references: tuple[tuple[str, Reference], ...] = ()
    """Other items' outputs that it needs, each with its place in the body, which holds stand-in addresses."""
    priority: int = 0
    """Higher ones are bought first."""
    expect: str | None = None
    """The checks of what is delivered, as canonical JSON; None: there are none."""
    variables: str | None = None
    """The variables of the matrix and the row that it uses, as a JSON object; None: there are none."""
