"""Containers: real files of many makers are known, every proper beginning of one is refused, nothing else is raised."""

import io
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from batchgen.media import Damaged, Media, Unfamiliar, extension_for, inspect, inspect_bytes

# ---- real files ---------------------------------------------------------------------------------------------------


def picture(mode: str = "RGB", size: tuple[int, int] = (37, 23)) -> Image.Image:
    return Image.effect_noise(size, 60).convert(mode)


def saved(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    picture(mode).save(file, kind, **options)
    return file.getvalue()


def animated(kind: str, **options: Any) -> bytes:
    return saved(kind, save_all=True, append_images=[picture(), picture()], duration=40, **options)


def film(container: str, codec: str, *, sound: str | None = None, seekable: bool = True, **options: str) -> bytes:
    """Six frames of 16 × 16, since files are cut at each of their bytes. `options` are those of the muxer."""
    with TemporaryDirectory() as folder:
        # On a path of its own: what is moved to the front at the end is read back from there.
        path = Path(folder) / "film"
        target: Any = str(path) if seekable else Unseekable()
        with av.open(target, "w", format=container, options=options) as out:
            video: Any = out.add_stream(codec, rate=10)
            video.width, video.height, video.pix_fmt, video.gop_size = 16, 16, "yuv420p", 2
            audio: Any = out.add_stream(sound, rate=48000) if sound else None
            for number in range(6):
                frame = av.VideoFrame.from_image(picture(size=(16, 16)))  # type: ignore[no-untyped-call]
                frame.pts = number
                out.mux(video.encode(frame))
                if audio is not None:
                    out.mux(audio.encode(silence(number * 960)))
            for stream in (video, audio):
                if stream is not None:
                    out.mux(stream.encode(None))
        return path.read_bytes() if seekable else target.getvalue()


class Unseekable(io.BytesIO):
    """A pipe, as far as a muxer can tell."""

    def seekable(self) -> bool:
        return False


def silence(pts: int) -> av.AudioFrame:
    frame = av.AudioFrame(format="flt", layout="stereo", samples=960)
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    frame.sample_rate, frame.pts = 48000, pts
    return frame


PNG, JPG, WEBP, GIF = Media("png", "image"), Media("jpg", "image"), Media("webp", "image"), Media("gif", "image")
MP4, WEBM, MOV, MKV = (Media(kind, "video") for kind in ("mp4", "webm", "mov", "mkv"))
AVIF, HEIC, BMP, TIFF, JXL = (Media(kind, "image") for kind in ("avif", "heic", "bmp", "tiff", "jxl"))

FILES: dict[str, tuple[Media, Callable[[], bytes]]] = {
    "png": (PNG, lambda: saved("PNG")),
    "png palette": (PNG, lambda: saved("PNG", "P", optimize=True)),
    "png alpha": (PNG, lambda: saved("PNG", "RGBA", dpi=(72, 72))),
    "png 1 bit": (PNG, lambda: saved("PNG", "1")),
    "png animated": (PNG, lambda: animated("PNG")),
    "jpeg": (JPG, lambda: saved("JPEG")),
    "jpeg grey": (JPG, lambda: saved("JPEG", "L", quality=95)),
    "jpeg progressive": (JPG, lambda: saved("JPEG", progressive=True)),
    "jpeg restart markers": (JPG, lambda: saved("JPEG", restart_marker_blocks=1)),
    "jpeg with exif and profile": (JPG, lambda: saved("JPEG", exif=with_thumbnail(), icc_profile=bytes(70_000))),
    "jpeg comment": (JPG, lambda: saved("JPEG", comment=b"\xff\xd9 not the end")),
    "webp": (WEBP, lambda: saved("WEBP")),
    "webp lossless": (WEBP, lambda: saved("WEBP", "RGBA", lossless=True)),
    "webp alpha": (WEBP, lambda: saved("WEBP", "RGBA")),
    "webp animated": (WEBP, lambda: animated("WEBP")),
    "webp exif": (WEBP, lambda: saved("WEBP", exif=b"Exif\0\0odd")),
    "gif": (GIF, lambda: saved("GIF", "P")),
    "gif animated": (GIF, lambda: animated("GIF", comment=b"; ; ;")),
    "mp4": (MP4, lambda: film("mp4", "libx264")),
    "mp4 with sound": (MP4, lambda: film("mp4", "libx264", sound="aac")),
    "mp4 faststart": (MP4, lambda: film("mp4", "libx264", sound="aac", movflags="faststart")),
    "mp4 mpeg4": (MP4, lambda: film("mp4", "mpeg4")),
    "mp4 h265": (MP4, lambda: film("mp4", "libx265")),
    "mov": (MOV, lambda: film("mov", "libx264", sound="aac")),
    "mov without ftyp": (MOV, lambda: without_ftyp(film("mov", "libx264"))),
    "matroska": (MKV, lambda: film("matroska", "libx264", sound="aac")),
    "matroska live": (MKV, lambda: film("matroska", "libvpx", live="1", seekable=False)),
    "avif": (AVIF, lambda: saved("AVIF")),
    "avif animated": (AVIF, lambda: animated("AVIF")),
    "heic": (HEIC, lambda: saved("AVIF").replace(b"ftypavif", b"ftypheic", 1)),
    "heif by its compatible brands": (HEIC, lambda: heif(b"mif1", b"mif1", b"heic")),
    "heif in idat": (AVIF, lambda: heif(b"mif1", b"avif", idat=True)),
    "bmp": (BMP, lambda: saved("BMP")),
    "bmp palette": (BMP, lambda: saved("BMP", "P")),
    "bmp upside down": (BMP, lambda: upside_down(saved("BMP"))),
    "tiff": (TIFF, lambda: saved("TIFF")),
    "tiff packed": (TIFF, lambda: saved("TIFF", compression="tiff_lzw")),
    "tiff pages": (TIFF, lambda: saved("TIFF", save_all=True, append_images=[picture(), picture()])),
    "tiff big": (TIFF, lambda: saved("TIFF", big_tiff=True)),
    "tiff of the other end": (TIFF, lambda: small_tiff(">")),
    "jxl": (JXL, lambda: JXL_HEAD + box(b"ftyp", b"jxl \0\0\0\0jxl ") + box(b"jxlc", b"\xff\x0a" + bytes(40))),
    "jxl in parts": (JXL, lambda: JXL_HEAD + box(b"jxlp", bytes(4), b"\xff\x0a" + bytes(9))
                     + box(b"jxlp", b"\x80\0\0\1", bytes(20))),
    "mp4 fragmented": (MP4, lambda: film("mp4", "libx264", sound="aac", movflags="frag_keyframe+empty_moov")),
    "mp4 fragmented, base is moof": (
        MP4, lambda: film("mp4", "libx264", sound="aac", movflags="frag_keyframe+empty_moov+default_base_moof")),
    "mp4 fragmented, first in moov": (MP4, lambda: film("mp4", "libx264", movflags="frag_keyframe")),
    "mp4 dash": (MP4, lambda: film("mp4", "libx264", movflags="frag_keyframe+empty_moov+dash+delay_moov")),
    "mp4 global index": (
        MP4, lambda: film("mp4", "libx264", movflags="frag_keyframe+empty_moov+dash+global_sidx+skip_trailer")),
    "mp4 piped": (
        MP4, lambda: film("mp4", "libx264", seekable=False, movflags="frag_keyframe+empty_moov+skip_trailer")),
    "webm vp8": (WEBM, lambda: film("webm", "libvpx")),
    "webm vp9 with sound": (WEBM, lambda: film("webm", "libvpx-vp9", sound="libopus")),
    "webm cues first": (WEBM, lambda: film("webm", "libvpx", reserve_index_space="4096")),
    "webm small clusters": (WEBM, lambda: film("webm", "libvpx", cluster_size_limit="300")),
    "webm live": (WEBM, lambda: film("webm", "libvpx", live="1", seekable=False)),
}  # fmt: skip

# Cut at these places they are shorter but whole, as far as the container says (see the docstrings of mp4 and webm).
OPEN_ENDED = {
    "mp4 fragmented": "the index at the end is missing together with the fragments",
    "mp4 fragmented, base is moof": "the index at the end is missing together with the fragments",
    "mp4 fragmented, first in moov": "the index at the end is missing together with the fragments",
    "mp4 dash": "each fragment has an index of its own",
    "mp4 piped": "there is no index",
    "webm live": "the segment has no size",
    "matroska live": "the segment has no size",
    "tiff pages": "the writer pads its last page",
}


JXL_HEAD = b"\0\0\0\x0cJXL \r\n\x87\n"


def without_ftyp(data: bytes) -> bytes:
    """A film as QuickTime wrote it first: what points to places in the file stays true."""
    (size,) = struct.unpack_from(">I", data)
    return struct.pack(">I4s", size, b"wide") + bytes(size - 8) + data[size:]


def heif(major: bytes, *brands: bytes, idat: bool = False) -> bytes:
    """The smallest picture in ISO boxes: one item of ten bytes, in the file or in the box of its own."""
    ftyp = box(b"ftyp", major, bytes(4), *brands)

    def meta(start: int) -> bytes:
        place = struct.pack(">HHHHHII", 1, int(idat), 0, 1, 1, start, 10)[2:]
        iloc = box(b"iloc", b"\1\0\0\0\x44\0", struct.pack(">HH", 1, 1), place[:2], bytes(2), b"\0\1", place[-8:])
        return box(b"meta", bytes(4), iloc, box(b"idat", bytes(10)) if idat else b"")

    if idat:
        return ftyp + meta(0)
    start = len(ftyp) + len(meta(0)) + 8
    return ftyp + meta(start) + box(b"mdat", bytes(10))


def upside_down(bmp: bytes) -> bytes:
    (height,) = struct.unpack_from("<i", bmp, 22)
    return bmp[:22] + struct.pack("<i", -height) + bmp[26:]


def small_tiff(order: str) -> bytes:
    entries = [(256, 4, 4), (257, 4, 2), (258, 4, 8), (259, 4, 1), (273, 4, 8), (279, 4, 8)]
    rows = b"".join(struct.pack(f"{order}HHII", tag, kind, 1, value) for tag, kind, value in entries)
    head = b"MM\0*" if order == ">" else b"II*\0"
    return head + struct.pack(f"{order}I", 16) + bytes(8) + struct.pack(f"{order}H", len(entries)) + rows + bytes(4)


def with_thumbnail() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010E] = "\xff\xd8 a picture \xff\xd9"
    return exif


@cache
def real(name: str) -> bytes:
    return FILES[name][1]()


@pytest.mark.parametrize("name", FILES)
def test_a_real_file_is_known(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(real(name))
    assert inspect(path) == FILES[name][0]


def accepted_cuts(data: bytes) -> list[int]:
    found = []
    for cut in range(len(data)):
        try:
            inspect_bytes(data[:cut])
        except Damaged:
            continue
        found.append(cut)
    return found


@pytest.mark.thorough
@pytest.mark.parametrize("name", FILES)
def test_every_proper_beginning_is_refused(name: str) -> None:
    cuts = accepted_cuts(real(name))
    if name in OPEN_ENDED:
        boundaries = BOUNDARIES[FILES[name][0]](real(name))
        assert set(cuts) <= boundaries, "cut within a part, and not noticed"
        assert len(cuts) < len(boundaries)
    else:
        assert cuts == []


def box_boundaries(data: bytes) -> set[int]:
    found, position = set(), 0
    while position < len(data):
        position += struct.unpack_from(">I", data, position)[0]
        found.add(position)
    return found


def element_boundaries(data: bytes) -> set[int]:
    """The beginnings of blocks, clusters, cues and tags, and bytes that look like them."""
    marks = (b"\xa3", b"\x1f\x43\xb6", b"\x1c\x53\xbb", b"\x12\x54\xc3")
    return {at for at in range(len(data)) if data.startswith(marks, at)}


SELF_ENDED = {name for name in FILES if FILES[name][0] in (PNG, JPG, GIF, WEBP, WEBM, BMP, TIFF)} - {"webm live"}


def padding(data: bytes) -> set[int]:
    """The places in the zeros at the end."""
    return set(range(len(data.rstrip(b"\0")), len(data) + 1))


BOUNDARIES = {MP4: box_boundaries, WEBM: element_boundaries, MKV: element_boundaries, TIFF: padding}


# A live segment has no size and goes on to the end of the file.
@pytest.mark.parametrize("name", [name for name in FILES if name in SELF_ENDED])
@pytest.mark.parametrize("tail", [b"\0", b"\n", b"trailing bytes"])
def test_bytes_behind_the_end_are_ignored(name: str, tail: bytes) -> None:
    assert inspect_bytes(real(name) + tail) == FILES[name][0]


@pytest.mark.parametrize("name", ["mp4", "mov", "avif", "jxl", "mp4 faststart"])
@pytest.mark.parametrize("tail", [b"trailing bytes", b"\0\0\1\0mdat", b"\0\0\0\x10free", bytes(20) + b"\1"])
def test_bytes_behind_the_last_box_are_refused(name: str, tail: bytes) -> None:
    with pytest.raises(Damaged):
        inspect_bytes(real(name) + tail)


@pytest.mark.parametrize("name", ["mp4", "mov", "avif", "jxl", "mp4 faststart"])
@pytest.mark.parametrize("tail", [b"\0", bytes(3), bytes(8), bytes(5000), b"\n", b"\r\n", b" " * 9])
def test_padding_behind_the_last_box_is_none_of_the_film(name: str, tail: bytes) -> None:
    assert inspect_bytes(real(name) + tail) == FILES[name][0]


@pytest.mark.parametrize("tail", [bytes(8), bytes(100), b"\n" * 8])
def test_padding_behind_fragments_is_told_from_a_box_that_was_cut(tail: bytes) -> None:
    assert inspect_bytes(real("mp4 fragmented") + tail) == MP4
    with pytest.raises(Damaged, match="cut short"):
        inspect_bytes(real("mp4 fragmented") + tail[:7])


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"<!DOCTYPE html><html></html>", b'{"error": {"type": "x"}}', b"RIFF\x04\0\0\0WAVE", b"BM" + bytes(60),
     b"\x1a\x45\xdf\xa3", b"%PDF-1.7", b"\xff\xd8\xff", b"\xff\xd8\xff\xd9", b"GIF89a" + bytes(7) + b";",
     b"\x89PNG\r\n\x1a\n", b"\0\0\0\x10ftypmp42\0\0\0\0"],
)  # fmt: skip
def test_anything_else_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(Damaged) as caught:
        inspect(path)
    assert str(caught.value)


def test_control_characters_are_not_repeated() -> None:
    with pytest.raises(Damaged) as caught:
        inspect_bytes(b"\x1b[2Jhello\x07")
    assert "\x1b" not in str(caught.value)
    assert "hello" in str(caught.value)


def test_other_kinds_of_ebml_are_not_known() -> None:
    with pytest.raises(Unfamiliar, match="neither WebM nor Matroska"):
        inspect_bytes(film("webm", "libvpx").replace(b"webm", b"mebw", 1))


def test_a_bare_codestream_is_kept_by_what_arrives_and_not_by_its_two_bytes() -> None:
    """A JPEG with one bit wrong begins like one."""
    for content in (b"\xff\x0a" + bytes(60), b"\xff\x0a" + real("jpeg")[2:]):
        with pytest.raises(Unfamiliar):
            inspect_bytes(content)
    assert extension_for("image/jxl") == "jxl"


@pytest.mark.parametrize(
    "data",
    [
        b"FORM\0\0\0\x10ILBM" + bytes(range(64)), b"8BPS\0\1" + bytes(60), b"RIFF\x04\0\0\0AVI \1\2\3\xff", bytes(300),
        b"\0\0\1\0\1\0\x10\x10" + bytes(40), b"OggS\0\2" + bytes(range(256)), b"\x76\x2f\x31\x01" + bytes(range(200)),
    ],
)  # fmt: skip
def test_what_is_no_text_may_be_a_format_that_is_not_known(data: bytes) -> None:
    with pytest.raises(Unfamiliar):
        inspect_bytes(data)


@pytest.mark.parametrize(
    "text",
    [
        "<html><body>Not found</body></html>", '{"error": {"type": "not_found"}}', "no", "Größe: später", "\t\n" * 99,
        "<?xml version='1.0'?><svg/>", "\x1b[1mno\x1b[0m",
    ],
)  # fmt: skip
@pytest.mark.parametrize("code", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_a_text_is_no_output_however_it_is_written(text: str, code: str) -> None:
    for repeated in (1, 999):
        with pytest.raises(Damaged) as caught:
            inspect_bytes((text * repeated).encode(code, "replace"))
        assert not isinstance(caught.value, Unfamiliar)


def test_sound_alone_is_no_video() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream: Any = out.add_stream("aac", rate=48000)
        for number in range(3):
            out.mux(stream.encode(silence(number * 960)))
        out.mux(stream.encode(None))
    with pytest.raises(Damaged, match="no video track"):
        inspect_bytes(file.getvalue())


def test_a_wrong_checksum_is_noticed() -> None:
    data = bytearray(real("png"))
    data[len(data) // 2] ^= 1
    with pytest.raises(Damaged, match="checksum"):
        inspect_bytes(bytes(data))


# ---- hand-made boxes ----------------------------------------------------------------------------------------------


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def moov(offset: int, *, sizes: bytes | None = None, wide: bool = False) -> bytes:
    """One track of three samples in one chunk at `offset`."""
    stsz = box(b"stsz", bytes(4), struct.pack(">II3I", 0, 3, 5, 6, 7)) if sizes is None else sizes
    chunk = (
        box(b"co64", bytes(4), struct.pack(">IQ", 1, offset))
        if wide
        else box(b"stco", bytes(4), struct.pack(">II", 1, offset))
    )
    stbl = box(b"stbl", stsz, box(b"stsc", bytes(4), struct.pack(">IIII", 1, 1, 3, 1)), chunk)
    handler = box(b"hdlr", bytes(8), b"vide", bytes(13))
    return box(b"moov", box(b"trak", box(b"mdia", handler, box(b"minf", stbl))))


FTYP = box(b"ftyp", b"isom", bytes(4))


@pytest.mark.parametrize(
    "sizes",
    [
        None,
        box(b"stsz", bytes(4), struct.pack(">II", 6, 3)),
        box(b"stz2", bytes(7), b"\x04", struct.pack(">I", 3), b"\x56\x70"),
        box(b"stz2", bytes(7), b"\x08", struct.pack(">I", 3), b"\x05\x06\x07"),
        box(b"stz2", bytes(7), b"\x10", struct.pack(">I", 3), b"\0\x05\0\x06\0\x07"),
    ],
)
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(
    "head", [struct.pack(">I4s", 26, b"mdat"), struct.pack(">I4sQ", 1, b"mdat", 34), b"\0\0\0\0mdat"]
)
def test_sample_tables(sizes: bytes | None, wide: bool, head: bytes) -> None:
    start = len(FTYP) + len(moov(0, sizes=sizes, wide=wide)) + len(head)
    data = FTYP + moov(start, sizes=sizes, wide=wide) + head + bytes(18)
    assert inspect_bytes(data) == MP4
    assert accepted_cuts(data) == []
    beyond = FTYP + moov(start + 1, sizes=sizes, wide=wide) + head + bytes(18)
    with pytest.raises(Damaged, match="cut short"):
        inspect_bytes(beyond)


@pytest.mark.parametrize(
    "sizes",
    [
        box(b"stsz", bytes(4), struct.pack(">II", 6, 4)),
        box(b"stsz", bytes(4), struct.pack(">II", 6, 2)),
        box(b"stsz", bytes(4), struct.pack(">II", 6, 0xFFFFFFFF)),
        box(b"stsz", bytes(4), struct.pack(">II", 0, 0xFFFFFFFF)),
        box(b"stsz", bytes(4)),
        box(b"free"),
        box(b"stz2", bytes(7), b"\x03", struct.pack(">I", 3), bytes(20)),
    ],
)
def test_sample_tables_that_contradict_themselves(sizes: bytes) -> None:
    with pytest.raises(Damaged):
        inspect_bytes(FTYP + moov(8, sizes=sizes) + box(b"mdat", bytes(100)))


def test_a_fragment_without_its_data_is_noticed() -> None:
    data = real("mp4 piped")
    last = max(at for at in range(len(data)) if data[at : at + 4] == b"moof") - 4
    end = last + struct.unpack_from(">I", data, last)[0]
    with pytest.raises(Damaged, match="cut short"):
        inspect_bytes(data[:end])


def test_an_index_of_fragments_that_are_not_there_is_noticed() -> None:
    data = real("mp4 fragmented")
    index = data.index(b"mfra") - 4
    last = max(at for at in range(len(data)) if data[at : at + 4] == b"moof") - 4
    with pytest.raises(Damaged, match="fragments"):
        inspect_bytes(data[:last] + data[index:])


def test_a_film_without_its_table_says_so() -> None:
    with pytest.raises(Damaged, match="no moov"):
        inspect_bytes(FTYP + box(b"mdat", bytes(100)))


def test_a_webm_without_frames_is_refused() -> None:
    def element(name: bytes, body: bytes) -> bytes:
        return name + bytes([0x80 | len(body)]) + body

    tracks = element(b"\x16\x54\xae\x6b", element(b"\xae", element(b"\x83", b"\1")))
    head = element(b"\x1a\x45\xdf\xa3", element(b"\x42\x82", b"webm"))
    block = element(b"\x1f\x43\xb6\x75", element(b"\xa3", b"\x81\0\0\x80x"))
    assert inspect_bytes(head + element(b"\x18\x53\x80\x67", tracks + block)) == WEBM
    with pytest.raises(Damaged, match="no frames"):
        inspect_bytes(head + element(b"\x18\x53\x80\x67", tracks))
    with pytest.raises(Damaged, match="no video track"):
        inspect_bytes(head + element(b"\x18\x53\x80\x67", block))


def test_a_webp_chunk_that_passes_its_file_is_refused() -> None:
    chunk = struct.pack("<4sI", b"VP8 ", 100) + bytes(100)
    assert inspect_bytes(b"RIFF" + struct.pack("<I", 112) + b"WEBP" + chunk) == WEBP
    with pytest.raises(Damaged, match="longer than the file says"):
        inspect_bytes(b"RIFF" + struct.pack("<I", 100) + b"WEBP" + chunk)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


PNG_HEADER = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))


# ---- hostile files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"\x89PNG\r\n\x1a\n" + PNG_HEADER + chunk(b"tEXt", b"") * 15_000,
        b"\xff\xd8\xff" + b"\xff" * 40_000,
        b"\xff\xd8" + b"\xff\xe0\0\2" * 15_000,
        b"GIF89a" + bytes(7) + b"!\xfe\0" * 15_000,
        b"RIFF" + struct.pack("<I", 120_004) + b"WEBP" + b"junk\0\0\0\0" * 15_000,
        FTYP + b"\0\0\0\x08free" * 15_000,
        FTYP + box(b"moov", box(b"trak", b"\0\0\0\x08mdia" * 15_000)),
        b"\x1a\x45\xdf\xa3\x10\0\x75\x30" + b"\xec\x80" * 15_000,
        b"\x1a\x45\xdf\xa3\x88\x42\x82\x85webm\0\x18\x53\x80\x67\x01" + b"\xff" * 7 + b"\xec\x80" * 15_000,
    ],
)
def test_a_file_of_nothing_but_parts_ends(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchgen.media.source._STEPS", 10_000)
    with pytest.raises(Damaged, match="more parts"):
        inspect_bytes(data)


@pytest.mark.thorough
def test_the_bound_on_parts() -> None:
    with pytest.raises(Damaged, match="more parts"):
        inspect_bytes(b"\xff\xd8\xff" + b"\xff" * 1_000_002)


HEADS = [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF\x50\0\0\0WEBP", FTYP, b"\x1a\x45\xdf\xa3"]


@given(st.sampled_from(HEADS), st.binary(max_size=200))
@example(b"\x1a\x45\xdf\xa3", b"\xff")
def test_bytes_at_random_raise_nothing_else(head: bytes, tail: bytes) -> None:
    try:
        media = inspect_bytes(head + tail)
    except Damaged as damage:
        assert str(damage)
    else:
        assert media in (PNG, JPG, WEBP, GIF, MP4, WEBM)


@pytest.mark.thorough
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=400)
@given(st.data())
def test_damaged_real_files_raise_nothing_else(data: st.DataObject) -> None:
    """Real files with some bytes changed, put in, or left out, so that the walks get deep."""
    name = data.draw(st.sampled_from(sorted(FILES)))
    damaged = bytearray(real(name))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, min(len(damaged) - 1, 2000)))
        damaged[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    try:
        media = inspect_bytes(bytes(damaged))
    except Damaged as damage:
        assert str(damage)
    else:
        whole = FILES[name][0]
        # The brand alone tells a .mov from a .mp4, and it may be what was damaged.
        assert media in ((MP4, MOV) if whole in (MP4, MOV) else (whole,))


def test_a_png_needs_its_header_first() -> None:
    header, data, end = PNG_HEADER, chunk(b"IDAT", b"x"), chunk(b"IEND", b"")
    start = b"\x89PNG\r\n\x1a\n"
    assert inspect_bytes(start + header + data + end) == PNG
    for wrong in (data + header + end, header + end, chunk(b"IHDR", bytes(13)) + data + end):
        with pytest.raises(Damaged):
            inspect_bytes(start + wrong)
