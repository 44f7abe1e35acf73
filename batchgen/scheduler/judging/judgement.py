"""What is found about one file: from its structure alone when it arrives, and from its pictures once it is decoded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import FileIO
from pathlib import Path

from batchgen.core.records import Item
from batchgen.journal.delivered import Findings, UnjudgedFile
from batchgen.judging.checks import Expect, Ordered, flags_of
from batchgen.judging.look import Look, look_at
from batchgen.media import Damaged, Unfamiliar, inspect_file
from batchgen.media.facts import UNKNOWN, Facts
from batchgen.store import OutputStore


@dataclass(frozen=True, slots=True)
class Standards:
    """What files are judged by, beside what is expected of each item."""

    ordered: Callable[[Item, str | None], Ordered]
    """Returns what an item orders, in the scale of a simulator (as `Attempt.scale`)."""
    kinds: Mapping[str, str]
    """`image` or `video` by model."""
    decodes: bool
    """Whether files can be decoded: the extra `media` is installed."""

    def can_judge(self, item: Item) -> bool:
        """Return whether everything that is expected of an item can be looked at."""
        return self.decodes or not expect_of(item).decodes


AS_IT_COMES = Standards(lambda *_: Ordered(), {}, decodes=False)
"""Nothing is known of what was ordered, and nothing is decoded."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found about a file."""

    facts: Facts
    look: Look | None
    """None: nothing that is expected needs it, or it could not be decoded."""
    flags: tuple[str, ...]


_NOTHING = Expect()


def expect_of(item: Item) -> Expect:
    """Return what is expected of an item's files, beside what it orders."""
    return _NOTHING if item.expect is None else _read(item.expect)


@lru_cache(maxsize=256)
def _read(text: str) -> Expect:
    return Expect.from_text(text)


def first_findings(standards: Standards, item: Item, scale: str | None, facts: Facts) -> Findings:
    """Return what is known of a file as it arrives: without decoding, and without its siblings."""
    expect = expect_of(item)
    flags = flags_of(expect, standards.ordered(item, scale), facts, None, ())
    return Findings(facts, flags, judged=not expect.decodes)


def judged(standards: Standards, store: OutputStore, file: UnjudgedFile) -> Judged:
    """Look at a file, decode it where what is expected needs that, and return what was found. Blocks.

    Raises OSError where the file cannot be read.
    """
    item = file.work.item
    expect = expect_of(item)
    with store.open(file.file.path) as opened:
        facts = _facts_of(opened) if file.facts is None else file.facts
        look = None
        if expect.decodes and standards.decodes:
            look = look_at(Path(str(opened.name)), standards.kinds.get(item.model, "image"))
    flags = flags_of(expect, standards.ordered(item, file.scale), facts, look, file.siblings)
    return Judged(facts, look, flags)


def _facts_of(file: FileIO) -> Facts:
    try:
        return inspect_file(file).facts
    except (Damaged, Unfamiliar):
        return UNKNOWN  # `verify` says what is damaged
