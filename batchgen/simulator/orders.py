"""Orders to the provider, according to the catalogue: how long they take, what they cost, how much they make."""

from collections.abc import Mapping
from typing import Any

from batchgen.catalog import Model, outputs_of, price_of
from batchgen.provider import Order
from batchgen.simulator.answers import Refusal

_SIGMA = 0.25


def order_of(model: Model, body: Mapping[str, Any], text: str, digest: str) -> Order:
    """Return the order that a valid body makes; `text` is the body as it was received.

    Raises Refusal if the price of the model is unknown.
    """
    price = price_of(model, body)
    if price is None:
        raise Refusal(404, "model_not_found", "The price of this model is unknown here.")
    return Order(
        model=model.id,
        kind=model.output,
        text=text,
        digest=digest,
        price=price,
        outputs=outputs_of(model, body),
        median=_median(model, body),
        sigma=_SIGMA,
    )


def _median(model: Model, body: Mapping[str, Any]) -> float:
    resolution = given_or_default(model, body, "resolution")
    if model.output == "image":
        return (14.0 if resolution == "2k" else 8.0) + 0.5 * (outputs_of(model, body) - 1)
    seconds = 40.0 + 6.0 * seconds_of(model, body)
    return seconds * 1.5 if resolution == "1080p" else seconds


def seconds_of(model: Model, body: Mapping[str, Any]) -> int:
    """Return how long the clip of a valid body is; 5 seconds where it does not say it as a number."""
    duration = given_or_default(model, body, "duration")
    return duration if type(duration) is int and duration > 0 else 5


def given_or_default(model: Model, body: Mapping[str, Any], name: str) -> Any:
    """Return the value of a parameter of a valid body; None if neither the body nor the catalogue gives one."""
    parameter = model.parameter(name)
    return body.get(name, parameter.default if parameter is not None else None)
