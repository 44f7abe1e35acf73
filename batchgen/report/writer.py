"""Writes `report.html` into a run folder, and for large runs scripts into `report/` beside it, which the page loads."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

from batchgen.core.files import staged_text
from batchgen.journal.queries.export_rows import run_identity
from batchgen.page import RunPage
from batchgen.report.columns import PART_SIZE, Columns
from batchgen.report.files import FILE_NAME, IN_ONE_FILE
from batchgen.report.frame import element, frame_of
from batchgen.report.scripts import Scripts, remove_scripts

ALL = 100_000
"""Items up to which a report shows all of them."""
_SAMPLE = 10_000
"""Items that are drawn from a larger run, beside those that somebody has to look at."""
_CHUNK = 10_000
"""Items whose columns are loaded together: some parts."""

Tiles = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was written."""

    path: Path
    items: int
    """Those that it shows one by one."""
    of: int
    """Those of the run."""


def write_report(folder: Path, *, ended: bool = False) -> Report:
    """Write the report of a run folder, also while it runs; an older one is replaced.

    `ended`: the caller owns the folder, and its run has ended. Memory does not grow with the items of a run. What
    fails or is killed on the way leaves the older report as it was. Raises RunFolderError, DiskError.
    """
    with RunPage(folder) as page, page.unchanging():
        overview = page.overview(ended=ended) | {"run_id": run_identity(page.db)}
        before, after = frame_of(overview)
        with _scripts(folder, overview["items"]) as scripts, staged_text(folder / FILE_NAME) as out:
            out.write(before)
            items = _items(page, overview["items"])
            shown = _in_page(page, items, out) if scripts is None else _beside(page, items, out, scripts)
            if shown < overview["items"]:
                overview["sample"] = {"shown": shown, "of": overview["items"]}
            out.write(element("overview", overview))
            out.write(after)
    return Report(folder / FILE_NAME, shown, overview["items"])


@contextmanager
def _scripts(folder: Path, items: int) -> Iterator[Scripts | None]:
    """Hold the scripts that a report of so many items needs beside its page; those of older reports go last."""
    if items <= IN_ONE_FILE:
        yield None
        remove_scripts(folder)
        return
    scripts = Scripts.make(folder)
    try:
        yield scripts
    except BaseException:
        with suppress(OSError):  # what went wrong before is what counts
            scripts.remove()
        raise
    remove_scripts(folder, but=scripts)


def _items(page: RunPage, count: int) -> Iterator[Tiles]:
    """Yield the items that are shown, each as its tiles."""
    tiles = page.iter_tiles() if count <= ALL else page.iter_notable_tiles(ALL - 2 * _SAMPLE, _drawn(count))
    return (list(found) for _, found in groupby(tiles, itemgetter("key")))


def _drawn(count: int) -> Callable[[str], bool]:
    """Return whether the item of an id is in the sample of so many, which stays the same from report to report."""
    bound = (_SAMPLE << 64) // count
    return lambda item_id: int.from_bytes(hashlib.blake2b(item_id.encode(), digest_size=8).digest()) < bound


def _in_page(page: RunPage, items: Iterator[Tiles], out: IO[str]) -> int:
    """Write the items into the page, and return how many there are."""
    columns = Columns()
    for number, part in enumerate(_chunks(items, PART_SIZE)):
        for tiles in part:
            columns.add(tiles)
        out.write(element(f"part-{number}", _details(page, part)))
    out.write(element("index", {**columns.names(), **columns.take(), "texts": [columns.take_texts()]}))
    return columns.items


def _beside(page: RunPage, items: Iterator[Tiles], out: IO[str], scripts: Scripts) -> int:
    """Write the items into scripts beside the page, and return how many there are."""
    columns = Columns()
    for part in _chunks(items, PART_SIZE):
        for tiles in part:
            columns.add(tiles)
        scripts.add("part", _details(page, part))
        if len(columns.lines) >= _CHUNK:
            _add_index(scripts, columns)
    if columns.lines:
        _add_index(scripts, columns)
    scripts.sync()
    names = {"index": scripts.names("index"), "text": scripts.names("text"), "parts": scripts.names("part")}
    out.write(element("files", {**columns.names(), **names}))
    return columns.items


def _add_index(scripts: Scripts, columns: Columns) -> None:
    scripts.add("text", columns.take_texts())
    scripts.add("index", columns.take())


def _details(page: RunPage, items: Iterable[Tiles]) -> list[dict[str, Any]]:
    return page.details([tiles[0]["key"] for tiles in items])


def _chunks(items: Iterator[Tiles], size: int) -> Iterator[list[Tiles]]:
    while chunk := list(islice(items, size)):
        yield chunk
