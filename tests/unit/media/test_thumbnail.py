"""Thumbnails of what providers deliver and of what only a hostile one would."""

import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image, ImageCms

from batchgen.media import thumbnail
from batchgen.media.thumbnail import SIDE, NoThumbnailError, make_thumbnail, missing_extra

RED, GREEN, BLUE, BLACK = (220, 30, 30), (30, 160, 60), (40, 60, 220), (0, 0, 0)


def made(source: Path) -> Image.Image:
    target = source.with_name("thumbnail.webp")
    make_thumbnail(source, target)
    assert sorted(path.name for path in source.parent.glob("*thumb*")) == ["thumbnail.webp"]
    with Image.open(target) as image:
        image.load()
        assert image.format == "WEBP"
        return image


def near(pixel: object, colour: tuple[int, int, int], margin: int = 24) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(a - b) <= margin for a, b in zip(pixel, colour, strict=True))


def corners(image: Image.Image) -> list[object]:
    right, bottom = image.width - 10, image.height - 10
    return [image.getpixel(place) for place in ((10, 10), (right, 10), (10, bottom), (right, bottom))]


def quartered() -> Image.Image:
    """Red above, left; green above, right; blue below."""
    image = Image.new("RGB", (640, 480), BLUE)
    image.paste(RED, (0, 0, 320, 240))
    image.paste(GREEN, (320, 0, 640, 240))
    return image


@pytest.mark.parametrize(
    ("size", "shown"),
    [((640, 480), (320, 240)), ((480, 640), (240, 320)), ((100, 50), (100, 50)), ((3000, 3), (320, 1))],
)
def test_the_longer_side_has_at_most_320_pixels(tmp_path: Path, size: tuple[int, int], shown: tuple[int, int]) -> None:
    Image.new("RGB", size, RED).save(tmp_path / "a.png")
    assert made(tmp_path / "a.png").size == shown


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.gif", "a.bmp", "a.tiff", "a.avif"])
def test_each_format_that_has_a_decoder(tmp_path: Path, name: str) -> None:
    quartered().save(tmp_path / name)
    image = made(tmp_path / name)
    assert image.size == (320, 240)
    assert [near(*pair) for pair in zip(corners(image), (RED, GREEN, BLUE, BLUE), strict=True)] == [True] * 4


UPRIGHT = {
    2: (GREEN, RED, BLUE, BLUE), 3: (BLUE, BLUE, GREEN, RED), 4: (BLUE, BLUE, RED, GREEN), 5: (RED, BLUE, GREEN, BLUE),
    6: (BLUE, RED, BLUE, GREEN), 7: (BLUE, GREEN, BLUE, RED), 8: (GREEN, BLUE, RED, BLUE),
}  # fmt: skip


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_picture_is_shown_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    quartered().save(tmp_path / "a.jpg", exif=exif, quality=95)
    image = made(tmp_path / "a.jpg")
    assert image.size == ((240, 320) if orientation > 4 else (320, 240))
    assert [near(*pair) for pair in zip(corners(image), UPRIGHT[orientation], strict=True)] == [True] * 4


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_exif_without_sense_is_no_reason_to_have_no_thumbnail(tmp_path: Path) -> None:
    quartered().save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xff\x01")
    assert made(tmp_path / "a.jpg").size == (320, 240)


MODES: dict[str, Callable[[], Image.Image]] = {
    "CMYK": lambda: quartered().convert("CMYK"),
    "P": lambda: quartered().quantize(16),
    "L": lambda: quartered().convert("L"),
    "1": lambda: quartered().convert("1"),
    "LA": lambda: quartered().convert("LA"),
    "I;16": lambda: Image.frombytes("I;16", (640, 480), struct.pack("<H", 0x8000) * (640 * 480)),
    "F": lambda: Image.linear_gradient("L").convert("F"),
}


@pytest.mark.parametrize("mode", MODES)
def test_each_mode(tmp_path: Path, mode: str) -> None:
    MODES[mode]().save(tmp_path / "a.tiff")
    assert made(tmp_path / "a.tiff").mode == "RGB"


def test_sixteen_bits_of_grey_are_not_white(tmp_path: Path) -> None:
    MODES["I;16"]().save(tmp_path / "a.png")
    assert near(made(tmp_path / "a.png").getpixel((50, 50)), (128, 128, 128), 3)


def test_an_animation_shows_its_first_picture(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (64, 64), colour) for colour in (RED, BLUE))
    for name in ("a.gif", "a.webp", "a.png"):
        first.save(tmp_path / name, save_all=True, append_images=[second], duration=100)
        assert near(made(tmp_path / name).getpixel((32, 32)), RED), name


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_what_is_transparent_shows_a_chequered_grey(tmp_path: Path, mode: str) -> None:
    image = Image.new("RGBA", (640, 640), (0, 0, 0, 0))
    image.paste((*RED, 255), (0, 0, 640, 320))
    (image if mode == "RGBA" else image.quantize(4)).save(tmp_path / "a.png")
    shown = made(tmp_path / "a.png")
    assert near(shown.getpixel((100, 80)), RED)
    below = [shown.getpixel((x, 200)) for x in range(4, 320, 16)]
    assert all(near(pixel, (198, 198, 198), 20) for pixel in below)
    assert len(set(below)) > 1


def test_colours_are_those_that_the_profile_means(tmp_path: Path) -> None:
    image = Image.new("RGB", (64, 64), (128, 128, 128))
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name, profile in (("senseless", b"x" * 400), ("of other colours", lab), ("srgb", srgb)):
        image.save(tmp_path / "a.png", icc_profile=profile)
        shown = made(tmp_path / "a.png")
        assert near(shown.getpixel((32, 32)), (128, 128, 128), 3), name
        assert "icc_profile" not in shown.info


def film(
    path: Path, colour: Callable[[int], tuple[int, int, int]], frames: int = 40, size: tuple[int, int] = (640, 360)
) -> Path:
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libvpx-vp9" if path.suffix == ".webm" else "libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_image(Image.new("RGB", size, colour(number)))))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.webm", "a.mkv"])
def test_a_poster_is_a_frame_a_tenth_into_a_video(tmp_path: Path, name: str) -> None:
    image = made(film(tmp_path / name, lambda n: RED if n < 4 else GREEN if n < 8 else BLUE))
    assert image.size == (320, 180)
    assert near(image.getpixel((160, 90)), GREEN)


def test_a_poster_is_not_black_where_there_is_another_frame(tmp_path: Path) -> None:
    assert near(made(film(tmp_path / "late.mp4", lambda n: BLACK if n < 20 else RED)).getpixel((160, 90)), RED)
    assert near(made(film(tmp_path / "early.mp4", lambda n: RED if n < 2 else BLACK)).getpixel((160, 90)), BLACK)
    assert made(film(tmp_path / "one.mp4", lambda _: RED, frames=1)).size == (320, 180)


def test_a_video_that_is_turned_by_its_matrix_is_shown_upright(tmp_path: Path) -> None:
    image = quartered().resize((64, 48))
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream: Any = container.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        container.mux(stream.encode(av.VideoFrame.from_image(image)))
        container.mux(stream.encode())
    data = bytearray((tmp_path / "a.mp4").read_bytes())
    matrix = data.index(b"tkhd") + 44
    assert struct.unpack_from(">i", data, matrix) == (65536,)
    turned = {
        "a quarter to the right": ((0, 1, -1, 0), UPRIGHT[6]),
        "a half": ((-1, 0, 0, -1), UPRIGHT[3]),
        "a quarter to the left": ((0, -1, 1, 0), UPRIGHT[8]),
    }
    for name, ((a, b, c, d), expected) in turned.items():
        data[matrix : matrix + 36] = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
        (tmp_path / "b.mp4").write_bytes(data)
        shown = made(tmp_path / "b.mp4")
        assert shown.size == ((64, 48) if name == "a half" else (48, 64)), name
        assert [near(*pair, 40) for pair in zip(corners(shown), expected, strict=True)] == [True] * 4, name


def png_of(width: int, height: int) -> bytes:
    out = BytesIO()
    Image.new("L", (8, 8)).save(out, "PNG")
    data = bytearray(out.getvalue())
    data[16:24] = struct.pack(">II", width, height)
    import zlib

    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


JXL = b"\0\0\0\x0cJXL \r\n\x87\n" + b"\0\0\0\x14ftypjxl \0\0\0\0jxl " + b"\0\0\0\0jxlc\xff\x0a" + bytes(64)
BAD: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty"),
    "text": (b"<html>no</html>", "is not an image or video"),
    "unknown": (b"\x00\x01\x02" * 500, "unknown format"),
    "cut short": (png_of(8, 8)[:-20], "is cut short"),
    "a bomb": (png_of(100_000, 100_000), "it has 100000 x 100000 pixels"),
    "larger than its data": (png_of(64, 64), "it cannot be decoded"),
    "no decoder": (JXL, "there is no decoder of jxl"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_decoded_is_told_in_one_line(tmp_path: Path, name: str) -> None:
    data, reason = BAD[name]
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(NoThumbnailError) as told:
        made(tmp_path / "a")
    assert reason in str(told.value)
    assert "\n" not in str(told.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_is_not_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video, image = film(tmp_path / "a.mp4", lambda _: RED, frames=2), tmp_path / "a.png"
    quartered().save(image)
    gone = {"av"}
    monkeypatch.setattr(thumbnail, "find_spec", lambda name: None if name in gone else name)
    assert (missing_extra("image"), missing_extra("video")) == (None, "pip install 'batchgen-api18[media]'")
    assert made(image).size == (320, 240)
    with pytest.raises(NoThumbnailError, match=r"not installed: .*\[media\]"):
        made(video)
    gone.add("PIL")
    with pytest.raises(NoThumbnailError, match=r"not installed: .*\[report\]"):
        made(image)


def test_a_thumbnail_that_cannot_be_written_is_the_callers_matter(tmp_path: Path) -> None:
    quartered().save(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError):
        make_thumbnail(tmp_path / "a.png", tmp_path / "nowhere" / "a.webp")
    with pytest.raises(FileNotFoundError):
        make_thumbnail(tmp_path / "nothing", tmp_path / "a.webp")
    assert SIDE == 320
