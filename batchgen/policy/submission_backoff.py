"""How long submissions hold back when the provider says it is busy: a decision, as a value changed by copy."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class SubmissionBackoff:
    """Beside the wait of the item that met it, a busy answer holds back all others: else the next one in the queue
    would ask at once, and `Retry-After` would be honoured by one request and broken by the rest.

    Times are loop times in seconds.
    """

    until: float = 0.0
    since: float | None = None
    """When the provider began to be busy; None once it has taken a submission up again."""
    streak: int = 0
    """Times in a row that it was busy; answers to requests that left together count once."""

    def busy(self, now: float, wait: float) -> "SubmissionBackoff":
        """The provider is busy; nothing may leave for `wait` seconds."""
        together = now < self.until
        return replace(
            self,
            until=max(self.until, now + wait),
            since=now if self.since is None else self.since,
            streak=self.streak if together else self.streak + 1,
        )

    def wait(self, now: float, seconds: float) -> "SubmissionBackoff":
        """Nothing may leave for a while, for a reason that is not the provider's load."""
        return replace(self, until=max(self.until, now + seconds))

    def answered(self) -> "SubmissionBackoff":
        """A submission was accepted, or refused on its own account. A wait that was asked for still holds."""
        return self if self.since is None else replace(self, since=None, streak=0)

    def gives_up_at(self, give_up_after: float) -> float | None:
        """Return the loop time at which a provider that stays busy ends submissions, or None while it is not busy."""
        return None if self.since is None else self.since + give_up_after
