"""The item table: what a manifest asks for, expanded.

The manifest's loader writes it. The journal, and whatever compares a manifest with other books, reads it attached to
another database, and takes the names of its tables from here.
"""

from batchgen.item_table.attached import (
    INPUT,
    OTHER_SHARDS,
    PRIORITY,
    REDO,
    REQUESTED,
    SKIPPED,
    TO_BUY,
    WAITING,
    attach,
    attached,
    index_identities,
    index_items,
    make_to_buy,
)
from batchgen.item_table.bought import BoughtElsewhere, bought_elsewhere
from batchgen.item_table.chains import ChainFault, Chains, KeptOutputs, OutputCount, chains, nothing_kept
from batchgen.item_table.difference import Difference, Differences, Kind, Side, differences
from batchgen.item_table.entries import EntrySum, entry_sums
from batchgen.item_table.same_names import Clash
from batchgen.item_table.sharding import NumberOf, others_have, sharding
from batchgen.item_table.table import ItemTable, Record, estimated_cost, open_item_table, write_items

__all__ = [
    "INPUT",
    "OTHER_SHARDS",
    "PRIORITY",
    "REDO",
    "REQUESTED",
    "SKIPPED",
    "TO_BUY",
    "WAITING",
    "BoughtElsewhere",
    "ChainFault",
    "Chains",
    "Clash",
    "Difference",
    "Differences",
    "EntrySum",
    "ItemTable",
    "KeptOutputs",
    "Kind",
    "NumberOf",
    "OutputCount",
    "Record",
    "Side",
    "attach",
    "attached",
    "bought_elsewhere",
    "chains",
    "differences",
    "entry_sums",
    "estimated_cost",
    "index_identities",
    "index_items",
    "make_to_buy",
    "nothing_kept",
    "open_item_table",
    "others_have",
    "sharding",
    "write_items",
]
