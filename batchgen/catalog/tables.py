"""The parameter tables as frozen values."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Literal

ParameterType = Literal["string", "integer", "boolean", "url", "urls"]
Scalar = str | int | bool
Unit = Literal["second", "image", "run"]
Output = Literal["image", "video"]

_SHORTEST_PART = 3
"""The fewest characters of a part of an id for which the ids that contain it are suggested."""
_SUGGESTED = 4


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
    output: Output
    description: str
    parameters: tuple[Parameter, ...]
    price: Price | None
    """None if it is not known."""
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
    file: Path | None = None
    """Where they were read from; None for those shipped with this release."""

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
