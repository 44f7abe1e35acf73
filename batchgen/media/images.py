"""PNG, JPEG, GIF and WebP: is the image complete?

What follows after the end of a picture is ignored, as every reader does. Each walk notices a file that is cut short at
any byte; damage in the middle only shows where it breaks the structure (and, in PNG, a checksum).
"""

import re
import zlib
from collections.abc import Iterator

from batchgen.media.source import Damaged, Source

# FF ends the entropy-coded data, unless 00 (a stuffed FF), a restart marker or another FF follows (ITU T.81, B.1).
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def check_png(source: Source) -> None:
    """Walk the chunks to IEND (PNG, third edition, section 5); raises `Damaged`."""
    position, first, data_seen = 8, True, False
    while True:
        source.step()
        length = source.number(position, 4)
        kind = source.bytes(position + 4, 4)
        end = position + 12 + length
        source.need(end)
        if first and (kind != b"IHDR" or length != 13 or not all(_png_size(source, position))):
            raise Damaged("does not begin with an IHDR chunk")
        if zlib.crc32(memoryview(source.data)[position + 4 : end - 4]) != source.number(end - 4, 4):
            raise Damaged(f"has a wrong checksum in the chunk at byte {position}")
        if kind == b"IEND":
            break
        data_seen |= kind == b"IDAT"
        position, first = end, False
    if not data_seen:
        raise Damaged("has no image data")


def _png_size(source: Source, position: int) -> tuple[int, int]:
    return source.number(position + 8, 4), source.number(position + 12, 4)


def check_jpeg(source: Source) -> None:
    """Walk segments and entropy-coded data to EOI (ITU T.81, annex B); raises `Damaged`."""
    position, frame, scan = 2, False, False
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
        length = source.number(position + 2, 2)
        if length < 2:
            raise Damaged(f"has an impossible segment at byte {position}")
        position += 2 + length
        source.need(position)
        frame |= marker in _JPEG_FRAMES
        if marker == 0xDA:
            scan = True
            found = _JPEG_MARKER.search(source.data, position)
            if found is None:
                raise Damaged("is cut short: its image data has no end")
            position = found.start()
    if not frame or not scan:
        raise Damaged("has no image data")


def check_gif(source: Source) -> None:
    """Walk the blocks to the trailer (GIF89a, sections 15 to 27); raises `Damaged`."""
    position = 13 + _colour_table(source.number(10, 1))
    pictures = 0
    while True:
        introducer = source.number(position, 1)
        if introducer == 0x3B:
            break
        if introducer == 0x21:
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


def _colour_table(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def check_webp(source: Source) -> None:
    """Walk the RIFF chunks (WebP container specification); raises `Damaged`."""
    end = 8 + source.number(4, 4, little=True)
    source.need(end)
    if not {b"VP8 ", b"VP8L", b"ANMF"} & set(_riff_chunks(source, end)):
        raise Damaged("has no image data")


def _riff_chunks(source: Source, end: int) -> Iterator[bytes]:
    position = 12
    while position < end:
        source.step()
        length = source.number(position + 4, 4, little=True)
        if position + 8 + length > end:
            raise Damaged(f"has a chunk at byte {position} that is longer than the file says")
        if length:
            yield source.bytes(position, 4)
        position += 8 + length + (length & 1)
