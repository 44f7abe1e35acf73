"""Leases: what keeps two processes from being the same shard, wherever they run, and what the next one takes over from.

A place (`port`) is a shared folder (`folder`) or an object store (`objects`); `memory` is its fake. In it lie, for each
run, the number of shards that it is divided into (`division`), and for each shard its lease (`record`, `holding`) and
a copy of its receipts for each generation of it (`receipts_copy`).
"""

from batchgen.lease.division import bind
from batchgen.lease.folder import SharedFolder
from batchgen.lease.holding import Clocks, HeldLease, LeaseLostError, take
from batchgen.lease.memory import MemoryPlace
from batchgen.lease.port import LeasePlace, Log
from batchgen.lease.process import ProcessName
from batchgen.lease.receipts_copy import ReceiptsCopy, begin_copy, newest_copy
from batchgen.lease.record import LeaseRecord

__all__ = [
    "Clocks",
    "HeldLease",
    "LeaseLostError",
    "LeasePlace",
    "LeaseRecord",
    "Log",
    "MemoryPlace",
    "ProcessName",
    "ReceiptsCopy",
    "SharedFolder",
    "begin_copy",
    "bind",
    "newest_copy",
    "take",
]
