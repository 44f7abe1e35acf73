"""WebM and Matroska (RFC 8794 for EBML, RFC 9559 for the elements): are all elements whole, and what is it?

A file whose segment states its size is refused when cut at any byte. A live recording states none; there a cut exactly
between two elements is a shorter but whole file, and cannot be told. There is no place for content credentials.
"""

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from batchgen.media.facts import Facts, milliseconds, rate_of, size_shown
from batchgen.media.source import Damaged, Source, Unfamiliar

_EBML, _DOCTYPE, _SEGMENT = 0x1A45DFA3, 0x4282, 0x18538067
_CLUSTER, _TRACKS, _TRACK_ENTRY, _TRACK_TYPE = 0x1F43B675, 0x1654AE6B, 0xAE, 0x83
_INFO, _TIME_UNIT, _DURATION = 0x1549A966, 0x2AD7B1, 0x4489
_CODEC, _FRAME_TIME, _VIDEO, _WIDTH, _HEIGHT = 0x86, 0x23E383, 0xE0, 0xB0, 0xBA
_PICTURES, _SOUND = 1, 2
"""Types of track."""
_NAME = re.compile(rb"[A-Za-z0-9_/.]+")
_NS = 1_000_000_000
_EXTENSIONS = {b"webm": "webm", b"matroska": "mkv"}
_SIMPLE_BLOCK, _BLOCK_GROUP = 0xA3, 0xA0
# Elements directly below the segment (RFC 9559, section 5.1): any of them ends a cluster of unknown size.
_LEVEL_1 = frozenset({0x114D9B74, _INFO, _TRACKS, _CLUSTER, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367})


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


def webm_facts(source: Source) -> Facts:
    """Return what is known of a film that has passed its check; it says so before its first frame."""
    segment = _element(source, _end(_element(source, 0, source.size)), source.size)
    pictures: dict[int, _Element] | None = None
    sound, duration = False, None
    for element in _segment_children(source, segment):
        if element.id == _CLUSTER:
            break
        if element.id == _INFO:
            duration = _duration(source, _children(source, element))
        elif element.id == _TRACKS:
            for entry in _elements(source, element, _end(element)):
                track = _children(source, entry) if entry.id == _TRACK_ENTRY else {}
                kind = _number(source, track, _TRACK_TYPE)
                sound |= kind == _SOUND
                pictures = pictures or (track if kind == _PICTURES else None)
    return _facts(source, pictures or {}, duration, sound=sound)


def _duration(source: Source, info: dict[int, _Element]) -> int | None:
    if (element := info.get(_DURATION)) is None or (width := _size(element)) not in (4, 8):
        return None
    (units,) = struct.unpack(">f" if width == 4 else ">d", source.bytes(element.body, width))
    unit = _number(source, info, _TIME_UNIT, 1_000_000)
    return milliseconds(round(units * unit), _NS) if math.isfinite(units * unit) else None


def _facts(source: Source, track: dict[int, _Element], duration: int | None, *, sound: bool) -> Facts:
    video = _children(source, track[_VIDEO]) if _VIDEO in track else {}
    codec = source.bytes(track[_CODEC].body, _size(track[_CODEC])).rstrip(b"\0") if _CODEC in track else b""
    width, height = size_shown(_number(source, video, _WIDTH), _number(source, video, _HEIGHT))
    return Facts(
        width,
        height,
        duration_ms=duration,
        frame_rate=_rate(_number(source, track, _FRAME_TIME)),
        codec=codec.decode("ascii") if _NAME.fullmatch(codec) else None,
        sound=sound,
        c2pa=False,
    )


def _rate(lasts: int) -> Fraction | None:
    """Return frames per second where a frame lasts so many nanoseconds: the usual rate that is rounded to that."""
    if not lasts:
        return None
    near = round(Fraction(_NS, lasts))
    usual = (Fraction(near), Fraction(near * 1000, 1001))
    exact = rate_of(1, lasts, _NS)
    return exact and next((rate for rate in usual if rate and abs(_NS / rate - lasts) <= 1), exact)


def _children(source: Source, parent: _Element) -> dict[int, _Element]:
    return {element.id: element for element in _elements(source, parent, _end(parent))}


def _number(source: Source, elements: dict[int, _Element], name: int, otherwise: int = 0) -> int:
    element = elements.get(name)
    return otherwise if element is None else source.number(element.body, min(_size(element), 8))


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
            if element.id == _TRACK_TYPE and source.number(element.body, _size(element)) == _PICTURES:
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
