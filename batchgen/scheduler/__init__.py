"""The scheduler: submission, polling and fetching over the journal, as one loop."""

from batchgen.scheduler.board import Board, Seams, Terms
from batchgen.scheduler.loop import Ending, Scheduler

__all__ = ["Board", "Ending", "Scheduler", "Seams", "Terms"]
