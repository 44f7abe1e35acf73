"""Virtual time: the scheduler over an in-memory API, hundreds of hours in seconds, the same seed the same run."""

from batchgen.provider import Episode, Fault, Naming
from batchgen.virtual.fault_plan import OUTAGE, FaultPlan, episodes
from batchgen.virtual.harness import Outcome, World, make_dependant, make_item, make_items
from batchgen.virtual.loop import DeadlockError, SpinningError, VirtualClock, VirtualLoop, run_virtual
from batchgen.virtual.memory_api import MemoryApi
from batchgen.virtual.provider import Duration, Offer, VirtualProvider

__all__ = [
    "OUTAGE",
    "DeadlockError",
    "Duration",
    "Episode",
    "Fault",
    "FaultPlan",
    "MemoryApi",
    "Naming",
    "Offer",
    "Outcome",
    "SpinningError",
    "VirtualClock",
    "VirtualLoop",
    "VirtualProvider",
    "World",
    "episodes",
    "make_dependant",
    "make_item",
    "make_items",
    "run_virtual",
]
