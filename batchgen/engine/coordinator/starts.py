"""The starts that the coordinator knows: what each was given, what it may buy, and when it was heard of last."""

import asyncio
from dataclasses import dataclass, field

from batchgen.core.records import State
from batchgen.engine.messages import Answer, Ask
from batchgen.journal import Attempt, Work


@dataclass(slots=True)
class Lent:
    """A purchase that a start makes."""

    attempt: Attempt
    """As the coordinator's journal has it."""
    position: int
    """Of its item, in the order of buying."""
    disputed: bool = False
    """Whether its job proved to be another's: it is in doubt, and what the start tells of it counts no longer."""

    @property
    def is_open(self) -> bool:
        """Whether the answer to its request is not known yet."""
        return self.attempt.state is State.SUBMITTING and not self.disputed


@dataclass(slots=True)
class Start:
    """One start of a ticket on a worker. Times are loop times in seconds."""

    name: str
    worker: str
    """Where it runs, for people."""
    items: dict[int, tuple[int, Work]]
    """What it may ask for, with its positions, by key. What was bought is no longer among it."""
    heard_at: float
    look_at: float = 0.0
    """When to look next whether it has died, while nothing is heard of it."""
    waiting: dict[int, Ask] = field(default_factory=dict)
    """What it has asked for and got no answer to, by item, in the order in which it asked."""
    not_before: dict[int, float] = field(default_factory=dict)
    """When to look at a question again, by item."""
    lent: dict[str, Lent] = field(default_factory=dict)
    """Its purchases that have not come to an end, by name."""
    attempts: set[int] = field(default_factory=set)
    """All of its purchases so far, by the attempt's key: it may tell what it found in their files."""
    places: int = 0
    """Places of the account's concurrency that it occupies."""
    number: int = 0
    """Of its last exchange that was answered."""
    answer: Answer | None = None
    """To that exchange."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One exchange at a time."""
    bought: int = 0
    """Purchases that were accepted or are in doubt."""
    fenced: bool = False
    """Whether nothing that it asks for is granted any more: it has ended, or is given up."""

    @property
    def open_requests(self) -> list[str]:
        """The names of its purchases whose answer is not known yet."""
        return [name for name, lent in self.lent.items() if lent.is_open]
