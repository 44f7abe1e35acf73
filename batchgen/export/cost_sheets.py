"""Cost sheets for a client: `costs.csv` with a row for each item, and `costs-sums.csv` by model and by each tag."""

import csv
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import groupby
from typing import IO

from batchgen.core.cells import text_cell
from batchgen.core.text import usd
from batchgen.export.scratch import Scratch, SheetRow

SHEET_NAME, SUMS_NAME = "costs.csv", "costs-sums.csv"
_COLUMNS = ("item_id", "model", "files", "net_usd")
_SUM_COLUMNS = ("by", "name", "items", "files", "net_usd")
_TAG = "tag_"


def write_sheet(out: IO[str], scratch: Scratch) -> Decimal:
    """Write what the purchase of each item's files cost; return the sum, USD. RFC 4180.

    Cells that a spreadsheet would run are guarded as in the ledger.
    """
    tags, total = scratch.tag_names(), Decimal(0)
    writer = csv.writer(out)
    writer.writerow([*_COLUMNS, *(text_cell(_TAG + name) for name in tags)])
    for row in scratch.costs():
        total += row.net
        files = text_cell(";".join(row.files))
        values = [text_cell(row.tags.get(name, "")) for name in tags]
        writer.writerow([text_cell(row.item_id), text_cell(row.model), files, usd(row.net), *values])
    return total


def write_sums(out: IO[str], scratch: Scratch) -> None:
    """Write the total, and the sums by model and by each tag; those of one tag add up to the total, too."""
    writer = csv.writer(out)
    writer.writerow(_SUM_COLUMNS)
    writer.writerow(_sum("total", "", scratch.costs()))
    for model, rows in groupby(scratch.costs_by_model(), lambda row: row.model):
        writer.writerow(_sum("model", model, rows))
    for tag in scratch.tag_names():
        for value, rows in groupby(scratch.costs_by_tag(tag), lambda row: row.tags.get(tag, "")):  # noqa: B023 - used at once
            writer.writerow(_sum(_TAG + tag, value, rows))


def _sum(by: str, name: str, rows: Iterable[SheetRow] | Iterator[SheetRow]) -> tuple[str, str, int, int, str]:
    items = files = 0
    net = Decimal(0)
    for row in rows:
        items += 1
        files += len(row.files)
        net += row.net
    return text_cell(by), text_cell(name), items, files, usd(net)
