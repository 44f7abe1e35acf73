"""The parts of a manifest: maps and lists that know where they are written, and the anchors of a document."""

from typing import Any, NamedTuple

from batchgen.manifest.yaml.problems import Mark

MAX_DEPTH = 64
TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"
MAX_ANCHORS = 10_000
MAX_EXPANDED = 1_000_000
"""Nodes that aliases may add to what is written; another ten are allowed for each character read."""


class Map(dict[str, Any]):
    """A mapping that knows where it, its keys and its values are written."""

    __slots__ = ("events", "mark")

    def __init__(self, mark: Mark) -> None:
        super().__init__()
        self.mark = mark
        self.events: dict[str, tuple[Any, Any]] = {}

    def key_mark(self, key: str) -> Mark:
        """Return where `key` is written."""
        mark: Mark = self.events[key][0].start_mark
        return mark

    def value_mark(self, key: str) -> Mark:
        """Return where the value of `key` is written; for an alias, where it is used."""
        mark: Mark = self.events[key][1].start_mark
        return mark


class List(list[Any]):
    """A list that knows where its entries are written."""

    __slots__ = ("events",)

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Any] = []

    def mark(self, index: int) -> Mark:
        """Return where an entry is written."""
        mark: Mark = self.events[index].start_mark
        return mark


class Placed(NamedTuple):
    """Where a key or a value begins; takes the place of the parser's event where it is not the parser that read it."""

    start_mark: Mark


class TooMuchError(Exception):
    """A document has too many anchors, or its aliases expand to too much; the text says which."""


class Anchors:
    """The values with an anchor, and the size to which a document's aliases expand."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}
        self._weights: dict[int, tuple[Any, int]] = {}
        self._count = 0
        self._expanded = 0

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def put(self, name: str, value: Any) -> None:
        """Remember a value under its anchor. Raises TooMuchError."""
        self._count += 1
        if self._count > MAX_ANCHORS:
            raise TooMuchError(f"more than {MAX_ANCHORS:,} anchors")
        self._values[name] = value
        # The value is kept with its weight, so that its `id()` is not reused while the weight is known.
        self._weights[id(value)] = (value, self._weigh(value))

    def drop(self, name: str) -> None:
        """Forget an anchor."""
        self._values.pop(name, None)

    def expand(self, name: str, read: int) -> Any:
        """Return the value of an anchor for one more alias, `read` characters into the text. Raises TooMuchError."""
        value = self._values[name]
        self._expanded += self._weigh(value)
        if self._expanded > MAX_EXPANDED + 10 * read:
            raise TooMuchError("the aliases of this manifest expand to too much")
        return value

    def _weigh(self, value: Any) -> int:
        """Return how many nodes a value expands to; long texts count more. A value with an anchor is weighed once."""
        known = self._weights.get(id(value))
        if known is not None and known[0] is value:
            return known[1]
        if isinstance(value, Map):
            return 1 + sum(1 + self._weigh(entry) for entry in value.values())
        if isinstance(value, List):
            return 1 + sum(map(self._weigh, value))
        return 1 + (len(value) >> 7 if isinstance(value, str) else 0)
