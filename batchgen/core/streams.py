"""The three standard streams: present from the start, and no fault of theirs stops the work in progress."""

import errno
import os
import sys
from typing import IO, Any


def open_missing() -> None:
    """Open the null device in place of those that the caller left closed (`2>&-`).

    Before anything else is opened: it would get their numbers, and what is printed would go into it (a journal, a
    socket). Python has None in the place of such a stream.
    """
    for number, mode in ((0, "r"), (1, "w"), (2, "w")):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free, which is this one
            os.set_inheritable(null, True)  # noqa: FBT003 - the function's own form
            name = ("stdin", "stdout", "stderr")[number]
            if getattr(sys, name) is None:
                stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process
                setattr(sys, name, stream)


class Outlet:
    """Standard output or error, whose reader may go away (`batchgen models | head`): the rest is discarded.

    The command still exits with its proper code. Where what is written `matters`, any other fault, such
    as a full disk, is raised by `flush` as DiskError, once.
    """

    def __init__(self, stream: IO[str], *, matters: bool) -> None:
        self._stream = stream
        self._matters = matters
        self._terminal = stream.isatty()
        self._fault: OSError | None = None
        self.used = False
        """Whether anything was written."""

    def write(self, text: str) -> int:
        """Write, or drop, `text`; return its length."""
        self.used = True
        try:
            return self._stream.write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        """Flush what was written. Raises DiskError, see the class."""
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)
        fault, self._fault = self._fault, None
        if fault is not None:
            from batchgen.core.errors import DiskError  # here, so that `--help` loads none of it

            raise DiskError(f"cannot write the output: {fault.strerror}") from fault

    def _drop(self, error: OSError) -> None:
        # Buffered text has to go somewhere: the interpreter flushes once more when it exits.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)
        # A terminal that was closed answers with EIO (tty_ioctl(4)); elsewhere that is a fault of the disk.
        gone = isinstance(error, BrokenPipeError) or (self._terminal and error.errno == errno.EIO)
        if self._matters and not gone:
            self._fault = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
