"""Where outputs go: the port to a store of files, and what is behind it: the local disk, or an object store.

All names are relative to the run folder, with `/`: `files/…` for what is asked for now, `superseded/…` for what it took
the place of.
"""

from batchgen.store.local_disk import LocalDisk
from batchgen.store.object_storage import SPOOL, ObjectStorage
from batchgen.store.places import OUTPUTS, address_of, at_hand, store_of
from batchgen.store.port import Known, OutputStore, Staged, StagedReplacedError
from batchgen.store.remote import Address, is_address

__all__ = [
    "OUTPUTS",
    "SPOOL",
    "Address",
    "Known",
    "LocalDisk",
    "ObjectStorage",
    "OutputStore",
    "Staged",
    "StagedReplacedError",
    "address_of",
    "at_hand",
    "is_address",
    "store_of",
]
