"""MP4 and QuickTime (ISO/IEC 14496-12): are all boxes whole, and do all samples lie inside the file?

A file that is cut short is noticed at any byte, with one exception that the container leaves open: a fragmented file
without an index (`sidx`, `mfra`) that is cut exactly between two fragments is a shorter but whole file. Zeros, and
blanks or line ends, may stand behind the last box, as some servers and editors leave them there; other bytes that
are not a box are refused, since a box that was cut looks the same.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from batchgen.media.credentials import in_uuid_box
from batchgen.media.source import Damaged, Source

# Boxes hold a four-letter type; anything else is not a box.
_LETTERS = frozenset(range(0x20, 0x7F)) | {0xA9}
_SIZE_AND_KIND = struct.Struct(">I4s")
_HEADER = _SIZE_AND_KIND.size
_ZEROS, _BLANKS = re.compile(rb"\0*"), re.compile(rb"[ \t\r\n]*")
_TFHD_FIELDS = ((0x2, 4), (0x8, 4), (0x10, 4))
_TRUN_SIZE = 0x200
_TABLES = (b"stsd", b"stts", b"ctts", b"stsz", b"stz2", b"stco", b"co64", b"stsc")


class Box(NamedTuple):
    """One box: its type, and where it, its content and its end lie."""

    kind: bytes
    start: int
    body: int
    end: int


@dataclass(slots=True)
class Film:
    """What the walk has found so far."""

    movie: dict[bytes, Box] = field(default_factory=dict)
    """The boxes of `moov` that are not tracks, by kind."""
    pictures: dict[bytes, Box] | None = None
    """The boxes of the first track that shows pictures, by kind."""
    sound: bool = False
    """Whether a track is sound."""
    c2pa: bool = False
    """Whether there are content credentials."""
    samples: int = 0
    defaults: dict[int, int] = field(default_factory=dict)
    """The sample size of each track whose fragments do not say (`trex`)."""
    fragments: dict[int, Box] = field(default_factory=dict)
    """By where they begin."""
    end: int = 0
    """Of the last box."""


def check_mp4(source: Source) -> Film:
    """Walk the boxes and the sample tables, and return what was found; raises `Damaged`."""
    film, moov = Film(), False
    for box in boxes(source, 0, source.size, padded=True):
        film.end = box.end
        match box.kind:
            case b"moov":
                moov = True
                _read_moov(source, box, film)
            case b"moof":
                film.fragments[box.start] = box
                _read_moof(source, box, film)
            case b"sidx":
                _check_sidx(source, box)
            case b"mfra":
                _check_mfra(source, box, film)
            case b"uuid":
                film.c2pa |= in_uuid_box(source, box.body)
    if not moov:
        raise Damaged("is cut short or not a video: it has no moov box")
    if film.pictures is None:
        raise Damaged("has no video track")
    if not film.samples:
        raise Damaged("has no frames")
    if (film.fragments or film.defaults) and 0 < source.size - film.end < _HEADER:
        # The start of a box that was cut can look like padding; elsewhere, the samples reveal a cut.
        raise Damaged(f"is cut short in the box at byte {film.end}")
    return film


def boxes(source: Source, position: int, end: int, *, padded: bool = False) -> Iterator[Box]:
    """Yield the boxes from `position` to `end`; raises `Damaged` where they do not fill it, but for padding."""
    while position < end:
        source.step()
        if padded and end == source.size and _is_padding(source, position):
            return
        if position + _HEADER > end:
            raise Damaged(f"is cut short in the box at byte {position}")
        size, kind = _SIZE_AND_KIND.unpack_from(source.data, position)
        body = position + _HEADER
        if size == 1:
            size, body = source.number(body, 8), body + 8
        elif size == 0:  # up to the end of the file
            size = end - position
        if not _LETTERS.issuperset(kind) or size < body - position:
            raise Damaged(f"has no box at byte {position}")
        if position + size > end:
            raise Damaged(f"is cut short in the box at byte {position}")
        yield Box(kind, position, body, position + size)
        position += size


def _is_padding(source: Source, position: int) -> bool:
    """Whether nothing but zeros, or nothing but blanks and line ends, follow."""
    first = source.data[position]
    kind = _ZEROS if first == 0 else _BLANKS
    return first in b"\0 \t\r\n" and kind.fullmatch(source.data, position) is not None


def children(source: Source, box: Box, *kinds: bytes) -> dict[bytes, Box]:
    """Return the boxes of these kinds directly inside `box`."""
    return {child.kind: child for child in boxes(source, box.body, box.end) if child.kind in kinds}


def _flags(source: Source, box: Box) -> int:
    return source.number(box.body + 1, 3)


def _read_moov(source: Source, moov: Box, film: Film) -> None:
    for box in boxes(source, moov.body, moov.end):
        if box.kind == b"trak":
            _read_track(source, box, film)
            continue
        film.movie[box.kind] = box
        if box.kind == b"mvex":
            for trex in boxes(source, box.body, box.end):
                if trex.kind == b"trex":
                    film.defaults[source.number(trex.body + 4, 4)] = source.number(trex.body + 16, 4)


def _read_track(source: Source, trak: Box, film: Film) -> None:
    track = children(source, trak, b"tkhd", b"edts", b"mdia")
    media = track.get(b"mdia", trak)
    track |= children(source, media, b"mdhd", b"hdlr", b"minf")
    table = children(source, track.get(b"minf", media), b"stbl").get(b"stbl")
    if b"hdlr" not in track or table is None:
        raise Damaged("has a track without a sample table")
    track |= children(source, table, *_TABLES)
    samples = _check_samples(source, track)
    handler = source.bytes(track[b"hdlr"].body + 8, 4)
    film.sound |= handler == b"soun"
    if handler == b"vide":
        film.pictures = film.pictures or track
        film.samples += samples


def _check_samples(source: Source, table: dict[bytes, Box]) -> int:
    """Return how many samples a track has, when the last byte of each of its chunks lies inside the file."""
    sizes = _sample_sizes(source, table)
    runs = _chunk_runs(source, table)
    run = next(runs, None)
    per_chunk = count = 0
    for chunk, offset in enumerate(_chunk_offsets(source, table), 1):
        source.step()
        while run is not None and run[0] <= chunk:
            source.step()
            per_chunk, run = run[1], next(runs, None)
        source.need(offset + sizes.take(per_chunk))
        count += per_chunk
    if sizes.left:
        raise Damaged("has samples without a place")
    return count


class _Sizes:
    """The sizes of a track's samples, in order."""

    def __init__(self, source: Source, left: int, each: int | Iterator[tuple[int, ...]]) -> None:
        self._source = source
        self._each = each
        self.left = left

    def take(self, count: int) -> int:
        """Return the bytes of the next `count` samples."""
        self.left -= count
        if self.left < 0:
            raise Damaged("has chunks without samples")
        if isinstance(self._each, int):
            return count * self._each
        self._source.step(count)
        return sum(size for (size,) in islice(self._each, count))


def _sample_sizes(source: Source, table: dict[bytes, Box]) -> _Sizes:
    if (box := table.get(b"stsz")) is not None:
        same, count = source.number(box.body + 4, 4), source.number(box.body + 8, 4)
        return _Sizes(source, count, same or source.table(box.body + 12, count, ">I", box.end))
    if (box := table.get(b"stz2")) is not None:
        width, count = source.number(box.body + 7, 1), source.number(box.body + 8, 4)
        if width == 4:
            pairs = source.table(box.body + 12, (count + 1) // 2, ">B", box.end)
            return _Sizes(source, count, (half for (pair,) in pairs for half in ((pair >> 4,), (pair & 15,))))
        if width in (8, 16):
            return _Sizes(source, count, source.table(box.body + 12, count, ">B" if width == 8 else ">H", box.end))
    raise Damaged("has a track without sample sizes")


def _chunk_offsets(source: Source, table: dict[bytes, Box]) -> Iterator[int]:
    for kind, row in ((b"stco", ">I"), (b"co64", ">Q")):
        if (box := table.get(kind)) is not None:
            return (offset for (offset,) in source.table(box.body + 8, source.number(box.body + 4, 4), row, box.end))
    raise Damaged("has a track without chunk offsets")


def _chunk_runs(source: Source, table: dict[bytes, Box]) -> Iterator[tuple[int, ...]]:
    box = table.get(b"stsc")
    if box is None:
        raise Damaged("has a track without chunks")
    return source.table(box.body + 8, source.number(box.body + 4, 4), ">III", box.end)


def _read_moof(source: Source, moof: Box, film: Film) -> None:
    end = moof.start
    for traf in boxes(source, moof.body, moof.end):
        if traf.kind != b"traf":
            continue
        base, size = end, 0
        for box in boxes(source, traf.body, traf.end):
            if box.kind == b"tfhd":
                base, size = _read_tfhd(source, box, moof, film, base)
                end = base
            elif box.kind == b"trun":
                end = _read_trun(source, box, base, end, size, film)
                source.need(end)


def _read_tfhd(source: Source, box: Box, moof: Box, film: Film, base: int) -> tuple[int, int]:
    """Return where the fragment's data offsets count from, and the size of samples that have none of their own."""
    flags, position = _flags(source, box), box.body + 8
    size = film.defaults.get(source.number(box.body + 4, 4), 0)
    if flags & 0x20000:
        base = moof.start
    if flags & 0x1:
        base, position = source.number(position, 8), position + 8
    for flag, width in _TFHD_FIELDS:
        if flags & flag:
            if flag == 0x10:
                size = source.number(position, width)
            position += width
    return base, size


def _read_trun(source: Source, box: Box, base: int, end: int, default: int, film: Film) -> int:  # noqa: PLR0917 - as in the box
    """Return where the run's data ends."""
    flags, count = _flags(source, box), source.number(box.body + 4, 4)
    position = box.body + 8
    if flags & 0x1:
        offset = source.number(position, 4)
        end = base + offset - (1 << 32 if offset >> 31 else 0)
        position += 4
    if flags & 0x4:
        position += 4
    film.samples += count
    columns = [flag for flag in (0x100, 0x200, 0x400, 0x800) if flags & flag]
    if _TRUN_SIZE not in columns:
        return end + count * default
    which = columns.index(_TRUN_SIZE)
    source.step(count)
    return end + sum(row[which] for row in source.table(position, count, f">{len(columns)}I", box.end))


def _check_sidx(source: Source, box: Box) -> None:
    """An index of the segments that follow: they must be there."""
    wide = source.number(box.body, 1) > 0
    position = box.body + 12
    first = source.number(position + 8, 8) if wide else source.number(position + 4, 4)
    position += 16 if wide else 8
    count = source.number(position + 2, 2)
    rows = source.table(position + 4, count, ">III", box.end)
    source.step(count)
    source.need(box.end + first + sum(reference & 0x7FFFFFFF for reference, _, _ in rows))


def _check_mfra(source: Source, mfra: Box, film: Film) -> None:
    """An index of the fragments before it: they must be there."""
    for box in boxes(source, mfra.body, mfra.end):
        if box.kind != b"tfra":
            continue
        wide = source.number(box.body, 1) > 0
        widths = source.number(box.body + 8, 4)
        row_format = (">QQ" if wide else ">II") + "".join(f"{(widths >> shift & 3) + 1}s" for shift in (4, 2, 0))
        rows = source.table(box.body + 16, source.number(box.body + 12, 4), row_format, box.end)
        for row in rows:
            source.step()
            if row[1] not in film.fragments:
                raise Damaged("lacks fragments that its index lists")
