"""Which shard an item belongs to: its id alone decides.

A change here moves items to other shards, where they would be bought again: `tests/unit/shards/test_shard.py` holds
golden vectors. (`${shard}` in a path is something else: two hex digits that spread files over folders.)
"""

import hashlib
import re
from dataclasses import dataclass

_PREFIX = b"batchgen shard 1\n"
_FORM = re.compile(r"([0-9]{1,5})/([0-9]{1,5})")
MOST = 10_000
"""Shards of one run."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` parts of a run; `index` counts from 0."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST:
            raise ValueError(f"a run has 1 to {MOST:,} shards, not {self.count:,}")
        if not 0 <= self.index < self.count:
            raise ValueError(f"shards count from 0, so the last of {self.count} is {self.count - 1}, not {self.index}")

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Return the shard that `I/N` means. Raises ValueError."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError("must be I/N, such as 0/4 for the first of four shards")
        return cls(int(found[1]), int(found[2]))

    def run_name(self, name: str) -> str:
        """Return the name of this shard's run folder, where the whole run is called `name`."""
        return f"{name}.{self.index}-of-{self.count}"


def shard_number(item_id: str, count: int) -> int:
    """Return the index of the shard, out of `count`, that an item belongs to unless it needs outputs of others."""
    return int.from_bytes(hashlib.sha256(_PREFIX + item_id.encode()).digest()[:8]) % count
