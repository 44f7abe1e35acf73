"""What a run made and cost by model and by tag, and what its items can be filtered by."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from sqlite3 import Connection
from typing import Any

from batchgen.core.costs import cost_of
from batchgen.core.records import LIVE, State
from batchgen.core.text import usd
from batchgen.journal.queries.page import sums

OTHERS = "(others)"
_VALUES = 20
"""Values of a tag that are listed."""
_DISTINCT = 5_000
"""Values of a tag that are told apart while summing up."""
_FACETS = 200
"""Values of a kind that are offered for filtering."""


@dataclass(slots=True)
class _Sums:
    items: int = 0
    done: int = 0
    outputs: int = 0
    net: Decimal = field(default_factory=Decimal)
    ended: Decimal = field(default_factory=Decimal)
    """The part of `net` that jobs cost which are no longer being made."""

    def add(self, other: "_Sums") -> None:
        self.items += other.items
        self.done += other.done
        self.outputs += other.outputs
        self.net += other.net
        self.ended += other.ended


class Groups:
    """The sums of a run, by model, by tag and by state."""

    def __init__(self, db: Connection) -> None:
        """Sum up; memory does not grow with the items."""
        self.states: Counter[State] = Counter()
        """How many items are in each state."""
        self.outputs = 0
        self.bytes = 0
        self._models: dict[str, _Sums] = {}
        self._tags: dict[str, dict[str, _Sums]] = {}
        for group in sums.item_groups(db):
            self.states[State(group.state)] += group.items
            done = group.items if group.state == State.DONE else 0
            self._add(group.model, group.tags, _Sums(items=group.items, done=done))
        for cost in sums.cost_groups(db):
            net = _net(cost)
            self._add(cost.model, cost.tags, _Sums(net=net, ended=Decimal() if State(cost.state) in LIVE else net))
        for made in sums.output_groups(db):
            self.outputs += made.outputs
            self.bytes += made.bytes
            self._add(made.model, made.tags, _Sums(outputs=made.outputs))

    def by_model(self) -> list[dict[str, Any]]:
        """Return the sums of each model, the dearest first."""
        return _rows(self._models)

    def by_tag(self) -> dict[str, list[dict[str, Any]]]:
        """Return by the name of a tag the sums of its values, the dearest first; of many, the rest as one."""
        return {name: _rows(_few(values)) for name, values in sorted(self._tags.items())}

    def facets(self) -> dict[str, list[dict[str, Any]]]:
        """Return the models, states and tags with the most items."""
        tags = {
            f"{name}={value}": one.items
            for name, values in self._tags.items()
            for value, one in values.items()
            if value not in ("", OTHERS)
        }
        return {
            "models": named((name, one.items) for name, one in self._models.items()),
            "states": named((state.value, items) for state, items in self.states.items()),
            "tags": named(tags.items()),
        }

    def _add(self, model: str, tags: str, more: _Sums) -> None:
        self._models.setdefault(model, _Sums()).add(more)
        for name, value in _tags(tags):
            values = self._tags.setdefault(name, {})
            key = value if value in values or len(values) < _DISTINCT else OTHERS
            values.setdefault(key, _Sums()).add(more)


def named(counts: Iterable[tuple[str, int]]) -> list[dict[str, Any]]:
    """Return those with the most items, as a page offers them for filtering; those without any are left out."""
    ordered = sorted((pair for pair in counts if pair[1]), key=lambda pair: (-pair[1], pair[0]))
    return [{"name": name, "items": items} for name, items in ordered[:_FACETS]]


@lru_cache(maxsize=4096)  # tags repeat from group to group
def _tags(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in json.loads(text).items())


def _net(group: sums.CostGroup) -> Decimal:
    cost = cost_of(group.state, "0", group.reserved, group.charged, group.refunded)
    return (cost.charged + cost.refunded) * group.attempts


def _ordered(found: Mapping[str, _Sums]) -> Iterator[tuple[str, _Sums]]:
    yield from sorted(found.items(), key=lambda pair: (pair[0] == OTHERS, -pair[1].net, -pair[1].items, pair[0]))


def _few(values: Mapping[str, _Sums]) -> dict[str, _Sums]:
    kept: dict[str, _Sums] = {}
    for value, one in _ordered(values):
        if len(kept) < _VALUES and value != OTHERS:
            kept[value] = one
        else:
            kept.setdefault(OTHERS, _Sums()).add(one)
    return kept


def _rows(found: Mapping[str, _Sums]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "items": one.items,
            "done": one.done,
            "outputs": one.outputs,
            "net_usd": usd(one.net),
            "per_output_usd": usd((one.ended / one.outputs).quantize(Decimal("0.0001"))) if one.outputs else None,
        }
        for name, one in _ordered(found)
    ]
