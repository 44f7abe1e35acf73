"""What a request costs and how many outputs it makes, from the tables. The body must already be valid."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from batchgen.catalog.tables import Model


def price_of(model: Model, body: Mapping[str, Any]) -> Decimal:
    """Return what the API charges for a valid body, exact USD; the tables' defaults replace what it leaves out."""
    price = model.price
    amount = price.amounts[tuple(_value(model, body, name) for name in price.by)]
    return amount if price.times is None else amount * _value(model, body, price.times)


def price_key(model: Model, body: Mapping[str, Any]) -> str:
    """Return what the price of a valid body depends on: the model and the values of the parameters that set it.

    Bodies with the same key cost the same. The tables' defaults replace what a body leaves out.
    """
    names = model.price.by if model.price.times is None else (*model.price.by, model.price.times)
    return " ".join([model.id, *(f"{name}={_value(model, body, name)}" for name in names)])


def outputs_of(model: Model, body: Mapping[str, Any]) -> int:
    """Return how many outputs a valid body requests."""
    if model.outputs is None:
        return 1
    return int(_value(model, body, model.outputs))


def reproducible(model: Model, body: Mapping[str, Any]) -> bool:
    """Return whether a valid body names the seed that its output is made with."""
    return model.seed is not None and body.get("seed", model.seed.random) != model.seed.random


def _value(model: Model, body: Mapping[str, Any], name: str) -> Any:
    if name in body:
        return body[name]
    parameter = model.parameter(name)
    return parameter.default if parameter is not None else None
