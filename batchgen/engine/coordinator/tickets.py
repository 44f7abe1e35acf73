"""The tickets of a run: as many as the engine can use, and no more of them where nothing comes of any."""

from batchgen.core.text import printable
from batchgen.engine.cluster.port import Cluster, Placed, Ticket
from batchgen.policy.stopping import Stop
from batchgen.scheduler import RunState
from batchgen.scheduler.run_state import log

_MOST_FRUITLESS, _LONGEST_PAUSE = 10, 1.0
"""Tickets for each worker that may end without having done anything, and seconds between two of them at most."""
_NOBODY_AFTER = 30.0
"""Seconds without any worker after which to say so."""


class Tickets:
    """What the engine was asked to run, and has not ended yet."""

    def __init__(self, run_state: RunState, cluster: Cluster, *, url: str, token: str) -> None:
        """`url` and `token` are what workers reach the coordinator by."""
        self._run_state = run_state
        self._cluster = cluster
        self._url, self._token = url, token
        self._placed: list[Placed] = []
        self._numbers = 0
        self._fruitless = 0
        """Those that have ended since the last one bore fruit."""
        self._pause_until = 0.0
        self._nobody_since: float | None = None
        self._told_of_nobody = False

    def bore_fruit(self) -> None:
        """A worker was lent something, or has ended with it."""
        self._fruitless = 0

    def drop_ended(self, *, in_vain: bool) -> None:
        """Forget those that have ended. `in_vain`: while there was something to be lent, and nobody has it."""
        for placed in [placed for placed in self._placed if placed.ended]:
            self._placed.remove(placed)
            placed.forget()
            if placed.fault is not None:
                log.warning("the engine says of a ticket: %s", printable(placed.fault, 500))
            self._fruitless += 1
            self._pause_until = self._run_state.now + min(_LONGEST_PAUSE, self._fruitless / 10)
            if in_vain and self._fruitless > _MOST_FRUITLESS * max(1, self._cluster.slots):
                why = f"they cannot reach {self._url}, or cannot run batchgen" if placed.fault is None else placed.fault
                self._run_state.stop(Stop.ENGINE, f"the workers do nothing: {printable(why, 500)}")

    def place(self, *, busy: bool) -> None:
        """Keep two for each place at which one can run: the second one is there when the first has ended.

        `busy`: some worker has something to do, so that there are workers.
        """
        slots = self._cluster.slots
        self._tell_of_nobody(there=bool(slots) or busy)
        while len(self._placed) < 2 * slots and self._run_state.now >= self._pause_until:
            self._numbers += 1
            self._placed.append(self._cluster.place(Ticket(self._numbers, self._url, self._token)))

    def forget(self) -> None:
        """Ask for nothing more."""
        for placed in self._placed:
            placed.forget()
        self._placed.clear()

    def _tell_of_nobody(self, *, there: bool) -> None:
        now = self._run_state.now
        if there:
            self._nobody_since = None
        elif self._nobody_since is None:
            self._nobody_since = now
        elif now - self._nobody_since > _NOBODY_AFTER and not self._told_of_nobody:
            self._told_of_nobody = True
            log.warning("no worker has joined the engine yet: nothing is bought until one does")
