"""The entries of a manifest and what they make, summed up: for lock files."""

import hashlib
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

_ALL = 2**256


@dataclass(slots=True)
class EntrySum:
    """What one entry makes, or several of the same key."""

    key: str
    items: int = 0
    estimated: Decimal = Decimal(0)
    """USD, of the items whose price is known."""
    unknown: int = 0
    """Items whose price is unknown."""
    models: Counter[str] = field(default_factory=Counter)
    _digests: int = 0

    @property
    def digest(self) -> str:
        """A digest over ids and requests of its items, whatever their order."""
        return f"{self._digests:064x}"

    def add(self, item_id: str, digest: str, model: str, estimated: str | None) -> None:
        """Add one item."""
        self.items += 1
        self.models[model] += 1
        one = hashlib.sha256(f"{item_id}\n{digest}".encode()).digest()
        self._digests = (self._digests + int.from_bytes(one)) % _ALL
        if estimated is None:
            self.unknown += 1
        else:
            self.estimated += Decimal(estimated)


def entry_sums(database: Path) -> dict[str, EntrySum]:
    """Return the entries of a complete item table by their keys, sorted; entries of one key are summed up together.

    A single item is an entry under its own id. So the order of entries plays no part.
    """
    sums: dict[str, EntrySum] = {}
    with closing(sqlite3.connect(database)) as db:
        entry, last = "", 0
        for position, item_id, digest, model, estimated, key, end in db.execute(_ITEMS):
            if position > last:
                entry = item_id if key is None else key
                last = position if end is None else end
            if entry not in sums:
                sums[entry] = EntrySum(entry)
            sums[entry].add(item_id, digest, model, estimated)
    return dict(sorted(sums.items()))


_ITEMS = """
SELECT i.position, i.id, i.digest, i.model, i.estimated, e.key, e.last
FROM item i LEFT JOIN entry e ON e.first = i.position ORDER BY i.position
"""
