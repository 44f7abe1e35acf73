"""The money of a start: all of it is the coordinator's, who is asked before each purchase."""

from batchgen.engine.messages import Granted
from batchgen.engine.tells import parked
from batchgen.engine.worker.journal import StartJournal
from batchgen.engine.worker.link import Link
from batchgen.policy.budget import BudgetTracker
from batchgen.policy.budget_port import CapReached, Grant, NotYet, Purchase
from batchgen.policy.local_budget import LocalBudget

_AGAIN = 1.0
"""Seconds after which to ask again for what was not granted."""


class RemoteBudget(LocalBudget):
    """See `batchgen.policy.budget_port.Budget`.

    What becomes of grants, the coordinator hears from the journal's steps.
    """

    def __init__(self, tracker: BudgetTracker, link: Link, journal: StartJournal) -> None:
        super().__init__(tracker)
        self._link = link
        self._journal = journal

    async def secure(self, grant: Grant, purchase: Purchase) -> CapReached | NotYet | None:  # noqa: ARG002 - the port's
        answer = await self._link.ask(grant.item, grant.price_key)
        if isinstance(answer, Granted):
            self._journal.granted[grant.item] = answer
            return None
        if answer:
            return CapReached("month", grant.amount, grant.amount, scope="left")
        return NotYet(_AGAIN, everything=True)

    def unwatch(self, item: int) -> None:
        super().unwatch(item)
        self._link.tell(parked(self._journal.granted[item].name.purchase))

    def ended(self, item: int) -> None:
        super().unwatch(item)
