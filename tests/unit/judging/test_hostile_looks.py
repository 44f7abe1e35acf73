"""Files from a server that decoders must not be trusted with: none is an error, and none takes more than it may."""

import io
import logging
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from batchgen.judging.look import Look, look_at
from batchgen.simulator.media import Drawing, encode


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *, depth: int = 8, colour: int = 0, rows: int = 0, cut: int | None = None) -> bytes:
    """A PNG that says so much of itself, and has so many rows of zeros, of which the packed bytes are cut."""
    channels = {0: 1, 2: 3, 6: 4}[colour]
    row = bytes(1 + (width * depth * channels + 7) // 8)
    packer = zlib.compressobj(9)
    data = b"".join([*(packer.compress(row) for _ in range(rows)), packer.flush()])
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data[:cut]) + chunk(b"IEND", b"")


def saved(form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    NOISE.save(out, form, **options)
    return out.getvalue()


NOISE = Image.effect_noise((60, 40), 80).convert("RGB")
FILM = encode(Drawing(64, 48, "Waves", "model · 1", 0.3, 1))


def larger(data: bytes, field: bytes, value: bytes) -> bytes:
    assert data.count(field) == 1
    return data.replace(field, value)


BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "b.png": ("20000 x 20000 pixels", lambda: png(20_000, 20_000, depth=1, rows=20_000)),
    "b.gif": ("65535 x 65535", lambda: larger(saved("GIF"), b"\x3c\0\x28\0\x87\0", b"\xff\xff\xff\xff\x87\0")),
    "b.jpg": ("65500 x 65500", lambda: larger(saved("JPEG"), b"\x08\0\x28\0\x3c\x03", b"\x08\xff\xdc\xff\xdc\x03")),
    "b.webp": (
        "16777215 x 1000000",
        lambda: larger(saved("WEBP", exif=b"Exif\0\0odd"), struct.pack("<I", 59)[:3] + struct.pack("<I", 39)[:3],
                       struct.pack("<I", 16_777_214)[:3] + struct.pack("<I", 999_999)[:3]),
    ),
    "b.bmp": ("9000 x 9000", lambda: bitmap(9000, 9000)),
    "b.mp4": ("65535 x 65535", lambda: larger(FILM, b"\0\x40\0\x30\0\x48", b"\xff\xff\xff\xff\0\x48")),
}  # fmt: skip


def bitmap(width: int, height: int) -> bytes:
    """One bit a pixel."""
    size = (width + 31) // 32 * 4 * height
    head = struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 62 + size, 0, 0, 62, 40, width, height, 1, 1, 0, size, 0, 0, 2, 2)
    return head + bytes(4) + b"\xff\xff\xff\0" + bytes(size)


def kind_of(name: str) -> str:
    return "video" if name.endswith((".mp4", ".webm")) else "image"


@pytest.fixture
def no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a decoder was started")

    monkeypatch.setattr("PIL.Image.open", refuse)
    monkeypatch.setattr("av.open", refuse)


@pytest.mark.usefixtures("no_decoder")
@pytest.mark.parametrize("name", BOMBS)
def test_a_decompression_bomb_is_not_decoded(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    said, data = BOMBS[name]
    (tmp_path / name).write_bytes(data())
    with caplog.at_level(logging.WARNING, "batchgen"):
        assert look_at(tmp_path / name, kind_of(name)) is None
    assert f"{name} cannot be decoded: it has {said}" in caplog.text


@pytest.mark.usefixtures("no_decoder")
@pytest.mark.parametrize("kind", ["image", "video"])
@pytest.mark.parametrize(
    "data",
    [
        b"\xc5\xd0\xd3\xc6\x20\0\0\0" + bytes(24) + b"%!PS-Adobe-3.0\n%%BoundingBox: 0 0 9 9\n",  # Ghostscript
        b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/secret\n\0\1\2",  # fetches what it lists
        b"ffconcat version 1.0\nfile /etc/hostname\n\0\1\2",
        b"8BPS\0\1" + bytes(100), b"RIFF\x40\0\0\0AVI \1\2\3\xff" + bytes(60), b"\xff\x0a" + bytes(60), b"",
    ],
)  # fmt: skip
def test_what_a_decoder_would_guess_is_not_decoded(data: bytes, kind: str, tmp_path: Path) -> None:
    (tmp_path / "f.bin").write_bytes(data)
    assert look_at(tmp_path / "f.bin", kind) is None


@pytest.mark.usefixtures("no_decoder")
def test_a_kind_that_was_not_ordered_is_not_decoded(tmp_path: Path) -> None:
    (tmp_path / "f.png").write_bytes(saved("PNG"))
    (tmp_path / "f.mp4").write_bytes(FILM)
    assert look_at(tmp_path / "f.png", "video") is None
    assert look_at(tmp_path / "f.mp4", "image") is None


REAL: dict[str, Callable[[], bytes]] = {
    "f.png": lambda: saved("PNG"), "f.jpg": lambda: saved("JPEG"), "f.webp": lambda: saved("WEBP"),
    "f.gif": lambda: saved("GIF"), "f.tiff": lambda: saved("TIFF"), "f.avif": lambda: saved("AVIF"),
    "f.mp4": lambda: FILM,
}  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_a_file_whose_picture_data_are_noise_is_no_error(name: str, tmp_path: Path) -> None:
    """The structure is whole, so that a decoder gets to see it."""
    data = bytearray(REAL[name]())
    start = len(data) // 2 if name != "f.mp4" else data.index(b"mdat") + 8
    data[start : start + 400] = bytes(range(1, 201)) * 2
    (tmp_path / name).write_bytes(data)
    assert isinstance(look_at(tmp_path / name, kind_of(name)), Look | None)


def test_a_picture_with_less_data_than_it_says_is_no_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "f.png").write_bytes(png(640, 480, colour=2, rows=480, cut=20))
    assert look_at(tmp_path / "f.png", "image") is None
    assert "f.png cannot be decoded" in caplog.text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.sampled_from(sorted(REAL)), st.data())
def test_damaged_files_are_no_error(tmp_path: Path, name: str, data: st.DataObject) -> None:
    damaged = bytearray(REAL[name]())
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place : place + 4] = data.draw(st.binary(min_size=4, max_size=4))
    (tmp_path / name).write_bytes(damaged)
    assert isinstance(look_at(tmp_path / name, kind_of(name)), Look | None)


# ---- memory -------------------------------------------------------------------------------------------------------

LOOK = """
import resource, sys
from pathlib import Path
import PIL.Image, PIL.PngImagePlugin, av
from batchgen.judging.look import look_at
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
look = look_at(Path(sys.argv[1]), sys.argv[2])
print(look is not None, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def taken(path: Path) -> tuple[bool, int]:
    """Whether a file was decoded, and the MiB that this took."""
    command = [sys.executable, "-c", LOOK, str(path), kind_of(path.name)]
    out = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    decoded, mebibytes = out.stdout.split()
    return decoded == "True", int(mebibytes)


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is counted in KiB there")
@pytest.mark.parametrize(
    ("name", "data", "decoded", "most"),
    [
        ("20k.png", lambda: png(20_000, 20_000, depth=1, rows=20_000), False, 30),
        ("8k.png", lambda: png(7680, 4320, colour=6, rows=4320), True, 300),
        ("f.mp4", lambda: FILM, True, 60),
    ],
    ids=["20k", "8k", "clip"],
)
def test_memory_is_bounded(name: str, data: Callable[[], bytes], decoded: bool, most: int, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data())
    found, mebibytes = taken(tmp_path / name)
    assert found is decoded
    assert mebibytes <= most


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is counted in KiB there")
def test_memory_for_a_long_video_is_bounded(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "long.mp4"), "w") as made:
        stream: Any = made.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        colours = [av.VideoFrame.from_image(Image.new("RGB", (320, 240), (n * 9, 90, 20))) for n in range(25)]  # type: ignore[no-untyped-call]
        for number in range(2500):
            frame = colours[number // 100]
            frame.pts = number
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    decoded, mebibytes = taken(tmp_path / "long.mp4")
    assert decoded
    assert mebibytes <= 60


# ---- without the extra --------------------------------------------------------------------------------------------

WITHOUT = """
import sys
sys.modules.update({"PIL": None, "av": None})
from pathlib import Path
from batchgen.judging.look import can_decode, look_at
from batchgen.media import inspect
print(can_decode(), look_at(Path(sys.argv[1]), "image"), look_at(Path(sys.argv[2]), "video"))
print(inspect(Path(sys.argv[1])).facts.width, inspect(Path(sys.argv[2])).facts.duration_ms)
"""


def test_without_the_extra_facts_are_known_and_nothing_is_decoded(tmp_path: Path) -> None:
    picture, video = tmp_path / "f.png", tmp_path / "f.mp4"
    picture.write_bytes(saved("PNG"))
    video.write_bytes(FILM)
    out = subprocess.run(
        [sys.executable, "-c", WITHOUT, picture, video], check=True, capture_output=True, text=True, env={**os.environ}
    )
    assert out.stdout.splitlines() == ["False None None", "60 1000"]
