"""What a request costs and how many outputs it makes, from the tables. The body must already be valid."""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from batchgen.catalog.tables import Model, Price
from batchgen.core.text import usd


def price_of(model: Model, body: Mapping[str, Any]) -> Decimal | None:
    """Return what the API charges for a valid body, exact USD; the tables' defaults replace what it leaves out.

    None if the model's price is unknown.
    """
    price = model.price
    if price is None:
        return None
    amount = price.amounts[tuple(_value(model, body, name) for name in price.by)]
    return amount if price.times is None else amount * _value(model, body, price.times)


def priced_by(model: Model) -> tuple[str, ...]:
    """Return the parameters that the price depends on; if it is unknown, all that may set one: no texts of any kind."""
    price = model.price
    if price is None:
        return tuple(p.name for p in model.parameters if p.options or p.type not in ("string", "url"))
    return price.by if price.times is None else (*price.by, price.times)


def price_text(model: Model) -> str:
    """Return the price rule on one line: `$0.20/second at 720p; $0.30/second at 1080p`, or `unknown`."""
    return "; ".join(rates(model)) or "unknown"


def rates(model: Model, given: Mapping[str, object] = MappingProxyType({})) -> list[str]:
    """Return the rates of the price rule that apply where parameters have the `given` values, which no rate repeats.

    For example `["$0.20/second at 720p", "$0.30/second at 1080p"]`, or `["$0.20/second"]` where `given` is
    `{"resolution": "720p"}`; empty if the model's price is unknown.
    """
    price = model.price
    if price is None:
        return []
    found = []
    for values, amount in price.amounts.items():
        pairs = dict(zip(price.by, values, strict=True))
        if all(given.get(name, value) == value for name, value in pairs.items()):
            named = ", ".join(with_unit(model, *pair) for pair in pairs.items() if pair[0] not in given)
            found.append(f"${usd(amount)}/{price.unit}{f' at {named}' if named else ''}")
    return found


def with_unit(model: Model, name: str, value: object) -> str:
    """Return the value of a parameter with its unit; a number without one with the parameter's name."""
    parameter = model.parameter(name)
    if parameter is not None and parameter.unit:
        return f"{value} {parameter.unit}"
    return f"{name} {value}" if isinstance(value, int) else str(value)


def price_json(price: Price | None) -> dict[str, Any] | None:
    """Return a price rule for JSON; None, which is null there, if it is unknown."""
    if price is None:
        return None
    return {
        "unit": price.unit,
        "times": price.times,
        "amounts": [
            {**dict(zip(price.by, values, strict=True)), "usd": usd(amount)} for values, amount in price.amounts.items()
        ],
    }


def price_key(model: Model, body: Mapping[str, Any]) -> str:
    """Return what the price of a valid body depends on: the model and the values of the parameters that set it.

    Bodies with the same key cost the same. The tables' defaults replace what a body leaves out.
    """
    return " ".join([model.id, *(f"{name}={_value(model, body, name)}" for name in priced_by(model))])


def shape_of(model: Model, body: Mapping[str, Any]) -> str:
    """Return what a valid body has in common with others that are alike but for their texts, pictures and seeds.

    The model, the parameters that set its price, and those with a fixed choice, such as the aspect ratio. The tables'
    defaults replace what the body leaves out.
    """
    names = dict.fromkeys((*priced_by(model), *(p.name for p in model.parameters if p.options)))
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
