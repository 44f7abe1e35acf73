"""Which items a command is about."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from batchgen.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class Selection:
    """Which items a command is about: all, or those that an `--only` pattern matches."""

    globs: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    sources: frozenset[str] = frozenset()
    """The ids of items that these need, and that come along."""

    @classmethod
    def parse(cls, patterns: Iterable[str]) -> "Selection":
        """Return the selection of `GLOB` and `tag:NAME=VALUE` patterns; raises UsageError."""
        globs, tags = [], []
        for pattern in patterns:
            if not pattern.startswith("tag:"):
                globs.append(pattern)
                continue
            name, equals, value = pattern.removeprefix("tag:").partition("=")
            if not equals:
                raise UsageError(f"--only {pattern}: select a tag with tag:NAME=VALUE")
            tags.append((name, value))
        return cls(tuple(globs), tuple(tags))

    def wanted(self, item_id: str, tags: str) -> bool:
        """Whether an item, with its tags as JSON, is selected."""
        if not self.globs and not self.tags:  # here too, since SQLite asks this of each item, several times
            return True
        return self._by_id(item_id) or (bool(self.tags) and self._by_tag(json.loads(tags)))

    def wants(self, item_id: str, tags: Mapping[str, str]) -> bool:
        """Whether an item with these tags is selected."""
        return self._by_id(item_id) or self._by_tag(tags)

    def _by_id(self, item_id: str) -> bool:
        if not self.globs and not self.tags:
            return True
        return item_id in self.sources or any(fnmatchcase(item_id, glob) for glob in self.globs)

    def _by_tag(self, tags: Mapping[str, str]) -> bool:
        return any(tag in self.tags for tag in tags.items())
