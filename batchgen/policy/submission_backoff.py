"""How long submissions wait when the provider says that it is busy: a decision, as a value changed by copy."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class SubmissionBackoff:
    """When all submissions may leave again after a busy answer, not only the item that got it.

    Otherwise the next item in the queue would leave at once: `Retry-After` would be honoured by one request and
    ignored by the rest. Times are loop times in seconds.
    """

    until: float = 0.0
    since: float | None = None
    """Since when the provider is busy; None once it has accepted or rejected a submission."""
    streak: int = 0
    """Busy answers in a row; answers to requests that were sent together count once."""

    def busy(self, now: float, wait: float) -> "SubmissionBackoff":
        """The provider is busy: no submission for `wait` seconds."""
        together = now < self.until
        return replace(
            self,
            until=max(self.until, now + wait),
            since=now if self.since is None else self.since,
            streak=self.streak if together else self.streak + 1,
        )

    def wait(self, now: float, seconds: float) -> "SubmissionBackoff":
        """No submission for some seconds, for another reason than the provider's load."""
        return replace(self, until=max(self.until, now + seconds))

    def answered(self) -> "SubmissionBackoff":
        """A submission was accepted or rejected. A wait that was asked for still holds."""
        return self if self.since is None else replace(self, since=None, streak=0)

    def stops_at(self, give_up_after: float) -> float | None:
        """Return the loop time at which a provider that stays busy stops the run, or None while it is not busy."""
        return None if self.since is None else self.since + give_up_after
