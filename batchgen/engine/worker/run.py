"""The run of a start: the scheduler over the items that were lent, ruled by its link to the coordinator."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace

from batchgen.core.errors import BatchgenError
from batchgen.core.records import State
from batchgen.engine.messages import Ended
from batchgen.engine.worker.budget import RemoteBudget
from batchgen.engine.worker.journal import StartJournal, TellingRecorder
from batchgen.engine.worker.link import Link
from batchgen.policy.stopping import Stop
from batchgen.scheduler import RunPolicy, RunPorts, RunState, Scheduler
from batchgen.scheduler.run_state import log

_TOLD_AT_ONCE = (Stop.KEY, Stop.UNREACHABLE, Stop.BALANCE, Stop.DISK, Stop.DISK_LOW, Stop.STORE)
"""Reasons that are those of all workers: they hear of them at once. Others only end the start."""


class StartState(RunState):
    """The state of a start's run: what would stop all others is told."""

    def __init__(
        self, ports: RunPorts, policy: RunPolicy, budget: RemoteBudget, counts: Mapping[State, int], link: Link
    ) -> None:
        super().__init__(ports, policy, budget, counts)
        self._link = link

    def stop(self, reason: Stop, detail: str) -> None:
        if self.stopped_because is None and reason in _TOLD_AT_ONCE:
            self._link.tell({"step": "stop", "reason": reason.name, "detail": detail})
        super().stop(reason, detail)

    def obey(self, reason: Stop, detail: str) -> None:
        """Stop for a reason that the coordinator has: it need not be told."""
        super().stop(reason, detail)


class _Ruler:
    """See `batchgen.engine.worker.link.Ruled`."""

    def __init__(self, run_state: StartState, scheduler: Scheduler) -> None:
        self._run_state = run_state
        self._scheduler = scheduler

    def obey(self, reason: Stop, detail: str) -> None:
        self._run_state.obey(reason, detail)

    def obey_at_once(self) -> None:
        self._run_state.obey(Stop.INTERRUPTED, "interrupted")
        self._scheduler.interrupt_now()

    @property
    def in_flight(self) -> int:
        return self._run_state.in_flight


async def run_start(
    ports: RunPorts, policy: RunPolicy, journal: StartJournal, link: Link, *, capped: bool,
    durations: Iterable[tuple[str, str, float]] = (), reached: bool = False,
) -> None:  # fmt: skip
    """Buy what the coordinator grants of the items in a journal, and tell it everything, to the end.

    `ports.record` commits to that journal, and `capped` says whether prices are to be confirmed early. `durations` are
    model, price key and seconds of earlier jobs, and `reached` says whether the API has answered the run before. Raises
    what is a bug, once the coordinator has heard that it is over.
    """
    ports = replace(ports, record=TellingRecorder(ports.record, link), holds=link.holds)
    budget = RemoteBudget(journal.budget_tracker(None, None, shared=capped), link, journal)
    run_state = StartState(ports, policy, budget, journal.counts(), link)
    if reached:
        run_state.api_health = run_state.api_health.reached()
    for known in durations:
        run_state.durations.add(*known)
    scheduler = Scheduler(run_state)
    link.ruled = _Ruler(run_state, scheduler)
    keeping_up = asyncio.create_task(link.keep_up())
    try:
        try:
            ended = await _ended(scheduler)
        except Exception as error:
            link.end(Ended(Stop.ENGINE.name, f"the worker had to stop: {type(error).__name__}"))
            await keeping_up
            raise
        link.end(ended)
        await keeping_up
    finally:
        keeping_up.cancel()


async def _ended(scheduler: Scheduler) -> Ended:
    try:
        ending = await scheduler.run()
    except BatchgenError as error:
        log.error("%s", error)
        return Ended(Stop.DISK.name, str(error))
    return Ended(None if ending.stop is None else ending.stop.name, ending.detail)
