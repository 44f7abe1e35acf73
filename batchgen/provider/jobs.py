"""A job of the provider: fully determined when it is accepted, so that its state depends only on the time."""

import math
from dataclasses import dataclass
from decimal import Decimal
from statistics import NormalDist
from typing import Literal

from batchgen.provider.faults import Fault

Status = Literal["processing", "completed", "failed"]
Kind = Literal["image", "video"]
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Order:
    """A valid request for one job."""

    model: str
    kind: Kind
    text: str
    """The body as it was received."""
    digest: str
    """The digest of the body as canonical JSON (`batchgen.core.digest`)."""
    price: Decimal
    """The price if nothing goes wrong, USD."""
    outputs: int
    median: float
    """Seconds that the provider works on such a job: lognormal with this median."""
    sigma: float

    def seconds(self, draw: float) -> float:
        """Return how long one job takes, in seconds; `draw` is between 0 and 1, both excluded."""
        return self.median * math.exp(self.sigma * _NORMAL.inv_cdf(draw))


@dataclass(frozen=True, slots=True)
class ProviderJob:
    """One accepted job. Times are seconds of the provider's clock."""

    number: int
    """The number of the acceptance among all, from 1."""
    id: str
    account: str
    model: str
    kind: Kind
    body: str
    """As it was received."""
    digest: str
    acceptance: int
    """The number of the acceptance among those of this request for the account, from 1."""
    cost: Decimal
    """USD, as charged."""
    created_at: float
    started_at: float
    ends_at: float
    """Infinite for a job that never finishes."""
    expires_at: float
    listed_at: float
    """When the job lists all outputs that it ever will."""
    outputs: int
    """How many outputs it makes, listed or not."""
    faults: frozenset[str]

    def status(self, now: float) -> Status:
        """Return the job's status."""
        if now < self.ends_at:
            return "processing"
        return "failed" if Fault.FAILED in self.faults else "completed"

    def known(self, now: float) -> bool:
        """Return whether the provider still knows the job; an expired one is unknown (docs/api.md)."""
        if Fault.FORGOTTEN in self.faults and now >= (self.started_at + min(self.ends_at, self.expires_at)) / 2:
            return False
        return now < self.expires_at

    def refund(self, now: float) -> Decimal:
        """Return what has been refunded by now, USD: a failed job is refunded at once (docs/api.md)."""
        return self.cost if self.status(now) == "failed" else Decimal(0)

    def listed(self, now: float) -> tuple[bool, ...]:
        """Return, for each output up to the last one with an address, whether it has one now."""
        if self.status(now) != "completed" or Fault.EMPTY in self.faults:
            return ()
        early = now < self.listed_at
        if early and Fault.OUTPUTS_LATE in self.faults:
            return ()
        if self.outputs > 1:
            if early and Fault.OUTPUTS_ONE_BY_ONE in self.faults:
                return (True,)
            if Fault.FEWER_OUTPUTS in self.faults:
                return (True,) * (self.outputs - 1)
            if Fault.FIRST_OUTPUT_MISSING in self.faults:
                return (False, *(True,) * (self.outputs - 1))
        return (True,) * self.outputs
