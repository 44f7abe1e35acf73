"""How long jobs are queued at the provider, and how many in flight would keep it busy: a value changed by copy."""

import math
from dataclasses import dataclass, replace

_TELLING_JOBS = 30
_TELLING_SECONDS = 60.0
"""A shorter run would gain nothing from a better number."""
_AT_ONCE = 0.02
"""Jobs that were queued for less than this share of their work found a free machine."""
_MARGIN = 1.05
"""A little more in flight than on average, since work and delays vary (measured: `benchmarks/polling.py`)."""


@dataclass(frozen=True, slots=True)
class QueueStats:
    """How jobs spent their time: sums in seconds, over the jobs whose times the provider stated."""

    jobs: int = 0
    queued: float = 0.0
    """Between acceptance and the start of the work."""
    worked: float = 0.0
    unseen: float = 0.0
    """Between the end and the poll that noticed it: the job held a slot, and nothing worked on it."""

    def ended(self, queued: float, worked: float, unseen: float) -> "QueueStats":
        """Add a job that has ended."""
        return replace(
            self,
            jobs=self.jobs + 1,
            queued=self.queued + max(0.0, queued),
            worked=self.worked + max(0.0, worked),
            unseen=self.unseen + max(0.0, unseen),
        )

    def advice(self, concurrency: int) -> str | None:
        """Return one sentence if another `concurrency` would have been better, or None.

        By Little's law: the share of the jobs in flight that are worked on is the share of work in their time.
        """
        whole = self.queued + self.worked + self.unseen
        if self.jobs < max(_TELLING_JOBS, 3 * concurrency) or whole < _TELLING_SECONDS * concurrency or not self.worked:
            return None
        if self.queued <= _AT_ONCE * self.worked:
            return f"the provider started every job at once: a concurrency above {concurrency} would finish sooner"
        machines = concurrency * self.worked / whole
        enough = math.ceil(machines * (1 + self.unseen / self.worked) * _MARGIN)
        if enough >= concurrency:
            return None
        return (
            f"the provider processes about {machines:.0f} jobs at a time: a concurrency of {enough} keeps it just as"
            f" busy as {concurrency}"
        )
