"""Picks of a run folder beside its journal: which outputs there are, and which a person has kept."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from batchgen.core.clock import utc_now
from batchgen.core.errors import UsageError
from batchgen.core.text import printable, stamp
from batchgen.item_table import KeptOutputs
from batchgen.journal import FILE_NAME, open_for_reading, sqlite_errors
from batchgen.journal.merging.marks import refuse_closed
from batchgen.journal.queries.report_rows import pickable_outputs, pickable_outputs_of
from batchgen.journal.queries.run_status import awaited_picks
from batchgen.manifest import read_sheet
from batchgen.picks import (
    NEEDED,
    Choice,
    FindOutput,
    Pick,
    PickedOutput,
    PicksOverview,
    SheetImport,
    append_picks,
    overview,
    picked_outputs,
    read_picks,
)


def outputs_to_pick(folder: Path) -> Iterator[PickedOutput]:
    """Yield the outputs on disk of a run's finished items, by item, each with its pick.

    Also while it runs. Raises RunFolderError.
    """
    yield from _outputs_beside(folder, read_picks(folder))


def picks_overview(folder: Path) -> PicksOverview:
    """Return what people said of the outputs of a run, also while it runs. Raises RunFolderError."""
    picks, path = read_picks(folder), folder / FILE_NAME
    with closing(open_for_reading(path)) as db, sqlite_errors(path):
        return overview(picked_outputs(pickable_outputs(db), picks), picks, awaited_picks(db))


def kept_outputs(folder: Path) -> KeptOutputs:
    """Return what says which outputs of an item (id, digest) a person has kept. Raises RunFolderError."""
    kept: dict[tuple[str, str], list[int]] = defaultdict(list)
    picks = [pick for pick in read_picks(folder).values() if pick.pick == "keep"]
    if picks and (folder / FILE_NAME).exists():
        with _finding(folder) as find:
            for pick in picks:
                output = find(pick.item, pick.output)
                if output is not None and output.pick == pick:
                    kept[pick.item, pick.digest].append(pick.output)
    return lambda item_id, digest: tuple(sorted(kept.get((item_id, digest), ())))


def follow_renames(folder: Path) -> int:
    """Let the picks of purchases that were given to other items count for these; return how many there are.

    Known by request, number and content of the file; where several files are the same to the byte, nobody can tell
    which of them was looked at. To be called again after a crash. Raises RunFolderError, DiskError.
    """
    picks = read_picks(folder)
    said = {(pick.digest, pick.output, pick.sha256): pick for pick in picks.values() if not pick.empty}
    if not said:
        return 0
    found: dict[tuple[str, int, str], list[PickedOutput]] = defaultdict(list)
    for output in _outputs_beside(folder, picks):
        key = output.digest, output.output, output.sha256
        if key in said:
            found[key].append(output)
    moved = [
        (said[key], outputs[0].item)
        for key, outputs in found.items()
        if len(outputs) == 1 and (outputs[0].item, *key[:2]) not in picks
    ]
    given = [replace(pick, item=item) for pick, item in moved]
    taken_back = [replace(pick, pick="", reason="", rating=None) for pick, _ in moved]
    append_picks(folder, [*given, *taken_back])
    return len(moved)


def pick_from_sheet(folder: Path, path: Path, name: str | None = None) -> int:
    """Take over the picks of a CSV file, all of them or none; return how many say something new.

    `name` is what messages call the file; None: its path.

    Raises ManifestError with every problem of the file, UsageError, RunFolderError, DiskError.
    """
    with _finding(folder) as find:
        sheet = SheetImport(find, stamp(utc_now()))
        read_sheet(path, NEEDED, sheet.take, name)
    refuse_closed(folder)
    append_picks(folder, sheet.changes)
    return len(sheet.changes)


def pick_outputs(folder: Path, keep: Sequence[str], reject: Sequence[str], clear: Sequence[str]) -> int:
    """Keep, reject or clear outputs, each given as ITEM or ITEM@N; return for how many that is new.

    A rating stays with an output that is kept or rejected. Raises UsageError for an output that is not on disk or is
    given twice, RunFolderError, DiskError.
    """
    now = stamp(utc_now())
    chosen: tuple[tuple[Choice, Sequence[str]], ...] = (("keep", keep), ("reject", reject), ("", clear))
    seen, new = set(), []
    with _finding(folder) as find:
        for choice, given in chosen:
            for text in given:
                output = _named(text, find)
                if (output.item, output.output) in seen:
                    raise UsageError(f"output {output.output} of {output.item} is given twice")
                seen.add((output.item, output.output))
                new += _changed(output, choice, now)
    refuse_closed(folder)
    append_picks(folder, new)
    return len(new)


def _changed(output: PickedOutput, choice: Choice, now: str) -> list[Pick]:
    """Return the pick that makes an output kept, rejected or cleared, if it is not so already."""
    before = output.pick
    if before is None if choice == "" else choice == output.choice:
        return []
    rating = before.rating if before is not None and choice else None
    return [output.picked(choice, "", rating, now)]


def _named(text: str, find: FindOutput) -> PickedOutput:
    item, at, number = text.partition("@")
    number = number if at else "1"
    output = find(item, int(number)) if number.isdecimal() and len(number) < 10 else None
    if output is None:
        raise UsageError(
            f"there is no output {printable(text, 120)} on disk; `batchgen picks RUN` lists them as ITEM@N"
        )
    return output


def _outputs_beside(folder: Path, picks: dict[tuple[str, str, int], Pick]) -> Iterator[PickedOutput]:
    path = folder / FILE_NAME
    with closing(open_for_reading(path)) as db, sqlite_errors(path):
        yield from picked_outputs(pickable_outputs(db), picks)


@contextmanager
def _finding(folder: Path) -> Iterator[FindOutput]:
    """Give a function that returns single outputs with their picks. Raises RunFolderError."""
    path, picks = folder / FILE_NAME, read_picks(folder)
    with closing(open_for_reading(path)) as db, sqlite_errors(path):

        @lru_cache(maxsize=8)  # the outputs of an item stand together in a sheet
        def outputs_of(item: str) -> dict[int, PickedOutput]:
            return {o.output: o for o in picked_outputs(pickable_outputs_of(db, item), picks)}

        yield lambda item, output: outputs_of(item).get(output)
