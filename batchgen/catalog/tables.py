"""The parameter tables as frozen values, read from `tables.toml`."""

import difflib
import itertools
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

ParameterType = Literal["string", "integer", "boolean", "url", "urls"]
Scalar = str | int | bool
Unit = Literal["second", "image", "run"]

_SHORTEST_PART = 3
"""The fewest characters of a part of an id for which the ids that contain it are suggested."""
_SUGGESTED = 4
_TABLES = Path(__file__).with_name("tables.toml")


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a model defines for one of its parameters. None means that there is no such limit."""

    name: str
    type: ParameterType
    description: str
    required: bool = False
    options: tuple[str | int, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    default: Scalar | None = None
    """What the API uses if the body does not have the parameter; never filled into a body."""
    max_length: int | None = None
    """Characters (Unicode code points)."""
    min_items: int | None = None
    max_items: int | None = None
    formats: tuple[str, ...] = ()
    """Image formats that the provider accepts at the URL."""
    max_megabytes: int | None = None
    random: int | None = None
    """The seed value that requests a random seed, if there is one."""
    unit: str = ""
    """The unit of the number (`s`), for display; empty if none is needed."""
    example: Scalar | tuple[str, ...] | None = None

    def expected(self) -> str:
        """Return what the value must be, as a phrase that follows "must be"."""
        if self.options:
            shown = ", ".join(map(str, self.options))
            return shown if len(self.options) == 1 else f"one of {shown}"
        match self.type:
            case "boolean":
                return "true or false"
            case "url":
                return "a public http(s) URL"
            case "urls":
                return f"a list of {self.min_items} to {self.max_items} public http(s) URLs"
            case "string":
                return "text"
        if self.minimum is not None and self.maximum is not None:
            return f"a whole number from {self.minimum} to {self.maximum}"
        return "a whole number"


@dataclass(frozen=True, slots=True)
class Price:
    """USD per `unit`, looked up by the values of the parameters `by`, times the value of the parameter `times`."""

    unit: Unit
    amounts: Mapping[tuple[str | int, ...], Decimal]
    by: tuple[str, ...] = ()
    times: str | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """One model. `parameters` leaves out `model` itself, which every model takes and whose only value is `id`."""

    id: str
    title: str
    family: str
    endpoint: str
    """The path of the model's own endpoint."""
    output: Literal["image", "video"]
    description: str
    parameters: tuple[Parameter, ...]
    price: Price
    outputs: str | None = None
    """The parameter that sets how many outputs a call makes; None if it is always one."""

    def parameter(self, name: str) -> Parameter | None:
        """Return the parameter of that name; None if the model does not have it."""
        return next((parameter for parameter in self.parameters if parameter.name == name), None)

    @property
    def seed(self) -> Parameter | None:
        """The parameter that makes an output reproducible; None if the model has none."""
        return self.parameter("seed")


@dataclass(frozen=True, slots=True)
class Catalog:
    """All models of one version of the tables, by id, in the order of the reference."""

    version: str
    models: Mapping[str, Model]

    def model(self, model_id: object) -> Model | None:
        """Return the model with that id; None if there is none."""
        return self.models.get(model_id) if isinstance(model_id, str) else None

    def suggest_model(self, text: str) -> str | None:
        """Return the id that `text` may have meant, or as a phrase (`a, b or c`) the ids that begin with or contain it.

        None if there are none.
        """
        near, part = nearest(text, self.models), text.strip().casefold()
        if near is not None or len(part) < _SHORTEST_PART:
            return near
        found = [model for model in self.models if model.startswith(part)] or [m for m in self.models if part in m]
        return _one_of(found[:_SUGGESTED]) if found else None

    def models_with(self, parameter: str) -> list[str]:
        """Return the ids of the models that take a parameter."""
        return [model.id for model in self.models.values() if model.parameter(parameter) is not None]


def _one_of(ids: list[str]) -> str:
    return ids[0] if len(ids) == 1 else f"{', '.join(ids[:-1])} or {ids[-1]}"


def nearest(text: str, known: Iterable[object], cutoff: float = 0.6) -> str | None:
    """Return the entry of `known` that `text` is most likely a typo of, ignoring case; None if none is close."""
    by_folded = {str(entry).casefold(): str(entry) for entry in known}
    found = difflib.get_close_matches(text[:200].casefold(), by_folded, n=1, cutoff=cutoff)
    return by_folded[found[0]] if found else None


@cache
def load_catalog() -> Catalog:
    """Return the tables shipped with this release, read once."""
    return read_catalog(_TABLES.read_text(encoding="utf-8"))


def read_catalog(text: str) -> Catalog:
    """Return the tables in a TOML text.

    Raises ValueError if a slip in the data could cost money or let a bad request pass: an unknown field, a parameter
    that cannot be checked, a combination without a price.
    """
    data = tomllib.loads(text)
    shared: dict[str, dict[str, Any]] = data.pop("parameters", {})
    models = [_model(entry, shared) for entry in data.pop("models")]
    by_id = {model.id: model for model in models}
    if len(by_id) != len(models):
        raise ValueError("two models have the same id")
    version = data.pop("version")
    if data:
        raise ValueError(f"unknown tables: {', '.join(data)}")
    return Catalog(version=version, models=MappingProxyType(by_id))


def _model(entry: dict[str, Any], shared: Mapping[str, dict[str, Any]]) -> Model:
    where = entry.get("id", "a model without id")
    try:
        parameters = tuple(_parameter({**shared.get(p["name"], {}), **p}) for p in entry.pop("parameters"))
        model = Model(**entry | {"parameters": parameters, "price": _price(entry["price"])})
        if model.output not in ("image", "video"):
            raise ValueError(f"unknown output {model.output!r}")
        if len({parameter.name for parameter in parameters}) != len(parameters):
            raise ValueError("a parameter is defined twice")
        _check_price(model)
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error
    return model


def _parameter(entry: dict[str, Any]) -> Parameter:
    lists = {field: tuple(value) for field, value in entry.items() if isinstance(value, list)}
    parameter = Parameter(**entry | lists)
    if parameter.type not in get_args(ParameterType):
        raise ValueError(f"{parameter.name}: unknown type {parameter.type!r}")
    kind = {"string": str, "integer": int}.get(parameter.type)
    if parameter.options and (kind is None or any(type(option) is not kind for option in parameter.options)):
        raise ValueError(f"{parameter.name}: options that are not of its type")
    if parameter.type == "urls" and (parameter.min_items is None or parameter.max_items is None):
        raise ValueError(f"{parameter.name}: a list without min_items and max_items")
    return parameter


def _price(entry: dict[str, Any]) -> Price:
    by = tuple(entry.get("by", ()))
    amounts: dict[tuple[str | int, ...], Decimal] = {}
    for row in entry["amounts"]:
        if set(row) != {*by, "usd"}:
            raise ValueError(f"a price has the fields {', '.join(row)}")
        amounts[tuple(row[name] for name in by)] = _usd(row["usd"])
    price = Price(**entry | {"by": by, "amounts": MappingProxyType(amounts)})
    if price.unit not in get_args(Unit):
        raise ValueError(f"unknown unit {price.unit!r}")
    return price


def _usd(text: object) -> Decimal:
    try:
        amount = Decimal(text) if isinstance(text, str) else Decimal("NaN")
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount <= 0:
        raise ValueError(f"a price must be a positive amount in quotes, not {text!r}")
    return amount


def _check_price(model: Model) -> None:
    """Every body that can be valid must have a price."""
    choices = []
    for name in model.price.by:
        parameter = model.parameter(name)
        if parameter is None or not parameter.options or parameter.default not in parameter.options:
            raise ValueError(f"the price depends on {name}, which has no options or no default")
        choices.append(parameter.options)
    if set(model.price.amounts) != set(itertools.product(*choices)):
        raise ValueError("the price does not cover exactly the values of its parameters")
    for counted in (model.price.times, model.outputs):
        if counted is None:
            continue
        parameter = model.parameter(counted)
        if parameter is None or parameter.type != "integer" or type(parameter.default) is not int:
            raise ValueError(f"{counted} is counted, but is not an integer with a default")
        if not (parameter.options or (parameter.minimum is not None and parameter.maximum is not None)):
            raise ValueError(f"{counted} is counted, but has no bounds")
