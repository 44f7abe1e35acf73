"""Reads a file of parameter tables: the shipped `tables.toml`, or one that was imported or written by hand."""

import itertools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from batchgen.catalog.tables import Catalog, Model, Output, Parameter, ParameterType, Price, Scalar, Unit
from batchgen.core.errors import UsageError
from batchgen.core.text import printable

SHIPPED = Path(__file__).with_name("tables.toml")
MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""What a model's id may be; it names a schema file."""
PARAMETER_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
ENDPOINT = re.compile(r"(?:/[A-Za-z0-9_-]+){1,8}")
"""What an endpoint may be: a plain path below the API's address, and no way to another host."""
UNKNOWN = "unknown"
"""What stands in place of a price that is not known, so that none is left out by mistake."""
USD = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
"""An amount of money, in plain digits."""

_MOST_BYTES = 4_000_000
_LARGEST = 2**63
_TEXT_FIELDS = frozenset({"name", "type", "description", "unit"})
_NUMBER_FIELDS = frozenset({"minimum", "maximum", "max_length", "min_items", "max_items", "max_megabytes", "random"})
_LIST_FIELDS = {"options": (str, int), "formats": (str,)}
_MODEL_FIELDS = frozenset({"id", "title", "family", "endpoint", "output", "description", "outputs"})


def load_catalog(file: Path | None = None) -> Catalog:
    """Return the tables in `file`; without one, those shipped with this release, read once.

    Raises UsageError where the file cannot be read or is not valid.
    """
    if file is None:
        return _shipped()
    try:
        with file.open("rb") as data:
            content = data.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ValueError(f"is larger than {_MOST_BYTES:,} bytes")
        catalog = read_catalog(content.decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"cannot read the catalogue {file}: {error.strerror or type(error).__name__}") from error
    except (ValueError, RecursionError) as error:
        reason = printable(str(error)) if isinstance(error, ValueError) else "is nested too deeply"
        raise UsageError(f"{file} is not a valid catalogue: {reason}") from error
    return replace(catalog, file=file.absolute())


@cache
def _shipped() -> Catalog:
    return read_catalog(SHIPPED.read_text(encoding="utf-8"))


def read_catalog(text: str) -> Catalog:
    """Return the tables in a TOML text.

    Raises ValueError if a slip in the data could cost money or let a bad request pass: an unknown field, a parameter
    that cannot be checked, a combination without a price.
    """
    data = tomllib.loads(text)
    shared = _table(data.pop("parameters", {}), "parameters")
    entries = data.pop("models", None)
    if not isinstance(entries, list) or not entries:
        raise ValueError("it lists no models")
    models = [_model(_table(entry, "a model"), shared) for entry in entries]
    by_id = {model.id: model for model in models}
    if len(by_id) != len(models):
        raise ValueError("two models have the same id")
    version = data.pop("version", None)
    if not isinstance(version, str) or not 0 < len(version) <= 100 or printable(version) != version:
        raise ValueError("the version must be a short text")
    if data:
        raise ValueError(f"unknown tables: {', '.join(data)}")
    return Catalog(version=version, models=MappingProxyType(by_id))


def _table(value: object, what: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise ValueError(f"{what} must be a table")


def _model(entry: dict[str, Any], shared: Mapping[str, Any]) -> Model:
    where = entry.get("id", "a model without id")
    try:
        rest = dict(entry)
        listed, price = rest.pop("parameters"), _price(rest.pop("price"))
        parameters = tuple(_parameter(_with_shared(given, shared)) for given in listed)
        for field, value in rest.items():
            if field in _MODEL_FIELDS and not isinstance(value, str):
                raise ValueError(f"{field} must be a text")
        model = Model(**rest, parameters=parameters, price=price)
        _check_model(model)
    except KeyError as error:
        raise ValueError(f"{where}: {error.args[0]} is missing") from error
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error
    return model


def _with_shared(given: object, shared: Mapping[str, Any]) -> dict[str, Any]:
    own = _table(given, "a parameter")
    name = own["name"]
    common = shared.get(name, {}) if isinstance(name, str) else {}
    return {**_table(common, f"parameters.{name}"), **own}


def _check_model(model: Model) -> None:
    if MODEL_ID.fullmatch(model.id) is None:
        raise ValueError("the id must be letters, digits, dots, underscores and hyphens")
    if ENDPOINT.fullmatch(model.endpoint) is None:
        raise ValueError(f"the endpoint must be a path such as /v1/images/generations, not {model.endpoint!r}")
    if model.output not in get_args(Output):
        raise ValueError(f"unknown output {model.output!r}")
    if len({parameter.name for parameter in model.parameters}) != len(model.parameters):
        raise ValueError("a parameter is defined twice")
    if model.outputs is not None:
        _check_counted(model, model.outputs)
    if model.price is not None:
        check_price(model, model.price)


def _parameter(entry: dict[str, Any]) -> Parameter:
    lists = {field: tuple(value) for field, value in entry.items() if isinstance(value, list)}
    _check_fields(entry)
    parameter = Parameter(**entry | lists)
    fault = parameter_fault(parameter)
    if fault:
        raise ValueError(f"{parameter.name}: {fault}")
    return parameter


def _check_fields(entry: Mapping[str, Any]) -> None:
    """Refuse values that are not of their field's type; what fields there are, `Parameter` itself says."""
    for field, value in entry.items():
        if field in _TEXT_FIELDS:
            valid = isinstance(value, str)
        elif field in _NUMBER_FIELDS:
            valid = type(value) is int and abs(value) < _LARGEST
        elif field in _LIST_FIELDS:
            valid = isinstance(value, list) and all(type(one) in _LIST_FIELDS[field] for one in value)
        elif field == "required":
            valid = isinstance(value, bool)
        else:
            valid = type(value) in (str, int, bool) or (
                field == "example" and isinstance(value, list) and all(isinstance(one, str) for one in value)
            )
        if not valid:
            raise ValueError(f"{entry['name']}: {field} has a value of the wrong type")


def parameter_fault(parameter: Parameter) -> str:
    """Return why requests could not be checked against a parameter; empty if they can."""
    if PARAMETER_NAME.fullmatch(parameter.name) is None:
        return "the name must be lower-case letters, digits and underscores"
    if parameter.type not in get_args(ParameterType):
        return f"unknown type {parameter.type!r}"
    kind = {"string": str, "integer": int, "boolean": bool}.get(parameter.type)
    options, default = parameter.options, parameter.default
    if options and (parameter.type == "boolean" or any(type(option) is not kind for option in options)):
        return "options that are not of its type"
    if len(set(options)) != len(options):
        return "an option is listed twice"
    if default is not None and type(default) is not kind:
        return f"the default {default!r} is not of its type"
    if parameter.type == "urls" and (parameter.min_items is None or parameter.max_items is None):
        return "a list without min_items and max_items"
    if not _in_order(parameter.minimum, parameter.maximum) or not _in_order(parameter.min_items, parameter.max_items):
        return "a range whose end is before its start"
    if default is not None and default != parameter.random and not _allows(parameter, default):
        return f"the default {default!r} is not a value that it may have"
    return ""


def _in_order(low: int | None, high: int | None) -> bool:
    return low is None or high is None or low <= high


def _allows(parameter: Parameter, value: Scalar) -> bool:
    if parameter.options:
        return value in parameter.options
    if parameter.type != "integer":
        return True
    return _in_order(parameter.minimum, int(value)) and _in_order(int(value), parameter.maximum)


def _price(given: object) -> Price | None:
    if given == UNKNOWN:
        return None
    entry = _table(given, "the price")
    by = tuple(entry.get("by", ()))
    amounts: dict[tuple[str | int, ...], Decimal] = {}
    for row in entry["amounts"]:
        if set(_table(row, "an amount")) != {*by, "usd"}:
            raise ValueError(f"a price has the fields {', '.join(row)}")
        values = tuple(row[name] for name in by)
        if values in amounts:
            raise ValueError(f"two prices for {', '.join(map(str, values)) or 'the same call'}")
        amounts[values] = _usd(row["usd"])
    price = Price(**entry | {"by": by, "amounts": MappingProxyType(amounts)})
    if price.unit not in get_args(Unit):
        raise ValueError(f"unknown unit {price.unit!r}")
    return price


def _usd(text: object) -> Decimal:
    if isinstance(text, str) and USD.fullmatch(text) and (amount := Decimal(text)):
        return amount
    raise ValueError(f"a price must be a positive amount in quotes, not {text!r}")


def check_price(model: Model, price: Price) -> None:
    """Raise ValueError unless every valid body of the model has a price."""
    choices = []
    for name in price.by:
        parameter = model.parameter(name)
        if parameter is None or not parameter.options or not _always_known(parameter):
            raise ValueError(f"the price depends on {name}, which has no options or no default")
        choices.append(parameter.options)
    if set(price.amounts) != set(itertools.product(*choices)):
        raise ValueError("the price does not cover exactly the values of its parameters")
    if price.times is not None:
        _check_counted(model, price.times)


def _check_counted(model: Model, name: str) -> None:
    parameter = model.parameter(name)
    if parameter is None or parameter.type != "integer" or not _always_known(parameter):
        raise ValueError(f"{name} is counted, but is not an integer with a default")
    low = min(map(int, parameter.options)) if parameter.options else parameter.minimum
    if low is None or low < 1 or (not parameter.options and parameter.maximum is None):
        raise ValueError(f"{name} is counted, but has no bounds from 1 upwards")


def _always_known(parameter: Parameter) -> bool:
    """Whether every valid body says, or leaves to a known default, which value the parameter has."""
    return parameter.required or parameter.default is not None
