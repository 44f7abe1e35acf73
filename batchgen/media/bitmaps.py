"""BMP and TIFF: is everything that the headers describe present, and what is it?

Files that are cut short are noticed as long as a byte of a picture is missing.
"""

from collections.abc import Iterator

from batchgen.media.exif import ORIENTATION, TURNED
from batchgen.media.facts import Facts, picture_facts
from batchgen.media.source import Damaged, Source

_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_PLAIN = frozenset({0, 3, 6})
"""Compression values that mean no compression: RGB and bit fields."""


def check_bmp(source: Source) -> Facts:
    """Compare the headers with the file (Microsoft, BITMAPFILEHEADER and BITMAPINFOHEADER); raises `Damaged`."""
    start, header = source.number(10, 4, little=True), source.number(14, 4, little=True)
    if header not in _BMP_HEADERS or start < 14 + header:
        raise Damaged("has no bitmap header")
    if header == 12:
        width, height, depth, compression = *(source.number(at, 2, little=True) for at in (18, 20, 24)), 0
        size = 0
    else:
        width, height = (abs(_signed(source.number(at, 4, little=True))) for at in (18, 22))
        depth = source.number(28, 2, little=True)
        compression, size = (source.number(at, 4, little=True) if header >= 40 else 0 for at in (30, 34))
    if compression in _PLAIN:
        size = (width * depth + 31) // 32 * 4 * height
    if not width or not height or not size:
        raise Damaged("has no image data")
    source.need(start + size)
    return picture_facts(width, height)  # there is no place for credentials


def _signed(number: int) -> int:
    return number - (1 << 32 if number >> 31 else 0)


# ---- TIFF ---------------------------------------------------------------------------------------------------------

_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
"""Bytes of each type of value."""
_STARTS_AND_LENGTHS = ((273, 279), (324, 325), (513, 514))
"""Tags of strips, tiles, and a JPEG of the old kind."""
_WIDTH, _HEIGHT, _C2PA = 256, 257, 52545
_READ = frozenset({_WIDTH, _HEIGHT, ORIENTATION, *(tag for pair in _STARTS_AND_LENGTHS for tag in pair)})
"""Tags whose numbers are wanted."""


def check_tiff(source: Source) -> Facts:
    """Walk the directories (TIFF 6.0, section 2; BigTIFF); raises `Damaged`."""
    little = source.bytes(0, 2) == b"II"
    big = source.number(2, 2, little=little) == 43
    word = 8 if big else 4
    position = source.number(8 if big else 4, word, little=little)
    seen: set[int] = set()
    pictures, first = 0, None
    while position:
        if position in seen:
            raise Damaged("has directories that form a loop")
        seen.add(position)
        count = source.number(position, 8 if big else 2, little=little)
        position += 8 if big else 2
        values: dict[int, list[int]] = {}
        for _ in range(count):
            source.step()
            tag, numbers = _entry(source, position, word, little=little)
            values[tag] = numbers
            position += 4 + 2 * word
        pictures += sum(_check_parts(source, values))
        first = values if first is None else first
        position = source.number(position, word, little=little)
    if first is None or not pictures:
        raise Damaged("has no image data")
    width, height, orientation = (next(iter(first.get(tag, ())), 0) for tag in (_WIDTH, _HEIGHT, ORIENTATION))
    return picture_facts(width, height, turned=orientation in TURNED, c2pa=_C2PA in first)


def _entry(source: Source, position: int, word: int, *, little: bool) -> tuple[int, list[int]]:
    """Return an entry's tag and, where these are wanted, its numbers; all of its values must be there."""
    tag, kind = source.number(position, 2, little=little), source.number(position + 2, 2, little=little)
    count, width = source.number(position + 4, word, little=little), _WIDTHS.get(kind, 0)
    where = position + 4 + word
    if width * count > word:
        where = source.number(where, word, little=little)
        source.need(where + width * count)
    else:
        source.need(where + word)
    if tag not in _READ:
        return tag, []
    source.step(count)
    return tag, [source.number(where + index * width, width, little=little) for index in range(count)]


def _check_parts(source: Source, values: dict[int, list[int]]) -> Iterator[bool]:
    for starts, lengths in _STARTS_AND_LENGTHS:
        if starts in values and lengths in values:
            if len(values[starts]) != len(values[lengths]):
                raise Damaged("has parts without a length")
            for start, length in zip(values[starts], values[lengths], strict=True):
                source.need(start + length)
                yield length > 0
