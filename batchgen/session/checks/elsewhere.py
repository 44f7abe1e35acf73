"""Purchases of this manifest that are in another run folder: where a name was changed, an output folder moved, or an
older copy of a folder put back, everything would be bought once more. So the user must confirm it.
"""

import logging
import re
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from batchgen.core.errors import BatchgenError, RunFolderError
from batchgen.core.text import dollars, plural, printable, usd
from batchgen.journal import FILE_NAME, Binding, Journal, is_embedded, open_for_reading
from batchgen.journal.merging.marks import merged_runs
from batchgen.journal.queries.overlap import (
    SAMPLE,
    mark_to_buy,
    overlap_with_journal,
    overlap_with_sample,
    purchase_history,
)
from batchgen.journal.queries.purchases import run_id_of
from batchgen.journal.queries.report_rows import facts_of
from batchgen.session.checks.register import Entry, Register
from batchgen.session.locate import is_run
from batchgen.session.prepare import PreparedRun

log = logging.getLogger("batchgen")

_SHARD_NAME = re.compile(r"\.[0-9]+-of-[0-9]+$")
"""How the name of a shard's run folder ends."""


@dataclass(frozen=True, slots=True)
class Known:
    """Where purchases of what is to be bought are known, as one sentence, and what `--skip-bought` would be given."""

    sentence: str
    path: Path | None
    """None: nobody knows where they are now."""
    items: int


def known_elsewhere(ready: PreparedRun, binding: Binding, journal: Journal | None, register: Register) -> list[Known]:
    """Return where purchases of what a run would buy are known, the most first; none for pretend money.

    A run folder that has bought something already is only compared with what the register says of itself. Only folders
    of the same API and account count. Wanted second purchases (`redo_of`) are none of this.
    """
    if binding.embedded or (journal is not None and is_embedded(journal.facts())):
        return []
    own = None if journal is None else purchase_history(journal.db)
    entries = register.entries(binding.api, binding.account)
    skipped = mark_to_buy(ready.item_table, None if journal is None else journal.path, ready.selection.wanted)
    known: list[Known] = []
    if own is not None:
        known += [
            _shorter(ready, entry, own.purchases, skipped)
            for entry in entries
            if entry.history.run_id == own.run_id and entry.history.purchases > own.purchases
        ]
        _refuse_merged(ready, binding, entries, own.run_id)
    if own is None or not own.purchases:
        known += _in_other_folders(ready, binding, entries, None if own is None else own.run_id)
    elif ready.request.shard is not None:  # an item that was renamed may have been another shard's
        known += _in_folders(ready, binding, _other_shards(ready), {own.run_id})
    return sorted((k for k in known if k.items), key=lambda k: -k.items)


def _refuse_merged(ready: PreparedRun, binding: Binding, entries: list[Entry], own: str) -> None:
    """Raise RunFolderError where a run was merged into another folder, and this is a copy that has no mark of it.

    Such as a backup, or one that was made anew from receipts.
    """
    for folder in _folders(ready.folder.resolve(), entries):
        if own in _run_of(folder, binding)[1]:
            raise RunFolderError(
                f"{ready.folder} was merged into {printable(str(folder), 300)}, which goes on with its items and jobs:"
                " use that folder"
            )


def _in_other_folders(ready: PreparedRun, binding: Binding, entries: list[Entry], own: str | None) -> Iterator[Known]:
    """Yield what the folders beside this one and those of the register know, and what those knew that are gone."""
    found = set() if own is None else {own}
    yield from _in_folders(ready, binding, _folders(ready.folder.resolve(), entries), found)
    for entry in entries:
        if entry.history.run_id not in found and not _is_other_shard(ready, entry.name):
            yield _gone(ready, entry)


def _in_folders(ready: PreparedRun, binding: Binding, folders: Iterable[Path], found: set[str]) -> Iterator[Known]:
    """Yield what run folders know, but for those whose ids are `found`, which gets the others.

    What was merged into one of them counts there, and nowhere else.
    """
    runs = [(folder, *_run_of(folder, binding)) for folder in folders]
    found.update(merged for _, _, merged_here in runs for merged in merged_here)
    for folder, run_id, _ in runs:
        if run_id is None or run_id in found:
            continue
        found.add(run_id)
        shared = overlap_with_journal(ready.item_table, folder / FILE_NAME)
        yield Known(
            f"{plural(shared.items, 'item')} of {ready.name} ({dollars(shared.cost)} in all) were already bought in"
            f" {printable(str(folder), 300)}",
            folder,
            shared.items,
        )


def _other_shards(ready: PreparedRun) -> Iterator[Path]:
    """Yield the run folders beside this shard's that belong to the same run."""
    for folder in _folders(ready.folder.resolve(), []):
        if _is_other_shard(ready, folder.name):
            yield folder


def _is_other_shard(ready: PreparedRun, name: str) -> bool:
    """Whether a run of this name is another shard of the same run."""
    shard = ready.request.shard
    if shard is None or name == ready.name:
        return False
    return _SHARD_NAME.sub("", name) == _SHARD_NAME.sub("", ready.name) and _SHARD_NAME.search(name) is not None


def _folders(here: Path, entries: list[Entry]) -> Iterator[Path]:
    beside = sorted(here.parent.iterdir()) if here.parent.is_dir() else []
    for folder in dict.fromkeys([*beside, *(entry.folder for entry in entries)]):
        if folder != here and is_run(folder):
            yield folder


def _run_of(folder: Path, binding: Binding) -> tuple[str | None, Collection[str]]:
    """Return a run folder's id, and those of the runs that were merged into it.

    None where its money is another account's or none, or its journal cannot be read.
    """
    try:
        with closing(open_for_reading(folder / FILE_NAME)) as db:
            facts = facts_of(db)
            if is_embedded(facts) or (facts.get("api"), facts.get("account")) != (binding.api, binding.account):
                return None, ()
            return run_id_of(db), merged_runs(facts)
    except (BatchgenError, OSError) as error:
        log.info("%s was not compared with what is to be bought: %s", folder, error)
        return None, ()


def _gone(ready: PreparedRun, entry: Entry) -> Known:
    """What the register knows of a run that is not where it was; a sample of its purchases tells whether it matters."""
    shared = overlap_with_sample(ready.item_table, entry.history.sample)
    complete = len(entry.history.sample) < SAMPLE
    count = plural(shared.items, "item") if complete else f"{shared.items:,} or more items"
    return Known(
        f"{count} of {ready.name} were already bought by the run {printable(entry.name, 100)}"
        f" ({plural(entry.history.purchases, 'purchase')} for ${usd(entry.net)}), which was in"
        f" {printable(str(entry.folder), 300)} and is no longer there",
        None,
        shared.items,
    )


def _shorter(ready: PreparedRun, entry: Entry, purchases: int, skipped: int) -> Known:
    """An older copy of a run folder: how many purchases it lacks is known, which ones is not."""
    missing = entry.history.purchases - purchases - skipped
    complete = len(entry.history.sample) < SAMPLE
    if complete and not overlap_with_sample(ready.item_table, entry.history.sample).items:
        missing = 0
    return Known(
        f"this run folder lacks {plural(missing, 'purchase')} that were made in it:"
        f" {printable(str(entry.folder), 300)} held {plural(entry.history.purchases, 'purchase')} for"
        f" ${usd(entry.net)}, and {purchases:,} are left, so it is an older copy",
        None,
        max(missing, 0),
    )
