"""Warns about texts cut short by a YAML comment: `prompt: A cup #1 on a table` is read as `A cup`.

The parser skips comments, so this takes another pass over the manifest. Only manifests with a `#` after a blank
need it.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from yaml.events import ScalarEvent

from batchgen.catalog import Catalog
from batchgen.core.text import printable
from batchgen.manifest.yaml.document import Document
from batchgen.manifest.yaml.nodes import List, Map
from batchgen.manifest.yaml.problems import BrokenOffError, Problems

_CUT = re.compile(r"([ \t]+)#(.?)")
_SHORT_TEXTS = ("matrix", "tags")


def free_texts(catalog: Catalog) -> frozenset[str]:
    """Return the parameters that take any text, such as the prompt."""
    parameters = [parameter for model in catalog.models.values() for parameter in model.parameters]
    return frozenset(p.name for p in parameters if p.type == "string" and not p.options)


def warn_of_cuts(manifest: Path, texts: frozenset[str], problems: Problems, *, items: bool = True) -> None:
    """Warn about every plain text that is followed by a comment which may have been meant as part of it.

    `texts` are the parameters that take any text. In them a comment is accepted as one only if it follows all
    conventions: two blanks before the `#`, one after it. In tags and variables, which are mostly words, only a `#`
    directly followed by something (`#1`, `#ff0000`) is assumed to be part of the text. Without `items`, only what an
    `include` takes over is looked at.
    """
    with manifest.open("rb") as file, manifest.open(encoding="utf-8-sig", errors="replace") as lines:
        source = _Lines(lines)
        # Its problems were noted when it was first read.
        with suppress(BrokenOffError):
            for key, _, value, _ in Document(manifest, file, Problems(manifest)).entries("items"):
                if key == "items" and not items:
                    continue
                for entry in (item for item, _ in value) if isinstance(value, Iterator) else (value,):
                    for event, free in _scalars(entry, texts, free=False, short=key in _SHORT_TEXTS):
                        _judge(event, source, problems, free=free)


def _scalars(value: Any, texts: frozenset[str], *, free: bool, short: bool) -> Iterator[tuple[Any, bool]]:
    """Yield the events of plain texts that count, and whether any text is allowed where they are."""
    if isinstance(value, Map):
        for key, entry in value.items():
            event = value.events[key][1]
            yield from _one(event, entry, texts, free=key in texts, short=short or key in _SHORT_TEXTS)
    elif isinstance(value, List):
        for event, entry in zip(value.events, value, strict=True):
            yield from _one(event, entry, texts, free=free, short=short)


def _one(event: Any, value: Any, texts: frozenset[str], *, free: bool, short: bool) -> Iterator[tuple[Any, bool]]:
    if type(event) is not ScalarEvent:
        yield from _scalars(value, texts, free=free, short=short)
    elif (free or short) and isinstance(value, str) and not event.style:
        yield event, free


def _judge(event: Any, source: "_Lines", problems: Problems, *, free: bool) -> None:
    line = source.line(event.end_mark.line)
    found = _CUT.match(line, event.end_mark.column)
    if found is None:
        return
    blanks, behind = found.groups()
    if behind.strip() or (free and blanks == " "):
        rest = printable(line[found.start() :].strip(), 60)
        problems.warn(
            event.start_mark, f"`{rest}` is a YAML comment, not part of this text; put the whole text in quotes"
        )


class _Lines:
    """The lines of a file, to be requested in order; the latest ones can be requested again."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._read = 0
        self._last = ""

    def line(self, number: int) -> str:
        """Return a line, counted from 0; empty for one that is no longer kept."""
        while self._read <= number:
            self._last = self._file.readline()
            self._read += 1
        return self._last if self._read == number + 1 else ""
