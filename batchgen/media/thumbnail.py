"""One small picture of an image or a video, as WebP: decoded in bounded memory and time.

Images need Pillow, and videos PyAV as well; `missing_extra` says what is not installed. Native decoders read bytes that
a server sent, so a host that must not die has this done in another process (`batchgen.thumbnails`).
"""

import struct
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from importlib.util import find_spec
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batchgen.core.version import install_hint
from batchgen.media import Damaged, Media, inspect
from batchgen.media.decoders import FFMPEG, FFMPEG_OPTIONS, PILLOW
from batchgen.media.exif import ORIENTATION

if TYPE_CHECKING:
    from av import VideoFrame
    from PIL import Image

SIDE = 320
"""Pixels of the longer side; a smaller picture keeps its size."""
_QUALITY = 80
_MOST_PIXELS = 80_000_000
"""Of one picture; 12K has so many. Pillow needs 320 MB for it, and twice that where it is transparent."""
_MOST_FRAMES, _MOST_FRAME_PIXELS = 1_500, 1_000_000_000
"""Of a video, how many frames are decoded at most, and how many pixels in all of them: a few seconds of work."""
_POSTER_AT = Fraction(1, 10)
"""Of a video's duration: films often begin in black, or with what is not theirs."""
_DARK, _LOOKED_AT = 32, 64
"""A frame whose brightest value, of 255, is not above this is black; a small copy of this many pixels is looked at."""
_CHECK, _LIGHT, _DARKER = 16, (206, 206, 206), (190, 190, 190)
"""What shows through a transparent picture: a chequered grey, on which both black and white are seen."""
_LARGEST_PROFILE = 4_000_000
"""Bytes of a colour profile; those of presses have two million."""


class NoThumbnailError(Exception):
    """No thumbnail can be made of a file; its text is the reason, as in: it has 100000 x 100000 pixels."""


def missing_extra(kind: str) -> str | None:
    """Return the command that installs what thumbnails of a `kind` (`image` or `video`) need; None: all is there."""
    if find_spec("PIL") is None:
        return install_hint("report")
    return install_hint("media") if kind == "video" and find_spec("av") is None else None


def make_thumbnail(source: Path, target: Path) -> None:
    """Write the thumbnail of the image or video at `source` to `target`, whose folder exists. Blocks.

    `target` appears at once and whole. It is not synced: it can be made again. Raises NoThumbnailError where the file
    cannot be decoded, and OSError where it cannot be read or the thumbnail cannot be written.
    """
    small = _encoded(_picture(source))
    staged = target.with_name(f".{target.name}.part")
    try:
        staged.write_bytes(small)
        staged.replace(target)
    finally:
        staged.unlink(missing_ok=True)


def _encoded(picture: "Image.Image") -> bytes:
    out = BytesIO()
    picture.save(out, "WEBP", quality=_QUALITY)
    return out.getvalue()


def _picture(source: Path) -> "Image.Image":
    """Return the small picture, in RGB."""
    try:
        media = inspect(source)
    except Damaged as damage:
        raise NoThumbnailError(f"it {damage}") from damage
    if media.extension not in (FFMPEG if media.kind == "video" else PILLOW):
        raise NoThumbnailError(f"there is no decoder of {media.extension}")
    if hint := missing_extra(media.kind):
        raise NoThumbnailError(f"not installed: {hint}")
    _need_few_pixels(media.facts.width or 0, media.facts.height or 0)
    try:
        return _poster(source, media) if media.kind == "video" else _image(source, PILLOW[media.extension])
    except NoThumbnailError:
        raise
    except MemoryError as error:
        raise NoThumbnailError("it needs too much memory") from error
    except Exception as error:  # decoders raise whatever hostile bytes lead them to
        raise NoThumbnailError(f"it cannot be decoded ({type(error).__name__})") from error


def _need_few_pixels(width: int, height: int) -> None:
    if width * height > _MOST_PIXELS:
        raise NoThumbnailError(f"it has {width} x {height} pixels")


def _image(source: Path, formats: tuple[str, ...]) -> "Image.Image":
    from PIL import Image

    with Image.open(source, formats=formats) as image:
        _need_few_pixels(image.width, image.height)
        turn, profile = _turn(image), image.info.get("icc_profile")
        image.draft(None, (SIDE, SIDE))  # a JPEG is decoded small at once
        small = _eight_bits(image)
        small.thumbnail((SIDE, SIDE))
        if small.mode == "RGBA":
            small = _on_ground(small)
        small = _in_srgb(small, profile)
        return small if turn is None else small.transpose(turn)


def _turn(image: "Image.Image") -> Any:
    """Return how a picture must be transposed to be upright (EXIF 2.32, orientation); None: not at all."""
    from PIL.Image import Transpose

    by_orientation = {
        2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM, 5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90,
    }  # fmt: skip
    with suppress(OSError, SyntaxError, ValueError, struct.error):  # senseless EXIF says nothing, as in `media.exif`
        return by_orientation.get(image.getexif().get(ORIENTATION, 1))
    return None


def _eight_bits(image: "Image.Image") -> "Image.Image":
    """Return a picture as one that can be made smaller: grey, RGB, CMYK, or RGBA where it is transparent."""
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode[0] in "IF":  # more than eight bits of grey, which `convert` would cut off
        deep = image.convert("F")
        low, high = (0, 65535) if image.mode.startswith("I;16") else image.getextrema()
        scale = 255 / max(high - low, 1e-9)  # type: ignore[operator]
        return deep.point(lambda value: value * scale - low * scale).convert("L")  # type: ignore[operator]
    return image if image.mode in ("L", "RGB", "CMYK") else image.convert("RGB")


def _on_ground(picture: "Image.Image") -> "Image.Image":
    from PIL import Image

    tile = Image.new("RGBA", (2 * _CHECK, 2 * _CHECK), (*_LIGHT, 255))
    for corner in ((0, 0), (_CHECK, _CHECK)):
        tile.paste((*_DARKER, 255), (*corner, corner[0] + _CHECK, corner[1] + _CHECK))
    ground = Image.new("RGBA", picture.size)
    for left in range(0, picture.width, 2 * _CHECK):
        for top in range(0, picture.height, 2 * _CHECK):
            ground.paste(tile, (left, top))
    return Image.alpha_composite(ground, picture).convert("RGB")


def _in_srgb(picture: "Image.Image", profile: bytes | None) -> "Image.Image":
    """Return a picture in RGB, in the colours that its profile means; a profile that makes no sense is left out."""
    from PIL import ImageCms

    if profile and len(profile) <= _LARGEST_PROFILE:
        with suppress(ImageCms.PyCMSError, OSError):
            meant = ImageCms.ImageCmsProfile(BytesIO(profile))
            converted = ImageCms.profileToProfile(picture, meant, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if converted is not None:
                return converted
    return picture.convert("RGB")


def _poster(source: Path, media: Media) -> "Image.Image":
    """Return a frame about a tenth into a video; the first one after it that is not black, if there is one."""
    import av

    with av.open(str(source), format=FFMPEG[media.extension], options=FFMPEG_OPTIONS) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"  # one core's share
        _need_few_pixels(stream.width, stream.height)
        stream.codec_context.options = {"max_pixels": str(_MOST_PIXELS)}  # a later frame may say that it is larger
        most = min(_MOST_FRAMES, max(_MOST_FRAME_PIXELS // max(stream.width * stream.height, 1), 1))
        # A clip often has no key frame but the first, so that there is nothing to jump to.
        frame = _chosen(islice(container.decode(stream), most), _POSTER_AT * (media.facts.duration_ms or 0) / 1000)
        if frame is None:
            raise NoThumbnailError("it has no frames")
        width, height = _fitting(frame.width, frame.height)
        picture: Image.Image = frame.reformat(width=width, height=height, format="rgb24").to_image()  # type: ignore[no-untyped-call]
        turn = _turn_of(frame)
        return picture if turn is None else picture.transpose(turn)


def _chosen(frames: "Iterator[VideoFrame]", seconds: Fraction) -> "VideoFrame | None":
    """Return the first frame from so many seconds on that is not black; failing that, the nearest there is."""
    first: Fraction | None = None
    last = black = None
    for frame in frames:
        last = frame
        time = Fraction(0) if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base
        first = time if first is None else first
        if time - first < seconds:
            continue
        if not _is_black(frame):
            return frame
        black = black or frame
    return black or last


def _is_black(frame: "VideoFrame") -> bool:
    small = frame.reformat(width=_LOOKED_AT, height=_LOOKED_AT, format="rgb24").to_image()  # type: ignore[no-untyped-call]
    return bool(max(small.tobytes()) <= _DARK)


def _fitting(width: int, height: int) -> tuple[int, int]:
    scale = min(Fraction(SIDE, max(width, height)), Fraction(1))
    return max(round(width * scale), 1), max(round(height * scale), 1)


def _turn_of(frame: "VideoFrame") -> Any:
    """Return how a frame must be transposed to be upright (ISO/IEC 14496-12, matrix of a track); None: not at all."""
    from PIL.Image import Transpose

    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    data = b"" if matrix is None else bytes(matrix)
    if len(data) != 36:
        return None
    a, b, _, c, d, *_ = struct.unpack("9i", data)
    by_signs = {
        (-1, 0, 0, 1): Transpose.FLIP_LEFT_RIGHT, (-1, 0, 0, -1): Transpose.ROTATE_180,
        (1, 0, 0, -1): Transpose.FLIP_TOP_BOTTOM, (0, 1, 1, 0): Transpose.TRANSPOSE,
        (0, 1, -1, 0): Transpose.ROTATE_270, (0, -1, -1, 0): Transpose.TRANSVERSE, (0, -1, 1, 0): Transpose.ROTATE_90,
    }  # fmt: skip
    return by_signs.get(tuple((value > 0) - (value < 0) for value in (a, b, c, d)))
