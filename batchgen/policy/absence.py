"""When something that was paid for counts as gone: by what the provider says alone, several times, over minutes.

A provider that forgets its jobs for a moment, or hides its files, must not cost what is under way.
"""

from dataclasses import dataclass, replace

ANSWERS = 5
SECONDS = 180.0
_LONGEST_WAIT = 15.0


@dataclass(frozen=True, slots=True)
class Absence:
    """Answers that said that something is not there, in a row; changed by copy."""

    answers: int = 0
    seconds: float = 0.0
    """Over how long they came: only what was waited between two of them on purpose. While the program stood still, or
    was not running at all, nobody asked, whatever a clock says."""
    waiting: float = 0.0
    """Seconds that are waited until it is asked for again."""

    def again(self) -> "Absence":
        """One more such answer."""
        return replace(self, answers=self.answers + 1, seconds=self.seconds + self.waiting, waiting=0.0)

    def wait(self, seconds: float) -> "Absence":
        """It is asked for again after so long."""
        return replace(self, waiting=seconds)

    def next_wait(self, poll_max: float) -> float:
        """Return the seconds until it should be asked for again: `poll_max` at first, doubling, 15 at most."""
        return min(_LONGEST_WAIT, poll_max * 2.0 ** min(max(self.answers - 1, 0), 10))

    @property
    def certain(self) -> bool:
        """Whether it is gone."""
        return self.answers >= ANSWERS and self.seconds >= SECONDS


NEVER = Absence()
ALMOST = Absence(ANSWERS, SECONDS)
"""Of something that was found to be gone before: one more answer is enough."""
