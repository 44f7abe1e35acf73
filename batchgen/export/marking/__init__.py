"""Marks copies of pictures and videos as made by a model: XMP is added, and nothing is decoded or encoded anew."""

import mmap
from collections.abc import Callable

from batchgen.export.marking.images import mark_jpeg, mark_png, mark_webp
from batchgen.export.marking.mp4 import mark_mp4
from batchgen.export.marking.pieces import Piece, chunks
from batchgen.export.marking.xmp import CannotMark, Mark, packet
from batchgen.media import Damaged
from batchgen.media.source import Source

__all__ = ["CannotMark", "Mark", "Piece", "chunks", "marked", "packet"]

_MARKERS: dict[str, Callable[[Source, Mark], list[Piece]]] = {
    "jpg": mark_jpeg,
    "mp4": mark_mp4,
    "png": mark_png,
    "webp": mark_webp,
}
"""By extension, which the checks of downloaded files have given by what is in a file."""


def marked(data: mmap.mmap | bytes, extension: str, mark: Mark) -> list[Piece]:
    """Return a file with a mark, as pieces of it and new bytes. Raises CannotMark, which says why it is left as it is.

    All bytes that make up the picture or the film are those of the file.
    """
    marker = _MARKERS.get(extension)
    if marker is None:
        raise CannotMark(f"is a .{extension} file, which cannot be marked")
    try:
        return marker(Source(data), mark)
    except Damaged as error:
        raise CannotMark(str(error)) from error
