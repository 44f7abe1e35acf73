"""Price rules as they are published: `$0.20/s @ 720p · $0.30/s @ 1080p (× duration)`, `$0.30 (480p, 5s) / run`."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType

from batchgen.catalog.tables import Model, Parameter, Price, Unit
from batchgen.catalog.tables_file import check_price
from batchgen.core.text import printable

_UNITS: Mapping[str, Unit] = {"s": "second", "second": "second", "image": "image", "run": "run"}
_UNIT = r"(?: ?/ ?([a-z]+))?"
_TERM = re.compile(rf"\$([0-9]{{1,9}}(?:\.[0-9]{{1,9}})?){_UNIT}(?: @ ([^ ()]+)| \(([^()]+)\))?{_UNIT}")
_TIMES = re.compile(r" \([×x] ?`?([a-z][a-z0-9_]*)`?\)$")
_SIZE = re.compile(r"[0-9]{3,4}p|[0-9]{1,2}k")
_SECONDS = re.compile(r"([0-9]{1,6})s")
_DURATIONS = ("duration", "seconds")
"""The parameters that say how many seconds are paid for."""
_TERMS, _SHOWN = 200, 80


class UnknownPriceError(Exception):
    """A price rule of a form that is not known; the text says why."""


def price_rule(text: str, model: Model) -> Price:
    """Return the price that a rule sets for a model with these parameters. Nothing is guessed.

    Raises UnknownPriceError if the rule is of unknown form, or does not set a price for every valid request.
    """
    times = _TIMES.search(text)
    terms = _terms(text[: times.start()] if times else text)
    unit = _unit(terms)
    # A price for each second or image says what it is multiplied by; one for each run is multiplied by nothing.
    if (unit == "run") == (times is not None):
        raise UnknownPriceError(f"a price per {unit} {'with' if times else 'without'} a parameter that multiplies it")
    if times is not None and (unit == "second") != (times[1] in _DURATIONS):
        raise UnknownPriceError(f"a price per {unit} is multiplied by {printable(times[1], _SHOWN)}")
    conditions = [_conditions(term, model.parameters) for term in terms]
    names = set(map(tuple, conditions))
    if len(names) != 1:
        raise UnknownPriceError("its amounts do not depend on the same parameters")
    by = next(iter(names))
    amounts = {tuple(found.values()): Decimal(term[1]) for found, term in zip(conditions, terms, strict=True)}
    if len(amounts) != len(terms):
        raise UnknownPriceError("it has two amounts for the same request")
    if not all(amounts.values()):
        raise UnknownPriceError("it has an amount of 0")
    price = Price(unit, MappingProxyType(amounts), by, times[1] if times else None)
    try:
        check_price(model, price)
    except ValueError as error:
        raise UnknownPriceError(str(error)) from error
    return price


def _terms(text: str) -> list[re.Match[str]]:
    parts = text.split(" · ")
    if len(parts) > _TERMS:
        raise UnknownPriceError(f"it has more than {_TERMS} amounts")
    terms = []
    for part in parts:
        term = _TERM.fullmatch(part)
        if term is None:
            raise UnknownPriceError(f"cannot read {printable(part, _SHOWN)!r}")
        terms.append(term)
    return terms


def _unit(terms: Sequence[re.Match[str]]) -> Unit:
    """Return the one unit: it stands with each amount, or behind the last one for all of them."""
    given = [term[2] or term[5] for term in terms]
    if any(term[2] and term[5] for term in terms):
        raise UnknownPriceError("an amount has two units")
    if not any(given[:-1]):
        given = given[-1:]
    if len(set(given)) != 1:
        raise UnknownPriceError("its amounts have different units")
    unit = _UNITS.get(given[0] or "")
    if unit is None:
        raise UnknownPriceError(f"unknown unit {printable(given[0], _SHOWN)!r}" if given[0] else "it has no unit")
    return unit


def _conditions(term: re.Match[str], parameters: Sequence[Parameter]) -> dict[str, str | int]:
    """Return for which values of which parameters an amount is, without those that have no other value."""
    found: dict[str, str | int] = {}
    for text in [term[3]] if term[3] else (term[4] or "").split(", "):
        if not text:
            continue
        candidates = [(p, value) for p in parameters if (value := _value(p, text)) is not None]
        if not candidates and _is_fixed(text, parameters):
            continue
        if len(candidates) != 1 or candidates[0][0].name in found:
            raise UnknownPriceError(f"{printable(text, _SHOWN)!r} is not the value of exactly one parameter")
        parameter, value = candidates[0]
        if len(parameter.options) > 1:
            found[parameter.name] = value
    return found


def _value(parameter: Parameter, text: str) -> str | int | None:
    if parameter.type == "string":
        return text if text in parameter.options else None
    seconds = _SECONDS.fullmatch(text)
    if parameter.type == "integer" and seconds is not None and int(seconds[1]) in parameter.options:
        return int(seconds[1])
    return None


def _is_fixed(text: str, parameters: Sequence[Parameter]) -> bool:
    """Whether it is a size that the model always has: one that no parameter of it sets."""
    options = [str(option) for parameter in parameters for option in parameter.options]
    return _SIZE.fullmatch(text) is not None and not any(map(_SIZE.fullmatch, options))
