"""What a run would buy: pure sums over how a manifest's items stand."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from batchgen.core.costs import times, total
from batchgen.core.records import UNBOUGHT, State
from batchgen.journal.queries.comparison import Group, Standing, TagGroup
from batchgen.journal.requested.renames import NOTHING_RENAMED, Renames

Bought = tuple[int, Decimal | None]
"""A number of items, and what they cost together in USD; None if that is unknown."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a manifest compares with its run folder, and what is left to buy."""

    name: str
    states: Mapping[State, int]
    """Requested items by state; `pending` are new and changed ones together."""
    changed: int
    """Items that were bought before with another request."""
    changed_usd: Decimal | None
    buy: Mapping[str, Bought]
    """By model: items to buy, and their exact cost."""
    again: int = 0
    """Items on disk that are to be bought again because that was asked for."""
    lost_again: int = 0
    """Items that were paid for and lost, and are to be bought again."""
    source_expired: int = 0
    """Items on disk that are to be bought again, since others need files that the provider no longer has."""
    waiting: int = 0
    """Items that are not to be bought before a person has picked an output that they need."""
    waiting_usd: Decimal | None = Decimal(0)
    sources: int = 0
    """Items that were not selected and come along, since selected items need their outputs."""
    stale: int = 0
    """Items on disk that were made with an output that its source has since made again."""
    unlisted: int = 0
    """Items that were bought and are no longer in the manifest."""
    renamed: Renames = NOTHING_RENAMED
    """Pending items that were already bought under another id; whether to buy them again is to be decided."""
    by_tag: Mapping[str, Mapping[str, Bought]] = field(default_factory=dict)
    simulated: bool = False
    """Whether the run folder's money is simulated."""
    unpriced: Mapping[str, int] = field(default_factory=dict)
    """By model whose price is unknown: items that would be bought, or may come to be."""

    @property
    def items(self) -> int:
        """All requested items."""
        return sum(self.states.values())

    @property
    def to_buy(self) -> int:
        """Items that a run would buy."""
        return sum(count for count, _ in self.buy.values())

    @property
    def estimated(self) -> Decimal | None:
        """What a run would spend, USD; None if the price of an item is unknown."""
        return total(cost for _, cost in self.buy.values())

    def count(self, *states: State) -> int:
        """Return how many items are in these states."""
        return sum(self.states.get(state, 0) for state in states)


def make_plan(
    name: str,
    groups: Iterable[Group],
    tags: Iterable[TagGroup] = (),
    *,
    unlisted: int = 0,
    stale: int = 0,
    sources: int = 0,
    renamed: Renames = NOTHING_RENAMED,
    simulated: bool = False,
) -> Plan:
    """Return the plan."""
    states: dict[State, int] = defaultdict(int)
    buy: dict[str, Bought] = {}
    unpriced: dict[str, int] = defaultdict(int)
    by_standing: dict[str, Bought] = defaultdict(lambda: _NOTHING)
    lost_again = 0
    for group in groups:
        states[group.state] += group.items
        open_ = group.state in UNBOUGHT and group.standing not in _NOT_NOW
        if group.estimated is None and (group.buys or open_):
            unpriced[group.model] += group.items
        more = (group.items, times(group.estimated, group.items))
        by_standing[group.standing] = _both(by_standing[group.standing], more)
        if group.buys:
            lost_again += group.items if group.state is State.LOST else 0
            buy[group.model] = _both(buy.get(group.model, _NOTHING), more)
    by_tag: dict[str, dict[str, Bought]] = defaultdict(dict)
    for tag in tags:
        known = by_tag[tag.name].get(tag.value, _NOTHING)
        by_tag[tag.name][tag.value] = _both(known, (tag.items, times(tag.estimated, tag.items)))
    return Plan(
        name=name,
        states=dict(states),
        changed=by_standing[Standing.CHANGED][0],
        changed_usd=by_standing[Standing.CHANGED][1],
        buy=dict(sorted(buy.items())),
        again=by_standing[Standing.AGAIN][0],
        lost_again=lost_again,
        source_expired=by_standing[Standing.SOURCE_EXPIRED][0],
        waiting=by_standing[Standing.WAITING][0],
        waiting_usd=by_standing[Standing.WAITING][1],
        stale=stale,
        sources=sources,
        unlisted=unlisted,
        renamed=renamed,
        simulated=simulated,
        by_tag=dict(sorted(by_tag.items())),
        unpriced=dict(unpriced),
    )


_NOTHING: Bought = (0, Decimal(0))
_NOT_NOW = (Standing.RENAMED, Standing.WAITING)
"""Items that were not bought under their id and that this run does not buy."""


def _both(one: Bought, other: Bought) -> Bought:
    return one[0] + other[0], total((one[1], other[1]))
