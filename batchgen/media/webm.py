"""WebM and Matroska (RFC 8794 for EBML, RFC 9559 for the elements): are all elements whole?

A file whose segment states its size is refused when cut at any byte. A live recording states none; there a cut exactly
between two elements is a shorter but whole file, and cannot be told.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from batchgen.media.source import Damaged, Source, Unfamiliar

_EBML, _DOCTYPE, _SEGMENT = 0x1A45DFA3, 0x4282, 0x18538067
_CLUSTER, _TRACKS, _TRACK_ENTRY, _TRACK_TYPE = 0x1F43B675, 0x1654AE6B, 0xAE, 0x83
_EXTENSIONS = {b"webm": "webm", b"matroska": "mkv"}
_SIMPLE_BLOCK, _BLOCK_GROUP = 0xA3, 0xA0
# Elements directly below the segment (RFC 9559, section 5.1): any of them ends a cluster of unknown size.
_LEVEL_1 = frozenset({0x114D9B74, 0x1549A966, _TRACKS, _CLUSTER, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367})


@dataclass(frozen=True, slots=True)
class _Element:
    id: int
    start: int
    body: int
    end: int | None
    """None where the size is unknown."""


def extension_of(source: Source) -> str:
    """Return `webm` or `mkv`; raises `Damaged` for other kinds of EBML."""
    header = _element(source, 0, source.size)
    doctype = next((e for e in _elements(source, header, header.end or 0) if e.id == _DOCTYPE), None)
    name = b"" if doctype is None else source.bytes(doctype.body, _size(doctype)).rstrip(b"\0")
    if name not in _EXTENSIONS:
        raise Unfamiliar("is EBML, but neither WebM nor Matroska")
    return _EXTENSIONS[name]


def check_webm(source: Source) -> None:
    """Walk the elements down to the blocks; raises `Damaged`."""
    header = _element(source, 0, source.size)
    segment = _element(source, _end(header), source.size)
    if segment.id != _SEGMENT:
        raise Damaged("has no segment")
    pictures, blocks = False, 0
    for element in _segment_children(source, segment):
        if element.id == _TRACKS:
            pictures = _has_pictures(source, element)
        elif element.id in (_SIMPLE_BLOCK, _BLOCK_GROUP):
            blocks += 1
    if not pictures:
        raise Damaged("has no video track")
    if not blocks:
        raise Damaged("has no frames")


def _segment_children(source: Source, segment: _Element) -> Iterator[_Element]:
    """Yield the elements of the segment and, flat among them, those of its clusters."""
    limit = source.size if segment.end is None else segment.end
    position = segment.body
    cluster_end: int | None = None  # of the cluster that is open, where known
    in_cluster = False
    while position < limit:
        if in_cluster and position == cluster_end:
            in_cluster = False
        element = _element(source, position, cluster_end if in_cluster and cluster_end else limit)
        if element.id in _LEVEL_1:
            if in_cluster and cluster_end is not None:
                raise Damaged(f"has a misplaced element at byte {position}")
            in_cluster = element.id == _CLUSTER
            cluster_end = element.end if in_cluster else None
        yield element
        if element.id == _CLUSTER:
            position = element.body
        elif element.end is None:
            raise Damaged(f"has an element without a size at byte {position}")
        else:
            position = element.end


def _has_pictures(source: Source, tracks: _Element) -> bool:
    for entry in _elements(source, tracks, _end(tracks)):
        if entry.id != _TRACK_ENTRY:
            continue
        for element in _elements(source, entry, _end(entry)):
            if element.id == _TRACK_TYPE and source.number(element.body, _size(element)) == 1:
                return True
    return False


def _elements(source: Source, parent: _Element, end: int) -> Iterator[_Element]:
    position = parent.body
    while position < end:
        element = _element(source, position, end)
        yield element
        position = _end(element)


def _element(source: Source, position: int, limit: int) -> _Element:
    """Return the element at `position`; raises `Damaged` where it passes `limit`, the end of its parent."""
    source.step()
    head = source.number(position, 1)
    id_width = 9 - head.bit_length()
    if id_width > 4:
        raise Damaged(f"has no element at byte {position}")
    first = source.number(position + id_width, 1)
    width = 9 - first.bit_length()
    if width > 8:
        raise Damaged(f"has an element of impossible size at byte {position}")
    size = source.number(position + id_width, width) & ((1 << 7 * width) - 1)
    body = position + id_width + width
    end = None if size == (1 << 7 * width) - 1 else body + size
    if (end or body) > limit:
        source.need(end or body)
        raise Damaged(f"has an element at byte {position} that is longer than its parent")
    return _Element(source.number(position, id_width), position, body, end)


def _end(element: _Element) -> int:
    if element.end is None:
        raise Damaged(f"has an element without a size at byte {element.start}")
    return element.end


def _size(element: _Element) -> int:
    return min(_end(element) - element.body, 64)
