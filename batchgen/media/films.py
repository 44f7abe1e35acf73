"""What an MP4 or QuickTime film is (ISO/IEC 14496-12), by its first video track. It has passed `mp4.check_mp4`.

The duration is what is played: what the edit list leaves of the samples, of fragments too. The frame rate is that of
all frames but one, since the last one may last longer; where frames last differently, it is their average.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import islice

from batchgen.media.facts import Facts, known, milliseconds, rate_of, size_shown
from batchgen.media.mp4 import Box, Film, boxes, children
from batchgen.media.source import Source

_CODEC = re.compile(rb"[A-Za-z0-9]{2,4} {0,2}")
_NORMAL_SPEED = 1 << 16
_MOST_EDITS = 1000


@dataclass(slots=True)
class _Frames:
    """The frames of a track, as far as they have been counted."""

    count: int = 0
    ticks: int = 0
    """How long they last together."""
    most: tuple[int, int] = (0, 0)
    """Most frames in a row of the same length, and that length."""

    def add(self, count: int, each: int) -> None:
        self.count += count
        self.ticks += count * each
        self.most = max(self.most, (count, each))

    def rate(self, scale: int) -> Fraction | None:
        """Return frames per second, where a second has `scale` ticks."""
        alike = self.most[0] >= self.count - 1
        return rate_of(1, self.most[1], scale) if alike else rate_of(self.count, self.ticks, scale)


def film_facts(source: Source, film: Film) -> Facts:
    """Return what is known of a film."""
    nothing = Facts(sound=film.sound, c2pa=film.c2pa)
    track = film.pictures
    return nothing if track is None else known(partial(_facts, film=film, track=track), source, nothing)


def _facts(source: Source, film: Film, track: Mapping[bytes, Box]) -> Facts:
    scale, length = _clock(source, track[b"mdhd"])
    frames = _Frames()
    table = track[b"stts"]
    for count, each in source.table(table.body + 8, source.number(table.body + 4, 4), ">II", table.end):
        source.step()
        frames.add(count, each)
    number, turned = _header(source, track[b"tkhd"])
    if b"mvex" in film.movie:
        _add_fragments(source, film.movie[b"mvex"], film.fragments.values(), number, frames)
    ticks, second = frames.ticks or length, scale
    if b"edts" in track and b"mvhd" in film.movie:
        movie = _clock(source, film.movie[b"mvhd"])[0]
        end = ticks + _first_shown(source, track)
        if played := _edited(source, track[b"edts"], movie, scale, end):
            ticks, second = played, movie * scale
    entry = track[b"stsd"].body + 8
    codec = source.bytes(entry + 4, 4)
    # The size of the coded picture (VisualSampleEntry), since that of the track may stretch it.
    width, height = size_shown(source.number(entry + 32, 2), source.number(entry + 34, 2), turned=turned)
    return Facts(
        width,
        height,
        duration_ms=milliseconds(ticks, second),
        frame_rate=frames.rate(scale),
        codec=codec.decode("ascii").strip() if _CODEC.fullmatch(codec) else None,
        sound=film.sound,
        c2pa=film.c2pa,
    )


def _clock(source: Source, box: Box) -> tuple[int, int]:
    """Return the ticks of a second, and how many it lasts, from a `mvhd` or `mdhd` box."""
    wide = source.number(box.body, 1) == 1
    start = box.body + (20 if wide else 12)
    return source.number(start, 4), source.number(start + 4, 8 if wide else 4)


def _header(source: Source, tkhd: Box) -> tuple[int, bool]:
    """Return a track's number, and whether its matrix turns it by a quarter."""
    wide = source.number(tkhd.body, 1) == 1
    matrix = tkhd.body + (52 if wide else 40)
    a, b, c, d = (source.number(matrix + at, 4) for at in (0, 4, 12, 16))
    return source.number(tkhd.body + (20 if wide else 12), 4), not (a or d) and bool(b and c)


def _first_shown(source: Source, track: Mapping[bytes, Box]) -> int:
    """Return when the first frame is shown, in ticks: later than it is decoded, where frames are out of order."""
    ctts = track.get(b"ctts")
    if ctts is None or not source.number(ctts.body + 4, 4):
        return 0
    return next(source.table(ctts.body + 8, 1, ">Ii", ctts.end))[1]


def _edited(source: Source, edts: Box, movie: int, scale: int, end: int) -> int:
    """Return how long an edit list plays a track, in ticks of which a second has `movie * scale`.

    How long an edit lasts counts in ticks of the movie, where it begins in those of the track (`scale`), whose last
    frame is shown until `end`. Nothing is shown during empty edits, which only delay a track.
    """
    played = 0
    elst = children(source, edts, b"elst").get(b"elst")
    if elst is None or not movie:
        return played
    row = ">QqI" if source.number(elst.body, 1) == 1 else ">IiI"
    rows = source.table(elst.body + 8, source.number(elst.body + 4, 4), row, elst.end)
    for ticks, start, speed in islice(rows, _MOST_EDITS):
        lasts = ticks * scale
        if start >= 0 and speed == _NORMAL_SPEED:
            # Ticks of the movie are coarse: an edit is often a little longer than what it plays. 0: up to the end.
            left = max(end - start, 0) * movie
            played += min(lasts, left) if lasts else left
        elif start >= 0:
            played += lasts
    return played


def _add_fragments(source: Source, mvex: Box, moofs: Iterable[Box], track: int, frames: _Frames) -> None:
    """Add the frames that lie in fragments (`moof`)."""
    default = 0
    for trex in boxes(source, mvex.body, mvex.end):
        if trex.kind == b"trex" and source.number(trex.body + 4, 4) == track:
            default = source.number(trex.body + 12, 4)
    for moof in moofs:
        for traf in boxes(source, moof.body, moof.end):
            each = default
            for box in boxes(source, traf.body, traf.end) if traf.kind == b"traf" else ():
                if box.kind == b"tfhd":
                    if source.number(box.body + 4, 4) != track:
                        break
                    each = _length_in_tfhd(source, box, default)
                elif box.kind == b"trun":
                    _add_run(source, box, each, frames)


def _length_in_tfhd(source: Source, tfhd: Box, default: int) -> int:
    flags = source.number(tfhd.body + 1, 3)
    if not flags & 0x8:
        return default
    return source.number(tfhd.body + 8 + (8 if flags & 0x1 else 0) + (4 if flags & 0x2 else 0), 4)


def _add_run(source: Source, trun: Box, each: int, frames: _Frames) -> None:
    flags, count = source.number(trun.body + 1, 3), source.number(trun.body + 4, 4)
    if not flags & 0x100:
        frames.add(count, each)
        return
    start = trun.body + 8 + (4 if flags & 0x1 else 0) + (4 if flags & 0x4 else 0)
    columns = sum(bool(flags & flag) for flag in (0x100, 0x200, 0x400, 0x800))
    source.step(count)
    for length, *_ in source.table(start, count, f">{columns}I", trun.end):
        frames.add(1, length)
