"""Which faults strike a world in virtual time: at random rates, and for certain during episodes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from batchgen.provider.faults import NO_CONNECTION, Episode, Fault

OUTAGE = NO_CONNECTION
"""Episodes without any connection."""


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Which faults strike, and how often."""

    rates: Mapping[Fault, float] = field(default_factory=dict)
    """Probabilities."""
    script: tuple[Episode, ...] = ()


def episodes(start: float, end: float, faults: Iterable[Fault]) -> tuple[Episode, ...]:
    """Return one episode for each fault."""
    return tuple(Episode(start, end, fault) for fault in faults)
