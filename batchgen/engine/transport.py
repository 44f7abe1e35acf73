"""The seam between worker and coordinator: messages there, answers back."""

from typing import Protocol

from batchgen.engine.messages import Answer, Begun, Exchange


class UnreachableError(Exception):
    """No answer came: whether the message did is not known. It may be sent again."""


class GoneError(Exception):
    """The coordinator does not know this start any more: it may neither buy nor tell."""


class Transport(Protocol):
    """The way to the coordinator."""

    async def begin(self, start: str, worker: str) -> Begun:
        """Return what a start is to do. Raises UnreachableError, GoneError."""
        ...

    async def exchange(self, exchange: Exchange) -> Answer:
        """Return the answer to an exchange. Raises UnreachableError, GoneError."""
        ...
