"""The tiles of a report as columns: what a page needs to show, filter and sort a hundred thousand of them at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

FORMAT_VERSION = 1
PART_SIZE = 500
"""Items whose details are loaded together."""
_KINDS = {"": 0, "image": 1, "video": 2}
_LONGEST = 300


@dataclass(slots=True)
class _Names:
    """Texts that repeat, each by the number of its first appearance."""

    numbers: dict[str, int] = field(default_factory=dict)

    def number(self, name: str) -> int:
        return self.numbers.setdefault(name, len(self.numbers))


class Columns:
    """Collects items, each as its tiles, and gives them away as columns, a chunk at a time."""

    def __init__(self) -> None:
        self._models, self._states, self._tags, self._flags = _Names(), _Names(), _Names(), _Names()
        self.items = 0
        """Those that were added."""
        self._outputs = 0
        self.lines: list[str] = []
        """What is searched for words, of the items of the present chunk."""
        self._clear()

    def add(self, tiles: Sequence[dict[str, Any]]) -> None:
        """Add an item: its outputs, or the one tile that it has without any."""
        first = tiles[0]
        number = self.items
        self.items += 1
        items = self._item_columns
        items["key"].append(first["key"])
        items["id"].append(first["id"])
        items["model"].append(self._models.number(first["model"]))
        items["state"].append(self._states.number(first["state"]))
        items["net_usd"].append(first["net_usd"])
        tags = [self._tags.number(f"{name}={value}") for name, value in first["tags"].items() if value]
        items["tags"].append(tags or 0)
        if first["error"]:
            self._errors[str(number)] = first["error"][:_LONGEST]
        self.lines.append(f"{first['id']}\n{first['prompt'][:_LONGEST]}\n")
        for tile in tiles:
            if tile["n"]:
                self._add_output(number, tile)

    def _add_output(self, item: int, tile: dict[str, Any]) -> None:
        row = str(self._outputs)
        self._outputs += 1
        outputs = self._output_columns
        outputs["item"].append(item)
        outputs["kind"].append(_KINDS[tile["kind"]])
        for name in ("n", "file", "sha256", "bytes"):
            outputs[name].append(tile[name])
        for name in ("width", "height", "duration_s"):
            outputs[name].append(tile[name] or 0)
        if tile["flags"]:
            self._flagged[row] = [self._flags.number(flag) for flag in tile["flags"]]
        if tile["pick"] or tile["rating"] or tile["reason"]:
            self._picked[row] = [tile["pick"], tile["rating"], tile["reason"]]

    def take_texts(self) -> dict[str, Any]:
        """Return ids and prompts of what was added since the last time: all in one text, and where each item ends.

        Places count as JavaScript counts: in units of UTF-16.
        """
        texts = {"text": "".join(self.lines), "ends": list(accumulate(map(_units, self.lines)))}
        self.lines = []
        return texts

    def take(self) -> dict[str, Any]:
        """Return the columns of what was added since the last time; the prompts go their own way, see `take_texts`."""
        chunk = {
            "items": {**self._item_columns, "error": self._errors},
            "outputs": {**self._output_columns, "flags": self._flagged, "picks": self._picked},
        }
        self._clear()
        return chunk

    def names(self) -> dict[str, Any]:
        """Return what the numbers in all columns stand for."""
        return {
            "format_version": FORMAT_VERSION,
            "part_size": PART_SIZE,
            "models": list(self._models.numbers),
            "states": list(self._states.numbers),
            "tags": list(self._tags.numbers),
            "flags": list(self._flags.numbers),
        }

    def _clear(self) -> None:
        self._item_columns: dict[str, list[Any]] = {
            name: [] for name in ("key", "id", "model", "state", "tags", "net_usd")
        }
        self._output_columns: dict[str, list[Any]] = {
            name: []
            for name in ("item", "n", "kind", "file", "sha256", "width", "height", "duration_s", "bytes")
        }  # fmt: skip
        self._errors: dict[str, str] = {}
        self._flagged: dict[str, list[int]] = {}
        self._picked: dict[str, list[Any]] = {}


def _units(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2
