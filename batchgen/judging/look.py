"""How a file looks: decoded in bounded memory and time, by the decoders of its format. Needs the extra `media`."""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from batchgen.media import Damaged, Media, inspect
from batchgen.media.decoders import FFMPEG, FFMPEG_OPTIONS, PILLOW

if TYPE_CHECKING:
    from av import VideoFrame
    from PIL import Image

log = logging.getLogger("batchgen")

_SIDE = 64
"""Pixels of the small picture that is looked at."""
_BOX = 4
"""Pillow's number for averaging."""
_MOST_PIXELS = 40_000_000
"""Of one picture: an 8K one has 33 million, for which 130 MB are needed, or 260 if it may be transparent."""
_FRAMES, _MOST_FRAMES, _MOST_IN_ALL = 5, 1_500, 3_000_000_000
"""How many frames of a clip are looked at (up to twice as many), spread over it; how many are decoded at most, and how
many pixels in all of them: some seconds of work. What comes later in a long video is not looked at."""
_GREY = (128, 128, 128)
_UNEVEN = 6
"""How far apart, of 255, the darkest and the brightest pixel of one colour may be: noise of an encoder."""
_DARK = 16
_CLEARLY = 2
"""By how much, of 255: where a picture is flat, an encoder decides which pixel is brighter."""
_UNMOVED, _STILL = 10, 500
"""Where less than one value in 500 differs by more than 10 of 255, nothing has moved: the rest is noise."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of a file."""

    one_colour: bool
    black: bool
    frozen: bool
    """Whether a video does not move."""
    hash: str
    """Of the middle frame, hexadecimal: a difference hash of 64 bits, then the average colour; see `distance`."""


def can_decode() -> bool:
    """Return whether the extra is installed."""
    return find_spec("PIL") is not None and find_spec("av") is not None


def distance(one: str, other: str) -> int:
    """Return how far apart two hashes are: 0 for the same picture.

    Up to 4 for one that was scaled or encoded again, from about 10 for another picture of the same prompt; small things
    on a plain ground are near each other, whatever they are.
    """
    bits = (int(one[:16], 16) ^ int(other[:16], 16)).bit_count()
    colours = zip(bytes.fromhex(one[16:]), bytes.fromhex(other[16:]), strict=True)
    return bits + max(abs(a - b) for a, b in colours) // 8


def look_at(path: Path, kind: str) -> Look | None:
    """Decode the file at `path`, an `image` or `video`; None if that fails, which is in the log. Blocks.

    Raises OSError where the file cannot be read.
    """
    try:
        media = inspect(path)
    except Damaged as damage:
        log.warning("%s cannot be decoded: it %s", path.name, damage)
        return None
    try:
        frames = list(_pictures(path, media, kind))
    except Exception as error:  # noqa: BLE001 - decoders raise whatever hostile bytes lead them to
        log.warning(
            "%s cannot be decoded: %s", path.name, error if type(error) is _RefusedError else type(error).__name__
        )
        return None
    return _look(frames, video=kind == "video") if frames else None


class _RefusedError(Exception):
    """A file that is not decoded; its text is the reason."""


def _pictures(path: Path, media: Media, kind: str) -> "Iterator[Image.Image]":
    """Yield one small picture of an image, or some of a video."""
    known = FFMPEG if kind == "video" else PILLOW
    if media.kind != kind or media.extension not in known:
        raise _RefusedError(f"there is no decoder of {media.extension} as {kind}")
    _need_few_pixels(media.facts.width or 0, media.facts.height or 0)
    if kind == "video":
        yield from _video(path, FFMPEG[media.extension])
    else:
        yield _image(path, PILLOW[media.extension])


def _need_few_pixels(width: int, height: int) -> None:
    if width * height > _MOST_PIXELS:
        raise _RefusedError(f"it has {width} x {height} pixels")


def _look(frames: list["Image.Image"], *, video: bool) -> Look:
    first, *others = (frame.tobytes() for frame in frames)
    darkest, brightest = zip(*map(_extremes, frames), strict=True)
    return Look(
        one_colour=max(
            b - d for low, high in zip(darkest, brightest, strict=True) for d, b in zip(low, high, strict=True)
        )
        <= _UNEVEN,
        black=max(map(max, brightest)) <= _DARK,
        frozen=video and not any(_moved(first, other) for other in others),
        hash=_hash(frames[len(frames) // 2]),
    )


def _moved(one: bytes, other: bytes) -> bool:
    return sum(abs(a - b) > _UNMOVED for a, b in zip(one, other, strict=True)) * _STILL > len(one)


def _extremes(frame: "Image.Image") -> tuple[list[int], list[int]]:
    """Return the lowest and the highest value of each colour."""
    channels = [channel.tobytes() for channel in frame.split()]
    return [min(channel) for channel in channels], [max(channel) for channel in channels]


def _hash(frame: "Image.Image") -> str:
    """Return whether each of 8 x 8 grey pixels is brighter than the one to its right, and the average colour."""
    small = frame.convert("L").resize((9, 8), _BOX).tobytes()
    bits = 0
    for row in range(8):
        for column in range(8):
            bits = bits << 1 | (small[row * 9 + column] - small[row * 9 + column + 1] > _CLEARLY)
    return f"{bits:016x}{frame.resize((1, 1), resample=_BOX).tobytes().hex()}"


def _image(path: Path, formats: tuple[str, ...]) -> "Image.Image":
    from PIL import Image

    with Image.open(path, formats=formats) as image:
        _need_few_pixels(image.width, image.height)
        image.draft("RGB", (2 * _SIDE, 2 * _SIDE))  # a JPEG is decoded small at once
        if image.has_transparency_data:
            # What is transparent shows what lies behind: here grey, on which both black and white are seen.
            small = (image if image.mode == "RGBA" else image.convert("RGBA")).resize((_SIDE, _SIDE), _BOX)
            return Image.alpha_composite(Image.new("RGBA", small.size, (*_GREY, 255)), small).convert("RGB")
        return (
            (image if image.mode in ("RGB", "L") else image.convert("RGB")).resize((_SIDE, _SIDE), _BOX).convert("RGB")
        )


def _video(path: Path, container_format: str) -> "Iterator[Image.Image]":
    import av

    with av.open(str(path), format=container_format, options=FFMPEG_OPTIONS) as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"  # one core's share
        _need_few_pixels(stream.width, stream.height)
        stream.codec_context.options = {"max_pixels": str(_MOST_PIXELS)}  # a later frame may say that it is larger
        most = min(_MOST_FRAMES, _MOST_IN_ALL // max(stream.width * stream.height, 1))
        # A clip often has no key frame but the first, so that there is nothing to jump to.
        yield from _spread(islice(container.decode(stream), most))


def _spread(frames: "Iterable[VideoFrame]") -> "list[Image.Image]":
    """Return small pictures of frames that lie equally far apart, however many there are."""
    kept: list[Image.Image] = []
    step = 1
    for number, frame in enumerate(frames):
        if number % step == 0:
            kept.append(frame.reformat(width=_SIDE, height=_SIDE, format="rgb24").to_image())  # type: ignore[no-untyped-call]
        if len(kept) > 2 * _FRAMES:
            kept, step = kept[::2], 2 * step
    return kept
