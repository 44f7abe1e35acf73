"""Included files: the `defaults`, `model_defaults` and `tags` of other manifests, below the manifest's own.

Of the files that an `include` lists, later ones win over earlier ones; what a file includes lies below its own values.
Everything else in them (name, items, run) is theirs alone.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchgen.catalog import nearest
from batchgen.core.text import printable
from batchgen.manifest.entry.header import INCLUDE, KEYS, TopLevelValue, check_version
from batchgen.manifest.yaml.document import Document
from batchgen.manifest.yaml.nodes import List, Map, Placed
from batchgen.manifest.yaml.problems import BrokenOffError, FileMark, Mark, Problems

_SHARED = ("tags", "defaults", "model_defaults")
_MOST = 64
"""Files that a manifest may include, at first and second hand."""


@dataclass(slots=True)
class Includes:
    """The files that a manifest includes, as they are read."""

    problems: Problems
    files: list[Path] = field(default_factory=list)
    """All of them, in the order in which they were read."""
    with_hashes: list[Path] = field(default_factory=list)
    """Those in which a YAML comment can have cut a text short."""

    def merged(self, entries: Mapping[str, TopLevelValue], manifest: Path) -> dict[str, TopLevelValue]:
        """Return the top-level entries of a manifest with what it includes below its own; faults are noted."""
        return self._merged(entries, manifest, (manifest,))

    def _merged(
        self, entries: Mapping[str, TopLevelValue], path: Path, ring: tuple[Path, ...]
    ) -> dict[str, TopLevelValue]:
        merged = dict(entries)
        written = merged.pop(INCLUDE, None)
        below: dict[str, TopLevelValue] = {}
        for name, mark in self._listed(written):
            for key, value in self._read(path.parent / name, mark, ring).items():
                below[key] = _over(below.get(key), value)
        for key, value in below.items():
            merged[key] = _over(value, merged[key]) if key in merged else value
        return merged

    def _listed(self, written: TopLevelValue | None) -> list[tuple[str, Mark]]:
        if written is None or written.value is None:
            return []
        value = written.value
        if isinstance(value, List) and all(isinstance(name, str) and name for name in value):
            return [(name, value.mark(n)) for n, name in enumerate(value)]
        self.problems.at(written.mark, f"`{INCLUDE}` must be a list of files, as in [house-style.yaml]")
        return []

    def _read(self, path: Path, mark: Mark, ring: tuple[Path, ...]) -> dict[str, TopLevelValue]:
        """Return what an included file shares; whatever is wrong with it is noted at its place."""
        fault = self._fault(path, ring)
        if fault is not None:
            self.problems.at(mark, fault)
            return {}
        try:
            entries = self._entries(path)
        except OSError as error:
            self.problems.at(mark, f"{printable(str(path), 200)} cannot be read: {error.strerror}")
            return {}
        return self._merged(entries, path, (*ring, path))

    def _fault(self, path: Path, ring: tuple[Path, ...]) -> str | None:
        """Return why a file cannot be included, if that is known before it is read."""
        shown = printable(str(path), 200)
        try:
            again = next((n for n, file in enumerate(ring) if path.samefile(file)), None)
            # A pipe or a device could block the program or never end.
            is_file = path.is_file()
        except FileNotFoundError:
            return f"there is no file {shown}"
        except (OSError, ValueError) as error:
            return f"{shown} cannot be read: {error.strerror if isinstance(error, OSError) else error}"
        if again is not None:
            names = " → ".join(printable(file.name, 100) for file in (*ring[again:], path))
            return f"these files include each other: {names}"
        if len(self.files) >= _MOST:
            return f"more than {_MOST} files are included"
        return None if is_file else f"{shown} is not a file"

    def _entries(self, path: Path) -> dict[str, TopLevelValue]:
        """Return the entries of an included file that count, as they are written. Raises OSError."""
        own, entries = Problems(path), dict[str, TopLevelValue]()
        with path.open("rb") as file:
            self.files.append(path)
            document = Document(path, file, own)
            with suppress(BrokenOffError):
                for key, key_mark, value, value_mark in document.entries("items"):
                    self._take(entries, key, TopLevelValue(value, key_mark, value_mark), path)
        self.problems.add(own)
        if document.has_hashes:
            self.with_hashes.append(path)
        return entries

    def _take(self, entries: dict[str, TopLevelValue], key: str, entry: TopLevelValue, path: Path) -> None:
        if key not in KEYS:
            near = nearest(key, KEYS)
            hint = f"did you mean `{near}`?" if near else f"a manifest has {', '.join(KEYS)}"
            self.problems.at(
                _mark_in(path, entry.key_mark), f"`{printable(key, 60)}` is not a key of a manifest; {hint}"
            )
        elif key == "version":
            check_version(entry.value, _mark_in(path, entry.mark), self.problems)
        elif key in (*_SHARED, INCLUDE):
            marks = _mark_in(path, entry.key_mark), _mark_in(path, entry.mark)
            entries[key] = TopLevelValue(_placed(entry.value, path), *marks)


def _over(below: TopLevelValue | None, above: TopLevelValue) -> TopLevelValue:
    """Return a value with the entries of another one below its own; maps in maps are merged too."""
    if below is None or above.value is None:
        return above if below is None else below
    if not isinstance(below.value, Map) or not isinstance(above.value, Map):
        return above
    return TopLevelValue(_merged_map(below.value, above.value), above.key_mark, above.mark)


def _merged_map(below: Map, above: Map) -> Map:
    merged = Map(above.mark)
    for source in (below, above):
        for key, value in source.items():
            known = merged.get(key)
            both = isinstance(known, Map) and isinstance(value, Map)
            merged[key] = _merged_map(known, value) if both else value  # type: ignore[arg-type]  # `both` says so
            merged.events[key] = source.events[key]
    return merged


def _mark_in(path: Path, mark: Mark) -> FileMark:
    return mark if isinstance(mark, FileMark) else FileMark(mark.line, mark.column, str(path))


def _placed(value: Any, path: Path) -> Any:
    """Return a value that knows which file it is in."""
    if isinstance(value, Map):
        placed = Map(_mark_in(path, value.mark))
        for key, entry in value.items():
            placed[key] = _placed(entry, path)
            marks = _mark_in(path, value.key_mark(key)), _mark_in(path, value.value_mark(key))
            placed.events[key] = (Placed(marks[0]), Placed(marks[1]))
        return placed
    if isinstance(value, List):
        entries = List()
        entries.extend(_placed(entry, path) for entry in value)
        entries.events.extend(Placed(_mark_in(path, value.mark(n))) for n in range(len(value)))
        return entries
    return value
