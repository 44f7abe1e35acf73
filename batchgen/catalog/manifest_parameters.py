"""A model's parameters as a manifest may have them: built from variables, turned off, of any model.

Only editors need what is said here, so it is said in their keywords too: `markdownDescription` and
`markdownEnumDescriptions`. A title is the key itself, and with each of several kinds of value what is expected: editors
show it above the description, and where there is none the title of the whole schema.
"""

from batchgen.catalog.hints import about, about_option, as_markdown, describe, described, in_several, shown
from batchgen.catalog.own_keys import or_template
from batchgen.catalog.request_schemas import Schema, examples
from batchgen.catalog.request_schemas import value_schema as request_value
from batchgen.catalog.tables import Catalog, Model, Parameter

_PICTURE: Schema = {"type": "string", "pattern": r"^(https?://[^\s]+|[^:]*[^:\s][^:]*)$"}
"""Also a local path, with `run.assets`."""


def value_schema(parameter: Parameter) -> Schema:
    """Return only the part of the schema that checks a parameter's value."""
    schema = request_value(parameter)
    if parameter.type == "url":
        return dict(_PICTURE)
    return {**schema, "items": dict(_PICTURE)} if parameter.type == "urls" else schema


def parameters_of(model: Model) -> Schema:
    """Return the schemas of a model's parameters, by name."""
    return {parameter.name: _of_one(model, parameter) for parameter in model.parameters}


def parameters_of_any(catalog: Catalog) -> Schema:
    """Return every parameter of any model, each with everything that at least one model admits."""
    alike: dict[str, list[tuple[Model, Parameter]]] = {}
    for model in catalog.models.values():
        for parameter in model.parameters:
            alike.setdefault(parameter.name, []).append((model, parameter))
    return {name: _of_several(takers, everywhere=len(takers) == len(catalog.models)) for name, takers in alike.items()}


def model_property(catalog: Catalog, description: str, *, template: bool) -> Schema:
    """Return the schema of the key `model`; with `template`, it may be built from variables."""
    known = {
        "type": "string",
        "enum": list(catalog.models),
        "markdownEnumDescriptions": [about(model) for model in catalog.models.values()],
    }
    judged = or_template("model", "a model's id", known) if template else known
    return {"title": "model", "description": description, **judged}


def _of_one(model: Model, parameter: Parameter) -> Schema:
    judged = value_schema(parameter)
    if parameter.options:
        judged |= _noted([about_option(model, parameter, option) for option in parameter.options])
    return {
        "title": parameter.name,
        "description": described(model, parameter),
        "markdownDescription": as_markdown(model, parameter),
        **or_template(parameter.name, parameter.expected(), judged, *_nothing([parameter])),
        **examples(parameter),
    }


def _of_several(takers: list[tuple[Model, Parameter]], *, everywhere: bool) -> Schema:
    parameters = [parameter for _, parameter in takers]
    first = parameters[0]
    default = {shown(parameter.default) for parameter in parameters}
    used = "" if everywhere else f" Used by {', '.join(model.id for model, _ in takers)}."
    same_default = len(default) == 1
    return {
        "title": first.name,
        "description": f"{describe(first) if same_default else first.description}{used}",
        "markdownDescription": in_several(takers),
        **or_template(first.name, "as the models take it", *_widest(takers), *_nothing(parameters)),
    }


def _widest(takers: list[tuple[Model, Parameter]]) -> list[Schema]:
    """Return schemas of which one admits each value that some model admits."""
    parameters = [parameter for _, parameter in takers]
    first = parameters[0]
    if all(parameter.options and parameter.type == first.type for parameter in parameters):
        options = list(dict.fromkeys(option for parameter in parameters for option in parameter.options))
        return [{"type": first.type, "enum": options} | _noted([_takers_of(option, takers) for option in options])]
    if all(parameter.type == "integer" for parameter in parameters):
        return [{"type": "integer", **_range(parameters)}]
    values = [value_schema(parameter) for parameter in parameters]
    return [value for n, value in enumerate(values) if value not in values[:n]]


def _takers_of(option: str | int, takers: list[tuple[Model, Parameter]]) -> str:
    """Return which models take an option; empty if all do that have the parameter."""
    ids = [model.id for model, parameter in takers if option in parameter.options]
    return "" if len(ids) == len(takers) else ", ".join(ids)


def _noted(notes: list[str]) -> Schema:
    return {"markdownEnumDescriptions": notes} if any(notes) else {}


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
