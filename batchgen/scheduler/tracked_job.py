"""A job that is being polled."""

from batchgen.journal import Attempt
from batchgen.policy.absence import Absence


class TrackedJob:
    """A job that the API accepted, until its outputs are listed. Times are loop times in seconds."""

    __slots__ = (
        "absence", "attempt", "bought_now", "failed_polls", "holds_slot", "lost", "missing_outputs", "no_output",
        "parked", "polled", "polls", "submitted", "taken_over", "was_lost", "working_since",
    )  # fmt: skip

    def __init__(
        self, attempt: Attempt, submitted: float, *, working_since: float | None = None, bought_now: bool = False
    ) -> None:
        """`working_since` is given for a job of an earlier invocation, or (`bought_now`) of another process in this."""
        self.attempt = attempt
        self.submitted = submitted
        """When its POST was sent; for a job of an earlier invocation, when it was accepted, by our clock."""
        self.working_since = submitted if working_since is None else working_since
        """Since when the provider certainly works on it, even if our clock is wrong. Decides when it is parked."""
        self.polled = submitted
        """When the last poll was sent."""
        self.taken_over = working_since is not None
        """Whether another process bought it: only the provider knows for how long it has been working."""
        self.bought_now = bought_now or not self.taken_over
        """Whether this invocation bought it."""
        self.polls = attempt.polls
        self.absence = attempt.absence
        """The answers in a row that said the job is unknown."""
        self.no_output = Absence()
        """The answers in a row that said it is completed, but listed no output, or no more than before."""
        self.holds_slot = True
        """Whether it occupies one of the `concurrency` places, and counts in `RunState.in_flight`."""
        self.missing_outputs = 0
        """Of a completed job: how many of its outputs were not listed yet. It is only polled for these."""
        self.failed_polls = 0
        """The polls in a row without a usable answer."""
        self.parked = False
        self.lost = False
        """Whether the journal has it as lost. It is asked for once more."""
        self.was_lost = False
        """Whether it was lost, and the provider knew it again."""
