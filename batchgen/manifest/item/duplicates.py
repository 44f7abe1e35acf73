"""Notes ids and paths that several items claim; an id where the later one is written."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path

from batchgen.item_table import Clash, ItemTable
from batchgen.manifest.template import has_variables
from batchgen.manifest.yaml.document import Document
from batchgen.manifest.yaml.nodes import Map
from batchgen.manifest.yaml.problems import KEPT, BrokenOffError, Mark, Problems

_TEMPLATE = "${"
"""Stands for any id that is built from variables."""
_NO_ID = ""


def note_clashes(table: ItemTable, manifest: Path, problems: Problems, *, paths: bool) -> None:
    """Note every id, and with `paths` every path, that an earlier item already has."""
    clashes = table.clashes("id")
    # Only the first ones are shown, so only they are worth another pass over the manifest.
    shown = list(islice(clashes, KEPT))
    written_ids = _WrittenIds(manifest, shown)
    for clash in chain(shown, clashes):
        mark = written_ids.of(clash)
        if mark is not None:
            problems.at(mark, _id_message(clash))
        else:
            _note_line(clash, _id_message(clash), manifest, problems)
    for clash in table.clashes("path") if paths else ():
        wanted = _made_by(clash)
        others = f"like those of {clash.earlier_source}" if not wanted else f"like those of others here{wanted}"
        _note_line(clash, f"its files would go to `{clash.value}`, {others}", manifest, problems)


def _note_line(clash: Clash, message: str, manifest: Path, problems: Problems) -> None:
    file, _, line = clash.source.rpartition(":")
    problems.in_file(str(manifest.parent / file), int(line), message)


def _id_message(clash: Clash) -> str:
    same = "" if clash.value == clash.earlier else f", as `{clash.earlier}`: ids must differ in more than case"
    advice = "; give one of them an `id` of its own" if clash.generated else ""
    if clash.source != clash.earlier_source:
        return f"the id `{clash.value}` is already used by {clash.earlier_source}{same}{advice}"
    return f"the id `{clash.value}` is made twice here{same}{_made_by(clash)}{advice}"


def _made_by(clash: Clash) -> str:
    """Return the values of a matrix that made both items; empty if they do not come from the same one."""
    if clash.source != clash.earlier_source or not clash.variables:
        return ""
    return f": by {clash.earlier_variables} and by {clash.variables}"


class _WrittenIds:
    """Where the ids of some clashes are written: found in one more pass over the manifest, if there are any."""

    def __init__(self, manifest: Path, clashes: list[Clash]) -> None:
        self._marks: dict[tuple[str, str], list[Mark]] = defaultdict(list)
        """By source and id as written."""
        self._met: Counter[tuple[str, str]] = Counter()
        self._manifest = manifest
        sources = {clash.source for clash in clashes}
        values = {text for clash in clashes for text in (clash.value, _before_number(clash.value))}
        if any(source.rpartition(":")[0] == manifest.name for source in sources):
            self._find(sources, values | {_TEMPLATE, _NO_ID})

    def _find(self, sources: set[str], values: set[str]) -> None:
        for item in _items(self._manifest):
            source = f"{self._manifest.name}:{item.mark.line + 1}"
            if source not in sources:
                continue
            written = item.get("id")
            text = _NO_ID if written is None else _TEMPLATE if has_variables(written) else str(written)
            marks = self._marks[source, text] if text in values else []
            # One line may contain any number of items.
            if len(marks) <= KEPT:
                marks.append(item.mark if written is None else item.value_mark("id"))

    def of(self, clash: Clash) -> Mark | None:
        """Return where the later item's id is written, or where the item is if it has no id; None if unknown."""
        for text in (clash.value, _before_number(clash.value)):
            key = (clash.source, text)
            if not clash.generated and key in self._marks:
                self._met[key] += 1
                # If the earlier one is on the same line, it comes first.
                nth = self._met[key] - (clash.source != clash.earlier_source)
                return self._marks[key][min(nth, len(self._marks[key]) - 1)]
        marks = self._marks.get((clash.source, _NO_ID if clash.generated else _TEMPLATE), [])
        return marks[0] if len(marks) == 1 else None


def _before_number(item_id: str) -> str:
    """Return an id without the suffix that `seeds` or `repeat` added."""
    return item_id.partition("~")[0]


def _items(manifest: Path) -> Iterator[Map]:
    # Its problems were noted when it was first read.
    with manifest.open("rb") as file, suppress(BrokenOffError):
        for _, _, value, _ in Document(manifest, file, Problems(manifest)).entries("items"):
            if isinstance(value, Iterator):
                yield from (item for item, _ in value if isinstance(item, Map))
