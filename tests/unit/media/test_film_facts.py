"""What films are, by their structure alone: real files of PyAV, and boxes that it does not write."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from batchgen.media import Damaged, inspect_bytes
from batchgen.media.facts import Facts
from batchgen.simulator.media import Drawing, encode

NTSC = Fraction(30000, 1001)
AV1 = "libsvtav1" if "libsvtav1" in av.codecs_available else "libaom-av1"
QUIET = {"x265-params": "log-level=none"}
UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


def frames(count: int, size: tuple[int, int] = (64, 48)) -> Iterator[av.VideoFrame]:
    for number in range(count):
        frame = av.VideoFrame.from_image(Image.new("RGB", size, (number * 8 % 256, 90, 160)))  # type: ignore[no-untyped-call]
        frame.pts = number
        yield frame


def film(
    container: str = "mp4", codec: str = "libx264", rate: Fraction | int = 24, count: int = 48, *,
    sound: str | None = None, codec_options: dict[str, str] | None = None, **options: str,
) -> bytes:  # fmt: skip
    """`options` are those of the muxer."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "film"
        with av.open(str(path), "w", format=container, options=options) as out:
            video: Any = out.add_stream(codec, rate=rate, options=codec_options or {})
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            audio: Any = out.add_stream(sound, rate=48000) if sound else None
            for frame in frames(count):
                out.mux(video.encode(frame))
            if audio is not None:
                for number in range(10):
                    out.mux(audio.encode(silence(number * 960)))
            for stream in (video, audio):
                if stream is not None:
                    out.mux(stream.encode(None))
        return path.read_bytes()


def silence(pts: int) -> av.AudioFrame:
    frame = av.AudioFrame(format="flt", layout="stereo", samples=960)
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    frame.sample_rate, frame.pts = 48000, pts
    return frame


def facts(data: bytes) -> Facts:
    return inspect_bytes(data).facts


TWO_SECONDS = Facts(64, 48, 2000, Fraction(24), "avc1", sound=False, c2pa=False)
FILMS: dict[str, tuple[Facts, Callable[[], bytes]]] = {
    "mp4": (TWO_SECONDS, film),
    "mp4 with sound": (replace(TWO_SECONDS, sound=True), lambda: film(sound="aac")),
    "mp4 of one frame": (replace(TWO_SECONDS, duration_ms=42), lambda: film(count=1)),
    "mp4 ntsc": (
        replace(TWO_SECONDS, duration_ms=2002, frame_rate=NTSC),
        lambda: film(rate=NTSC, count=60),
    ),
    "mp4 with frames out of order": (TWO_SECONDS, lambda: film(codec_options={"bf": "2", "g": "12"})),
    "mp4 fragmented": (TWO_SECONDS, lambda: film(movflags="frag_keyframe+empty_moov")),
    "mp4 in pieces": (TWO_SECONDS, lambda: film(movflags="frag_every_frame+empty_moov+default_base_moof")),
    "mp4 h265": (replace(TWO_SECONDS, codec="hev1"), lambda: film(codec="libx265", codec_options=QUIET)),
    "mp4 av1": (replace(TWO_SECONDS, codec="av01"), lambda: film(codec=AV1)),
    "mp4 mpeg4": (replace(TWO_SECONDS, codec="mp4v"), lambda: film(codec="mpeg4")),
    "mov": (replace(TWO_SECONDS, sound=True), lambda: film("mov", sound="aac")),
    "webm": (replace(TWO_SECONDS, codec="V_VP9"), lambda: film("webm", "libvpx-vp9")),
    "webm ntsc": (
        replace(TWO_SECONDS, codec="V_VP8", duration_ms=2002, frame_rate=NTSC),
        lambda: film("webm", "libvpx", NTSC, 60),
    ),
    "matroska with sound": (
        replace(TWO_SECONDS, codec="V_MPEG4/ISO/AVC", sound=True),
        lambda: film("matroska", sound="aac"),
    ),
    "simulator": (
        Facts(128, 72, 2000, Fraction(6), "avc1", sound=False, c2pa=False),
        lambda: encode(Drawing(128, 72, "Waves", "model · 1", 0.3, 2)),
    ),
}  # fmt: skip


@cache
def real(name: str) -> bytes:
    return FILMS[name][1]()


@pytest.mark.parametrize("name", FILMS)
def test_films_are_what_they_are(name: str) -> None:
    assert facts(real(name)) == FILMS[name][0]


# ---- hand-made boxes ----------------------------------------------------------------------------------------------


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


Row = tuple[int, int]
MATRICES = {
    "upright": (1 << 16, 0, 0, 1 << 16),
    "quarter": (0, 1 << 16, -(1 << 16), 0),
    "half": (-(1 << 16), 0, 0, -(1 << 16)),
    "three quarters": (0, -(1 << 16), 1 << 16, 0),
}


def made(
    *, frames: tuple[Row, ...] = ((50, 40),), scale: int = 1000, edits: tuple[tuple[int, int, int], ...] = (),
    movie: int = 1000, shown: tuple[Row, ...] = (), matrix: str = "upright", codec: bytes = b"avc1", wide: bool = False,
    length: int = 0, size: tuple[int, int] = (64, 48),
) -> bytes:  # fmt: skip
    """A film of one byte a frame. Edits: ticks of the movie, where they begin in ticks of the track, speed."""
    count = sum(many for many, _ in frames)
    version, clock = (b"\1\0\0\0", ">16xIQ") if wide else (bytes(4), ">8xII")
    a, b, c, d = MATRICES[matrix]
    tkhd = struct.pack(">16xI4x8x" if wide else ">8xI4x4x", 1) + bytes(16) + struct.pack(">ii4xii16x", a, b, c, d)
    entry = struct.pack(">I4s24xHH50x", 86, codec, *size)
    stbl = [
        box(b"stsd", bytes(4), struct.pack(">I", 1), entry),
        box(b"stts", bytes(4), struct.pack(">I", len(frames)), *(struct.pack(">II", *row) for row in frames)),
        box(b"ctts", bytes(4), struct.pack(">I", len(shown)), *(struct.pack(">Ii", *row) for row in shown)),
        box(b"stsz", bytes(4), struct.pack(">II", 1, count)),
        box(b"stsc", bytes(4), struct.pack(">IIII", 1, 1, count, 1)),
        box(b"stco", bytes(4), struct.pack(">II", 1, 24)),
    ]
    row = ">QqI" if wide else ">IiI"
    elst = box(b"elst", version, struct.pack(">I", len(edits)), *(struct.pack(row, *edit) for edit in edits))
    mdia = box(
        b"mdia", box(b"mdhd", version, struct.pack(clock, scale, length), bytes(4)), box(b"hdlr", bytes(8), b"vide"),
        box(b"minf", box(b"stbl", *stbl)),
    )  # fmt: skip
    trak = box(b"trak", box(b"tkhd", version, tkhd), box(b"edts", elst), mdia)
    mvhd = box(b"mvhd", version, struct.pack(clock, movie, length), bytes(80))
    return box(b"ftyp", b"isom", bytes(4)) + box(b"mdat", bytes(count)) + box(b"moov", mvhd, trak)


@pytest.mark.parametrize("wide", [False, True])
def test_a_film_that_is_made_by_hand(wide: bool) -> None:
    assert facts(made(wide=wide)) == replace(TWO_SECONDS, frame_rate=Fraction(25))


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(
    ("edits", "lasts"),
    [
        ([(2000, 0, 1)], 2000),
        ([(1500, 0, 1)], 1500),
        ([(1500, 250, 1)], 1500),
        ([(2001, 0, 1)], 2000),
        ([(2000, 1500, 1)], 500),
        ([(0, 0, 1)], 2000),
        ([(0, 500, 1)], 1500),
        ([(400, -1, 1), (2000, 0, 1)], 2000),
        ([(1000, 0, 1), (1000, 0, 1), (500, 1000, 1)], 2500),
        ([(3000, 100, 0)], 3000),
        ([], 2000),
        ([(500, -1, 1)], 2000),
        ([(500, 9000, 1)], 2000),
    ],
)
def test_an_edit_list_says_what_is_played(edits: list[tuple[int, int, int]], lasts: int, wide: bool) -> None:
    listed = tuple((ticks, start, speed << 16) for ticks, start, speed in edits)
    assert facts(made(edits=listed, wide=wide)).duration_ms == lasts
    assert facts(made(edits=listed, movie=0, wide=wide)).duration_ms == 2000
    longer = tuple((ticks * 9, start, speed) for ticks, start, speed in listed)
    assert facts(made(edits=longer, movie=9000, wide=wide)).duration_ms == lasts


def test_frames_that_are_shown_later_are_played_too() -> None:
    edit = ((2000, 80, 1 << 16),)
    assert facts(made(edits=edit, shown=((50, 80),))).duration_ms == 2000
    assert facts(made(edits=edit)).duration_ms == 1920


@pytest.mark.parametrize(
    ("frames_", "scale", "rate"),
    [
        (((50, 40),), 1000, Fraction(25)),
        (((60, 1001),), 30000, NTSC),
        (((59, 1001), (1, 3003)), 30000, NTSC),  # the last one lasts longer
        (((1, 0), (59, 1001)), 30000, NTSC),
        (((20, 33), (10, 34)), 1000, Fraction(30)),
        (((10, 40), (10, 80)), 1000, Fraction(50, 3)),
        (((1, 40),), 1000, Fraction(25)),
        (((30, 0),), 1000, None),
        (((30, 40),), 0, None),
        (((30, 1),), 4_000_000_000, None),
    ],
)
def test_the_frame_rate_is_exact(frames_: tuple[Row, ...], scale: int, rate: Fraction | None) -> None:
    assert facts(made(frames=frames_, scale=scale)).frame_rate == rate


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
def test_a_track_that_is_turned_by_a_quarter_swaps_the_sides(matrix: str, wide: bool) -> None:
    found = facts(made(matrix=matrix, wide=wide))
    assert (found.width, found.height) == ((48, 64) if "quarter" in matrix else (64, 48))


@pytest.mark.parametrize(
    ("codec", "name"), [(b"hvc1", "hvc1"), (b"rle ", "rle"), (b"\0\0\0\0", None), (b"\x1b[2J", None), (b"a b ", None)]
)
def test_the_codec_is_what_the_container_calls_it(codec: bytes, name: str | None) -> None:
    assert facts(made(codec=codec)).codec == name


def test_content_credentials_are_seen() -> None:
    assert facts(real("mp4") + box(b"uuid", UUID, b"manifest")).c2pa is True
    assert facts(box(b"ftyp", b"isom", bytes(4)) + box(b"uuid", UUID) + box(b"free", bytes(9)) + tail()).c2pa is True
    assert facts(real("mp4") + box(b"uuid", bytes(16), b"manifest")).c2pa is False


def tail() -> bytes:
    """A film without its first box, whose frames lie where they are not."""
    return made(frames=((1, 40),))[16:]


# ---- hostile files ------------------------------------------------------------------------------------------------


def test_what_no_film_lasts_is_not_known() -> None:
    """Nor does it reach a database, whose numbers have 64 bits."""
    for hostile in (
        made(frames=((50, 0),), scale=1, wide=True, length=(1 << 64) - 1),
        made(edits=(((1 << 64) - 1, 0, 0),), movie=1, wide=True),
        made(frames=((9, (1 << 32) - 1),), scale=1),
    ):
        assert facts(hostile).duration_ms is None
    assert facts(made(size=(0, 48))).width is None


def test_a_long_edit_list_is_read_in_bounds() -> None:
    assert facts(made(edits=((1, 0, 1 << 16),) * 5000)).duration_ms == 1000


@given(st.sampled_from(["mp4", "mp4 fragmented", "mp4 with frames out of order", "webm", "by hand"]), st.data())
def test_damaged_films_have_facts_or_are_damaged(name: str, data: st.DataObject) -> None:
    whole = made(edits=((2000, 0, 1 << 16),), shown=((50, 0),)) if name == "by hand" else real(name)
    damaged = bytearray(whole)
    names = [
        b"stts",
        b"ctts",
        b"elst",
        b"mdhd",
        b"mvhd",
        b"tkhd",
        b"stsd",
        b"trun",
        b"tfhd",
        b"trex",
        b"\x15\x49\xa9\x66",
    ]
    starts = [whole.find(kind) for kind in (*names, b"\x16\x54\xae\x6b") if kind in whole]
    for _ in range(data.draw(st.integers(1, 5))):
        place = min(data.draw(st.sampled_from(starts)) + data.draw(st.integers(-4, 60)), len(damaged) - 1)
        damaged[place : place + data.draw(st.sampled_from([1, 4, 8]))] = data.draw(st.binary(max_size=8))
    try:
        found = facts(bytes(damaged))
    except Damaged:
        return
    assert found.duration_ms is None or 0 <= found.duration_ms < 1 << 40
    assert found.frame_rate is None or 0 < found.frame_rate <= 10_000
    assert found.codec is None or found.codec.isprintable()
