"""Scalars that remember how they were written, and values as text."""

import re
from functools import lru_cache
from typing import Any

_CORE = re.compile(
    r"(?P<null>~|null|Null|NULL|)|(?P<true>true|True|TRUE)|(?P<false>false|False|FALSE)"
    r"|(?P<int>[-+]?[0-9]+)|(?P<oct>0o[0-7]+)|(?P<hex>0x[0-9a-fA-F]+)"
    r"|(?P<float>[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))"
)


_EXACT = 2**53
MAY_BE_NO_TEXT = frozenset("0123456789+-.~nNtTfF")
"""The first characters of plain scalars that are no text, unless they are empty."""
_USUAL = 20
"""Digits that a number may have to be read at once."""


class Whole(int):
    """An integer with an unusual spelling (`007`, `+5`, `0x1F`), so that text made from it is what was written."""

    text: str

    @classmethod
    def read(cls, text: str, base: int = 10) -> int:
        """Return the number, as a plain int if its spelling is usual. Raises ValueError for thousands of digits."""
        plain = int(text, base)
        if base == 10 and str(plain) == text:
            return plain
        number = cls(plain)
        number.text = text
        return number


class Real(float):
    """A number with a fraction, and its spelling: `1.10` stays `1.10` in a text, and money never becomes a float."""

    text: str

    @classmethod
    def read(cls, text: str) -> "Real":
        """Return the number; `.inf` and `.nan` are spelled as in YAML."""
        number = cls(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text


def text_of(value: Any) -> str:
    """Return a scalar as it was written: `true`, `007`, `1.10`; None is the empty text.

    Raises TypeError for lists and maps.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Whole | Real):
        return value.text
    if isinstance(value, int | float):
        return str(value)
    raise TypeError("a list" if isinstance(value, list) else "a map")


def plain_value(value: Any) -> Any:
    """Return a value of a request without its spelling: only the types that JSON has."""
    if type(value) is str:
        return value
    if isinstance(value, Whole):
        return int(value)
    if isinstance(value, list):
        return [plain_value(entry) for entry in value]
    return value


def whole(value: Any) -> int | None:
    """Return the whole number that a value represents; None if it is not a whole number.

    `3.0` is one according to JSON Schema (Draft 7, validation, section 6.1.1), which editors use to check a manifest.
    A number that a float cannot tell from its neighbours is not.
    """
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < _EXACT else None
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else None


def fitting(value: Any, kind: str | None) -> Any:
    """Return a value of a request, using only the types that JSON has; `kind` is its parameter's type."""
    if kind == "integer" and isinstance(value, float) and (number := whole(value)) is not None:
        return number
    return plain_value(value)


def scalar_value(text: str) -> Any:
    """Return the value of a plain scalar that is not empty: as `core_value`, but sooner for texts and numbers."""
    if text[0] not in MAY_BE_NO_TEXT:
        return text
    if len(text) < _USUAL and text.isdecimal() and text.isascii() and text[0] != "0":
        return int(text)
    return core_value(text)


@lru_cache(maxsize=4096)
def core_value(text: str) -> Any:
    """Return the value of a plain scalar according to the core schema of YAML 1.2 (section 10.3.2).

    Raises ValueError for an integer of thousands of digits.
    """
    found = _CORE.fullmatch(text)
    match found.lastgroup if found is not None else None:
        case "null":
            return None
        case "true":
            return True
        case "false":
            return False
        case "float":
            return Real.read(text)
        case "int":
            return Whole.read(text)
        case "oct" | "hex" as kind:
            return Whole.read(text, 8 if kind == "oct" else 16)
    return text
