"""Where outputs go: the port to a store of files, and the local disk behind it.

All names are relative to the run folder, with `/`: `files/…` for what is asked for now, `superseded/…` for what it took
the place of.
"""

from batchgen.store.local_disk import LocalDisk
from batchgen.store.port import OutputStore, Staged, StagedReplacedError

__all__ = ["LocalDisk", "OutputStore", "Staged", "StagedReplacedError"]
