"""What a manifest expects of the files that are delivered (`expect`): one table, from which the checks of manifests
and their schema come.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

HASH_BITS = 64
"""Of the perceptual hash."""


@dataclass(frozen=True, slots=True)
class Check:
    """One entry of `expect`."""

    name: str
    kind: Literal["count", "seconds", "truth"]
    help: str
    most: int = 0
    """The largest value of a count (from 1) or of seconds (above 0)."""

    def parse(self, value: object) -> Any:
        """Return a value from a manifest in the check's type. Raises ValueError with a reason."""
        if self.kind == "truth":
            if not isinstance(value, bool):
                raise ValueError("must be true or false")
            return value
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
        if self.kind == "seconds":
            if number is None or not 0 < number <= self.most:
                raise ValueError(f"must be a number of seconds above 0, at most {self.most:,}")
            return float(number)
        if number is None or not 1 <= number <= self.most or number != int(number):
            raise ValueError(f"must be a whole number from 1 to {self.most:,}")
        return int(number)


CHECKS = {
    check.name: check
    for check in (
        Check("min_side", "count", "`small`: the shorter side has fewer pixels than this", 100_000),
        Check("aspect", "truth", "`aspect`: width to height is not as ordered; false turns this off"),
        Check("duration", "seconds", "`duration`: a video is not about so many seconds long", 3600),
        Check("blank", "truth", "false: flag files of a single colour (`blank`)"),
        Check("black", "truth", "false: flag files that are all black (`black`)"),
        Check("frozen", "truth", "false: flag videos in which nothing moves (`frozen`)"),
        Check(
            "unlike", "count",
            "flag an output (`duplicate`) closer than this to another output of the item: 0 is the same picture,"
            " 64 the most", HASH_BITS,
        ),
    )
}  # fmt: skip
"""By name."""


@dataclass(frozen=True, slots=True)
class Expect:
    """The checks of one item. Misses become flags."""

    min_side: int | None = None
    """Pixels that the shorter side has at least; None: what the order says."""
    aspect: bool | None = None
    """Whether width and height are to stand as ordered; None: they are."""
    duration: float | None = None
    """Seconds; None: as ordered."""
    blank: bool | None = None
    """False: not of one colour."""
    black: bool | None = None
    """False: not all black."""
    frozen: bool | None = None
    """False: not a still where a film should be."""
    unlike: int | None = None
    """By how many bits of the perceptual hash its outputs differ at least."""

    @property
    def decodes(self) -> bool:
        """Whether a file must be decoded to know whether it is as expected."""
        return False in (self.blank, self.black, self.frozen) or self.unlike is not None

    @classmethod
    def from_json(cls, checks: Mapping[str, Any]) -> Self:
        """Return the checks of a JSON object. Raises ValueError, whose text says what is wrong with it."""
        for name in checks:
            if name not in CHECKS:
                raise ValueError(f"`{name}` is not a check; `expect` takes {', '.join(CHECKS)}")
        return cls(**{name: None if value is None else CHECKS[name].parse(value) for name, value in checks.items()})

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the checks that `to_text` has written."""
        return cls.from_json(json.loads(text))

    def to_json(self) -> dict[str, Any]:
        """Return the checks that are set, as a JSON object."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}

    def to_text(self) -> str | None:
        """Return the same as canonical JSON; None if no check is set."""
        checks = self.to_json()
        return json.dumps(checks, sort_keys=True, separators=(",", ":")) if checks else None
