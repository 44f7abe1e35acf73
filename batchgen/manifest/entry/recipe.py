"""How an item is made of an entry that has a known shape: which of its texts goes where."""

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any, Generic, TypeVar

from batchgen.manifest.item.request import Tags
from batchgen.manifest.item.series import Series
from batchgen.manifest.yaml.scalars import scalar_value
from batchgen.manifest.yaml.shapes import Pair, Shape

_REMEMBERED = 4_096

_Texts = tuple[str, ...]
_V = TypeVar("_V")


class Remembered(dict[_Texts, _V], Generic[_V]):
    """What was worked out for some texts; a full one is emptied."""

    def __setitem__(self, texts: _Texts, value: _V) -> None:
        if len(self) >= _REMEMBERED:
            self.clear()
        super().__setitem__(texts, value)


class Recipe:
    """Which texts of the entries of one shape are id, tags and open values; all others set the series of an item."""

    def __init__(self, shape: Shape, open_parameters: frozenset[str]) -> None:
        tags = [pair for pair in shape.pairs if pair.key == "tags" and not pair.hole]
        rest = [pair for pair in shape.pairs if pair not in tags]
        self.varying = sorted(pair.key for pair in rest if pair.key in open_parameters)
        """The open parameters."""
        by_name = {pair.key: pair for pair in rest}
        self._id = by_name.get("id")
        self._open = [by_name[name] for name in self.varying]
        self._tags = [pair for tag in tags for pair in tag.pairs]
        self.fixed = _texts_of(pair for pair in rest if pair.key not in {"id", *self.varying})
        """Returns the texts that set the series."""
        self.tag_texts = _texts_of(self._tags)
        """Returns the texts of the tags."""
        self.series: Remembered[Series | None] = Remembered()
        """By the texts that set it; None: its items are made one by one."""
        self.known_tags: Remembered[Tags] = Remembered()
        """By their texts."""

    def id(self, texts: _Texts) -> Any:
        """Return the id as it is given; None if it is not."""
        return None if self._id is None else _value(self._id, texts)

    def values(self, texts: _Texts) -> list[Any]:
        """Return the values of the open parameters, in the order of their sorted names."""
        return [_value(pair, texts) for pair in self._open]

    def tags(self, texts: _Texts) -> dict[str, Any]:
        """Return the values of the tags."""
        return {pair.key: _value(pair, texts) for pair in self._tags}


def _value(pair: Pair, texts: _Texts) -> Any:
    text = texts[pair.hole - 1]
    return text if pair.style else scalar_value(text)


def _texts_of(pairs: Iterable[Pair]) -> Callable[[_Texts], _Texts]:
    holes = [pair.hole - 1 for pair in pairs]
    if len(holes) > 1:
        return itemgetter(*holes)
    return lambda texts: tuple(texts[hole] for hole in holes)
