"""Reads the body of a submission as strictly as any server might."""

import json
from collections.abc import Mapping
from typing import Any

from batchgen.catalog import BodyChecker, Catalog, Model
from batchgen.core.digest import canonical_json, digest_of
from batchgen.provider import Order
from batchgen.simulator.answers import Refusal, invalid
from batchgen.simulator.orders import order_of

MAX_BODY = 256 * 1024
"""Bytes; a body with all parameters at their longest is far smaller."""


class BodyReader:
    """Turns bytes into orders."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._checker = BodyChecker(catalog)

    def read(self, content_type: str, raw: bytes, endpoint: str | None) -> tuple[Order, list[tuple[str, str]]]:
        """Return what is ordered, and the addresses that the provider would fetch, each with its path in the body.

        `endpoint` is the path of a kind's own endpoint, None where every model is served.

        Raises Refusal: 400 invalid_request or 404 model_not_found.
        """
        if content_type.partition(";")[0].strip().lower() != "application/json":
            raise invalid("", "Content-Type must be application/json")
        try:
            text = raw.decode()
            body = _strict_json(text)
            digest = digest_of(canonical_json(body))
        except (ValueError, RecursionError) as error:
            raise invalid("", f"the body is not a JSON object: {error}") from error
        model = self._model(body)
        if endpoint is not None and model.endpoint != endpoint:
            raise invalid("model", f"{model.id} is served at {model.endpoint}")
        faults = [
            {"path": ".".join(map(str, problem.path)), "message": problem.message}
            for problem in self._checker.problems(model.id, body)
        ]
        if faults:
            raise Refusal(400, "invalid_request", "The request is invalid.", faults)
        return order_of(model, body, text, digest), _input_urls(model, body)

    def _model(self, body: Mapping[str, Any]) -> Model:
        if "model" not in body:
            raise invalid("model", "model is missing")
        if not isinstance(body["model"], str):
            raise invalid("model", "model must be text")
        model = self._catalog.model(body["model"])
        if model is None:
            raise Refusal(404, "model_not_found", "There is no such model.")
        return model


def _input_urls(model: Model, body: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = []
    for parameter in model.parameters:
        value = body.get(parameter.name)
        if parameter.type == "url" and value is not None:
            found.append((parameter.name, value))
        elif parameter.type == "urls" and value is not None:
            found += [(f"{parameter.name}.{n}", url) for n, url in enumerate(value)]
    return found


def _strict_json(text: str) -> dict[str, Any]:
    """Return a JSON object; raises ValueError for other JSON, duplicate keys, and numbers that JSON does not have."""
    body = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    if not isinstance(body, dict):
        raise ValueError("it has the wrong type")  # noqa: TRY004 - a fault of the text, not of a caller
    return body


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name appears twice in one object")
    return values


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not valid JSON")
