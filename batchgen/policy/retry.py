"""When to try again, and how many at once: decisions on a provider that says it is busy."""

from dataclasses import dataclass, replace

BASE = 1.0
CAP = 60.0
RETRY_AFTER_CAP = 600.0
"""Seconds: a `Retry-After` beyond this is obeyed this far only."""


def backoff(failures: int, draw: float, *, base: float = BASE, cap: float = CAP) -> float:
    """Return seconds to wait after the given number of failures in a row (1 or more), exponential with full jitter.

    `draw` is uniform in [0, 1). Full jitter spreads a crowd best (AWS Architecture Blog, "Exponential Backoff And
    Jitter").
    """
    return draw * min(cap, base * 2.0 ** min(failures - 1, 30))


def retry_delay(failures: int, draw: float, retry_after: float | None, *, cap: float = CAP) -> float:
    """Return seconds until the next try: never before a `Retry-After` (RFC 9110, section 10.2.3), within its cap."""
    wait = backoff(failures, draw, cap=cap)
    # The jitter goes on top: a crowd that was told the same second must not come back in the same second.
    return wait if retry_after is None else min(retry_after, RETRY_AFTER_CAP) + wait * 0.1


@dataclass(frozen=True, slots=True)
class AdaptiveLimit:
    """How many jobs may be in flight: halved when the provider is busy, recovering with each acceptance."""

    ceiling: int
    limit: float
    quiet_until: float = 0.0
    """Busy answers before this time belong to the same crowd and count once."""

    @classmethod
    def full(cls, ceiling: int) -> "AdaptiveLimit":
        """Return the pace of a fresh run."""
        return cls(ceiling, float(ceiling))

    @property
    def allowed(self) -> int:
        """Jobs that may be in flight now; at least 1."""
        return max(1, int(self.limit))

    def busy(self, now: float, *, window: float = 1.0) -> "AdaptiveLimit":
        """The provider refused for load: halve, once for each `window` seconds."""
        if now < self.quiet_until:
            return self
        return replace(self, limit=max(1.0, self.limit / 2), quiet_until=now + window)

    def accepted(self) -> "AdaptiveLimit":
        """The provider accepted one: half a place more, or a sixteenth where that is more, up to the ceiling.

        In proportion, since a provider that is busy now and then, whatever it has to do, would else keep a large run
        small: of 500 places, one such answer in a hundred left 75.
        """
        if self.limit >= self.ceiling:
            return self
        return replace(self, limit=min(float(self.ceiling), self.limit + max(0.5, self.limit / 16)))
