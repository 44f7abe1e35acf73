"""What the sentences about one parameter say: its options, range, default and limits."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from batchgen.catalog.reference.page import Fault, Page
from batchgen.catalog.reference.rows import Row
from batchgen.catalog.tables import Parameter, ParameterType
from batchgen.catalog.tables_file import parameter_fault
from batchgen.core.text import printable

_TYPES: Mapping[str, ParameterType] = {
    "string": "string",
    "integer": "integer",
    "boolean": "boolean",
    "string (url)": "url",
    "string[] (urls)": "urls",
}
_SENTENCE_END = re.compile(r"\.(?=\s|$)\s?")
_NUMBER = re.compile(r"-?[0-9]{1,18}")
_RANGE = re.compile(r"(-?[0-9]{1,18})\s?(?:[–—-]|to)\s?(-?[0-9]{1,18})")
_OPTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._+/-]*")
_RANGE_OF_TEXTS = re.compile(r"[0-9]+[a-z]*[–—][0-9]+[a-z]*")
_UNKNOWN_LIMIT = re.compile(
    r"[A-Z][A-Za-z ]{0,30}:\s"
    r"|(?:Min|Max|Minimum|Maximum|At least|At most|Up to|Between|From|Multiples? of|Steps? of|Range|Length)\b"
    r"[^A-Za-z]*[0-9]"
    r"|(?:One of|Must|Only|Allowed)\b"
)
_SHOWN = 60
Facts = dict[str, Any]


class _UnreadableError(Exception):
    """A sentence that cannot be read; becomes a problem at its place."""


def parameter_of(page: Page, row: Row, faults: list[Fault]) -> Parameter | None:
    """Return what a page says of one parameter, in the terms of the tables.

    None where it cannot be read; why is added to `faults`.
    """
    kind = _TYPES.get(row.kind.lower())
    if kind is None:
        faults.append(Fault(row.at, f"{row.name}: unknown type {printable(row.kind, _SHOWN)!r}"))
        return None
    facts: Facts = {}
    description = []
    noted = len(faults)
    for sentence in page.pieces(row.details, _SENTENCE_END):
        text = page.folded(sentence)
        try:
            if not _read(text, kind, facts):
                description.append(text)
        except _UnreadableError as error:
            faults.append(Fault(sentence.start, f"{row.name}: {error}"))
    if len(faults) > noted:
        return None
    told = " ".join(f"{text}." for text in description if text)
    parameter = Parameter(row.name, kind, told, required=row.required, **facts)
    if kind == "urls" and parameter.min_items is None:
        faults.append(Fault(row.at, f"{row.name}: how many addresses it takes is not said"))
        return None
    if fault := parameter_fault(parameter):
        faults.append(Fault(row.at, f"{row.name}: {printable(fault)}"))
        return None
    return parameter


def names_only(page: Page, row: Row, model_id: str) -> bool:
    """Whether the row of `model` itself is a required text whose only value is the model's id."""
    faults: list[Fault] = []
    parameter = parameter_of(page, row, faults)
    return parameter is not None and parameter.required and parameter.options == (model_id,)


def _read(text: str, kind: ParameterType, facts: Facts) -> bool:
    """Add what a sentence says to `facts`; return whether it says anything but a description."""
    for pattern, read in _SENTENCES:
        match = pattern.fullmatch(text)
        if match is not None:
            found = read(match, kind)
            if not found.keys().isdisjoint(facts):
                raise _UnreadableError(f"says twice what {_shown(text)} says")
            facts |= found
            return True
    if _UNKNOWN_LIMIT.match(text):
        raise _UnreadableError(f"cannot read {_shown(text)}")
    return False


def _options(match: re.Match[str], kind: ParameterType) -> Facts:
    text = match[1]
    if kind == "integer":
        span = _RANGE.fullmatch(text)
        if span is not None:
            return {"minimum": int(span[1]), "maximum": int(span[2]), "options": ()}
        numbers = text.split(", ")
        if not all(_NUMBER.fullmatch(number) for number in numbers):
            raise _UnreadableError(f"expected whole numbers or a range as options, got {_shown(text)}")
        return {"options": tuple(map(int, numbers)), "minimum": None, "maximum": None}
    if kind != "string" or _RANGE_OF_TEXTS.fullmatch(text):
        raise _UnreadableError(f"cannot read the options {_shown(text)} of a parameter of this type")
    return {"options": tuple(_text(option) for option in text.split(", "))}


def _default(match: re.Match[str], kind: ParameterType) -> Facts:
    text = match[1]
    if kind == "integer" and _NUMBER.fullmatch(text):
        return {"default": int(text)}
    if kind == "boolean" and text in ("true", "false"):
        return {"default": text == "true"}
    if kind == "string":
        return {"default": _text(text)}
    raise _UnreadableError(f"cannot read the default {_shown(text)} of a parameter of this type")


def _text(text: str) -> str:
    if len(text) > 2 and text[0] == text[-1] == '"' and '"' not in text[1:-1]:
        return text[1:-1]
    if _OPTION.fullmatch(text) is None:
        raise _UnreadableError(f"expected a word or a text in quotes, got {_shown(text)}")
    return text


def _longest(match: re.Match[str], kind: ParameterType) -> Facts:
    if kind != "string":
        raise _UnreadableError("has a length, but is not a text")
    return {"max_length": int(match[1].replace(",", ""))}


def _pictures(match: re.Match[str], kind: ParameterType) -> Facts:
    if kind not in ("url", "urls"):
        raise _UnreadableError("has picture formats, but takes no address")
    return {"formats": tuple(match[1].split("/")), "max_megabytes": int(match[2]) if match[2] else None}


def _items(match: re.Match[str], kind: ParameterType) -> Facts:
    if kind != "urls":
        raise _UnreadableError("takes several values, but is not a list")
    return {"min_items": int(match[1]), "max_items": int(match[2])}


def _random(match: re.Match[str], kind: ParameterType) -> Facts:
    if kind != "integer":
        raise _UnreadableError("has a number for random, but is not a number")
    return {"random": int(match[1])}


_SENTENCES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], ParameterType], Facts]], ...] = (
    (re.compile(r"Options: (.+)"), _options),
    (re.compile(r"Default: (.+)"), _default),
    (re.compile(r"Max ([0-9]{1,3}(?:,[0-9]{3}){1,3}|[0-9]{1,9}) characters"), _longest),
    (re.compile(r"([A-Z]{3,5}(?:/[A-Z]{3,5})*)(?:, max ([0-9]{1,6}) ?MB(?: each)?)?"), _pictures),
    (re.compile(r"Array of ([0-9]{1,6})[–-]([0-9]{1,6}) .*"), _items),
    (re.compile(r"(-?[0-9]{1,18}) \(or omit\) for random"), _random),
)


def _shown(text: str) -> str:
    return repr(printable(text, _SHOWN))
