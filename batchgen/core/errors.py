"""The error tree. It contains every error that a user can meet; any other exception is a bug (exit 70).

BatchgenError
├── UsageError               2   nothing was bought
│   ├── ManifestError            every problem of a manifest at once
│   └── ConsentNeeded             a purchase that nobody confirmed
│       └── DeclinedError            the user was asked and declined
├── OutsideError             5   fix the cause and run again
│   ├── DiskError
│   └── StoreError
└── RunFolderError           6   in use, damaged, or bound to something else; nothing was bought

The numbers are the exit codes, as `exit_code_of` returns them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from batchgen.core.text import printable


class BatchgenError(Exception):
    """An expected error; its text is one message for the user that says what to do next."""


class UsageError(BatchgenError):
    """The request is wrong or not confirmed: a command line, a manifest, a setting, confirmation missing."""


class ConsentNeeded(UsageError):  # noqa: N818 - what callers catch, named as what they have to give
    """A purchase that nobody confirmed."""


class DeclinedError(ConsentNeeded):
    """A purchase that the user was asked about and declined."""


class OutsideError(BatchgenError):
    """The world outside stopped the run: the API, the account, the network."""


class DiskError(OutsideError):
    """The disk is full or cannot be written."""


class StoreError(OutsideError):
    """The object store of the outputs cannot be reached, or refuses what is asked of it."""


class DescriptorsError(OutsideError):
    """No file descriptor was left for a file: the disk is fine, and a later attempt may succeed."""


class RunFolderError(BatchgenError):
    """A run folder that cannot be used: in use, damaged, or started with another API or account."""


BUG = 70
INTERRUPTED = 130
_EXIT_CODES: tuple[tuple[type[BatchgenError], int], ...] = ((UsageError, 2), (OutsideError, 5), (RunFolderError, 6))


def exit_code_of(error: BaseException) -> int:
    """Return the exit code of a command that this ends: an error, or an interruption, which is no `Exception`."""
    if not isinstance(error, Exception):
        return INTERRUPTED
    return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), BUG)


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One fault at one place of a user's file. Lines and columns count from 1; column 0 means the whole line."""

    file: str
    line: int
    column: int
    message: str
    quoted: str = ""
    """The source line itself, without its line end; empty if there is none to show."""

    @property
    def place(self) -> str:
        """The place as `FILE:LINE:COLUMN`, safe for terminals."""
        return f"{printable(self.file)}:{self.line}:{max(self.column, 1)}"


_NOTED = 10


class ManifestError(UsageError):
    """A manifest, or another file of the user, that is refused as a whole, with all its problems in order."""

    def __init__(self, problems: Sequence[Problem], *, more: int = 0, where: str = "the manifest") -> None:
        self.problems = tuple(problems)
        """In the order of the file."""
        self.more = more
        """How many further problems were left out of `problems`, to limit the output."""
        count = len(self.problems) + more
        super().__init__(f"{count} problem{'s' if count != 1 else ''} in {where}")
        # In Python, a traceback that nobody catches shows the first of them.
        for problem in self.problems[:_NOTED]:
            self.add_note(f"{problem.place}: {problem.message}")
