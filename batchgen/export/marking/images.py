"""Puts XMP into PNG, JPEG and WebP files, without touching a pixel."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from batchgen.export.marking.pieces import Piece
from batchgen.export.marking.xmp import CREDENTIALS, CannotMark, Mark, extended, packet
from batchgen.media import Damaged
from batchgen.media.source import Source

# ---- PNG (third edition, section 11.3.3.4 iTXt) -------------------------------------------------------------------

_PNG_XMP = b"XML:com.adobe.xmp\0"
_PLAIN_TEXT = b"\0\0\0\0"
"""Not compressed, no language, no translated keyword."""


def mark_png(source: Source, mark: Mark) -> list[Piece]:
    """Return the file with XMP in a chunk behind its header. Raises CannotMark, Damaged."""
    header_end, position, found = 0, 8, []
    while True:
        source.step()
        length, kind = source.number(position, 4), source.bytes(position + 4, 4)
        end = position + 12 + length
        source.need(end)
        if kind == b"caBX":
            raise CannotMark(CREDENTIALS)
        if kind == b"IHDR":
            header_end = end
        elif kind == b"iTXt" and source.data[position + 8 : position + 8 + len(_PNG_XMP)] == _PNG_XMP:
            found.append((position, end))
        if kind == b"IEND":
            break
        position = end
    if not found:
        return [(0, header_end), _itxt(packet(mark)), (header_end, source.size)]
    start, end = found[0]
    body = source.bytes(start + 8 + len(_PNG_XMP), end - start - 12 - len(_PNG_XMP))
    if len(found) > 1 or not body.startswith(_PLAIN_TEXT):
        raise CannotMark("has XMP that nothing can be added to")
    return [(0, start), _itxt(extended(body.removeprefix(_PLAIN_TEXT), mark)), (end, source.size)]


def _itxt(xmp: bytes) -> bytes:
    content = b"iTXt" + _PNG_XMP + _PLAIN_TEXT + xmp
    return (len(content) - 4).to_bytes(4) + content + zlib.crc32(content).to_bytes(4)


# ---- JPEG (XMP specification, part 3, section 1.1.3) --------------------------------------------------------------

_JPEG_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_EXIF = b"Exif\0\0"
_APP0, _APP1, _APP11, _SCAN, _END = 0xE0, 0xE1, 0xEB, 0xDA, 0xD9
_LONGEST_SEGMENT = 0xFFFF - 2


def mark_jpeg(source: Source, mark: Mark) -> list[Piece]:
    """Return the file with XMP in a segment behind JFIF and Exif. Raises CannotMark, Damaged."""
    after, found, leading = 2, None, True
    for marker, start, end in _segments(source):
        body = source.bytes(start + 4, min(end - start - 4, 64))
        if marker == _APP11 and body.startswith(b"JP") and b"c2pa" in source.bytes(start, end - start):
            raise CannotMark(CREDENTIALS)
        if marker == _APP1 and body.startswith(_JPEG_XMP):
            found = found or (start, end)
        leading &= marker == _APP0 or (marker == _APP1 and body.startswith(_EXIF))
        after = end if leading else after
    if found is None:
        return [(0, after), _app1(packet(mark)), (after, source.size)]
    start, end = found
    existing = source.bytes(start + 4 + len(_JPEG_XMP), end - start - 4 - len(_JPEG_XMP))
    return [(0, start), _app1(extended(existing, mark)), (end, source.size)]


def _segments(source: Source) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment before the image data."""
    position = 2
    while True:
        source.step()
        if source.number(position, 1) != 0xFF:
            raise Damaged(f"has no marker at byte {position}")
        marker = source.number(position + 1, 1)
        if marker in (_SCAN, _END):
            return
        if marker == 0xFF:  # a fill byte
            position += 1
            continue
        end = position + 2 + source.number(position + 2, 2)
        source.need(end)
        yield marker, position, end
        position = end


def _app1(xmp: bytes) -> bytes:
    content = _JPEG_XMP + xmp
    if len(content) > _LONGEST_SEGMENT:
        raise CannotMark("has no room: a JPEG segment holds 64 KB")
    return b"\xff\xe1" + (len(content) + 2).to_bytes(2) + content


# ---- WebP (container specification, "Extended File Format") -------------------------------------------------------

_XMP_FLAG, _ALPHA_FLAG = 0x04, 0x10


@dataclass(frozen=True, slots=True)
class _Chunk:
    kind: bytes
    start: int
    end: int
    """Without its padding."""


def mark_webp(source: Source, mark: Mark) -> list[Piece]:
    """Return the file with XMP in a last chunk; a simple file becomes an extended one. Raises CannotMark, Damaged."""
    chunks = list(_chunks(source))
    kinds = [chunk.kind for chunk in chunks]
    if b"C2PA" in kinds:
        raise CannotMark(CREDENTIALS)
    pieces: list[Piece] = [_extended_header(source, chunks)]
    xmp = packet(mark)
    for chunk in chunks:
        if chunk.kind == b"XMP ":
            xmp = extended(source.bytes(chunk.start + 8, chunk.end - chunk.start - 8), mark)
        elif chunk.kind != b"VP8X":
            pieces += [(chunk.start, chunk.end), b"\0" * (chunk.end - chunk.start & 1)]
    pieces += [b"XMP " + len(xmp).to_bytes(4, "little") + xmp + b"\0" * (len(xmp) & 1)]
    length = 4 + sum(len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in pieces)
    return [b"RIFF" + length.to_bytes(4, "little") + b"WEBP", *pieces]


def _chunks(source: Source) -> Iterator[_Chunk]:
    position, end = 12, 8 + source.number(4, 4, little=True)
    while position < end:
        source.step()
        last = position + 8 + source.number(position + 4, 4, little=True)
        source.need(last)
        yield _Chunk(source.bytes(position, 4), position, last)
        position = last + (last - position & 1)


def _extended_header(source: Source, chunks: list[_Chunk]) -> bytes:
    """Return the chunk that says that the file has XMP: its own with a flag more, or a new one."""
    first = chunks[0] if chunks else _Chunk(b"", 0, 0)
    body = source.bytes(first.start + 8, min(first.end - first.start - 8, 32))
    if first.kind == b"VP8X" and len(body) >= 10:
        return b"VP8X\x0a\0\0\0" + bytes([body[0] | _XMP_FLAG]) + body[1:10]
    if first.kind == b"VP8L" and len(body) >= 5 and body[0] == 0x2F:
        bits = int.from_bytes(body[1:5], "little")
        width, height, alpha = bits & 0x3FFF, bits >> 14 & 0x3FFF, bits >> 28 & 1
    elif first.kind == b"VP8 " and len(body) >= 10 and body[3:6] == b"\x9d\x01\x2a":
        width = (int.from_bytes(body[6:8], "little") & 0x3FFF) - 1
        height = (int.from_bytes(body[8:10], "little") & 0x3FFF) - 1
        alpha = 0
    else:
        raise Damaged("has no image header")
    flags = _XMP_FLAG | (_ALPHA_FLAG if alpha else 0)
    return b"VP8X\x0a\0\0\0" + bytes([flags, 0, 0, 0]) + width.to_bytes(3, "little") + height.to_bytes(3, "little")
