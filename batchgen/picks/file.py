"""The file of picks: one JSON object a line, only ever appended, under a lock of its own.

So a command, a viewer and a run never disturb each other. For each output, its last line counts.
"""

import fcntl
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO, Literal

from batchgen.core.errors import RunFolderError
from batchgen.core.files import PRIVATE, disk_errors, sync_folder
from batchgen.core.text import json_object

FILE_NAME = "picks.jsonl"
Choice = Literal["keep", "reject", ""]
CHOICES: tuple[Choice, ...] = ("keep", "reject", "")
_Mark = tuple[int, int, int, int]
"""Device, inode, length, time of the last change: of a file that is not the same, one differs."""
_LONGEST_LINE = 1 << 16
_BATCH = 1 << 20
"""Bytes that are gathered before they are written."""
LONGEST_REASON = 2_000
"""Characters of a reason, where people write it."""


@dataclass(frozen=True, slots=True)
class Pick:
    """What somebody said of one output."""

    item: str
    digest: str
    """Of the item's request: a pick says nothing of an item that was edited since."""
    output: int
    """Counts from 1."""
    sha256: str
    """Of the file: a pick says nothing of an output that was bought again since."""
    pick: Choice
    """Empty: an earlier pick is taken back."""
    reason: str = ""
    rating: int | None = None
    """1 to 5."""
    at: str = ""
    """When, UTC, as in the ledger."""

    @property
    def key(self) -> tuple[str, str, int]:
        """The output that it is about."""
        return self.item, self.digest, self.output

    @property
    def empty(self) -> bool:
        """Whether it says nothing: what was said before is taken back."""
        return not (self.pick or self.reason or self.rating)


class FollowedPicks:
    """The picks of a run folder, which can be looked at again: only what was appended meanwhile is then read."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read yet."""
        self.picks: dict[tuple[str, str, int], Pick] = {}
        """The last pick of each output, by item, digest and output, in the order in which they were made."""
        self._path = folder / FILE_NAME
        self._seen = _Seen()

    def update(self) -> list[Pick] | None:
        """Look at the file; return the picks that were appended since the last look. None: it is another file now.

        A last line that was cut short was never acknowledged, and is left out. Raises RunFolderError that names the
        line for any other that cannot be read; then nothing has changed.
        """
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                mark = found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
                if mark == self._seen.mark:
                    return []
                same = self._seen.is_beginning_of(file, mark)
                new, self._seen = self._read(file, self._seen if same else _Seen(), mark)
        except FileNotFoundError:
            same, new = self._seen.mark is None, []
            self._seen = _Seen()
        except OSError as error:
            raise RunFolderError(f"cannot read {self._path}: {error.strerror}") from error
        if not same:
            self.picks.clear()
        for pick in new:
            self.picks.pop(pick.key, None)
            self.picks[pick.key] = pick
        return new if same else None

    def _read(self, file: BinaryIO, seen: "_Seen", mark: _Mark) -> tuple[list[Pick], "_Seen"]:
        """Return the picks behind what was seen of a file, and what is seen of it then.

        What is appended while it is read belongs to the next look: a line that is just being written is not damaged.
        """
        file.seek(seen.end)
        left = mark[2] - seen.end
        new: list[Pick] = []
        count, end, last, whole = seen.lines, seen.end, seen.last, True
        number = count
        while line := file.readline(min(_LONGEST_LINE, left)):
            number += 1
            left -= len(line)
            pick = _read(line)
            if pick is not None:
                new.append(pick)
                whole = line.endswith(b"\n")
                if whole:
                    count, end, last = number, end + len(line), line
            elif line.endswith(b"\n") or left:
                raise RunFolderError(f"{self._path}:{number}: this line is not a pick; fix it or remove it")
        return new, _Seen(mark, end, count, last, whole)


@dataclass(frozen=True, slots=True)
class _Seen:
    """How much was seen of a file."""

    mark: _Mark | None = None
    """None: there was no file."""
    end: int = 0
    """Where the last line ends that has a line end."""
    lines: int = 0
    last: bytes = b""
    """That line."""
    whole: bool = True
    """Whether no pick without a line end stood behind it: what is appended may complete that line, or replace it."""

    def is_beginning_of(self, file: BinaryIO, mark: _Mark) -> bool:
        """Return whether a file goes on where this ends, as far as its last line can tell.

        Lines are only ever appended; but whoever mends a file by hand, or puts another one in its place, changes where
        lines end.
        """
        if self.mark is None:
            return True
        if not self.whole or mark[:2] != self.mark[:2] or mark[2] <= self.mark[2]:
            return False
        file.seek(self.end - len(self.last))
        return file.read(len(self.last)) == self.last


def read_picks(folder: Path) -> dict[tuple[str, str, int], Pick]:
    """Return the last pick of each output of a run folder, by item, digest and output.

    They are in the order in which they were made. Raises RunFolderError as `FollowedPicks.update` does.
    """
    followed = FollowedPicks(folder)
    followed.update()
    return followed.picks


def append_picks(folder: Path, picks: Iterable[Pick]) -> None:
    """Append picks to those of a run folder; they are on disk when this returns.

    They are written as they come, so that memory does not grow with them. Waits while another program appends. Raises
    DiskError, and whatever `picks` raises, then none of them is in the file; RunFolderError if the end of the file is
    not one of picks. After a crash, the first of them may be there.
    """
    batches = _batches(picks)
    first = next(batches, b"")
    if not first:
        return
    path = folder / FILE_NAME
    with disk_errors(path):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            end = os.fstat(file).st_size
            last = _after_line_end(file, end, path)
            if _read(last) is not None:  # an editor left out its line end
                first = b"\n" + first
            elif last:  # cut short: the next line must not be joined to it
                end -= len(last)
                os.ftruncate(file, end)
            try:
                position = _write(file, first, end)
                for batch in batches:
                    position = _write(file, batch, position)
            except BaseException:
                os.ftruncate(file, end)
                raise
            os.fsync(file)
            sync_folder(folder)
        finally:
            os.close(file)


def _after_line_end(file: int, size: int, path: Path) -> bytes:
    """Return what follows the last line end of an open file. Raises RunFolderError where that is longer than a line."""
    start = max(0, size - _LONGEST_LINE)
    _, end, last = os.pread(file, size - start, start).rpartition(b"\n")
    if start and not end:
        raise RunFolderError(f"{path}: its last line is not a pick; fix it or remove it")
    return last


def _batches(picks: Iterable[Pick]) -> Iterator[bytes]:
    lines: list[bytes] = []
    size = 0
    for line in map(_line, picks):
        lines.append(line)
        size += len(line)
        if size >= _BATCH:
            yield b"".join(lines)
            lines, size = [], 0
    if lines:
        yield b"".join(lines)


def _write(file: int, data: bytes, position: int) -> int:
    """Write at a position, and return the one behind it."""
    left = memoryview(data)
    while left:
        written = os.pwrite(file, left, position)
        left, position = left[written:], position + written
    return position


def _line(pick: Pick) -> bytes:
    """Return the line of a pick. Raises ValueError for one that could not be read again."""
    values = {name: getattr(pick, name) for name in _NAMES}
    line = f"{_encoded(values)}\n".encode() if _is_sound(values) else b""
    if not 0 < len(line) <= _LONGEST_LINE:
        raise ValueError(f"not a pick that can be written down: {pick!r:.200}")
    return line


def _read(line: bytes) -> Pick | None:
    """Return the pick in a line, or None where there is none."""
    values = json_object(line)
    if values is None or not _is_sound(values):
        return None
    return Pick(**{name: values[name] for name in _NAMES if name in values})  # a later version may add some


def _is_sound(values: dict[str, Any]) -> bool:
    """Return whether these are the values of a pick."""
    try:
        texts = [values["item"], values["digest"], values["sha256"], values.get("reason", ""), values.get("at", "")]
        output, pick, rating = values["output"], values["pick"], values.get("rating")
        return (
            is_text("".join(texts))
            and type(output) is int
            and output >= 1
            and pick in CHOICES
            and (rating is None or (type(rating) is int and 1 <= rating <= 5))
        )
    except (KeyError, TypeError):  # one is missing, or is no text
        return False


def is_text(value: object) -> bool:
    """Return whether it is text that files and databases accept: JSON can contain half a surrogate pair."""
    return isinstance(value, str) and not _NO_TEXT.search(value)


_NO_TEXT = re.compile("[\x00\ud800-\udfff]")
_NAMES = tuple(field.name for field in fields(Pick))
_encoded = json.JSONEncoder(ensure_ascii=False).encode
