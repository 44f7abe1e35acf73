"""Reads receipts without owning them: nothing is written, and nothing is cut off."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from batchgen.core.errors import RunFolderError
from batchgen.receipts.file import LONGEST_LINE
from batchgen.receipts.lines import read_line

_CHUNK = 1 << 20


class PlacedLine(NamedTuple):
    """A line with its place."""

    number: int
    """Counts from 1."""
    start: int
    """Its first byte."""
    kind: str
    """Empty for a line that cannot be read."""
    content: dict[str, Any]


class ReceiptsReader:
    """An open file of receipts; others may append to it meanwhile."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def sha256(self, count: int) -> str | None:
        """Return the SHA-256 of the first `count` bytes, or None if there are fewer."""
        self._file.seek(0)
        digest, left = hashlib.sha256(), count
        while left and (chunk := self._file.read(min(_CHUNK, left))):
            digest.update(chunk)
            left -= len(chunk)
        return None if left else digest.hexdigest()

    def lines(self) -> Iterator[PlacedLine]:
        """Yield all lines; one without its line end, which is being written or was cut short, is left out."""
        self._file.seek(0)
        start = 0
        for number, raw in enumerate(iter(lambda: self._file.readline(LONGEST_LINE + 1), b""), 1):
            if raw.endswith(b"\n"):
                yield PlacedLine(number, start, *(read_line(raw) or ("", {})))
            elif len(raw) > LONGEST_LINE:
                yield PlacedLine(number, start, "", {})
            start += len(raw)


@contextmanager
def open_receipts(path: Path) -> Iterator[ReceiptsReader | None]:
    """Open receipts for reading while the block runs; None if there are none. Raises RunFolderError."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        raise RunFolderError(f"cannot read {path}: {error.strerror}") from error
    with file:
        yield ReceiptsReader(file)
