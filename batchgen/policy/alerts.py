"""What a person is told while a run goes on: a cap that comes near, the first doubt, a pause. Pure decisions."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from batchgen.core.text import plural, usd

NEAR = Decimal("0.8")
"""The share of a cap from which on it is near."""


@dataclass(frozen=True, slots=True)
class CapUse:
    """A cap, and what counts against it. USD."""

    name: str
    limit: Decimal
    committed: Decimal
    """Spent, reserved for requests under way, or in doubt."""

    @property
    def is_near(self) -> bool:
        """Whether most of it is used."""
        return self.committed >= NEAR * self.limit


# ---- alerts ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CapNear:
    """Most of a cap is used."""

    use: CapUse

    @property
    def sentence(self) -> str:
        """The same for people."""
        used, limit = usd(self.use.committed), usd(self.use.limit)
        return f"at least {NEAR:.0%} of {self.use.name} is used: ${used} of ${limit} is spent, reserved or in doubt"


@dataclass(frozen=True, slots=True)
class MonthNear:
    """The month's budget has passed one of the percentages at which that is told, once in each month."""

    sentence: str
    """For people."""


@dataclass(frozen=True, slots=True)
class FirstDoubt:
    """For the first time in an invocation, it is not known whether a purchase was charged."""

    doubts: int

    @property
    def sentence(self) -> str:
        """The same for people."""
        return f"{plural(self.doubts, 'submission')} had no clear answer and may have been charged"


@dataclass(frozen=True, slots=True)
class Paused:
    """Submissions are paused, and tried one at a time."""

    by: Literal["outage", "in_doubt"]

    @property
    def sentence(self) -> str:
        """The same for people."""
        if self.by == "outage":
            return "submissions are paused: the API cannot be reached"
        return "submissions are paused: several in a row had no clear answer"


@dataclass(frozen=True, slots=True)
class Resumed:
    """Submissions are open again."""

    @property
    def sentence(self) -> str:
        """The same for people."""
        return "submissions are no longer paused"


Alert = CapNear | MonthNear | FirstDoubt | Paused | Resumed

# ---- the decision ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """What is looked at."""

    caps: Sequence[CapUse] = ()
    doubts: int = 0
    """Submissions that are in doubt since this invocation, with those that the one before left unanswered."""
    paused_by: Literal["outage", "in_doubt"] | None = None
    stopped: bool = False
    """Whether nothing more is submitted at all: a pause means nothing any more, and neither does its end."""


@dataclass(frozen=True, slots=True)
class Told:
    """What was told in this invocation."""

    near: frozenset[str] = frozenset()
    """The caps that are near, by name."""
    doubt: bool = False
    paused: bool = False

    @classmethod
    def before(cls, standing: Standing) -> "Told":
        """Return what need not be told of a run that begins like this: caps that were near before."""
        return cls(frozenset(cap.name for cap in standing.caps if cap.is_near))


def alerts_of(told: Told, standing: Standing) -> tuple[Told, tuple[Alert, ...]]:
    """Return what is to be told now, and what was told then.

    Each cap and the first doubt are told once, a pause once until it has ended.
    """
    near = [cap for cap in standing.caps if cap.is_near and cap.name not in told.near]
    found: list[Alert] = list(map(CapNear, near))
    if standing.doubts and not told.doubt:
        found.append(FirstDoubt(standing.doubts))
    paused = told.paused
    if not standing.stopped:
        paused = standing.paused_by is not None
        if standing.paused_by is not None and not told.paused:
            found.append(Paused(standing.paused_by))
        if told.paused and not paused:
            found.append(Resumed())
    names = told.near.union(cap.name for cap in near)
    return Told(names, told.doubt or bool(standing.doubts), paused), tuple(found)
