"""Scalars that remember how they were written, and values as text."""

from typing import Any


class Whole(int):
    """An integer spelled in its own way (`007`, `+5`, `0x1F`), so that text made of it is what was written."""

    text: str

    @classmethod
    def read(cls, text: str, base: int = 10) -> int:
        """Return the number, a plain int where its spelling is usual. Raises ValueError for thousands of digits."""
        plain = int(text, base)
        if base == 10 and str(plain) == text:
            return plain
        number = cls(plain)
        number.text = text
        return number


class Real(float):
    """A number with a fraction, and its spelling: `1.10` stays `1.10` in a text, and money goes through no float."""

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
    """Return a value of a request without its spelling: the very types that JSON knows."""
    if type(value) is str:
        return value
    if isinstance(value, Whole):
        return int(value)
    if isinstance(value, list):
        return [plain_value(entry) for entry in value]
    return value
