"""The comparison of two manifests as values: what differs, and what both cost."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from batchgen.catalog import Catalog
from batchgen.item_table import Difference, Differences, Kind, Side, differences, open_item_table
from batchgen.journal.chains import with_references
from batchgen.manifest import load_manifest

_ZERO = Decimal(0)
NOTHING = Path("/dev/null")
"""Stands for no manifest, as in git: before a manifest was there, or after it is gone."""


@dataclass(frozen=True, slots=True)
class Money:
    """What items cost by the catalogue, USD."""

    items: int = 0
    known: Decimal = _ZERO
    """Of those whose price is known."""
    unknown: int = 0
    """Items whose price is unknown."""

    def plus(self, items: int, price: str | None) -> "Money":
        """Return it with so many more items at a price."""
        if price is None:
            return Money(self.items + items, self.known, self.unknown + items)
        return Money(self.items + items, self.known + Decimal(price) * items, self.unknown)


@dataclass(frozen=True, slots=True)
class ModelMoney:
    """What the items of one model cost before and after."""

    model: str
    before: Money
    after: Money


@dataclass(frozen=True, slots=True)
class Changed:
    """A value of an item that differs: a parameter, a tag (`tags.NAME`) or `path`."""

    name: str
    before: Any
    """None: not set."""
    after: Any
    by_source: bool = False
    """Whether the same output of the same item is needed, and that item has changed."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two manifests beside each other."""

    name: str
    """The name of the later manifest, or of the earlier one if there is no later one."""
    by_model: tuple[ModelMoney, ...]
    counts: Mapping[Kind, int]
    before: Money
    after: Money
    unknown: int
    """Items that are added or changed, and whose price is unknown."""
    _found: Differences

    @property
    def difference(self) -> Decimal:
        """By how much the known prices differ, USD. What is unknown is no part of it, and never a saving."""
        return self.after.known - self.before.known

    def exceeds(self, limit: Decimal) -> bool:
        """Return whether the cost rises by more than `limit` USD, or might: a price that is unknown may be any.

        What has no price on both sides and does not differ changes nothing.
        """
        return self.difference > limit or self.unknown > 0

    def __iter__(self) -> Iterator[Difference]:
        return iter(self._found)


@contextmanager
def compare_manifests(before: Path, after: Path, catalog: Catalog) -> Iterator[Comparison]:
    """Read and compare two manifests; nothing else is looked at.

    Raises ManifestError, UsageError, DiskError.
    """
    with TemporaryDirectory(prefix="batchgen-", ignore_cleanup_errors=True) as scratch:
        tables = Path(scratch) / "before.sqlite3", Path(scratch) / "after.sqlite3"
        names = [_loaded(manifest, table, catalog) for manifest, table in zip((before, after), tables, strict=True)]
        with differences(*tables) as found:
            yield _summed(names[1] or names[0], found)


def _loaded(manifest: Path, table: Path, catalog: Catalog) -> str:
    """Read a manifest into an item table, and return its name; none of `/dev/null`, which asks for nothing."""
    if manifest != NOTHING:
        return load_manifest(manifest, table, catalog).name
    with open_item_table(table):
        return ""


def _summed(name: str, found: Differences) -> Comparison:
    sides: tuple[dict[str, Money], dict[str, Money]] = ({}, {})
    for later, model, price, items in found.prices():
        known = sides[later]
        known[model] = known.get(model, Money()).plus(items, price)
    models = sorted({*sides[0], *sides[1]})
    counts, unknown = dict.fromkeys(Kind, 0), 0
    for difference in found:
        counts[difference.kind] += 1
        bought = difference.kind in (Kind.ADDED, Kind.CHANGED)
        unknown += bought and difference.after is not None and difference.after.estimated is None
    return Comparison(
        name,
        tuple(ModelMoney(model, sides[0].get(model, Money()), sides[1].get(model, Money())) for model in models),
        counts,
        _total(sides[0]),
        _total(sides[1]),
        unknown,
        found,
    )


def _total(side: Mapping[str, Money]) -> Money:
    return Money(
        sum(money.items for money in side.values()),
        sum((money.known for money in side.values()), _ZERO),
        sum(money.unknown for money in side.values()),
    )


def change_of(difference: Difference) -> list[Changed]:
    """Return which values of an item differ; none where it is added or gone."""
    before, after = difference.before, difference.after
    if before is None or after is None:
        return []
    return [*_parameters(before, after), *_labels(before, after)]


def _parameters(before: Side, after: Side) -> Iterator[Changed]:
    digested = json.loads(before.body), json.loads(after.body)
    shown = (
        json.loads(with_references(before.body, before.inputs)),
        json.loads(with_references(after.body, after.inputs)),
    )
    for name in sorted({*shown[0], *shown[1]}):
        values = shown[0].get(name), shown[1].get(name)
        if values[0] != values[1]:
            yield Changed(name, *values)
        elif digested[0].get(name) != digested[1].get(name):
            yield Changed(name, *values, by_source=True)


def _labels(before: Side, after: Side) -> Iterator[Changed]:
    tags = json.loads(before.tags), json.loads(after.tags)
    for name in sorted({*tags[0], *tags[1]}):
        if tags[0].get(name) != tags[1].get(name):
            yield Changed(f"tags.{name}", tags[0].get(name), tags[1].get(name))
    if before.path != after.path and before.id == after.id:
        yield Changed("path", before.path, after.path)
