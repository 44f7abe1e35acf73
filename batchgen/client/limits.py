"""How long the client waits, and how much it accepts."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much, in seconds and bytes."""

    connect: float = 10.0
    """For DNS, connection and TLS together."""
    submit_idle: float = 120.0
    """From the moment at which a POST leaves until its answer begins, whatever the peer accepts or sends meanwhile."""
    answer: float = 120.0
    """For the whole body of an answer that has started: single bytes may be late, but not all of them."""
    poll: float = 60.0
    """For a whole poll."""
    output_idle: float = 60.0
    answer_bytes: int = 1 << 20
    output_bytes: int = 4 << 30
    redirects: int = 5
    slow_window: float = 60.0
    """A download must bring `slow_bytes` in each such period of waiting, so that a trickle cannot last forever."""
    slow_bytes: int = 60 * 4096

    @property
    def beat(self) -> float:
        """How late a limit may be noticed: little compared with the shortest limit."""
        return min(1.0, min(self.submit_idle, self.answer, self.poll, self.output_idle) / 16)
