"""The JSON Schema of manifests, for editors: derived from the tables and from the settings of a run.

Models are distinguished by `if`/`then` with closed definitions, because editors then say what is wrong for the one
model in question; with `oneOf` they would report all seven. Wherever a value can be built from variables, a text
containing `${` is admitted: only the program can tell what it becomes.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from batchgen.catalog.request_schemas import DRAFT, Schema, describe, parameter_schema, shown, value_schema
from batchgen.catalog.tables import Catalog, Parameter
from batchgen.settings import SETTINGS, Setting

_TEMPLATE: Schema = {"type": "string", "pattern": r"\$\{"}
# Not a list of types: ajv's strict mode refuses any list beyond one type and null.
_SCALAR: Schema = {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]}
_SCALAR_OR_NULL: Schema = {"anyOf": [*_SCALAR["anyOf"], {"type": "null"}]}
_ANY = "any-model"
_AMOUNT = r"^[0-9]{1,12}(\.[0-9]{1,9})?$"


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
        "properties": {
            "version": {"const": 1, "description": "The version of the manifest format."},
            "name": {
                "type": "string",
                "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$",
                "description": "Names the run folder: lower-case letters, digits, dots, underscores, hyphens.",
                "examples": ["autumn-menu"],
            },
            "description": {"type": ["string", "null"], "description": "What the manifest is for, in your own words."},
            "run": _or_empty(_run_block()),
            "tags": {"anyOf": [_ref("tags"), {"type": "null"}]},
            "defaults": _or_empty(_defaults(catalog)),
            "model_defaults": _or_empty(_model_defaults(catalog)),
            "items": {
                "type": "array",
                "minItems": 1,
                "description": "What to buy; each entry makes one item or, with rows, matrix, seeds or repeat, many.",
                "items": _ref("item"),
            },
        },
        "allOf": [*_judged_by_default_model(catalog), *_required_parameters(catalog)],
        "definitions": _definitions(catalog),
    }


def _definitions(catalog: Catalog) -> Schema:
    own = _own_keys()
    definitions: Schema = {"item": _item(catalog), **own}
    for model in catalog.models.values():
        description = f"{model.title}. {model.description}"
        parameters = {parameter.name: _templated(parameter) for parameter in model.parameters}
        definitions |= _item_and_parameters(model.id, description, own, parameters)
    by_variable = "An item whose model is set by a variable: it may have any model's parameters."
    return definitions | _item_and_parameters(_ANY, by_variable, own, _merged(catalog))


def _item(catalog: Catalog) -> Schema:
    """Return what every item must be, and which definition applies to its model."""
    return {
        "type": "object",
        "properties": {"model": _model_property(catalog, "The model that makes this item.", template=True)},
        "allOf": [
            *({"if": _names_model(model_id), "then": _ref(model_id)} for model_id in catalog.models),
            {"if": _in("model", _TEMPLATE), "then": _ref(_ANY)},
        ],
    }


def _item_and_parameters(name: str, description: str, own: Iterable[str], parameters: Schema) -> Schema:
    """Return two definitions: the parameters alone, and an item that has them directly beside its own keys."""
    group = f"{name}.parameters"
    flat = {parameter: _ref(f"{group}/properties/{parameter}") for parameter in parameters}
    own_keys = {key: _ref(key) for key in own}
    return {
        name: {"description": description, **_closed({"model": True, **own_keys, "params": _ref(group), **flat})},
        group: {"description": description, **_closed(parameters)},
    }


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


def _own_keys() -> Schema:
    """Return the definitions of an item's own keys, which are not parameters."""
    return {
        "id": {
            "description": "Names the item and its files; ids must differ in more than upper and lower case. Derived"
            " from the prompt if left out.",
            "type": "string",
            "anyOf": [{"pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"}, {"pattern": _TEMPLATE["pattern"]}],
            "examples": ["kettle", "${dish}-${season}"],
        },
        "tags": {
            "description": "Labels for grouping costs; each becomes a column tag_NAME of the ledger.",
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_-]{0,63}$"},
            "additionalProperties": _SCALAR_OR_NULL,
            "examples": [{"client": "harbour-cafe"}],
        },
        **_multiplying_keys(),
        "rows": {
            "description": "A file with one item per row, relative to the manifest; its columns are variables.",
            "type": "string",
            "pattern": r"\.([cC][sS][vV]|[tT][sS][vV]|[jJ][sS][oO][nN][lL]|[tT][xX][tT])$",
            "examples": ["prompts/products.csv"],
        },
        "limit": {"description": "Read at most this many rows.", "type": "integer", "minimum": 1},
        "redo_of": {
            "description": "The earlier purchase that this item intentionally repeats; no question is asked about it.",
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "run": {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$"},
                "item": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._~-]{0,149}$"},
            },
            "required": ["run", "item"],
            "examples": [{"run": "spring", "item": "mug"}],
        },
    }


def _multiplying_keys() -> Schema:
    """Return the definitions of the keys that make several items from one entry, except for rows."""
    scalar_map: Schema = {"type": "object", "additionalProperties": _SCALAR}
    return {
        "matrix": {
            "description": "Variables and their values; one item for each combination.",
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"type": "array", "minItems": 1, "items": _SCALAR},
            "examples": [{"season": ["spring", "autumn"], "ratio": ["1:1", "3:4"]}],
        },
        "exclude": {
            "description": "Combinations of the matrix to leave out.",
            "type": "array",
            "items": {**scalar_map, "minProperties": 1},
            "examples": [[{"season": "autumn", "ratio": "1:1"}]],
        },
        "seeds": {
            "description": "A number: that many items, each with a seed derived from its id. A list: one item for"
            " each seed.",
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "array", "minItems": 1, "items": {"type": "integer"}},
            ],
            "examples": [4, [1, 2, 3]],
        },
        "repeat": {
            "description": "The same request, bought this many times: ID~1, ID~2, …",
            "type": "integer",
            "minimum": 1,
        },
    }


def _defaults(catalog: Catalog) -> Schema:
    model = _model_property(catalog, "The model of every item that does not set one.", template=False)
    flat = {name: _ref(f"{_ANY}.parameters/properties/{name}") for name in _merged(catalog)}
    return {
        "description": "Parameters for all items; an item's own value wins. Parameters that its model does not take"
        " are left out.",
        **_closed({"model": model, **flat}),
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
            {setting.name: {"description": _sentence(setting), **_setting(setting)} for setting in SETTINGS}
            | {"bought": _BOUGHT}
        ),
    }


_BOUGHT: Schema = {
    "description": "Ledgers, or lists of `batchgen ledger --as-bought`, relative to the manifest; items that they"
    " show as bought are left out.",
    "type": "array",
    "items": {"type": "string", "minLength": 1},
    "examples": [["bought/*.csv"]],
}


def _setting(setting: Setting) -> Schema:
    if setting.choices:
        return {"enum": list(setting.choices)}
    match setting.kind:
        case "text":
            return {"type": "string", "minLength": 1}
        case "count":
            return {"type": "integer", "minimum": setting.minimum}
        case "seconds":
            return {"type": "number", "minimum": setting.minimum}
        case "usd":
            return {"anyOf": [{"type": "number", "minimum": setting.minimum}, {"type": "string", "pattern": _AMOUNT}]}


def _sentence(setting: Setting) -> str:
    return f"{setting.help[0].upper()}{setting.help[1:]}."


def _model_property(catalog: Catalog, description: str, *, template: bool) -> Schema:
    models = "\n".join(f"- {model.id}: {model.description}" for model in catalog.models.values())
    known = {"type": "string", "enum": list(catalog.models)}
    return {"description": f"{description}\n\n{models}", **(_or_template(known) if template else known)}


def _merged(catalog: Catalog) -> Schema:
    """Return every parameter of any model, each with everything that at least one model admits."""
    alike: dict[str, list[tuple[str, Parameter]]] = {}
    for model in catalog.models.values():
        for parameter in model.parameters:
            alike.setdefault(parameter.name, []).append((model.id, parameter))
    return {name: _widest(takers, everywhere=len(takers) == len(catalog.models)) for name, takers in alike.items()}


def _widest(takers: list[tuple[str, Parameter]], *, everywhere: bool) -> Schema:
    parameters = [parameter for _, parameter in takers]
    first = parameters[0]
    values = [value_schema(parameter) for parameter in parameters]
    if all(parameter.options and parameter.type == first.type for parameter in parameters):
        options = dict.fromkeys(option for parameter in parameters for option in parameter.options)
        values = [value_schema(replace(first, options=tuple(options)))]
    elif all(parameter.type == "integer" for parameter in parameters):
        values = [{"type": "integer", **_range(parameters)}]
    distinct = [value for n, value in enumerate(values) if value not in values[:n]]
    default = {shown(parameter.default) for parameter in parameters}
    common = first if len(default) == 1 else replace(first, default=None)
    taken = "" if everywhere else f" Used by {', '.join(model_id for model_id, _ in takers)}."
    return {"description": f"{describe(common)}{taken}", **_or_template(*distinct, *_nothing(parameters))}


def _nothing(parameters: list[Parameter]) -> list[Schema]:
    """Return a schema that admits `null`, which turns a default off, if some model does not need the parameter."""
    return [] if all(parameter.required for parameter in parameters) else [{"type": "null"}]


def _range(parameters: list[Parameter]) -> Schema:
    """Return limits that cover the values of every model; none if one model has no limit."""
    bounds = [_bounds(parameter) for parameter in parameters]
    lowest = [low for low, _ in bounds if low is not None]
    highest = [high for _, high in bounds if high is not None]
    return {
        **({"minimum": min(lowest)} if len(lowest) == len(bounds) else {}),
        **({"maximum": max(highest)} if len(highest) == len(bounds) else {}),
    }


def _bounds(parameter: Parameter) -> tuple[int | None, int | None]:
    numbers = [option for option in parameter.options if isinstance(option, int)]
    return (min(numbers), max(numbers)) if numbers else (parameter.minimum, parameter.maximum)


def _templated(parameter: Parameter) -> Schema:
    annotated = parameter_schema(parameter)
    judged = value_schema(parameter)
    return {name: value for name, value in annotated.items() if name not in judged} | _or_template(
        judged, *_nothing([parameter])
    )


def _or_template(*schemas: Schema) -> Schema:
    """Return a schema that also admits a text with a variable in it, also for each entry of a list."""
    alternatives = [
        schema | {"items": _or_template(schema["items"])} if schema.get("type") == "array" else schema
        for schema in schemas
    ]
    if {"type": "string"} in alternatives:
        return {"type": "string"} if len(alternatives) == 1 else {"anyOf": alternatives}
    return {"anyOf": [*alternatives, _TEMPLATE]}


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
