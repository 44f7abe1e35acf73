"""Orientation as noted in EXIF (CIPA DC-008, 4.6): is a picture shown turned by a quarter?"""

from functools import partial

from batchgen.media.facts import known
from batchgen.media.source import Source

ORIENTATION = 274
TURNED = range(5, 9)
"""Values of the orientation that swap width and height."""
_ENTRIES = 200
"""The first directory of a real file has a few dozen."""


def is_turned(source: Source, start: int, end: int) -> bool:
    """Return whether the EXIF data from `start` to `end` says so; False where they make no sense."""
    return known(partial(_orientation, start=start, end=end), source, 1) in TURNED


def _orientation(source: Source, start: int, end: int) -> int:
    little = source.bytes(start, 2) == b"II"
    directory = start + source.number(start + 4, 4, little=little)
    count = min(source.number(directory, 2, little=little), _ENTRIES, (end - directory - 2) // 12)
    source.step(max(count, 1))
    for tag, value in source.table(directory + 2, count, "<H6xHxx" if little else ">H6xHxx", end):
        if tag == ORIENTATION:
            return value
    return 1
