"""Draws the outputs: small real PNG pictures and H.264 MP4 clips with the prompt in them. Needs the extra `sim`."""

import colorsys
import io
import json
import random
import re
import tempfile
import textwrap
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Literal

from batchgen.catalog import Model, reproducible
from batchgen.core.digest import digest_of
from batchgen.core.errors import UsageError
from batchgen.core.version import install_hint
from batchgen.provider import Fault, ProviderJob
from batchgen.simulator.orders import given_or_default, seconds_of

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

FPS = 6

_LONGEST = {"1k": 256, "2k": 384, "480p": 192, "720p": 256, "1080p": 320}
_ORDERED = {"1k": 1024, "2k": 2048, "480p": 854, "720p": 1280, "1080p": 1920}
"""The longer side, drawn and as ordered (of a 16:9 video), in pixels."""
UNRELATED = "0"
"""The scale of files whose size has nothing to do with what was ordered."""
_RATIO = re.compile(r"[1-9][0-9]?:[1-9][0-9]?")
_LONGEST_CLIP = 60
"""Seconds."""
_SHAPES = 6
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
    seconds: float = 0
    """Length of a clip; 0 for a picture."""
    seed: int = 0
    """Decides which shapes lie behind the prompt."""
    plain: bool = False
    """Whether it shows nothing at all."""
    moves: bool = True
    """Whether a clip does."""
    light: float = 1.0
    """How bright it is; 0: black."""


def require_media() -> None:
    """Raise UsageError where the encoders are not installed."""
    try:
        import av  # noqa: F401 - an extra
        import PIL  # noqa: F401 - an extra
    except ImportError as error:
        raise UsageError("the simulator makes real media files, which need an extra: " + install_hint("sim")) from error


def drawing_of(model: Model, job: ProviderJob, output: int, faults: AbstractSet[Fault] = frozenset()) -> Drawing:
    """Return what to draw for one output (from 0) of a job that these faults strike."""
    body = json.loads(job.body)
    # Without a seed, each purchase of the same request gives a different output, as with the provider.
    origin = job.digest if reproducible(model, body) else job.id
    if Fault.DUPLICATE in faults:
        origin, output = digest_of(f"{model.id} {body.get('prompt')}"), 0
    ratio = str(given_or_default(model, body, "aspect_ratio"))
    if _RATIO.fullmatch(ratio) is None:
        ratio = "16:9" if model.output == "video" else "1:1"
    width, height = size_of(ratio, str(given_or_default(model, body, "resolution")), model.output)
    drawing = Drawing(
        width=width,
        height=height,
        prompt=str(body.get("prompt", "")),
        label=f"{model.id} · {output + 1}",
        hue=(int(origin[:4], 16) / 65536 + output / 9) % 1,
        seconds=min(seconds_of(model, body), _LONGEST_CLIP) if model.output == "video" else 0,
        seed=int(origin[4:12], 16) + output,
    )
    return struck(drawing, faults)


def struck(drawing: Drawing, faults: AbstractSet[Fault]) -> Drawing:
    """Return a drawing as these faults change it."""
    width, height, seconds = drawing.width, drawing.height, drawing.seconds
    even = 2 if seconds else 1
    if Fault.SMALL in faults:
        width, height = (max(side // 2 // even, 1) * even for side in (width, height))
    if Fault.TALL in faults:
        height = height * 4 // 3 // even * even
    if Fault.SHORT in faults:
        seconds *= 0.8
    return replace(
        drawing,
        width=width,
        height=height,
        seconds=seconds,
        plain=drawing.plain or not faults.isdisjoint((Fault.BLANK, Fault.BLACK)),
        moves=Fault.FROZEN not in faults,
        light=0.0 if Fault.BLACK in faults else drawing.light,
    )


def scale_of(model: Model, job: ProviderJob) -> str:
    """Return the size of a job's outputs as a part of what was ordered, as a fraction (`batchgen.api.Job.scale`)."""
    resolution = str(given_or_default(model, json.loads(job.body), "resolution"))
    scale = Fraction(_LONGEST.get(resolution, 1), _ORDERED.get(resolution, 1))
    return f"{scale.numerator}/{scale.denominator}"


def size_of(ratio: str, resolution: str, kind: Literal["image", "video"]) -> tuple[int, int]:
    """Return width and height of exactly this shape; even numbers for a video, as 4:2:0 colour requires."""
    across, down = (int(part) for part in ratio.split(":"))
    unit = _LONGEST.get(resolution, 256 if kind == "image" else 192) // max(across, down)
    unit = max(unit - unit % 2, 2) if kind == "video" else max(unit, 1)
    return across * unit, down * unit


def encode(drawing: Drawing) -> bytes:
    """Return the PNG, or the MP4 with its index first. Takes milliseconds of CPU."""
    return _mp4(drawing) if drawing.seconds else _png(drawing)


@cache
def tiny(kind: Literal["image", "video"], faults: frozenset[Fault] = frozenset()) -> bytes:
    """Return the small file that is used for all outputs of a kind that these faults strike."""
    return encode(struck(Drawing(64, 64, "", "tiny", 0.6, seconds=1 if kind == "video" else 0), faults))


def _png(drawing: Drawing) -> bytes:
    out = io.BytesIO()
    canvas = _canvas(drawing)
    canvas.putpalette(_palette(drawing))
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
    palette = _palette(drawing)
    count = round(drawing.seconds * FPS)
    for number in range(count):
        # A bar that grows along the lower edge shows the position in the clip.
        if drawing.moves and not drawing.plain:
            canvas.paste(160, (0, drawing.height - 4, drawing.width * (number + 1) // count, drawing.height))
        frame = canvas.copy()
        frame.putpalette(palette)
        yield frame.convert("RGB")


def _canvas(drawing: Drawing) -> "Image.Image":
    """Return shades from 0 (background) to 255 (foreground), to which a palette gives the colours."""
    from PIL import Image, ImageDraw

    canvas = Image.new("L", (drawing.width, drawing.height), 0)
    if drawing.plain:
        return canvas
    draw = ImageDraw.Draw(canvas)
    _draw_shapes(draw, drawing)
    columns = max(4, int((drawing.width - 2 * _MARGIN) / _LETTER))
    lines = textwrap.wrap(drawing.prompt[:2500], columns)[: max(1, (drawing.height - 3 * _MARGIN) // _LINE - 1)]
    draw.multiline_text((_MARGIN, _MARGIN), "\n".join(lines), fill=255, font=_font(14), spacing=2)
    draw.text((_MARGIN, drawing.height - 3 * _MARGIN), drawing.label, fill=200, font=_font(10))
    return canvas


def _draw_shapes(draw: "ImageDraw.ImageDraw", drawing: Drawing) -> None:
    """Draw what makes pictures of one prompt differ."""
    draws = random.Random(drawing.seed)  # noqa: S311 - a simulation must be repeatable
    for _ in range(_SHAPES):
        left, right = sorted(draws.uniform(-0.2, 1.2) * drawing.width for _ in range(2))
        top, bottom = sorted(draws.uniform(-0.2, 1.2) * drawing.height for _ in range(2))
        draws.choice((draw.rectangle, draw.ellipse))((left, top, right, bottom), fill=draws.randrange(20, 150))


def _palette(drawing: Drawing) -> bytes:
    back = colorsys.hsv_to_rgb(drawing.hue, 0.65, 0.4 * drawing.light)
    front = colorsys.hsv_to_rgb(drawing.hue, 0.08, drawing.light)
    return bytes(int(b * (255 - n) + f * n) for n in range(256) for b, f in zip(back, front, strict=True))


@cache
def _font(size: int) -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    from PIL import ImageFont

    return ImageFont.load_default(size)
