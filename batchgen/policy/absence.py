"""When something that was paid for counts as gone: only if the provider says so, several times, over minutes.

A provider that loses sight of its jobs or files for a moment must not cost what is paid for.
"""

from dataclasses import dataclass, replace

ANSWERS = 5
"""So many answers in a row, and"""
SECONDS = 180.0
"""over so many seconds, make it certain."""
_LONGEST_WAIT = 15.0


@dataclass(frozen=True, slots=True)
class Absence:
    """The answers in a row that said something is not there. Changed by copy."""

    answers: int = 0
    seconds: float = 0.0
    """How long we waited between them, on purpose. The time in which the program stood still or did not run does not
    count, whatever a clock says: nobody asked then."""
    waiting: float = 0.0
    """Seconds until the next question."""

    def again(self) -> "Absence":
        """One more such answer."""
        return replace(self, answers=self.answers + 1, seconds=self.seconds + self.waiting, waiting=0.0)

    def wait(self, seconds: float) -> "Absence":
        """The next question comes after so many seconds."""
        return replace(self, waiting=seconds)

    def next_wait(self, poll_max: float) -> float:
        """Return the seconds until the next question: `poll_max` at first, doubling, 15 at most."""
        return min(_LONGEST_WAIT, poll_max * 2.0 ** min(max(self.answers - 1, 0), 10))

    @property
    def certain(self) -> bool:
        """Whether it is gone for good."""
        return self.answers >= ANSWERS and self.seconds >= SECONDS


NEVER = Absence()
ALMOST = Absence(ANSWERS, SECONDS)
"""For something that was found gone before: one more answer is enough."""
