"""The scheduler: one loop that submits, polls and fetches, and records every step in the journal."""

from batchgen.scheduler.loop import Ending, Scheduler
from batchgen.scheduler.ports import RunPolicy, RunPorts
from batchgen.scheduler.run_state import RunState

__all__ = ["Ending", "RunPolicy", "RunPorts", "RunState", "Scheduler"]
