"""`batchgen models`: what can be bought, with which parameters, at which price."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from batchgen.catalog import (
    Catalog,
    Model,
    Parameter,
    describe,
    load_catalog,
    price_json,
    price_of,
    price_text,
    priced_by,
    shown,
    with_unit,
)
from batchgen.cli.options import catalog_option
from batchgen.core.errors import UsageError
from batchgen.core.text import printable, usd

FORMAT_VERSION = 1
_URL = "https://example.com/picture.jpg"


@click.command("models")
@click.argument("model_id", metavar="[MODEL]", required=False, shell_complete=lambda *given: model_ids(given[-1]))
@catalog_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(model_id: str | None, *, catalog: Path | None, as_json: bool) -> None:
    """Show every model with its price, or one MODEL with all its parameters."""
    tables = load_catalog(catalog)
    if model_id is not None:
        model = named_model(tables, model_id)
        click.echo(_json(tables, model=_as_json(model)) if as_json else _page(model))
    elif as_json:
        click.echo(_json(tables, models=[_as_json(model) for model in tables.models.values()]))
    else:
        click.echo(_table(tables))


def model_ids(incomplete: str) -> list[str]:
    """Return the models whose ids begin so, for the shell."""
    return [model_id for model_id in load_catalog(None).models if model_id.startswith(incomplete)]


def named_model(catalog: Catalog, model_id: str) -> Model:
    """Return a model of the catalogue. Raises UsageError if there is none of that id."""
    model = catalog.model(model_id)
    if model is None:
        near = catalog.suggest_model(model_id)
        hint = f"did you mean {near}?" if near is not None else "`batchgen models` lists them"
        raise UsageError(f"there is no model {printable(model_id, 60)!r}; {hint}")
    return model


# ---- for people --------------------------------------------------------------------------------------------------


def _table(catalog: Catalog) -> str:
    rows = [("MODEL", "OUTPUT", "REQUIRED", "PRICE")]
    for model in catalog.models.values():
        required = ", ".join(parameter.name for parameter in model.parameters if parameter.required)
        rows.append((model.id, model.output, required, price_text(model)))
    return _aligned(rows)


def _page(model: Model) -> str:
    prices = [f"  {choice or 'one call'}: {amount} USD" for choice, amount in _price_examples(model)]
    return "\n".join(
        [
            f"{model.title} ({model.output})",
            model.description,
            "",
            f"id        {model.id}",
            f"family    {model.family}",
            f"endpoint  POST {model.endpoint}",
            f"price     {price_text(model)}",
            *prices,
            "",
            _aligned([("PARAMETER", "TYPE", "VALUES", "DEFAULT"), *map(_parameter_row, model.parameters)]),
            "",
            *(f"{parameter.name}: {describe(parameter)}" for parameter in model.parameters),
            "",
            "As an item of a manifest:",
            *_example(model),
        ]
    )


def _price_examples(model: Model) -> Iterator[tuple[str, str]]:
    """Yield what calls cost, for every value the price depends on; for a count: its minimum, maximum and default."""
    names = priced_by(model) if model.price is not None else ()
    parameters = [parameter for name in names if (parameter := model.parameter(name)) is not None]
    for values in itertools.product(*map(_telling_values, parameters)):
        body = dict(zip(names, values, strict=True))
        amount = price_of(model, body)
        if amount is not None:
            yield ", ".join(with_unit(model, *pair) for pair in body.items()), usd(amount)


def _telling_values(parameter: Parameter) -> list[Any]:
    if parameter.options:
        return list(parameter.options)
    ends = {parameter.minimum, parameter.default, parameter.maximum} - {None}
    return sorted(value for value in ends if isinstance(value, int))


def _parameter_row(parameter: Parameter) -> tuple[str, str, str, str]:
    default = "required" if parameter.required else "" if parameter.default is None else shown(parameter.default)
    return (parameter.name, parameter.type, parameter.expected(), default)


def _example(model: Model) -> list[str]:
    values = [f"    {p.name}: {_yaml(_example_value(p))}" for p in model.parameters if p.required]
    return [f"  - model: {model.id}", *values]


def _example_value(parameter: Parameter) -> object:
    """Return a value that is valid, whatever the tables have for an example."""
    if parameter.example is not None or parameter.type == "boolean":
        return parameter.example or False
    if parameter.options:
        return parameter.options[0]
    values = {"url": _URL, "urls": [_URL] * (parameter.min_items or 1), "integer": parameter.minimum or 0}
    return values.get(parameter.type, "…")


def _yaml(value: object) -> str:
    # JSON is YAML, and needs no rules about what to quote.
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


# ---- for programs ------------------------------------------------------------------------------------------------


def _json(catalog: Catalog, **content: Any) -> str:
    return json.dumps(
        {"format_version": FORMAT_VERSION, "tables": catalog.version, **content}, ensure_ascii=False, indent=2
    )


def _as_json(model: Model) -> Mapping[str, Any]:
    return {
        "id": model.id,
        "title": model.title,
        "family": model.family,
        "endpoint": model.endpoint,
        "output": model.output,
        "outputs": model.outputs,
        "description": model.description,
        "price": price_json(model.price),
        "parameters": [_parameter_as_json(parameter) for parameter in model.parameters],
    }


def _parameter_as_json(parameter: Parameter) -> Mapping[str, Any]:
    limits = {
        "options": list(parameter.options) or None,
        "minimum": parameter.minimum,
        "maximum": parameter.maximum,
        "default": parameter.default,
        "random": parameter.random,
        "max_length": parameter.max_length,
        "min_items": parameter.min_items,
        "max_items": parameter.max_items,
        "formats": list(parameter.formats) or None,
        "max_megabytes": parameter.max_megabytes,
    }
    return {
        "name": parameter.name,
        "type": parameter.type,
        "required": parameter.required,
        "description": parameter.description,
        **{name: limit for name, limit in limits.items() if limit is not None},
    }
