"""What pictures are, by their structure alone: real files of Pillow, and what no encoder here writes by hand."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, TiffImagePlugin, TiffTags

from batchgen.media import Damaged, inspect_bytes
from batchgen.media.facts import Facts

SIZE = (64, 48)
HEAD = b"\x89PNG\r\n\x1a\n"
STORE = bytes.fromhex("6332706100110010800000aa00389b71")
JUMBF = struct.pack(">I4sI4s16s", 48, b"jumb", 40, b"jumd", STORE) + b"\x03c2pa\0" + bytes(10)
"""The beginning of a manifest store."""
OTHER_JUMBF = JUMBF.replace(STORE, bytes(16))
UUID = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


def picture(form: str, mode: str = "RGB", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new(mode, SIZE, 90).save(out, form, **options)
    return out.getvalue()


def exif(orientation: int) -> bytes:
    noted = Image.Exif()
    noted[271] = "A camera of some make"
    noted[274] = orientation
    return noted.tobytes()


def facts(data: bytes) -> Facts:
    return inspect_bytes(data).facts


FORMS: dict[str, Callable[[], bytes]] = {
    "png": lambda: picture("PNG"),
    "png palette": lambda: picture("PNG", "P"),
    "jpeg": lambda: picture("JPEG"),
    "jpeg progressive": lambda: picture("JPEG", progressive=True),
    "jpeg with a thumbnail": lambda: picture("JPEG", exif=with_thumbnail()),
    "gif": lambda: picture("GIF", "P"),
    "webp": lambda: picture("WEBP"),
    "webp lossless": lambda: picture("WEBP", lossless=True),
    "webp alpha": lambda: picture("WEBP", "RGBA"),
    "webp extended": lambda: picture("WEBP", exif=exif(1)),
    "avif": lambda: picture("AVIF"),
    "bmp": lambda: picture("BMP"),
    "tiff": lambda: picture("TIFF"),
    "tiff big": lambda: picture("TIFF", big_tiff=True),
    "jxl small": lambda: jxl(bits((1, 1), (5, 5), (0, 3), (7, 5))),
    "jxl of a ratio": lambda: jxl(bits((1, 1), (5, 5), (3, 3))),
    "jxl large": lambda: jxl(bits((0, 1), (0, 2), (47, 9), (0, 3), (1, 2), (63, 13))),
    "jxl in parts": lambda: jxl(bits((0, 1), (3, 2), (47, 30), (3, 3)), parts=True),
}


def with_thumbnail() -> bytes:
    """A picture inside the EXIF data has a size of its own."""
    small = io.BytesIO()
    Image.new("RGB", (8, 8)).save(small, "JPEG")
    return exif(1) + small.getvalue()


def bits(*fields: tuple[int, int]) -> bytes:
    """Numbers of some bits each, the lowest first."""
    number = at = 0
    for value, width in fields:
        number |= value << at
        at += width
    return number.to_bytes(20, "little")


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def jxl(header: bytes, *more: bytes, parts: bool = False) -> bytes:
    codestream = b"\xff\x0a" + header
    kind, ahead = (b"jxlp", b"\x80\0\0\0") if parts else (b"jxlc", b"")
    signature = b"\0\0\0\x0cJXL \r\n\x87\n"
    return signature + box(b"ftyp", b"jxl \0\0\0\0jxl ") + box(kind, ahead + codestream) + b"".join(more)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def riff_with(data: bytes, kind: bytes, body: bytes) -> bytes:
    whole = data + struct.pack("<4sI", kind, len(body)) + body + bytes(len(body) % 2)
    return whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:]


@pytest.mark.parametrize("name", FORMS)
def test_pictures_have_their_size(name: str) -> None:
    assert facts(FORMS[name]()) == Facts(*SIZE, c2pa=False)


ORIENTED: dict[str, Callable[[int], bytes]] = {
    "jpeg": lambda n: picture("JPEG", exif=exif(n)),
    "png": lambda n: picture("PNG", exif=exif(n)),
    "webp": lambda n: picture("WEBP", exif=exif(n)),
    "webp prefixed": lambda n: riff_with(
        picture("WEBP", "RGBA"), b"EXIF", b"Exif\0\0" + exif(n).removeprefix(b"Exif\0\0")
    ),
    "tiff": lambda n: picture("TIFF", tiffinfo={274: n}),
    "avif": lambda n: picture("AVIF", exif=exif(n)),
    "jxl": lambda n: jxl(bits((1, 1), (5, 5), (0, 3), (7, 5), (0, 1), (1, 1), (n - 1, 3))),
    "big endian": lambda n: jpeg_with(b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01" + bytes([0, n]) + bytes(6)),
}


def jpeg_with(tiff: bytes) -> bytes:
    data = picture("JPEG")
    segment = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ORIENTED)
def test_a_turn_by_a_quarter_swaps_the_sides(name: str, orientation: int) -> None:
    found = facts(ORIENTED[name](orientation))
    assert (found.width, found.height) == (SIZE if orientation < 5 else SIZE[::-1])


@pytest.mark.parametrize(
    ("fractions", "size"), [((60, 1, 40, 1), (60, 40)), ((120, 2, 41, 1), (60, 41)), ((60, 0, 40, 1), (None, None))]
)
def test_a_picture_that_is_cropped_has_the_size_that_is_left(
    fractions: tuple[int, ...], size: tuple[int | None, ...]
) -> None:
    found = facts(still(b"ispe", struct.pack(">4xII", *SIZE), b"clap", struct.pack(">8I", *fractions, 0, 1, 0, 1)))
    assert (found.width, found.height) == size


def still(*properties: bytes) -> bytes:
    """An AVIF of one item that has these properties: kind, content, and so on."""
    made = [box(kind, content) for kind, content in zip(properties[::2], properties[1::2], strict=True)]
    listed = bytes([0, 1, len(made), *range(1, len(made) + 1)])
    meta = [
        box(b"pitm", bytes(4), b"\0\1"), box(b"idat", b"x"),
        box(b"iloc", b"\1\0\0\0\x44\0", struct.pack(">HHHHHII", 1, 1, 1, 0, 1, 0, 1)),
        box(b"iprp", box(b"ipco", *made), box(b"ipma", bytes(4), struct.pack(">I", 1), listed)),
    ]  # fmt: skip
    return box(b"ftyp", b"avif", bytes(4)) + box(b"meta", bytes(4), *meta)


@pytest.mark.parametrize(
    "tiff",
    [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff" + bytes(40), b"II*\0\x08\0\0\0\1\0\x12\1"],
)
def test_odd_exif_is_no_turn_and_no_damage(tiff: bytes) -> None:
    assert facts(jpeg_with(tiff)) == Facts(*SIZE, c2pa=False)


CREDENTIALS: dict[str, Callable[[bytes], bytes]] = {
    "png": lambda store: at(33, picture("PNG"), chunk(b"caBX", store)),
    "png behind the picture": lambda store: at(-12, picture("PNG"), chunk(b"caBX", store)),
    "jpeg": lambda store: at(2, picture("JPEG"), app11(store)),
    "jpeg extended": lambda store: at(
        2, picture("JPEG"), app11(b"\0\0\0\1" + store[4:8] + bytes(7) + b"\x38" + store[8:])
    ),
    "webp": lambda store: riff_with(picture("WEBP", "RGBA"), b"C2PA", store),
    "gif": lambda store: at(19, picture("GIF", "P"), gif_block(store)),  # behind a table of two colours
    "tiff": lambda store: tiff_with(52545, store),
    "avif": lambda store: picture("AVIF") + box(b"uuid", UUID, bytes(4), b"manifest\0", bytes(8), store),
    "jxl": lambda store: jxl(bits((1, 1), (5, 5), (3, 3)), store),
}


def at(place: int, data: bytes, more: bytes) -> bytes:
    return data[:place] + more + data[place:]


def app11(store: bytes) -> bytes:
    body = b"JP\0\1\0\0\0\1" + store
    return b"\xff\xeb" + struct.pack(">H", len(body) + 2) + body


def tiff_with(tag: int, value: bytes) -> bytes:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[tag] = value
    info.tagtype[tag] = TiffTags.UNDEFINED
    return picture("TIFF", tiffinfo=info)


def gif_block(store: bytes) -> bytes:
    return b"!\xff\x0bC2PA_GIF\1\0\0" + bytes([len(store)]) + store + b"\0"


@pytest.mark.parametrize("name", CREDENTIALS)
def test_content_credentials_are_seen(name: str) -> None:
    assert facts(CREDENTIALS[name](JUMBF)).c2pa is True


OTHERS: dict[str, Callable[[], bytes]] = {
    "jpeg with other JUMBF": lambda: at(2, picture("JPEG"), app11(OTHER_JUMBF)),
    "jpeg that goes on": lambda: at(2, picture("JPEG"), app11(JUMBF[:8] + b"c2pa" + bytes(40))),
    "jpeg with a comment": lambda: picture("JPEG", comment=b"c2pa " + JUMBF),
    "png with a text": lambda: at(33, picture("PNG"), chunk(b"tEXt", b"caBX\0caBX " + JUMBF)),
    "webp with another chunk": lambda: riff_with(picture("WEBP", "RGBA"), b"c2pa", JUMBF),
    "gif that loops": lambda: at(19, picture("GIF", "P"), gif_block(JUMBF).replace(b"C2PA_GIF", b"NETSCAPE")),
    "tiff with another tag": lambda: tiff_with(52546, JUMBF),
    "avif with another box": lambda: picture("AVIF") + box(b"uuid", bytes(16), JUMBF),
    "jxl with other JUMBF": lambda: jxl(bits((1, 1), (5, 5), (3, 3)), OTHER_JUMBF),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_metadata_are_no_credentials(name: str) -> None:
    assert facts(OTHERS[name]()) == Facts(*SIZE, c2pa=False)


# ---- hostile files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        HEAD + chunk(b"IHDR", struct.pack(">II5x", 1 << 31, 1)) + chunk(b"IDAT", b"x") + chunk(b"IEND", b""),
        picture("JPEG").replace(b"\x08\0\x30\0\x40\x03", b"\x08\0\0\0\x40\x03"),  # DNL says it, behind the scan
        picture("GIF", "P")[:6] + bytes(4) + picture("GIF", "P")[10:],
        b"RIFF" + struct.pack("<I", 16) + b"WEBPVP8 " + struct.pack("<I", 4) + bytes(4),
        b"RIFF" + struct.pack("<I", 32) + b"WEBPVP8L" + struct.pack("<I", 20) + bytes(20),
        jxl(b"")[:-2] + b"xx",
        picture("AVIF").replace(b"ispe", b"isp3"),
        picture("AVIF").replace(b"ipma", b"ipm3"),
        picture("AVIF").replace(b"pitm", b"pit3"),
    ],
)  # fmt: skip
def test_impossible_sizes_are_not_known(data: bytes) -> None:
    assert facts(data) == Facts(c2pa=False)


def test_exif_data_without_end_are_read_in_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of many segments says that it has thousands of entries."""
    monkeypatch.setattr("batchgen.media.source._STEPS", 10_000)
    entries = b"II*\0\x08\0\0\0\xff\xff" + bytes(12) * 5000
    segment = b"Exif\0\0" + entries
    data = picture("JPEG")
    with pytest.raises(Damaged, match="more parts"):
        inspect_bytes(data[:2] + (b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment) * 60 + data[2:])


@given(st.sampled_from(sorted({*FORMS} - {"png", "png palette"})), st.data())
def test_damaged_pictures_have_facts_or_are_damaged(name: str, data: st.DataObject) -> None:
    """PNG has checksums: what is changed there never gets so far."""
    damaged = bytearray(FORMS[name]())
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, min(len(damaged) - 1, 600)))
        damaged[place : place + data.draw(st.integers(0, 6))] = data.draw(st.binary(max_size=6))
    try:
        found = facts(bytes(damaged))
    except Damaged:
        return
    assert all(side is None or 0 < side < 1 << 24 for side in (found.width, found.height))
    assert (found.width is None) == (found.height is None)


@given(st.binary(max_size=300))
def test_any_exif_data_are_read(tiff: bytes) -> None:
    found = facts(jpeg_with(tiff))
    assert {found.width, found.height} == set(SIZE)
