"""The settings of a simulator."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Literal

from batchgen.core.errors import UsageError
from batchgen.simulator.fault_rates import check_rates

KEY = re.compile(r"api18_[A-Za-z0-9]{16}")
"""The form of a key (docs/api.md)."""


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """Everything that can differ between simulators. Raises UsageError for an invalid value."""

    seed: int = 0
    speed: float = 10.0
    """How many times faster than the provider: divides durations and the wait budget, nothing else."""
    balance: Decimal = Decimal(1000)
    """Paid credit, USD, with which each account starts."""
    promo: Decimal = Decimal(0)
    """Promotional credit, USD, with which each account starts; the API does not accept it."""
    keys: frozenset[str] = frozenset()
    """The keys that are accepted, each an account; empty: every well-formed key."""
    faults: Mapping[str, float] = field(default_factory=dict)
    """Rates from 0 to 1 by name (see `batchgen.provider.faults`)."""
    strikes: int | None = 3
    """How often in a row a transient fault can strike the same thing; None: without limit, as in an outage."""
    capacity: int | None = None
    """Jobs that the provider works on at the same time; the others queue. None: no limit."""
    retention_days: float = 7.0
    wait_budget: float = 60.0
    """How long `?wait=true` holds a request open, in seconds of the provider."""
    url_ttl: float = 900.0
    """Seconds for which a signed address works."""
    media: Literal["full", "tiny"] = "full"
    """`full`: every output drawn from its request; `tiny`: the same small file for all of a kind."""
    state: Path | None = None
    """The SQLite file with the books; if None, they are kept in memory."""
    unmarked: bool = False
    """Whether it hides that it is a simulator, so that a run against it treats its money as real."""
    port: int = 0
    """0: any free one."""
    files_port: int = 0
    """0: any free one."""

    def __post_init__(self) -> None:
        check_rates(self.faults)
        for key in self.keys:
            if not KEY.fullmatch(key):
                raise UsageError("a key must be api18_ followed by 16 letters or digits")
        for name in ("speed", "retention_days", "url_ttl"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UsageError(f"{name} must be larger than 0")
        for name in ("wait_budget", "balance", "promo"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UsageError(f"{name} must be 0 or larger")
        if self.capacity is not None and self.capacity < 1:
            raise UsageError("capacity must be 1 or larger")
        if self.strikes is not None and self.strikes < 0:
            raise UsageError("strikes must be 0 or larger")
