"""The error tree. It contains every error that a user can meet; any other exception is a bug (exit 70).

BatchgenError
├── UsageError               2   nothing was bought
│   ├── ManifestError            every problem of a manifest at once
│   └── ConsentError             a purchase that nobody confirmed
│       └── DeclinedError            the user was asked and declined
├── OutsideError             5   fix the cause and run again
│   └── DiskError
└── RunFolderError           6   in use, damaged, or bound to something else; nothing was bought

The numbers are the exit codes; `batchgen.cli.boundary` alone turns errors into them.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class BatchgenError(Exception):
    """An expected error; its text is one message for the user that says what to do next."""


class UsageError(BatchgenError):
    """The request is wrong or not confirmed: a command line, a manifest, a setting, confirmation missing."""


class ConsentError(UsageError):
    """A purchase that nobody confirmed."""


class DeclinedError(ConsentError):
    """A purchase that the user was asked about and declined."""


class OutsideError(BatchgenError):
    """The world outside stopped the run: the API, the account, the network."""


class DiskError(OutsideError):
    """The disk is full or cannot be written."""


class DescriptorsError(OutsideError):
    """No file descriptor was left for a file: the disk is fine, and a later attempt may succeed."""


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
    """The source line itself, without its line end; empty if there is none to show."""


class ManifestError(UsageError):
    """A manifest that is refused as a whole, with all of its problems in the order of the file."""

    def __init__(self, problems: Sequence[Problem], *, more: int = 0) -> None:
        self.problems = tuple(problems)
        self.more = more
        """How many further problems were left out of `problems`, to limit the output."""
        count = len(self.problems) + more
        super().__init__(f"{count} problem{'s' if count != 1 else ''} in the manifest")
