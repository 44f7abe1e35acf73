"""What a page about a run shows of its journal: an index of tiles that can be filtered and paged, and their rows."""

from batchgen.journal.queries.page.filters import Filter
from batchgen.journal.queries.page.index import TileIndex, TileSums
from batchgen.journal.queries.page.rows import (
    AttemptRow,
    InputRow,
    ItemRows,
    TileRow,
    every_tile,
    item_rows,
    pickable_rows,
    tile_rows,
)

__all__ = [
    "AttemptRow",
    "Filter",
    "InputRow",
    "ItemRows",
    "TileIndex",
    "TileRow",
    "TileSums",
    "every_tile",
    "item_rows",
    "pickable_rows",
    "tile_rows",
]
