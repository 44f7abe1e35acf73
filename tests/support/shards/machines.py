"""Two machines that take themselves for the same shard, in virtual time, with one provider and one place for leases."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from batchgen.core.errors import StoreError
from batchgen.core.records import Item
from batchgen.journal import Journal
from batchgen.lease import Clocks, HeldLease, LeaseLostError, MemoryPlace, ProcessName, begin_copy, take
from batchgen.lease.holding import BEAT_EVERY
from batchgen.scheduler import RunPolicy, RunState, Scheduler
from batchgen.session.shards.restoring import restore
from batchgen.session.shards.watching import watch_lease
from batchgen.settings import Settings
from batchgen.virtual import Duration, FaultPlan, Offer, Outcome, VirtualClock, World
from batchgen.virtual.harness import MODEL
from batchgen.virtual.watching import CrashPoint, PromiseMonitor

_LONGEST = 2400


class Account:
    """What both machines have in common."""

    def __init__(self, folder: Path, items: Iterable[Item], seed: int) -> None:
        self.place = MemoryPlace()
        self.items = list(items)
        offer = Offer(durations={MODEL: Duration(60.0, 0.2)}, latency=(0.02, 0.4))
        first = World(folder / "first", self.items, seed=seed, settings=Settings(concurrency=4), offer=offer)
        self.provider = first.provider
        self.clock: VirtualClock = first.clock

    def bought_twice(self) -> list[str]:
        bought = Counter(job.digest for job in self.provider.books.jobs.values())
        return [digest for digest, count in bought.items() if count > 1]


class ShardWorld(World):
    """One of the machines. It heeds its lease as a session does."""

    def __init__(self, folder: Path, account: Account, host: str, *, heeds: bool = True) -> None:
        """One that does not heed its lease shows what that is good for."""
        super().__init__(folder, account.items, settings=Settings(concurrency=4), faults=FaultPlan({}, ()))
        self.provider, self.clock = account.provider, account.clock
        self._account = account
        self._host = ProcessName(host, 1)
        self._heeds = heeds
        self.lease: HeldLease | None = None
        self.submitted: list[float] = []

    def start(self, at: Sequence[tuple[float, object]] = ()) -> Outcome:
        """Take the lease, take over what is known, and buy."""
        clocks = Clocks(lambda: self.clock.seconds, self._utc_now)
        lease = take(
            self._account.place, "job/0-of-1/lease", self._host,
            tell=lambda _: None, wait=self.clock.advance, clocks=clocks,
        )  # fmt: skip
        self.lease = lease
        restore(lease, self.folder)
        beats = [(number * BEAT_EVERY, self._beat) for number in range(1, round(_LONGEST / BEAT_EVERY))]

        def keep(journal: Journal) -> None:
            journal.receipts.copy = begin_copy(lease, journal.receipts)

        return self.invoke(before=keep, at=[(0.0, self._watch), *beats, *at])  # type: ignore[list-item]

    def _beat(self, _: Scheduler) -> None:
        assert self.lease is not None
        if not self.lease.lost:
            with suppress(LeaseLostError, StoreError):
                self.lease.renew()

    def _watch(self, scheduler: Scheduler) -> None:
        assert self.lease is not None
        if self._heeds:
            self._watching = asyncio.get_running_loop().create_task(watch_lease(self.lease, scheduler.run_state))

    def _run_state(
        self, journal: Journal, policy: RunPolicy, crash_point: CrashPoint, monitor: PromiseMonitor
    ) -> RunState:
        run_state = super()._run_state(journal, policy, crash_point, monitor)
        assert self.lease is not None
        if self._heeds:
            run_state.ports = replace(run_state.ports, holds=self.lease.holds)
        return run_state


def freeze(follower: ShardWorld) -> object:
    """Return an action that stops a machine for as long as another one runs, from its start to its end."""

    def action(_: Scheduler) -> None:
        failed: list[BaseException] = []

        def run() -> None:
            try:
                follower.start()
            except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if failed:
            raise failed[0]

    return action
