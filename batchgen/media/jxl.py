"""JPEG XL in its container (ISO/IEC 18181-2): are all boxes whole, and what is it?

A file that is cut short is noticed at any byte, but for one whose last box goes on to the end of the file: there a cut
cannot be told without decoding. A bare codestream has two bytes for a mark and states no length, so it counts as a
format that is not known.
"""

from functools import partial

from batchgen.media.credentials import is_store
from batchgen.media.exif import TURNED
from batchgen.media.facts import Facts, known, picture_facts
from batchgen.media.mp4 import boxes
from batchgen.media.source import Damaged, Source

JXL_CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"
_HEADER = 24
"""Bytes that size and orientation lie in."""
_SIZES = (9, 13, 18, 30)
"""Bits of a side, by the number before it."""
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
"""Width to height, by the number that stands for it (from 1)."""


def check_jxl_container(source: Source) -> Facts:
    """Walk the boxes; raises `Damaged`."""
    whole = ended = parts = c2pa = False
    codestream = 0
    for box in boxes(source, 0, source.size, padded=True):
        match box.kind:
            case b"jxlc":
                whole |= box.end > box.body
                codestream = codestream or box.body
            case b"jxlp":
                parts = True
                ended |= bool(source.number(box.body, 4) >> 31)
                codestream = codestream or box.body + 4
            case b"jumb":
                c2pa |= is_store(source, box.body)
    if parts and not ended:
        raise Damaged("is cut short: the last part of its image is missing")
    if not (whole or parts):
        raise Damaged("is cut short or not an image: it has no codestream")
    width, height, orientation = known(partial(_header, start=codestream), source, (0, 0, 1))
    return picture_facts(width, height, turned=orientation in TURNED, c2pa=c2pa)


class _Bits:
    """Numbers of some bits each, the lowest first."""

    def __init__(self, number: int) -> None:
        self._left = number

    def take(self, count: int) -> int:
        number = self._left & ((1 << count) - 1)
        self._left >>= count
        return number


def _header(source: Source, start: int) -> tuple[int, int, int]:
    """Return width, height and orientation of a codestream (ISO/IEC 18181-1, annex D)."""
    if source.bytes(start, 2) != b"\xff\x0a":
        return 0, 0, 1
    bits = _Bits(int.from_bytes(source.data[start + 2 : start + 2 + _HEADER], "little"))
    small = bits.take(1)
    height = _side(bits, small=small)
    ratio = bits.take(3)
    width = height * _RATIOS[ratio - 1][0] // _RATIOS[ratio - 1][1] if ratio else _side(bits, small=small)
    plain = bits.take(1) or not bits.take(1)
    return width, height, 1 if plain else 1 + bits.take(3)


def _side(bits: _Bits, *, small: int) -> int:
    return (bits.take(5) + 1) * 8 if small else bits.take(_SIZES[bits.take(2)]) + 1
