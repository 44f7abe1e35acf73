"""Which outputs of a run are wanted in an export, with their metadata and what they cost."""

import json
from pathlib import Path
from sqlite3 import Connection

from batchgen.core.costs import cost_of
from batchgen.core.errors import UsageError
from batchgen.export.metadata import folder_of, metadata_of
from batchgen.export.scratch import Scratch, SheetRow, Wanted
from batchgen.export.values import ExportOptions, ExportResult
from batchgen.journal.queries.export_rows import ExportRow, export_rows
from batchgen.picks import PickedOutput, picked_outputs, read_picks

_FILES = "files/"


def collect(db: Connection, run: Path, options: ExportOptions, work: Scratch, result: ExportResult) -> list[str]:
    """Add the wanted outputs of a run folder to `work`; return those that cannot be had now, as messages.

    Raises UsageError where there are finished items, and none is selected.
    """
    picks, finished, selected = read_picks(run), False, False
    lacking = []
    for row in export_rows(db):
        finished = True
        if not options.selection.wanted(row.item_id, row.tags):
            continue
        selected = True
        about = (row.item_id, row.digest, row.number, row.path, row.sha256)
        picked = next(picked_outputs([about], picks))
        if picked.choice == "reject":
            result.rejected += 1
        elif (picked.choice == "keep" or not options.kept) and not _want(row, picked, work, result):
            lacking.append(f"{row.path}: is on its way to another place; export again after the next run")
    if finished and not selected:
        raise UsageError("--only: no finished item matches")
    return lacking


def _want(row: ExportRow, picked: PickedOutput, work: Scratch, result: ExportResult) -> bool:
    """Add an output; return False where its file is not at its place, so that another one may have the name."""
    below = row.path.removeprefix(_FILES)
    name = f"{folder_of(below)}/{below}"
    metadata = metadata_of(row, result.run, picked.pick, simulated=result.simulated)
    wanted = Wanted(name, row.path, row.bytes, row.sha256, row.purchase, row.number, metadata)
    if not row.path.startswith(_FILES) or not work.want(wanted):
        return False
    cost = cost_of(row.state, row.estimated, row.reserved, row.charged, row.refunded)
    tags = {tag: value for tag, value in json.loads(row.tags).items() if value}
    work.charge(SheetRow(row.item_id, row.model, (name,), cost.charged + cost.refunded, tags), row.purchase)
    return True
