"""`batchgen models`: what can be bought, with which parameters, at which price."""

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from batchgen.catalog import Catalog, Model, Parameter, describe, load_catalog, price_of, shown
from batchgen.core.errors import UsageError
from batchgen.core.text import printable, usd

FORMAT_VERSION = 1


@click.command("models")
@click.argument("model_id", metavar="[MODEL]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(model_id: str | None, *, as_json: bool) -> None:
    """Show every model with its price, or one MODEL with all its parameters."""
    catalog = load_catalog()
    if model_id is not None:
        model = _named(catalog, model_id)
        click.echo(_json(catalog, model=_as_json(model)) if as_json else _page(model))
    elif as_json:
        click.echo(_json(catalog, models=[_as_json(model) for model in catalog.models.values()]))
    else:
        click.echo(_table(catalog))


def _named(catalog: Catalog, model_id: str) -> Model:
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
        rows.append((model.id, model.output, required, _price(model)))
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
            f"price     {_price(model)}",
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


def _price(model: Model) -> str:
    """Return the price rule on one line: `$0.20/second at 720p; $0.30/second at 1080p`."""
    price = model.price
    rates = []
    for values, amount in price.amounts.items():
        at = (
            f" at {', '.join(_with_unit(model, *pair) for pair in zip(price.by, values, strict=True))}"
            if values
            else ""
        )
        rates.append(f"${usd(amount)}/{price.unit}{at}")
    return "; ".join(rates)


def _price_examples(model: Model) -> Iterator[tuple[str, str]]:
    """Yield what calls cost, for every value the price depends on; for a count: its minimum, maximum and default."""
    names = [*model.price.by, *([model.price.times] if model.price.times else [])]
    parameters = [parameter for name in names if (parameter := model.parameter(name)) is not None]
    for values in itertools.product(*map(_telling_values, parameters)):
        body = dict(zip(names, values, strict=True))
        yield ", ".join(_with_unit(model, *pair) for pair in body.items()), usd(price_of(model, body))


def _telling_values(parameter: Parameter) -> list[Any]:
    if parameter.options:
        return list(parameter.options)
    ends = {parameter.minimum, parameter.default, parameter.maximum} - {None}
    return sorted(value for value in ends if isinstance(value, int))


def _with_unit(model: Model, name: str, value: object) -> str:
    parameter = model.parameter(name)
    if parameter is not None and parameter.unit:
        return f"{value} {parameter.unit}"
    return f"{name} {value}" if isinstance(value, int) else str(value)


def _parameter_row(parameter: Parameter) -> tuple[str, str, str, str]:
    default = "required" if parameter.required else "" if parameter.default is None else shown(parameter.default)
    return (parameter.name, parameter.type, parameter.expected(), default)


def _example(model: Model) -> list[str]:
    values = [f"    {p.name}: {_yaml(p.example)}" for p in model.parameters if p.required]
    return [f"  - model: {model.id}", *values]


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
        "price": {
            "unit": model.price.unit,
            "times": model.price.times,
            "amounts": [
                {**dict(zip(model.price.by, values, strict=True)), "usd": usd(amount)}
                for values, amount in model.price.amounts.items()
            ],
        },
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
