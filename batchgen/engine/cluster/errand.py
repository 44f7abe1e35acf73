"""What travels to a worker, and what runs there first."""

from dataclasses import dataclass, field
from importlib import import_module

from batchgen.engine.cluster.port import Ticket


@dataclass(frozen=True, slots=True)
class Errand:
    """A ticket, and the function that it is for.

    Workers log what they were given when it fails: the token is no part of what is shown of it.
    """

    run: str
    """As in `package.module:function`."""
    ticket: Ticket = field(repr=False)


def carry_out(errand: Errand) -> str:
    """Run an errand's function on a worker, and return what it returns.

    The function is imported here, so that a scheduler, which unpickles this too, need not be able to.
    """
    module, _, name = errand.run.partition(":")
    return str(getattr(import_module(module), name)(errand.ticket))
