"""What is delivered, and how long that is tried; known without loading the HTTP client that delivers it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is tried. Seconds."""

    attempt: float = 10.0
    """For one step of an attempt: a connection, a part of the answer."""
    waits: tuple[float, ...] = (1.0, 3.0)
    """Between one attempt and the next; there is one attempt more than waits."""
    linger: float = 35.0
    """For everything that is not delivered yet when a run has ended."""


@dataclass(frozen=True, slots=True)
class Message:
    """One request to deliver."""

    what: str
    """What it tells, for the log."""
    body: bytes
    content_type: str
    word: str = ""
    """What is added to the address's path."""
