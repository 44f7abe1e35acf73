"""A file as pieces of another one and new bytes in between, so that a large one is never held in memory."""

import mmap
from collections.abc import Iterable, Iterator

Piece = bytes | tuple[int, int]
"""New bytes, or from where to where the other file's bytes are taken."""
_CHUNK = 1 << 20


def chunks(data: mmap.mmap | bytes, pieces: Iterable[Piece]) -> Iterator[bytes]:
    """Yield the bytes of a file made of pieces, in chunks of at most 1 MiB."""
    for piece in pieces:
        if isinstance(piece, bytes):
            yield piece
            continue
        start, end = piece
        for position in range(start, end, _CHUNK):
            yield data[position : min(position + _CHUNK, end)]
