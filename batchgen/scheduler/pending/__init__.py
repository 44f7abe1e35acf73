"""What is still to be submitted: read from the journal page by page, and handed out when it may go."""

from batchgen.scheduler.pending.items import PendingItems
from batchgen.scheduler.pending.queue import QueuedItem

__all__ = ["PendingItems", "QueuedItem"]
