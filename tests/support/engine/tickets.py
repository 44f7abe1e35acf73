"""Functions for tickets: what workers run in tests."""

import os
import time
from pathlib import Path
from urllib.parse import unquote, urlsplit

from batchgen.engine.cluster.port import Ticket

PATIENCE = 60.0


def folder_of(ticket: Ticket) -> Path:
    """The folder that stands in for a coordinator's address."""
    return Path(unquote(urlsplit(ticket.url).path))


def beginning(ticket: Ticket) -> str:
    """Leave a file with the worker's process id, and end."""
    (folder_of(ticket) / f"{ticket.number}").write_text(str(os.getpid()), encoding="utf-8")
    return "done"


def waiting(ticket: Ticket) -> str:
    """Leave a file with the worker's process id, and wait until a file `end` is there; long, not for ever."""
    beginning(ticket)
    until = time.monotonic() + PATIENCE
    while not (folder_of(ticket) / "end").exists():
        if time.monotonic() > until:
            raise TimeoutError
        time.sleep(0.02)
    return "done"


def failing(ticket: Ticket) -> str:
    """Fail."""
    raise RuntimeError(f"ticket {ticket.number} cannot be run")


def telling(ticket: Ticket) -> str:
    """Leave a file with a variable of the worker's environment, and print much."""
    (folder_of(ticket) / f"{ticket.number}").write_text(os.environ.get("API18_KEY", ""), encoding="utf-8")
    print("a worker prints", flush=True)
    return "done"


class UnreadableError(Exception):
    """It can be pickled, and not unpickled."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)
        self.second = second


def unreadable(ticket: Ticket) -> str:
    """Fail with what nobody else can read."""
    raise UnreadableError("it cannot", "be read")


def shouting(ticket: Ticket) -> str:
    """Print at the worker, and at all clients of its scheduler."""
    from distributed import print as print_at_clients

    print_at_clients("a worker prints at clients")
    return "done"
