"""The other files that a manifest is made of, found without expanding it."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchgen.manifest.yaml.document import Document
from batchgen.manifest.yaml.nodes import List, Map
from batchgen.manifest.yaml.problems import BrokenOffError, Problems


@dataclass(frozen=True, slots=True)
class NamedFiles:
    """The files that one manifest names, relative to it, as they are written."""

    rows: tuple[str, ...]
    includes: tuple[str, ...]
    bought: tuple[str, ...]
    """Patterns."""


def named_files(path: Path) -> NamedFiles:
    """Return the files that a manifest names. What is wrong with it, loading it says. Raises OSError."""
    rows: dict[str, None] = {}
    includes: tuple[str, ...] = ()
    bought: tuple[str, ...] = ()
    with path.open("rb") as file, suppress(BrokenOffError):
        for key, _, value, _ in Document(path, file, Problems(path)).entries("items"):
            if key == "items":
                entries = (entry for entry, _ in value) if isinstance(value, Iterator) else value
                for entry in entries if isinstance(entries, Iterator | List) else ():
                    if isinstance(entry, Map) and isinstance(name := entry.get("rows"), str):
                        rows[name] = None
            elif key == "include":
                includes = _texts(value)
            elif key == "run" and isinstance(value, Map):
                bought = _texts(value.get("bought"))
    return NamedFiles(tuple(rows), includes, bought)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, List) else ()
