"""The seam to an engine that runs functions on other machines: tickets are placed, and some of them run.

An engine is trusted with nothing: it may run a ticket twice, or never, or again after it has ended. A ticket holds no
items, so none of that can buy anything twice; what a ticket is to do is said by the coordinator, once it runs.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Ticket:
    """A request for work, as it travels to a worker: a few bytes, and neither a key nor items."""

    number: int
    """Counts the tickets of an invocation."""
    url: str
    """Where the coordinator listens, as in http://10.0.0.5:40213."""
    token: str = field(repr=False)
    """What the coordinator knows its workers by; for one run folder."""


class Placed(Protocol):
    """A ticket that an engine has taken."""

    @property
    def ended(self) -> bool:
        """Whether the engine runs it no longer, however it ended."""
        ...

    @property
    def fault(self) -> str | None:
        """What the engine says of a ticket that has failed; None for others."""
        ...

    def forget(self) -> None:
        """Let the engine drop the ticket, and its result. One that runs goes on."""
        ...


class Cluster(Protocol):
    """An engine, from the coordinator's event loop. Nothing here blocks."""

    @property
    def slots(self) -> int:
        """How many tickets can run at the same time by now; 0 while no worker has joined."""
        ...

    @property
    def lost(self) -> str | None:
        """Why the engine can be used no longer; None while it can."""
        ...

    def place(self, ticket: Ticket) -> Placed:
        """Ask the engine to run a ticket, when it has room for one."""
        ...

    def on_change(self, call: Callable[[], None]) -> None:
        """Have `call` called in the event loop whenever a ticket has ended, or workers have come or gone."""
        ...

    async def close(self) -> None:
        """Let the engine go; workers that this process started are ended, others stay."""
        ...
