"""Virtual time: the scheduler over an in-memory API, hundreds of hours in seconds, the same seed the same run."""

from batchgen.virtual.faults import OUTAGE, Episode, Fault, Faults, episodes
from batchgen.virtual.harness import Outcome, World, make_item, make_items
from batchgen.virtual.loop import DeadlockError, SpinningError, VirtualClock, VirtualLoop, run_virtual
from batchgen.virtual.memory_api import Duration, MemoryApi, Offer, Provider

__all__ = [
    "OUTAGE",
    "DeadlockError",
    "Duration",
    "Episode",
    "Fault",
    "Faults",
    "MemoryApi",
    "Offer",
    "Outcome",
    "Provider",
    "SpinningError",
    "VirtualClock",
    "VirtualLoop",
    "World",
    "episodes",
    "make_item",
    "make_items",
    "run_virtual",
]
