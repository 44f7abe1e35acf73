"""What travels to a worker: a ticket, and the name of the function that it is for.

A worker of Dask that cannot unpickle what it receives ends itself, with all that others have on it. So what it receives
are names of the standard library, and bytes that are unpickled by the task. Where batchgen is not installed, that task
fails, and nothing else; a scheduler never needs it.
"""

import pickle
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO

from batchgen.engine.cluster.port import Ticket

receive = pickle.load
"""The function that a worker calls, with what `packed` returns; it returns what the errand's function does."""


def packed(run: str, ticket: Ticket) -> BytesIO:
    """Return a ticket for the function `run`, as in `package.module:function`.

    Workers log what they were given when it fails: the bytes, with the token, are no part of what is shown of a file.
    """
    return BytesIO(pickle.dumps(_Errand(run, ticket)))


@dataclass(frozen=True, slots=True)
class _Errand:
    run: str
    ticket: Ticket

    def __reduce__(self) -> tuple[object, tuple[str, int, str, str]]:
        """It is carried out by being unpickled, once `receive` reads it."""
        return carry_out, (self.run, self.ticket.number, self.ticket.url, self.ticket.token)


def carry_out(run: str, number: int, url: str, token: str) -> str:
    """Run an errand's function on a worker, and return what it returns."""
    module, _, name = run.partition(":")
    return str(getattr(import_module(module), name)(Ticket(number, url, token)))
