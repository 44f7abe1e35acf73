"""Puts XMP into MP4 files: in a box behind all others, so that nothing moves that the file points to."""

from batchgen.export.marking.pieces import Piece
from batchgen.export.marking.xmp import CREDENTIALS, CannotMark, Mark, packet
from batchgen.media.mp4 import boxes
from batchgen.media.source import Source

_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
"""XMP specification, part 3, section 1.2.7.1."""
_C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
"""C2PA specification, section "Embedding manifests into BMFF-based assets"."""


def mark_mp4(source: Source, mark: Mark) -> list[Piece]:
    """Return the file with a box more. Raises CannotMark, Damaged."""
    place = 0
    for box in boxes(source, 0, source.size, padded=True):
        name = source.bytes(box.body, 16) if box.kind == b"uuid" else b""
        if name == _C2PA:
            raise CannotMark(CREDENTIALS)
        if name == _XMP:
            raise CannotMark("has XMP of its own")
        if source.number(box.start, 4) == 0:
            raise CannotMark("has a last box without a length, which nothing can follow")
        if box.kind != b"mfra":  # readers look for this index at the very end
            place = box.end
    content = b"uuid" + _XMP + packet(mark)
    return [(0, place), (len(content) + 4).to_bytes(4) + content, (place, source.size)]
