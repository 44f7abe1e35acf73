"""What a run asks of the shared books, and what they answer."""

from dataclasses import dataclass, field

from batchgen.policy.budget_port import CapReached, NotYet, Purchase


@dataclass(frozen=True, slots=True)
class Claim:
    """Money, and a place at the provider, for one purchase."""

    item: int
    """By its key in the run's journal."""
    purchase: Purchase
    month: str
    scopes: tuple[str, ...]
    """The budgets that it counts against."""
    amount: int
    """Billionths of a dollar."""
    price_key: str
    """Of its price, if no answer has confirmed that; else empty."""


@dataclass(slots=True)
class Sums:
    """What runs have spent in one month against one budget, in billionths of a dollar."""

    charged: int = 0
    """Refunded charges left out."""
    in_doubt: int = 0
    reserved: int = 0

    @property
    def committed(self) -> int:
        """What counts against the budget."""
        return self.charged + self.in_doubt + self.reserved

    def add(self, charged: int = 0, in_doubt: int = 0, reserved: int = 0) -> None:
        """Change the sums by these amounts."""
        self.charged += charged
        self.in_doubt += in_doubt
        self.reserved += reserved


Spent = dict[tuple[str, str], Sums]
"""Sums by month and scope."""


@dataclass(slots=True)
class Changes:
    """What has become of claims since the books heard of them last."""

    spent: Spent = field(default_factory=dict)
    """By how much the run's sums change."""
    freed: set[int] = field(default_factory=set)
    """Items whose claims are over."""
    parked: set[int] = field(default_factory=set)
    """Items whose jobs take no place any more."""
    confirmed: set[int] = field(default_factory=set)
    """Items whose prices are confirmed, or wait no longer to be."""
    prices: dict[str, int] = field(default_factory=dict)
    """By price key, the price that an answer has confirmed, in billionths of a dollar."""

    def __bool__(self) -> bool:
        return bool(self.spent or self.freed or self.parked or self.confirmed or self.prices)

    def add(self, month: str, scopes: tuple[str, ...], charged: int = 0, in_doubt: int = 0, reserved: int = 0) -> None:
        """Change the run's sums of a month, for each of these budgets."""
        for scope in scopes:
            self.spent.setdefault((month, scope), Sums()).add(charged, in_doubt, reserved)

    def join(self, other: "Changes") -> None:
        """Add what has changed after this."""
        for (month, scope), sums in other.spent.items():
            self.add(month, (scope,), sums.charged, sums.in_doubt, sums.reserved)
        self.freed |= other.freed
        self.parked |= other.parked
        self.confirmed |= other.confirmed
        self.prices |= other.prices


@dataclass(frozen=True, slots=True)
class Crossed:
    """A budget that has passed a percentage, for the first time in its month."""

    month: str
    scope: str
    percent: str
    committed: int
    limit: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a claim."""

    refusal: CapReached | NotYet | None
    """None: it is on disk."""
    reserved: int = 0
    """Billionths of a dollar that are reserved for it: more than was claimed if another run knows a higher price."""
    crossed: tuple[Crossed, ...] = ()
    left: int | None = None
    """Billionths of a dollar that are left of the budget for everything; None without one."""


Order = tuple[Changes, Claim | None]
"""Changes, and a claim to make after them."""
