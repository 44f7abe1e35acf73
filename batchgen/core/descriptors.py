"""File descriptors: how many this process may have, and how much work they allow at the same time.

Each connection and each open file takes one. Running out of them is not a fault: the work has to wait.
"""

import errno
import os
import resource
import sys
from dataclasses import dataclass

TOO_MANY = "too many open files; raise the limit with `ulimit -n`"
_WANTED = 65_536
"""More than the largest run needs."""
_LEAST_MAXIMUM = 10_240
"""What macOS grants if its hard limit is "no limit" (OPEN_MAX, sys/syslimits.h)."""
_KEPT = 48
"""For the journal, receipts, ledger and log, what Python holds open, look-ups of names, a simulator's pipes."""
_POLLS = 128
_SYNCING = 128


@dataclass(frozen=True, slots=True)
class Shares:
    """How many of each may be in progress at the same time."""

    posts: int = sys.maxsize
    polls: int = _POLLS
    downloads: int = sys.maxsize
    syncing: int = _SYNCING
    """Outputs that are complete and only wait for the disk: each is an open file."""


PLENTY = Shares()


def shares(limit: int) -> Shares:
    """Return what fits into so many descriptors; at least one of each, so that the run continues, however slowly.

    A poll and a POST hold one connection. A download holds a file and up to two: to the API, and to where it redirects.
    """
    free = max(0, limit - _KEPT)
    fifth = free // 5
    return Shares(
        posts=max(1, free - 3 * fifth),
        polls=min(_POLLS, max(1, fifth)),
        downloads=max(1, fifth // 3),
        syncing=min(_SYNCING, max(1, fifth)),
    )


def current_limit() -> int:
    """Return how many descriptors this process may have now."""
    return _finite(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def raise_limit() -> int:
    """Raise this process's limit of descriptors as far as allowed and useful; return the limit."""
    soft, hard = (_finite(limit) for limit in resource.getrlimit(resource.RLIMIT_NOFILE))
    for wanted in (min(_WANTED, hard), min(_LEAST_MAXIMUM, hard)):
        if wanted > soft:
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
            except (ValueError, OSError):
                continue  # the system has a lower limit of its own than it says
            return wanted
    return soft


def _finite(limit: int) -> int:
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


def is_lack(error: BaseException | None) -> bool:
    """Return whether an error says that no descriptor was left, in this process or in the system (open(2))."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)


def none_left() -> bool:
    """Return whether no descriptor is left right now: for libraries whose errors do not say why."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return is_lack(error)
    return False
