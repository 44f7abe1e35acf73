"""Draws the outputs: small real PNG pictures and H.264 MP4 clips with the prompt in them. Needs the extra `sim`."""

import colorsys
import io
import json
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from batchgen.catalog import Model, reproducible
from batchgen.core.errors import UsageError
from batchgen.provider import ProviderJob
from batchgen.simulator.orders import given_or_default

if TYPE_CHECKING:
    from PIL import Image, ImageFont

FPS = 6

_LONGEST = {"1k": 256, "2k": 384, "480p": 192, "720p": 256, "1080p": 320}
_MARGIN = 8
_LINE = 17
_LETTER = 7.2
"""The average width of a letter of the prompt, in pixels."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """What to draw."""

    width: int
    height: int
    prompt: str
    label: str
    hue: float
    """From 0 to 1."""
    seconds: int = 0
    """Length of a clip; 0 for a picture."""


def require_media() -> None:
    """Raise UsageError where the encoders are not installed."""
    try:
        import av  # noqa: F401 - an extra
        import PIL  # noqa: F401 - an extra
    except ImportError as error:
        raise UsageError(
            "the simulator makes real media files, which need an extra: pip install 'batchgen[sim]'"
        ) from error


def drawing_of(model: Model, job: ProviderJob, output: int) -> Drawing:
    """Return what to draw for one output (from 0) of a job."""
    body = json.loads(job.body)
    # Without a seed, each purchase of the same request gives a different output, as with the provider.
    origin = job.digest if reproducible(model, body) else job.id
    ratio = given_or_default(model, body, "aspect_ratio")
    if ratio is None or ratio == "auto":
        ratio = "16:9" if model.output == "video" else "1:1"
    width, height = size_of(str(ratio), str(given_or_default(model, body, "resolution")), model.output)
    return Drawing(
        width=width,
        height=height,
        prompt=str(body.get("prompt", "")),
        label=f"{model.id} · {output + 1}",
        hue=(int(origin[:4], 16) / 65536 + output / 9) % 1,
        seconds=int(given_or_default(model, body, "duration") or 5) if model.output == "video" else 0,
    )


def size_of(ratio: str, resolution: str, kind: Literal["image", "video"]) -> tuple[int, int]:
    """Return width and height of exactly this shape; even numbers for a video, as 4:2:0 colour requires."""
    across, down = (int(part) for part in ratio.split(":"))
    unit = _LONGEST.get(resolution, 256 if kind == "image" else 192) // max(across, down)
    if kind == "video":
        unit -= unit % 2
    return across * unit, down * unit


def encode(drawing: Drawing) -> bytes:
    """Return the PNG, or the MP4 with its index first. Takes milliseconds of CPU."""
    return _mp4(drawing) if drawing.seconds else _png(drawing)


@cache
def tiny(kind: Literal["image", "video"]) -> bytes:
    """Return the small file that is used for all outputs of a kind."""
    return encode(Drawing(64, 64, "", "tiny", 0.6, seconds=1 if kind == "video" else 0))


def _png(drawing: Drawing) -> bytes:
    out = io.BytesIO()
    canvas = _canvas(drawing)
    canvas.putpalette(_palette(drawing.hue))
    canvas.save(out, "PNG", compress_level=1)
    return out.getvalue()


def _mp4(drawing: Drawing) -> bytes:
    import av

    # To a file: the muxer reads what it wrote to move the index to the front.
    with tempfile.NamedTemporaryFile(prefix="batchgen-", suffix=".mp4") as file:
        with av.open(file.name, "w", format="mp4", options={"movflags": "faststart"}) as container:
            stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "30"})
            stream.width, stream.height, stream.pix_fmt = drawing.width, drawing.height, "yuv420p"
            stream.codec_context.thread_count = 1
            for frame in _frames(drawing):
                picture = av.VideoFrame.from_image(frame)  # type: ignore[no-untyped-call]  # their annotations
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        return file.read()


def _frames(drawing: Drawing) -> "Iterator[Image.Image]":
    canvas = _canvas(drawing)
    palette = _palette(drawing.hue)
    count = drawing.seconds * FPS
    for number in range(count):
        # A bar that grows along the lower edge shows the position in the clip.
        canvas.paste(160, (0, drawing.height - 4, drawing.width * (number + 1) // count, drawing.height))
        frame = canvas.copy()
        frame.putpalette(palette)
        yield frame.convert("RGB")


def _canvas(drawing: Drawing) -> "Image.Image":
    """Return shades from 0 (background) to 255 (foreground), to which a palette gives the colours."""
    from PIL import Image, ImageDraw

    canvas = Image.new("L", (drawing.width, drawing.height), 0)
    draw = ImageDraw.Draw(canvas)
    columns = max(4, int((drawing.width - 2 * _MARGIN) / _LETTER))
    lines = textwrap.wrap(drawing.prompt[:2500], columns)[: max(1, (drawing.height - 3 * _MARGIN) // _LINE - 1)]
    draw.multiline_text((_MARGIN, _MARGIN), "\n".join(lines), fill=255, font=_font(14), spacing=2)
    draw.text((_MARGIN, drawing.height - 3 * _MARGIN), drawing.label, fill=200, font=_font(10))
    return canvas


def _palette(hue: float) -> bytes:
    back = colorsys.hsv_to_rgb(hue, 0.65, 0.4)
    front = colorsys.hsv_to_rgb(hue, 0.08, 1.0)
    return bytes(int(b * (255 - n) + f * n) for n in range(256) for b, f in zip(back, front, strict=True))


@cache
def _font(size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    from PIL import ImageFont

    return ImageFont.load_default(size)
