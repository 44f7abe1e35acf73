"""The seam to other processes that buy items for this run: its scheduler lends them items, and goes on with the rest.

Each item is bought by one of them only: what the workers may buy is not among the items that the journal hands out as
`pending` (`Journal.lends`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from batchgen.journal import Attempt
from batchgen.journal.delivered import Verdict


@dataclass(frozen=True, slots=True)
class Home:
    """What the workers' side may ask of the scheduler that lends them items."""

    take_back: Callable[[Attempt], None]
    """Goes on with a purchase whose worker is gone: polls it, or fetches what is missing."""
    finished: Callable[[Attempt, Verdict], None]
    """Has the files of a purchase judged that its worker has not judged; all of them are on disk."""
    doubted: Callable[[], None]
    """Stops the run where too much is in doubt."""
    posts: Callable[[], int]
    """How many requests of its own are under way."""
    held: Callable[[], bool]
    """Whether nothing else may be bought yet, since some items have to come first."""


class Workers(Protocol):
    """Other processes that buy for this run, from its event loop."""

    @property
    def idle(self) -> bool:
        """Whether nothing is left that they could buy."""
        ...

    @property
    def quiet(self) -> bool:
        """Whether none of them has anything to do with this run any more: all that they did is told."""
        ...

    def begin(self, home: Home) -> None:
        """Begin; to be called once, before anything is bought."""
        ...

    def start(self) -> float | None:
        """Have work done that can be done now; return the loop time of the next look."""
        ...

    async def stop(self) -> None:
        """The run stops: return once they have told what they did, or are given up; what is open then is in doubt."""
        ...

    def abandon(self) -> None:
        """Wait no longer for answers to what they have sent: it is in doubt."""
        ...

    def stop_for_left_items(self) -> None:
        """Say so where everything else is finished, and items are left that workers could not buy."""
        ...


class NoWorkers:
    """A run that buys alone. See `Workers`."""

    idle = quiet = True

    def begin(self, home: Home) -> None:
        pass

    def start(self) -> float | None:
        return None

    async def stop(self) -> None:
        pass

    def abandon(self) -> None:
        pass

    def stop_for_left_items(self) -> None:
        pass
