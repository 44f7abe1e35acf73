"""Checks single values of a request body in Python, and describes what is wrong with them.

These are the values without a fixed list: texts, URLs, seeds. Each check is at least as strict as the schema's.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from urllib.parse import urlsplit

from batchgen.catalog.hints import shown
from batchgen.catalog.tables import Parameter, nearest
from batchgen.core.text import printable


@dataclass(frozen=True, slots=True)
class BodyProblem:
    """One fault of a body: where it is (`("images", 0)`), and one clear sentence without a full stop."""

    path: tuple[str | int, ...]
    message: str


Check = Callable[[object], tuple[BodyProblem, ...]]

_SHOWN = 60
_HUGE = 10**30
_SEED_LIMIT = 2**63
_WHOLE = re.compile(r"([-+]?[0-9]{1,18})\.0*")
_BLANK = re.compile(r"[\s\x00-\x1f\x7f]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_PLAIN_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::[1-9][0-9]{0,3})?(?:/[!-~]*)?")


def check_of(parameter: Parameter) -> Check | None:
    """Return the check for a parameter with unlimited values; None if the schema checks it."""
    if parameter.options:
        return None
    match parameter.type:
        case "string":
            return partial(_check_required_text if parameter.required else _check_text, parameter)
        case "url":
            return partial(_check_url, (parameter.name,))
        case "urls":
            return partial(_check_urls, parameter)
        case "integer" if parameter.minimum is None and parameter.maximum is None:
            return partial(_check_integer, parameter)
    return None


def wrong(parameter: Parameter, value: object) -> BodyProblem:
    """Return what to say about a value of the wrong type or beyond the limits."""
    text = isinstance(value, str)
    if parameter.type == "urls" and text:
        return problem(parameter.name, f"must be {parameter.expected()}, not a single value")
    near = nearest(str(value), parameter.options) if text and len(parameter.options) > 1 else None
    hint = f"; did you mean {near}?" if near is not None else ""
    if parameter.type == "integer" and text and (whole := _WHOLE.fullmatch(str(value).strip())) is not None:
        hint = f"; write {whole[1]}"
    bare = parameter.type == "string"
    return problem(parameter.name, f"must be {parameter.expected()}, not {shown_value(value, quoted=not bare)}{hint}")


def problem(name: object, message: str) -> BodyProblem:
    """Return a problem of the parameter `name`; the message begins with that name."""
    return BodyProblem((str(name),), f"`{printable(str(name), _SHOWN)}` {message}")


def shown_value(value: object, *, quoted: bool = True) -> str:
    """Return a value for use in a sentence: bounded, on one line, texts in quotes if they could be misread."""
    if isinstance(value, str):
        text = printable(value, _SHOWN)
        return f'the text "{text}"' if quoted or not value.strip() else text
    if value is None:
        return "null"
    if is_huge(value):
        return "a number of that size"
    if isinstance(value, bool | int | float | Decimal):
        return shown(value)
    if isinstance(value, list | tuple):
        return "a list"
    return "a map" if isinstance(value, Mapping) else f"a {type(value).__name__}"


def is_huge(value: object) -> bool:
    """Return whether a value is an integer too large to be intended; Python may even refuse to print it in decimal."""
    return type(value) is int and abs(value) >= _HUGE


def _check_required_text(parameter: Parameter, value: object) -> tuple[BodyProblem, ...]:
    if type(value) is str and (not value or value.isspace()):
        return (problem(parameter.name, "is empty"),)
    return _check_text(parameter, value)


def _check_text(parameter: Parameter, value: object) -> tuple[BodyProblem, ...]:
    if type(value) is not str:
        return (wrong(parameter, value),)
    if parameter.max_length is not None and len(value) > parameter.max_length:
        message = f"must have at most {parameter.max_length:,} characters, not {len(value):,}"
        return (problem(parameter.name, message),)
    if "\0" in value:
        return (problem(parameter.name, "contains the character U+0000; was it copied from a UTF-16 file?"),)
    if not (value.isascii() or is_encodable(value)):
        return (
            problem(parameter.name, "contains half of a surrogate pair (\\ud800 to \\udfff), which is not a character"),
        )
    return ()


def _check_integer(parameter: Parameter, value: object) -> tuple[BodyProblem, ...]:
    if type(value) is not int:
        return (wrong(parameter, value),)
    # Python's integers have no limit; those of the program that reads the JSON may have one (RFC 8259, section 6).
    if not -_SEED_LIMIT <= value < _SEED_LIMIT:
        return (problem(parameter.name, "must be a whole number that fits in 64 bits"),)
    return ()


def _check_urls(parameter: Parameter, value: object) -> tuple[BodyProblem, ...]:
    if type(value) is not list:
        return (wrong(parameter, value),)
    least, most = parameter.min_items or 0, parameter.max_items or len(value)
    faults = [fault for n, url in enumerate(value[:most]) for fault in _check_url((parameter.name, n), url)]
    if not least <= len(value) <= most:
        faults.insert(0, problem(parameter.name, f"must be {parameter.expected()}, not of {len(value)}"))
    return tuple(faults)


def _check_url(path: tuple[str | int, ...], value: object) -> tuple[BodyProblem, ...]:
    # Most URLs are plain, and a pattern is several times cheaper than parsing one.
    if type(value) is str and _PLAIN_URL.fullmatch(value):
        return ()
    fault = _url_fault(value)
    if fault is None:
        return ()
    name = str(path[0]) if len(path) == 1 else f"{path[0]}[{path[1]}]"
    return (BodyProblem(path, f"`{name}` {fault}"),)


def _url_fault(value: object) -> str | None:
    """Return why a value is not a URL that the provider could fetch (docs/api.md); None if it may be one.

    Loopback hosts are accepted: the simulator hands them out.
    """
    wanted = "must be a public http(s) URL"
    if type(value) is not str:
        return f"{wanted}, not {shown_value(value)}"
    if not value.strip():
        return "is empty"
    start = value[:8].lower()
    if start.startswith("data:"):
        return f"{wanted}; a data URI cannot be sent"
    if not start.startswith(("http://", "https://")):
        scheme = _SCHEME.match(value)
        if scheme is not None and scheme[1].lower() != "file":
            return f"{wanted}; {printable(scheme[1], _SHOWN)}:// cannot be fetched"
        return f"{wanted}; a local path cannot be sent without `run.assets`, as in s3://BUCKET/PREFIX"
    if not value.startswith(("http://", "https://")):
        return f"{wanted}; write its scheme in lower case"
    if _BLANK.search(value):
        return f"{wanted}; it contains a space or a control character (write a space as %20)"
    if not is_encodable(value):
        return f"{wanted}; it contains half of a surrogate pair, which is not a character"
    return None if _has_host(value) else f"{wanted}; its host is missing or invalid"


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def is_encodable(text: str) -> bool:
    """Return whether a text is valid Unicode: without half a surrogate pair, which UTF-8 cannot encode."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
