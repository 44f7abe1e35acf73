"""The scheduler: submission, polling and fetching over the journal, as one loop."""

from batchgen.scheduler.loop import Ending, Scheduler
from batchgen.scheduler.run_state import RunPolicy, RunPorts, RunState

__all__ = ["Ending", "RunPolicy", "RunPorts", "RunState", "Scheduler"]
