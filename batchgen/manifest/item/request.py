"""A request with all its variables replaced: the result of expanding an entry, from which an item is built."""

from collections.abc import Mapping
from json.encoder import encode_basestring as _quoted
from typing import Any, NamedTuple

from batchgen.catalog import Model

MAX_ITEMS = 10_000_000
"""Items in one manifest; a slip in a matrix should not fill the disk."""
MAX_TAGS = 256
"""Different tags in one manifest; each is a column of the ledger."""


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
    variables: str = ""
    """The matrix values that it was made from, for messages."""
    redo_of: RedoOf | None = None
    """The purchase that it buys again."""
