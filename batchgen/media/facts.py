"""What a file is, as its structure says: cheap, and without decoding. What the structure does not say is not known.

Width and height are those of the picture as it is shown: a turn by a quarter that is noted in EXIF (JPEG, PNG, WebP,
TIFF), in `irot` (HEIF, AVIF), in the header of a JPEG XL or in the matrix of a video track swaps them.
Content credentials are looked for where the C2PA specification embeds them (annex A.3); those that are only linked to
are not seen.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from batchgen.media.source import Damaged, Source


@dataclass(frozen=True, slots=True)
class Facts:
    """What a file is; None where that is not known."""

    width: int | None = None
    """Pixels, as shown."""
    height: int | None = None
    duration_ms: int | None = None
    """Of a video, as it is played."""
    frame_rate: Fraction | None = None
    """Frames per second."""
    codec: str | None = None
    """Of a video's pictures, as its container names it: `avc1`, `hvc1`, `av01`; `V_VP9`."""
    sound: bool | None = None
    """Whether a video has sound; None: it is not a video."""
    c2pa: bool | None = None
    """Whether it carries C2PA content credentials."""


UNKNOWN = Facts()
"""Nothing is known."""
_LARGEST = 1 << 24
"""Pixels: no picture has a longer side."""
_LONGEST, _FASTEST = 10_000_000, 10_000
"""Seconds of a film, and frames per second."""
T = TypeVar("T")


def picture_facts(width: int, height: int, *, turned: bool = False, c2pa: bool = False) -> Facts:
    """Return the facts of an image; `turned`: it is shown turned by a quarter."""
    shown_width, shown_height = size_shown(width, height, turned=turned)
    return Facts(shown_width, shown_height, c2pa=c2pa)


def size_shown(width: int, height: int, *, turned: bool = False) -> tuple[int, int] | tuple[None, None]:
    """Return width and height as shown; twice None for what no picture measures."""
    if not (0 < width < _LARGEST and 0 < height < _LARGEST):
        return None, None
    return (height, width) if turned else (width, height)


def milliseconds(ticks: int, scale: int) -> int | None:
    """Return how long so many ticks last, of which a second has `scale`; None for what no film lasts."""
    return (2000 * ticks + scale) // (2 * scale) if 0 < ticks < _LONGEST * scale else None


def rate_of(frames: int, ticks: int, scale: int) -> Fraction | None:
    """Return frames per second, where so many last so many ticks, of which a second has `scale`.

    None for what no film has.
    """
    return Fraction(frames * scale, ticks) if 0 < frames * scale <= _FASTEST * ticks else None


def known(read: Callable[[Source], T], source: Source, otherwise: T) -> T:
    """Return what `read` finds; `otherwise` where the bytes make no sense to it.

    For what says more about a file, not whether it is whole: odd bytes are no fault there.
    """
    try:
        return read(source)
    except (Damaged, ArithmeticError, LookupError, struct.error):
        return otherwise
