"""JSON Schemas (draft-07) of the bodies that are sent, derived from the tables."""

from typing import Any

from batchgen.catalog.hints import about, described
from batchgen.catalog.tables import Model, Parameter

DRAFT = "http://json-schema.org/draft-07/schema#"
Schema = dict[str, Any]


def request_schema(model: Model) -> Schema:
    """Return the schema of the bodies that `model` accepts: closed, with the model's id as a constant."""
    properties: Schema = {"model": {"const": model.id, "description": "The model's id."}}
    properties |= {parameter.name: parameter_schema(model, parameter) for parameter in model.parameters}
    return {
        "$schema": DRAFT,
        "$id": f"urn:batchgen:schema:model:{model.id}",
        "title": model.title,
        "description": about(model),
        "type": "object",
        "additionalProperties": False,
        "required": ["model", *(parameter.name for parameter in model.parameters if parameter.required)],
        "properties": properties,
    }


def parameter_schema(model: Model, parameter: Parameter) -> Schema:
    """Return the schema of one parameter's value in a body of `model`, with what is known of it."""
    return {"description": described(model, parameter), **value_schema(parameter), **examples(parameter)}


def examples(parameter: Parameter) -> Schema:
    """Return the keyword with a parameter's example, empty if it has none."""
    example = parameter.example
    if example is None:
        return {}
    return {"examples": [list(example) if isinstance(example, tuple) else example]}


def value_schema(parameter: Parameter) -> Schema:
    """Return only the part of the schema that checks a parameter's value."""
    if parameter.options:
        return {"type": parameter.type, "enum": list(parameter.options)}
    match parameter.type:
        case "boolean":
            return {"type": "boolean"}
        case "url":
            return dict(_URL)
        case "urls":
            return {
                "type": "array",
                "minItems": parameter.min_items,
                "maxItems": parameter.max_items,
                "items": dict(_URL),
            }
        case "string":
            limits = {"minLength": 1, "pattern": r"\S"} if parameter.required else {}
            return {"type": "string", **limits, **_present(maxLength=parameter.max_length)}
        case "integer":
            return {"type": "integer", **_present(minimum=parameter.minimum, maximum=parameter.maximum)}


# Loopback hosts are fine: the simulator hands them out. No `format`, which engines in strict mode do not know.
_URL: Schema = {"type": "string", "pattern": r"^https?://[^\s]+$"}


def _present(**limits: int | None) -> Schema:
    return {name: limit for name, limit in limits.items() if limit is not None}
