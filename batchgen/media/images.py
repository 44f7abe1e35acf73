"""PNG, JPEG, GIF and WebP: is the image complete, and what is it?

What follows after the end of a picture is ignored, as every reader does. Each walk notices a file that is cut short at
any byte; damage in the middle only shows where it breaks the structure (and, in PNG, a checksum).
"""

import re
import zlib
from collections.abc import Iterator

from batchgen.media.credentials import in_app11
from batchgen.media.exif import is_turned
from batchgen.media.facts import Facts, known, picture_facts
from batchgen.media.source import Damaged, Source

# FF ends the entropy-coded data, unless 00 (a stuffed FF), a restart marker or another FF follows (ITU T.81, B.1).
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def check_png(source: Source) -> Facts:
    """Walk the chunks to IEND (PNG, third edition, section 5); raises `Damaged`."""
    position, first = 8, True
    width = height = 0
    data_seen = c2pa = turned = False
    while True:
        source.step()
        length = source.number(position, 4)
        kind = source.bytes(position + 4, 4)
        end = position + 12 + length
        source.need(end)
        if first:
            width, height = source.number(16, 4), source.number(20, 4)
            if kind != b"IHDR" or length != 13 or not width or not height:
                raise Damaged("does not begin with an IHDR chunk")
        if zlib.crc32(memoryview(source.data)[position + 4 : end - 4]) != source.number(end - 4, 4):
            raise Damaged(f"has a wrong checksum in the chunk at byte {position}")
        match kind:
            case b"IDAT":
                data_seen = True
            case b"IEND":
                break
            case b"caBX":
                c2pa = True
            case b"eXIf":
                turned = is_turned(source, position + 8, end - 4)
        position, first = end, False
    if not data_seen:
        raise Damaged("has no image data")
    return picture_facts(width, height, turned=turned, c2pa=c2pa)


def check_jpeg(source: Source) -> Facts:
    """Walk segments and entropy-coded data to EOI (ITU T.81, annex B); raises `Damaged`."""
    position, frame, scan = 2, 0, False
    c2pa = turned = False
    while True:
        source.step()
        if source.number(position, 1) != 0xFF:
            raise Damaged(f"has no marker at byte {position}")
        marker = source.number(position + 1, 1)
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        if marker == 0xD9:
            break
        if marker in (0x00, 0x01, 0xD8) or 0xD0 <= marker <= 0xD7:
            raise Damaged(f"has a misplaced marker at byte {position}")
        segment, length = position, source.number(position + 2, 2)
        if length < 2:
            raise Damaged(f"has an impossible segment at byte {position}")
        position += 2 + length
        source.need(position)
        if marker in _JPEG_FRAMES:
            frame = frame or segment
        elif marker == 0xE1:
            turned |= _is_turned(source, segment, position)
        elif marker == 0xEB:
            c2pa |= in_app11(source, segment)
        elif marker == 0xDA:
            scan = True
            found = _JPEG_MARKER.search(source.data, position)
            if found is None:
                raise Damaged("is cut short: its image data has no end")
            position = found.start()
    if not frame or not scan:
        raise Damaged("has no image data")
    return picture_facts(*_jpeg_size(source, frame), turned=turned, c2pa=c2pa)


def _jpeg_size(source: Source, frame: int) -> tuple[int, int]:
    return source.number(frame + 7, 2), source.number(frame + 5, 2)


def _is_turned(source: Source, segment: int, end: int) -> bool:
    return source.data[segment + 4 : segment + 10] == b"Exif\0\0" and is_turned(source, segment + 10, end)


def check_gif(source: Source) -> Facts:
    """Walk the blocks to the trailer (GIF89a, sections 15 to 27); raises `Damaged`."""
    position = 13 + _colour_table(source.number(10, 1))
    pictures, c2pa = 0, False
    while True:
        introducer = source.number(position, 1)
        if introducer == 0x3B:
            break
        if introducer == 0x21:
            c2pa |= source.data[position : position + 11] == b"!\xff\x0bC2PA_GIF"
            position += 2
        elif introducer == 0x2C:
            position += 10 + _colour_table(source.number(position + 9, 1)) + 1
            pictures += 1
        else:
            raise Damaged(f"has an unknown block at byte {position}")
        while length := source.number(position, 1):
            source.step()
            position += 1 + length
        source.step()
        position += 1
    if not pictures:
        raise Damaged("has no image data")
    return picture_facts(source.number(6, 2, little=True), source.number(8, 2, little=True), c2pa=c2pa)


def _colour_table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def check_webp(source: Source) -> Facts:
    """Walk the RIFF chunks (WebP container specification); raises `Damaged`."""
    end = 8 + source.number(4, 4, little=True)
    source.need(end)
    kinds, turned = set(), False
    for kind, start, stop in _riff_chunks(source, end):
        kinds.add(kind)
        if kind == b"EXIF":
            # Some writers put the prefix of JPEG before it.
            prefix = 6 if source.data[start : start + 6] == b"Exif\0\0" else 0
            turned = is_turned(source, start + prefix, stop)
    if not {b"VP8 ", b"VP8L", b"ANMF"} & kinds:
        raise Damaged("has no image data")
    return picture_facts(*known(_webp_size, source, (0, 0)), turned=turned, c2pa=b"C2PA" in kinds)


def _webp_size(source: Source) -> tuple[int, int]:
    """Return width and height from the first chunk (WebP container specification; RFC 6386, 9.1; lossless, 3)."""
    kind = source.bytes(12, 4)
    if kind == b"VP8X":
        return source.number(24, 3, little=True) + 1, source.number(27, 3, little=True) + 1
    if kind == b"VP8L" and source.number(20, 1) == 0x2F:
        bits = source.number(21, 4, little=True)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and source.bytes(23, 3) == b"\x9d\x01\x2a":
        return source.number(26, 2, little=True) & 0x3FFF, source.number(28, 2, little=True) & 0x3FFF
    return 0, 0


def _riff_chunks(source: Source, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of the content of each chunk that is not empty."""
    position = 12
    while position < end:
        source.step()
        length = source.number(position + 4, 4, little=True)
        start = position + 8
        if start + length > end:
            raise Damaged(f"has a chunk at byte {position} that is longer than the file says")
        if length:
            yield source.bytes(position, 4), start, start + length
        position = start + length + (length & 1)
