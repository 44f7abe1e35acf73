"""When to retry, and how many jobs to have in flight, when the provider says that it is busy: pure decisions."""

from dataclasses import dataclass, replace

BASE = 1.0
CAP = 60.0
"""Seconds: the first backoff, and the longest."""
RETRY_AFTER_CAP = 600.0
"""Seconds: a longer `Retry-After` is cut to this."""


def backoff(failures: int, draw: float, *, base: float = BASE, cap: float = CAP) -> float:
    """Return the seconds to wait after so many failures in a row (1 or more): exponential, with full jitter.

    `draw` is uniform in [0, 1). Full jitter spreads many clients best (AWS Architecture Blog, "Exponential Backoff And
    Jitter").
    """
    return draw * min(cap, base * 2.0 ** min(failures - 1, 30))


def retry_delay(failures: int, draw: float, retry_after: float | None, *, cap: float = CAP) -> float:
    """Return the seconds until a retry: at least the `Retry-After` (RFC 9110, section 10.2.3), up to its cap."""
    wait = backoff(failures, draw, cap=cap)
    # The jitter comes on top: not all that were told the same second may come back in it.
    return wait if retry_after is None else min(retry_after, RETRY_AFTER_CAP) + wait * 0.1


@dataclass(frozen=True, slots=True)
class AdaptiveLimit:
    """How many jobs may be in flight: halved if the provider is busy, and raised again with each acceptance."""

    ceiling: int
    limit: float
    quiet_until: float = 0.0
    """Busy answers until this loop time count as one."""

    @classmethod
    def full(cls, ceiling: int) -> "AdaptiveLimit":
        """Return the limit of a run that starts."""
        return cls(ceiling, float(ceiling))

    @property
    def allowed(self) -> int:
        """Jobs that may be in flight now; at least 1."""
        return max(1, int(self.limit))

    def busy(self, now: float, *, window: float = 1.0) -> "AdaptiveLimit":
        """The provider is busy: halve the limit, but once in `window` seconds."""
        if now < self.quiet_until:
            return self
        return replace(self, limit=max(1.0, self.limit / 2), quiet_until=now + window)

    def accepted(self) -> "AdaptiveLimit":
        """The provider accepted a job: raise the limit by a half, or by a sixteenth of it if that is more.

        In proportion, since otherwise a provider that is busy now and then, at any load, would keep a large run small:
        with one busy answer in a hundred, 75 jobs in flight of a possible 500.
        """
        if self.limit >= self.ceiling:
            return self
        return replace(self, limit=min(float(self.ceiling), self.limit + max(0.5, self.limit / 16)))
