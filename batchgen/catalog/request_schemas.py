"""JSON Schemas (draft-07) of the bodies that are sent, derived from the tables."""

from typing import Any

from batchgen.catalog.tables import Model, Parameter

DRAFT = "http://json-schema.org/draft-07/schema#"
Schema = dict[str, Any]


def request_schema(model: Model) -> Schema:
    """Return the schema of the bodies that `model` accepts: closed, with the model's id as a constant."""
    properties: Schema = {"model": {"const": model.id, "description": "The model's id."}}
    properties |= {parameter.name: parameter_schema(parameter) for parameter in model.parameters}
    return {
        "$schema": DRAFT,
        "$id": f"urn:batchgen:schema:model:{model.id}",
        "title": model.title,
        "description": model.description,
        "type": "object",
        "additionalProperties": False,
        "required": ["model", *(parameter.name for parameter in model.parameters if parameter.required)],
        "properties": properties,
    }


def parameter_schema(parameter: Parameter) -> Schema:
    """Return the schema of one parameter's value, with what an editor shows beside it."""
    example = parameter.example
    examples = [list(example) if isinstance(example, tuple) else example] if example is not None else []
    return {
        "description": describe(parameter),
        **value_schema(parameter),
        **({"examples": examples} if examples else {}),
    }


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


def describe(parameter: Parameter) -> str:
    """Return a parameter's description with its limits and default, as plain sentences."""
    sentences = [parameter.description]
    if parameter.max_length is not None:
        sentences.append(f"At most {parameter.max_length:,} characters.")
    if parameter.formats:
        size = f" of up to {parameter.max_megabytes} MB" if parameter.max_megabytes is not None else ""
        sentences.append(f"{', '.join(parameter.formats)}{size}.")
    if parameter.random is not None:
        sentences.append(f"{parameter.random} picks a random one.")
    # As text: an editor that filled in a default would change the request, and with it the digest.
    if parameter.default is not None:
        sentences.append(f"Default: {shown(parameter.default)}.")
    return " ".join(sentences)


def shown(value: object) -> str:
    """Return a value as written in YAML."""
    return str(value).lower() if isinstance(value, bool) else str(value)


# Loopback hosts are fine: the simulator hands them out. No `format`, which engines in strict mode do not know.
_URL: Schema = {"type": "string", "pattern": r"^https?://[^\s]+$"}


def _present(**limits: int | None) -> Schema:
    return {name: limit for name, limit in limits.items() if limit is not None}
