"""The lines of a rows file, decoded one by one so that a fault is found on its own line."""

from collections.abc import Iterator
from typing import IO

from batchgen.manifest.yaml.problems import Problems
from batchgen.manifest.yaml.reader import MAX_SCALAR

_UTF_16 = "contains the character U+0000: is the file UTF-16? save it as UTF-8"


class RowsError(Exception):
    """A rows file cannot be read any further; the reason is already noted as a problem."""


class Source:
    """An open rows file. Lines end at LF, CRLF or a lone CR, and may be read from the start several times."""

    def __init__(self, shown: str, file: IO[bytes], problems: Problems) -> None:
        self.line = 0
        """The number of the last line read."""
        self._shown = shown
        self._file = file
        self._problems = problems

    def lines(self) -> Iterator[str]:
        """Yield all lines with their line ends. Raises RowsError."""
        self._file.seek(0)
        self.line = 0
        for line in self._raw():
            self.line += 1
            if b"\0" in line:
                raise self.broken_off(f"this line {_UTF_16}")
            if len(line) > MAX_SCALAR and not line.endswith((b"\n", b"\r")):
                raise self.broken_off("the line is longer than 1 MiB")
            try:
                text = line.decode()
            except UnicodeDecodeError as error:
                raise self.broken_off("the line is not UTF-8; save the file as UTF-8") from error
            yield text.removeprefix("\ufeff") if self.line == 1 else text

    def _raw(self) -> Iterator[bytes]:
        """Yield the lines, overlong ones in pieces."""
        begun = b""
        while piece := self._file.readline(MAX_SCALAR + 2):
            if b"\r" not in piece and not begun:
                yield piece
                continue
            lines = (begun + piece).splitlines(keepends=True)
            # A line that does not end with LF may continue: with the second half of a CRLF, or with more text.
            begun = b"" if lines[-1].endswith(b"\n") or len(lines[-1]) > MAX_SCALAR else lines.pop()
            yield from lines
        if begun:
            yield begun

    def fault(self, message: str, line: int | None = None) -> None:
        """Note a problem of a line, by default the last one read."""
        self._problems.in_file(self._shown, line or self.line or 1, message)

    def warn(self, message: str, line: int) -> None:
        """Note something in a line that is probably a mistake."""
        self._problems.warn_in_file(self._shown, line, message)

    def broken_off(self, message: str, line: int | None = None) -> RowsError:
        """Note a problem after which nothing more can be read, and return the exception to raise."""
        self.fault(message, line)
        return RowsError(message)

    def undecoded(self) -> Iterator[str]:
        """Yield all lines for a preview, up to the first that cannot be used; notes nothing."""
        self._file.seek(0)
        for line in self._raw():
            if b"\0" in line or len(line) > MAX_SCALAR:
                return
            yield line.decode(errors="replace")
