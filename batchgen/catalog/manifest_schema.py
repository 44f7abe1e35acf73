"""The JSON Schema of manifests, for editors: derived from the tables and from the settings of a run.

Models are distinguished by `if`/`then` with closed definitions, because editors then say what is wrong for the one
model in question; with `oneOf` they would report all seven. Wherever a value can be built from variables, a text
containing `${` is admitted: only the program can tell what it becomes.
"""

from collections.abc import Iterable
from typing import Any

from batchgen.catalog.hints import about
from batchgen.catalog.manifest_parameters import model_property, parameters_of, parameters_of_any
from batchgen.catalog.own_keys import TEMPLATE, alternatives, own_keys, sentence, titled
from batchgen.catalog.request_schemas import DRAFT, Schema
from batchgen.catalog.tables import Catalog
from batchgen.settings import SETTINGS, Setting

_ANY = "any-model"
_AMOUNT = r"^[0-9]{1,12}(\.[0-9]{1,9})?$"
_SHARE = r"^(?=.*[1-9])[0-9]{1,2}(\.[0-9]{1,4})? ?%$"


def manifest_schema(catalog: Catalog) -> Schema:
    """Return the schema of a manifest, version 1."""
    return {
        "$schema": DRAFT,
        "$id": "urn:batchgen:schema:manifest:1",
        "title": "batchgen manifest",
        "description": "Images and videos to buy: shared settings, and the items.",
        "type": "object",
        "additionalProperties": False,
        "required": ["version", "name", "items"],
        "properties": titled(
            {
                "version": {"const": 1, "description": "The version of the manifest format."},
                "name": {
                    "type": "string",
                    "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$",
                    "description": "Names the run folder: lower-case letters, digits, dots, underscores, hyphens.",
                    "examples": ["autumn-menu"],
                },
                "description": {
                    "type": ["string", "null"],
                    "description": "What the manifest is for, in your own words.",
                },
                "include": {
                    "description": "Other manifests, relative to this file, whose tags, defaults and model_defaults are"
                    " taken over; later ones override earlier ones, and this file overrides them all.",
                    "type": ["array", "null"],
                    "items": {"type": "string", "minLength": 1},
                    "examples": [["shared/house-style.yaml"]],
                },
                "run": _or_empty(_run_block()),
                "tags": {
                    "description": "Tags of every item; an item's own win.",
                    "anyOf": [_ref("tags"), {"type": "null"}],
                },
                "defaults": _or_empty(_defaults(catalog)),
                "model_defaults": _or_empty(_model_defaults(catalog)),
                "items": {
                    "type": "array",
                    "minItems": 1,
                    "description": "What to buy; each entry makes one item or, with rows, matrix, seeds or repeat,"
                    " many.",
                    "items": _ref("item"),
                },
            }
        ),
        # What an included file supplies, only the program knows.
        "if": _has("include"),
        "else": {"allOf": [*_judged_by_default_model(catalog), *_required_parameters(catalog)]},
        "definitions": _definitions(catalog),
    }


def _definitions(catalog: Catalog) -> Schema:
    own = own_keys()
    definitions: Schema = {"item": _item(catalog), **own}
    for model in catalog.models.values():
        description = f"{model.title}. {about(model)}"
        definitions |= _item_and_parameters(model.id, description, own, parameters_of(model))
    by_variable = "An item whose model is set by a variable: it may have any model's parameters."
    return definitions | _item_and_parameters(_ANY, by_variable, own, parameters_of_any(catalog))


def _item(catalog: Catalog) -> Schema:
    """Return what every item must be, and which definition applies to its model."""
    return {
        "title": "item",
        "type": "object",
        "properties": {"model": model_property(catalog, "The model that makes this item.", template=True)},
        "allOf": [
            *({"if": _names_model(model_id), "then": _ref(model_id)} for model_id in catalog.models),
            {"if": _in("model", TEMPLATE), "then": _ref(_ANY)},
        ],
    }


def _item_and_parameters(name: str, description: str, own: Iterable[str], parameters: Schema) -> Schema:
    """Return two definitions: the parameters alone, and an item that has them directly beside its own keys."""
    group = f"{name}.parameters"
    flat = {parameter: _ref(f"{group}/properties/{parameter}") for parameter in parameters}
    own_keys = {key: _ref(key) for key in own}
    params = {"title": "params", "description": _PARAMS, "type": "object", "allOf": [_ref(group)]}
    notes = {"title": name, "description": description}
    return {
        name: {**notes, **_closed({"model": True, **own_keys, "params": params, **flat})},
        group: {**notes, **_closed(parameters)},
    }


_PARAMS = "Parameters of the model in a map of their own, for one that is named like a key of the item."


def _judged_by_default_model(catalog: Catalog) -> Iterable[Schema]:
    """An item that names no model is checked against `defaults.model`; without that, it must name one."""
    unnamed = _lacks("model")
    for model_id in catalog.models:
        yield {"if": _default(_names_model(model_id)), "then": _every_item({"if": unnamed, "then": _ref(model_id)})}
    yield {"if": _default(_has("model")), "else": _every_item(_has("model"))}


def _required_parameters(catalog: Catalog) -> Iterable[Schema]:
    """A required parameter may come from the item, `params`, `model_defaults` or `defaults`."""
    for model in catalog.models.values():
        for parameter in model.parameters:
            if not parameter.required:
                continue
            required = _has(parameter.name)
            supplied = {"anyOf": [_default(required), _in("model_defaults", _in(model.id, required))]}
            bare = _lacks("params")
            named = {"if": {"allOf": [_names_model(model.id), bare]}, "then": required}
            unnamed = {"if": {"allOf": [_lacks("model"), bare]}, "then": required}
            yield {
                "if": {"not": supplied},
                "then": {
                    **_every_item(named),
                    "if": _default(_names_model(model.id)),
                    "then": _every_item(unnamed),
                },
            }


def _defaults(catalog: Catalog) -> Schema:
    model = model_property(catalog, "The model of every item that does not set one.", template=False)
    flat = {name: _ref(f"{_ANY}.parameters/properties/{name}") for name in parameters_of_any(catalog)}
    return {
        "description": "Parameters for all items; an item's own value wins. Parameters that its model does not take"
        " are left out.",
        **_closed({"model": model, "expect": _ref("expect"), **flat}),
    }


def _model_defaults(catalog: Catalog) -> Schema:
    return {
        "description": "Parameters for the items of one model; they override defaults.",
        **_closed({model_id: _ref(f"{model_id}.parameters") for model_id in catalog.models}),
    }


def _run_block() -> Schema:
    return {
        "description": "Settings of a run. BATCHGEN_* variables of the same names override them, and flags override"
        " both.",
        **_closed(
            titled(
                {setting.name: {"description": sentence(setting.help), **_setting(setting)} for setting in SETTINGS}
                | {"bought": _BOUGHT, "assets": _ASSETS}
            )
        ),
    }


_BOUGHT: Schema = {
    "description": "Ledgers, or lists of `batchgen ledger --as-bought`, relative to the manifest; items that they"
    " show as bought are left out.",
    "type": "array",
    "items": {"type": "string", "minLength": 1},
    "examples": [["bought/*.csv"]],
}


_ASSETS: Schema = {
    "description": "Where local pictures are uploaded to before they are sent, as s3://BUCKET/PREFIX, or the public"
    " address below which the manifest's folder lies already.",
    "type": "string",
    "minLength": 1,
    "examples": ["s3://bucket/inputs", "https://cdn.example/inputs"],
}


def _setting(setting: Setting) -> Schema:
    if setting.choices:
        return {"enum": list(setting.choices)}
    match setting.kind:
        case "text":
            return {"type": "string", "minLength": 1}
        case "count":
            return {"type": "integer", "minimum": setting.minimum}
        case "count_or_share":
            share = {"type": "string", "pattern": _SHARE}
            number = {"type": "integer", "minimum": setting.minimum}
            return alternatives(setting.name, ("a number", number), ("a share", share)) | {"examples": [5, "5%"]}
        case "seconds":
            return {"type": "number", "minimum": setting.minimum}
        case "usd":
            number = {"type": "number", "minimum": setting.minimum}
            return alternatives(setting.name, ("USD", number), ("USD as text", {"type": "string", "pattern": _AMOUNT}))


def _closed(properties: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _or_empty(block: Schema) -> Schema:
    """Return the schema of a block that may also be left empty after its key."""
    return block | {"type": ["object", "null"]}


def _every_item(schema: Schema) -> Schema:
    return {"type": "object", "properties": {"items": {"type": "array", "items": schema}}}


def _names_model(model_id: str) -> Schema:
    return _in("model", {"const": model_id})


def _default(schema: Schema) -> Schema:
    return _in("defaults", schema)


def _in(name: str, schema: Any) -> Schema:
    return {"type": "object", "properties": {name: schema}, "required": [name]}


def _has(name: str) -> Schema:
    return _in(name, schema=True)


def _lacks(name: str) -> Schema:
    return {"type": "object", "not": _has(name)}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}
