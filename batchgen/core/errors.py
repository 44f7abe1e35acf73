"""The error tree. Everything that a user can meet is in it; anything else that escapes is a bug (exit 70).

BatchgenError
├── UsageError               2   nothing was bought
│   ├── ManifestError            every problem of a manifest at once
│   └── ConsentError             money would move that nobody agreed to
│       └── DeclinedError            the user was asked and declined
├── OutsideError             5   fix the cause and run again
│   └── DiskError
└── RunFolderError           6   owned, damaged, or bound to something else; nothing was bought

The numbers are the exit codes; `batchgen.cli.boundary` alone turns errors into them.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class BatchgenError(Exception):
    """An expected error; its text is one message for the user that says what to do next."""


class UsageError(BatchgenError):
    """What was asked for is wrong or not agreed to: a command line, a manifest, a setting, a missing yes."""


class ConsentError(UsageError):
    """A purchase that nobody agreed to."""


class DeclinedError(ConsentError):
    """A purchase that the user was asked about and declined."""


class OutsideError(BatchgenError):
    """The world outside stopped the run: the API, the account, the network."""


class DiskError(OutsideError):
    """The disk is full or cannot be written."""


class DescriptorsError(OutsideError):
    """No file descriptor was left for a file: nothing is wrong with the disk, and it may be tried again later."""


class RunFolderError(BatchgenError):
    """A run folder that cannot be used: in use, damaged, or started with another API or account."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault at one place of a user's file. Lines and columns count from 1; column 0 means the whole line."""

    file: str
    line: int
    column: int
    message: str
    quoted: str = ""
    """The source line itself, without its line end; empty where there is none to show."""


class ManifestError(UsageError):
    """A manifest that is refused as a whole, with all of its problems in the order of the file."""

    def __init__(self, problems: Sequence[Problem], *, more: int = 0) -> None:
        self.problems = tuple(problems)
        self.more = more
        """How many further problems were found and left out of `problems`, to bound the output."""
        count = len(self.problems) + more
        super().__init__(f"{count} problem{'s' if count != 1 else ''} in the manifest")
