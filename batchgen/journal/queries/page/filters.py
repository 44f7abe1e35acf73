"""Which tiles of a page are wanted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from batchgen.core.errors import UsageError
from batchgen.core.records import State

PICKS = ("none", "keep", "reject")
"""What may be said of an output, by the number that stands for it in the index."""
ANY = "any"
_MOST = 200
_LONGEST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Conditions on tiles: all of them must hold; where one has several values, any of these."""

    text: str = ""
    """Words that must all occur in the item's id or prompt, in upper or lower case."""
    models: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    """As in `client=acme`."""
    flags: tuple[str, ...] = ()
    """`any` stands for each of them."""
    picks: tuple[str, ...] = ()
    """See `PICKS`."""
    ratings: tuple[int, ...] = ()
    """0: not rated."""

    @classmethod
    def from_query(cls, query: Mapping[str, Sequence[str]]) -> "Filter":
        """Return the filter that the parameters of an address name; others are left alone. Raises UsageError."""
        values = {name: tuple(query.get(key, ())) for key, name in _NAMES.items()}
        for key, name in _NAMES.items():
            if len(values[name]) > _MOST or any(len(value) > _LONGEST for value in values[name]):
                raise UsageError(f"{key}: too many or too long values")
        ratings = values.pop("ratings")
        if bad := [rating for rating in ratings if rating not in set("012345")]:
            raise UsageError(f"rating: expected 0 to 5, got {bad[0]!r}")
        for name, known in (("picks", PICKS), ("states", tuple(State))):
            if bad := [value for value in values[name] if value not in known]:
                raise UsageError(f"{name.removesuffix('s')}: expected one of {', '.join(known)}, got {bad[0]!r}")
        return cls(text=" ".join(values.pop("text")), ratings=tuple(map(int, ratings)), **values)

    def to_query(self) -> dict[str, list[str]]:
        """Return the parameters of an address that name it."""
        found: dict[str, Any] = {key: getattr(self, name) for key, name in _NAMES.items()}
        found["text"] = [self.text] if self.text else []
        return {key: [str(value) for value in values] for key, values in found.items() if values}


_NAMES = {
    "text": "text", "model": "models", "state": "states", "tag": "tags", "flag": "flags", "pick": "picks",
    "rating": "ratings",
}  # fmt: skip
