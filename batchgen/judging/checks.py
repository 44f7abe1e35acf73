"""Compares a file with what was ordered and expected; what it misses is a flag."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

from batchgen.expect import Expect
from batchgen.judging.look import Look, distance
from batchgen.media.facts import Facts

__all__ = ["FLAGS", "Expect", "Ordered", "flags_of"]

FLAGS = ("small", "aspect", "duration", "blank", "black", "frozen", "duplicate")
"""All flags, in the order in which they are told."""
_SIZE_MARGIN = Fraction(9, 10)
"""Models draw in steps of 8 to 64 pixels, and may round a side down."""
_ASPECT_MARGIN = Fraction(1, 20)
"""For the same reason; shapes that can be ordered lie at least 12 % apart."""
_TIME_MARGIN_MS, _TIME_MARGIN = 300, Fraction(6, 100)
"""A clip has a whole number of frames, and may have one more than its seconds; 4 s instead of 5 is far outside."""
_RATIO = re.compile(r"([1-9][0-9]?):([1-9][0-9]?)")
_LINES = re.compile(r"([1-9][0-9]{2,3})p")
_THOUSANDS = re.compile(r"([1-9])k")
UNRELATED = "0"
"""The scale of a simulator whose files have nothing to do with what was ordered."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """What an order says of its files; None where it says nothing that can be compared."""

    lines: int | None = None
    """The shorter side of a 16:9 picture in pixels, as in `720p`; other shapes have as many pixels at least."""
    width: int | None = None
    """The longer side in pixels, as in `2k`."""
    aspect: Fraction | None = None
    duration_ms: int | None = None
    scale: Fraction = Fraction(1)
    """The size that a simulator draws in, as a part of this."""

    @classmethod
    def of(cls, parameters: Mapping[str, Any], scale: str | None = None) -> Self:
        """Return what the parameters of a request say, those by default among them.

        `scale` is what a simulator says of itself (`Job.scale`). Words that are not known are not compared.
        """
        if scale == UNRELATED:
            return cls()
        resolution = str(parameters.get("resolution"))
        lines, thousands = _LINES.fullmatch(resolution), _THOUSANDS.fullmatch(resolution)
        ratio = _RATIO.fullmatch(str(parameters.get("aspect_ratio")))
        duration = parameters.get("duration")
        return cls(
            lines=int(lines[1]) if lines else None,
            width=int(thousands[1]) * 1024 if thousands else None,
            aspect=Fraction(int(ratio[1]), int(ratio[2])) if ratio else None,
            duration_ms=duration * 1000 if type(duration) is int and duration > 0 else None,
            scale=Fraction(1) if scale is None else Fraction(scale),
        )


def flags_of(
    expect: Expect, ordered: Ordered, facts: Facts, look: Look | None, siblings: Sequence[str]
) -> tuple[str, ...]:
    """Return what a file misses, in the order of `FLAGS`. What is not known of it is not judged.

    `look` is None where it was not decoded; `siblings` are the hashes of the outputs to compare it with.
    """
    found = {
        "small": _is_small(expect, ordered, facts),
        "aspect": _has_other_aspect(expect, ordered, facts),
        "duration": _has_other_duration(expect, ordered, facts),
    }
    if look is not None:
        found |= {
            "blank": expect.blank is False and look.one_colour,
            "black": expect.black is False and look.black,
            "frozen": expect.frozen is False and look.frozen,
            "duplicate": expect.unlike is not None
            and any(distance(look.hash, other) < expect.unlike for other in siblings),
        }
    return tuple(flag for flag in FLAGS if found.get(flag))


def _is_small(expect: Expect, ordered: Ordered, facts: Facts) -> bool:
    if facts.width is None or facts.height is None:
        return False
    shorter, longer = sorted((facts.width, facts.height))
    if expect.min_side is not None:
        return shorter < expect.min_side * ordered.scale
    if ordered.width is not None:
        return longer < ordered.width * ordered.scale * _SIZE_MARGIN
    if ordered.lines is not None:
        lines = ordered.lines * ordered.scale * _SIZE_MARGIN
        # A tall or square video of 720p may have 720 lines, or as many pixels as a wide one.
        return shorter < lines and shorter * longer < lines * lines * Fraction(16, 9)
    return False


def _has_other_aspect(expect: Expect, ordered: Ordered, facts: Facts) -> bool:
    if expect.aspect is False or ordered.aspect is None or not facts.width or not facts.height:
        return False
    return abs(Fraction(facts.width, facts.height) / ordered.aspect - 1) > _ASPECT_MARGIN


def _has_other_duration(expect: Expect, ordered: Ordered, facts: Facts) -> bool:
    wanted = ordered.duration_ms if expect.duration is None else round(expect.duration * 1000)
    if wanted is None or facts.duration_ms is None:
        return False
    return abs(facts.duration_ms - wanted) > max(Fraction(_TIME_MARGIN_MS), wanted * _TIME_MARGIN)
