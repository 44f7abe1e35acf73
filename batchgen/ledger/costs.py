"""Cost reports: charges summed by group, exact and streamed, with nothing counted twice."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from batchgen.core.costs import CostSum
from batchgen.core.records import CHARGED, State
from batchgen.ledger.charges import Charge
from batchgen.ledger.period import Period
from batchgen.ledger.postings import Group, Posting, group_key
from batchgen.ledger.reported import Reported

ROW_STATES = tuple(state for state in State if state is not State.PENDING)
"""The states that a ledger's row can be in."""
_ZERO = Decimal(0)


@dataclass(slots=True)
class Sums(CostSum):
    """The running sums of one group. USD; what is counted of an attempt is counted with its charge."""

    states: dict[State, int] = field(default_factory=dict)
    attempts: int = 0
    """Rows without the skipped items, which were never sent."""
    refunds: int = 0
    drifted: int = 0
    """Attempts whose charge is not the catalogue price."""
    drift: Decimal = _ZERO
    """By how much in sum: charged less listed."""
    lost: Decimal = _ZERO
    """Charged for jobs that are lost."""
    outputs: int = 0
    """Files that were delivered."""
    outputs_rejected: int = 0
    """How many of them people rejected, as far as picks are at hand."""
    _kept: int = 0
    _all_pickable: bool = True

    def count(self, posting: Posting) -> None:
        """Add a charge with its counts, or a refund."""
        charge = posting.charge
        if posting.is_refund:
            self.refunded += charge.refunded
            self.refunds += 1
            return
        self.rows += 1
        self.charged += charge.charged
        self.in_doubt += charge.in_doubt
        self.states[charge.state] = self.states.get(charge.state, 0) + 1
        self.attempts += charge.attempt > 0
        if charge.state in CHARGED and charge.charged != charge.estimated:
            self.drifted += 1
            self.drift += charge.charged - charge.estimated
        if charge.state is State.LOST:
            self.lost += charge.charged
        if charge.outputs:
            self._count_outputs(charge)

    def _count_outputs(self, charge: Charge) -> None:
        self.outputs += charge.outputs
        if charge.picks is None:
            self._all_pickable = False
        else:
            self._kept += charge.picks.kept
            self.outputs_rejected += charge.picks.rejected

    @property
    def any_picked(self) -> bool:
        """Whether people kept or rejected any output, as far as picks are at hand."""
        return bool(self._kept or self.outputs_rejected)

    @property
    def outputs_kept(self) -> int | None:
        """Outputs that people kept; None, which is unknown, where nothing was picked, or picks were not at hand."""
        return self._kept if self._all_pickable and self.any_picked else None

    @property
    def keep_rate(self) -> Decimal | None:
        """Outputs kept, as a share of those delivered; None where that is not known."""
        return None if self.outputs_kept is None else _ratio(Decimal(self.outputs_kept), self.outputs)

    @property
    def per_output(self) -> Decimal | None:
        """What a delivered output cost, net; None if there is none."""
        return _ratio(self.net, self.outputs)

    @property
    def per_kept(self) -> Decimal | None:
        """What an output that was kept cost, net; None if there is none, or it is not known."""
        return _ratio(self.net, self.outputs_kept or 0)


def _ratio(amount: Decimal, count: int) -> Decimal | None:
    return (amount / count).quantize(_MILLIONTH) if count else None


_MILLIONTH = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class CostReport:
    """Groups by name, the nameless ones last, and their total."""

    by: tuple[str, ...]
    """What they are grouped by: once or twice."""
    groups: tuple[tuple[Group, Sums], ...]
    total: Sums
    repeated: int
    """Rows that were given more than once and counted once."""
    period: Period = Period()  # noqa: RUF009 - frozen
    simulated: bool = False
    """Whether it is about simulated money, and nothing else."""
    left_out: int = 0
    """Rows of the other kind of money, simulated or real."""


def cost_report(by: Sequence[str], reported: Reported) -> CostReport:
    """Return the sums of what is reported, by group.

    `by` are one or two of model, day, month, state, run and tag:NAME. A refund counts at its own time, so by day, by
    month and within a period an attempt may add to two groups; each amount and each count is in one of them. Memory
    grows with the groups, not with the charges. Raises UsageError for an unknown `by`.
    """
    key = group_key(by, reported.period)
    groups: dict[Group, Sums] = {}
    total = Sums()
    for posting in reported:
        total.count(posting)
        group = key(posting)
        if group not in groups:
            groups[group] = Sums()
        groups[group].count(posting)
    ordered = sorted(groups.items(), key=lambda entry: [(name is None, name or "") for name in entry[0]])
    return CostReport(
        tuple(by), tuple(ordered), total, reported.repeated, reported.period, reported.simulated, reported.left_out
    )
