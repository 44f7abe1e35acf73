"""Telling the host how a run stands, and what a person should hear of while it goes on."""

import asyncio
import logging
from collections.abc import Mapping
from decimal import Decimal

from batchgen.core.records import LIVE, UNSUCCESSFUL, State
from batchgen.policy.alerts import Alert, CapUse, MonthNear, Resumed, Standing, Told, alerts_of
from batchgen.scheduler import RunState
from batchgen.session.host import SNAPSHOT_EVERY, Alerted, Listener, Snapshot
from batchgen.session.summary import figures_now

log = logging.getLogger("batchgen")


class Watch:
    """Looks at a run from time to time; whatever it tells costs nothing in the path of an item."""

    def __init__(
        self,
        name: str,
        run_state: RunState,
        listen: Listener,
        *,
        caps: Mapping[str, Decimal | None],
        doubts: int,
        months: list[str],
        simulated: bool,
    ) -> None:
        """`caps` are those that were asked for; `doubts` are those that the invocation before left behind; `months`
        get a sentence whenever the month's budget has passed a percentage, and it is told and taken out.
        """
        self._name, self._run_state, self._listen = name, run_state, listen
        self._caps, self._doubts, self._months, self._simulated = caps, doubts, months, simulated
        self._told = Told.before(self._standing())

    async def keep_telling(self) -> None:
        """Tell again and again, until cancelled."""
        while True:
            self.tell()
            await asyncio.sleep(SNAPSHOT_EVERY)

    def tell(self) -> None:
        """Tell how the run stands now, and what has happened since the last time."""
        self._listen(snapshot_of(self._run_state))
        self._told, alerts = alerts_of(self._told, self._standing())
        while self._months:  # logged where it was noticed
            self._alert(MonthNear(self._months.pop(0)))
        for alert in alerts:
            log.log(logging.INFO if isinstance(alert, Resumed) else logging.WARNING, "%s", alert.sentence)
            self._alert(alert)

    def _alert(self, alert: Alert) -> None:
        life = self._run_state.budget.life
        figures = figures_now(self._name, self._run_state.counts, life, simulated=self._simulated)
        self._listen(Alerted(alert, figures))

    def _standing(self) -> Standing:
        run_state = self._run_state
        health, budget = run_state.api_health, run_state.budget
        committed = {"max_cost": budget.life.committed, "budget": budget.invocation.committed}
        return Standing(
            caps=[CapUse(name, cap, committed[name]) for name, cap in self._caps.items() if cap is not None],
            doubts=self._doubts + health.doubts,
            paused_by=health.paused_by(),
            stopped=run_state.stopped_because is not None,
        )


def snapshot_of(run_state: RunState) -> Snapshot:
    """Return how a run stands now."""
    counts: Mapping[State, int] = run_state.counts
    return Snapshot(
        items=sum(counts.values()),
        done=counts.get(State.DONE, 0),
        in_flight=sum(counts.get(state, 0) for state in LIVE),
        failed=sum(counts.get(state, 0) for state in UNSUCCESSFUL),
        in_doubt=counts.get(State.IN_DOUBT, 0),
        spent=run_state.budget.life.charged - run_state.budget.life.refunded,
        left=run_state.budget.left(),
        submitting=counts.get(State.SUBMITTING, 0),
    )
