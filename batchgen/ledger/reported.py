"""What a report is about: charges and refunds of one kind of money, in one period, of each purchase once."""

from collections.abc import Callable, Iterable, Iterator

from batchgen.ledger.charges import Charge
from batchgen.ledger.distinct import Distinct
from batchgen.ledger.period import Period
from batchgen.ledger.postings import Posting, postings


class OneKind:
    """Yields the charges of real money, or those of simulated money: the two are never added up."""

    def __init__(self, charges: Iterable[Charge], *, simulated: bool) -> None:
        self.left_out = 0
        """How many were of the other kind so far."""
        self.simulated = simulated
        self._charges = charges

    def __iter__(self) -> Iterator[Charge]:
        for charge in self._charges:
            if charge.simulated == self.simulated:
                yield charge
            else:
                self.left_out += 1


class Reported:
    """Yields what `charges` moved within `period`: charges, and refunds at their own time.

    Only those count that are `wanted`, and a purchase that comes twice counts as it came first. `unique` says that none
    can come twice, as from one journal, and saves the comparing. Memory does not grow with the charges.
    """

    def __init__(
        self,
        charges: Iterable[Charge],
        *,
        period: Period | None = None,
        wanted: Callable[[Charge], bool] = lambda _: True,
        unique: bool = False,
        simulated: bool = False,
    ) -> None:
        self.period = period or Period()
        self._kind = OneKind(charges, simulated=simulated)
        self._distinct = Distinct(self._kind)
        self._unique = unique
        self._wanted = wanted

    def __iter__(self) -> Iterator[Posting]:
        for charge in self._kind if self._unique else self._distinct:
            if self._wanted(charge):
                yield from (posting for posting in postings(charge) if self.period.contains(posting.at))

    @property
    def simulated(self) -> bool:
        """Whether it is about simulated money, and nothing else."""
        return self._kind.simulated

    @property
    def left_out(self) -> int:
        """How many charges of the other kind of money were left out so far."""
        return self._kind.left_out

    @property
    def repeated(self) -> int:
        """How many charges were given more than once so far, and counted once."""
        return self._distinct.repeated
