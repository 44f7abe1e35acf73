"""A job of the simulator: settled for good when it is accepted, so that its state is a function of the time alone."""

import heapq
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from statistics import NormalDist
from typing import Any, Literal

from batchgen.catalog import Model, outputs_of, price_of
from batchgen.simulator.faults import Dice, Faults

Status = Literal["processing", "completed", "failed"]

_DRIFT = Decimal("1.1")
_SLOW = 20
_SPREAD = 0.25
_LATE = 20.0
"""The provider's seconds until a late file is there."""
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Order:
    """A valid request for one job."""

    model: Model
    body: Mapping[str, Any]
    text: str
    """The body as it was received."""
    digest: str
    """Of the body as canonical JSON (`batchgen.core.digest`)."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One accepted job. Times are seconds since the epoch."""

    number: int
    """Counts all acceptances from 1."""
    id: str
    account: str
    model: str
    kind: Literal["image", "video"]
    body: str
    """As it was received."""
    digest: str
    acceptance: int
    """Counts from 1 how often the account had this request accepted."""
    cost: Decimal
    """USD."""
    created_at: float
    started_at: float
    ends_at: float
    """Infinite for a job that never finishes."""
    expires_at: float
    files_at: float
    """When its files are there."""
    outputs: int
    faults: frozenset[str]

    def status(self, now: float) -> Status:
        """Return how the job stands."""
        if now < self.ends_at:
            return "processing"
        return "failed" if "failed" in self.faults else "completed"

    def known(self, now: float) -> bool:
        """Return whether the provider still knows the job: 404 once it has expired (API reference, section 9)."""
        if "forgotten" in self.faults and now >= (self.started_at + min(self.ends_at, self.expires_at)) / 2:
            return False
        return now < self.expires_at


def charge_of(order: Order, faults: frozenset[str]) -> Decimal:
    """Return what is charged for a job with these faults, USD."""
    price = price_of(order.model, order.body)
    return price * _DRIFT if "drift" in faults else price


def working_seconds(order: Order, dice: Dice, acceptance: int) -> float:
    """Return how long the provider works on a job: lognormal around a median that grows with what is asked for."""
    shift = _NORMAL.inv_cdf(dice.uniform("seconds", order.digest, acceptance))
    return _median(order.model, order.body) * math.exp(_SPREAD * shift)


def _median(model: Model, body: Mapping[str, Any]) -> float:
    resolution = given_or_default(model, body, "resolution")
    if model.output == "image":
        return (14.0 if resolution == "2k" else 8.0) + 0.5 * (outputs_of(model, body) - 1)
    seconds = 40.0 + 6.0 * int(given_or_default(model, body, "duration") or 5)
    return seconds * 1.5 if resolution == "1080p" else seconds


def given_or_default(model: Model, body: Mapping[str, Any], name: str) -> Any:
    """Return what a parameter of a valid body amounts to; None where neither the body nor the tables say."""
    parameter = model.parameter(name)
    return body.get(name, parameter.default if parameter is not None else None)


class Provider:
    """Turns an acceptance into a job: when it starts and ends, and what goes wrong with it."""

    def __init__(self, dice: Dice, faults: Faults, *, speed: float, retention: float, capacity: int | None) -> None:
        self._dice = dice
        self._faults = faults
        self._speed = speed
        self._retention = retention
        self._slots = [0.0] * capacity if capacity is not None else []

    def resume(self, unfinished: Iterable[Generation]) -> None:
        """Take up jobs that were accepted before a restart: they hold their slots."""
        for job in unfinished:
            self._occupy(job.started_at, job.ends_at if job.ends_at < math.inf else job.started_at)

    def faults_of(self, digest: str, acceptance: int) -> frozenset[str]:
        """Return what will go wrong with the job."""
        return self._faults.of_job(digest, acceptance)

    def generation(
        self,
        order: Order,
        *,
        number: int,
        account: str,
        acceptance: int,
        cost: Decimal,
        faults: frozenset[str],
        now: float,
    ) -> Generation:
        """Return the job that begins now, or when a slot is free."""
        seconds = working_seconds(order, self._dice, acceptance) / self._speed
        if "slow" in faults:
            seconds *= _SLOW
        started_at = max(now, self._slots[0]) if self._slots else now
        ends_at = started_at + seconds
        # A stuck job frees its slot all the same: the provider lost sight of it, it does not work on it.
        self._occupy(started_at, ends_at)
        return Generation(
            number=number,
            id=self._dice.token("job", account, order.digest, acceptance),
            account=account,
            model=order.model.id,
            kind=order.model.output,
            body=order.text,
            digest=order.digest,
            acceptance=acceptance,
            cost=cost,
            created_at=now,
            started_at=started_at,
            ends_at=math.inf if "stuck" in faults else ends_at,
            expires_at=now + self._retention,
            files_at=ends_at + (_LATE / self._speed if "late_file" in faults else 0.0),
            outputs=0 if "empty" in faults else outputs_of(order.model, order.body),
            faults=faults,
        )

    def _occupy(self, start: float, end: float) -> None:
        if self._slots and start >= self._slots[0]:
            heapq.heapreplace(self._slots, end)
