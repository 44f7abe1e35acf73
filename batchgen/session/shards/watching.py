"""Watches the lease of a shard beside the scheduler."""

import asyncio
import logging
from typing import Protocol

from batchgen.policy.stopping import Stop
from batchgen.scheduler import RunState

log = logging.getLogger("batchgen")

_LOOK_EVERY = 0.5
"""Seconds."""


class Leased(Protocol):
    """A lease that others renew."""

    @property
    def lost(self) -> bool:
        """Whether another process has taken it over."""
        ...

    def holds(self) -> bool:
        """Whether no other process can have taken it over."""
        ...


async def watch_lease(lease: Leased, run_state: RunState) -> None:
    """Stop a run whose lease another process has taken over, or could not be renewed for as long as an outage lasts.

    Until then it only buys nothing while the lease does not hold.
    """
    since: float | None = None
    while True:
        await asyncio.sleep(_LOOK_EVERY)
        if lease.lost:
            run_state.stop(Stop.LEASE, "another process has taken over the lease of this shard, and goes on with it")
            return
        if lease.holds():
            since = None
            continue
        if since is None:
            since = run_state.now
            log.warning("the lease of this shard was not renewed in time; nothing is bought until it is")
        waited = run_state.now - since
        if waited >= run_state.policy.settings.give_up_after:
            run_state.stop(Stop.LEASE, f"the lease of this shard could not be renewed for {waited:.0f} s")
            return
