"""The item table: what a manifest asks for, expanded.

The manifest's loader writes it. The journal, and whatever compares a manifest with other books, reads it attached to
another database, and takes the names of its tables from here.
"""

from batchgen.item_table.attached import (
    REDO,
    REQUESTED,
    SKIPPED,
    TO_BUY,
    attach,
    attached,
    index_identities,
    index_items,
    make_to_buy,
)
from batchgen.item_table.bought import BoughtElsewhere, bought_elsewhere
from batchgen.item_table.same_names import Clash
from batchgen.item_table.table import ItemTable, Record, estimated_cost, open_item_table, write_items

__all__ = [
    "REDO",
    "REQUESTED",
    "SKIPPED",
    "TO_BUY",
    "BoughtElsewhere",
    "Clash",
    "ItemTable",
    "Record",
    "attach",
    "attached",
    "bought_elsewhere",
    "estimated_cost",
    "index_identities",
    "index_items",
    "make_to_buy",
    "open_item_table",
    "write_items",
]
