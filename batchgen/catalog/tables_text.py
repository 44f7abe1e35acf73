"""Parameter tables as TOML, in the form of the shipped `tables.toml`."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from batchgen.catalog.tables import Catalog, Model, Parameter
from batchgen.catalog.tables_file import UNKNOWN
from batchgen.core.text import usd

_HEAD = """\
# Parameter tables for batchgen, made by `batchgen catalog import`: every model, what it takes and what it costs.
# `--catalog FILE` or BATCHGEN_CATALOG uses them. The ledger names the version that an item was priced by: change it
# with every change of your own. A price that is not known is "unknown"; such a model is not bought.

"""
_OWN = ("options", "minimum", "maximum", "min_items", "max_items")
"""What is said of each model by itself, even if all of them say the same."""


def tables_text(catalog: Catalog) -> str:
    """Return the text of a file that `read_catalog` reads as these tables."""
    return f"{_HEAD}version = {_value(catalog.version)}\n\n{models_text(catalog.models.values())}"


def models_text(models: Iterable[Model]) -> str:
    """Return the part of the text that is about the models, without a version."""
    models = list(models)
    shared = _shared(models)
    blocks = [f"[parameters.{name}]\n{_lines(common)}" for name, common in shared.items()]
    return "\n".join([*blocks, *("".join(_model(model, shared)) for model in models)])


def _shared(models: Iterable[Model]) -> dict[str, dict[str, Any]]:
    """Return by parameter what all models that have it say of it."""
    shared: dict[str, dict[str, Any]] = {}
    for model in models:
        for parameter in model.parameters:
            said = _said(parameter)
            own = {field: value for field, value in said.items() if field not in _OWN}
            common = shared.setdefault(parameter.name, own)
            shared[parameter.name] = {f: v for f, v in common.items() if f in own and _same(own[f], v)}
    return {name: common for name, common in shared.items() if common}


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _said(parameter: Parameter) -> dict[str, Any]:
    """Return a parameter's fields without its name, and without those that say nothing."""
    said = {}
    for field in fields(Parameter):
        value = getattr(parameter, field.name)
        if field.name != "name" and not _same(value, field.default):
            said[field.name] = value
    return said


def _model(model: Model, shared: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    facts = {name: getattr(model, name) for name in ("id", "title", "family", "endpoint", "output", "outputs")}
    facts["description"] = model.description
    if model.price is None:
        facts["price"] = UNKNOWN
    yield f"[[models]]\n{_lines({name: value for name, value in facts.items() if value is not None})}parameters = [\n"
    for parameter in model.parameters:
        common = shared.get(parameter.name, {})
        own = {field: value for field, value in _said(parameter).items() if field not in common}
        yield f"  {_inline({'name': parameter.name, **own})},\n"
    yield "]\n"
    if model.price is not None:
        price = model.price
        yield f'[models.price]\nunit = "{price.unit}"\n'
        yield _lines({**({"times": price.times} if price.times else {}), **({"by": price.by} if price.by else {})})
        yield "amounts = [\n"
        for values, amount in price.amounts.items():
            yield f"  {_inline({**dict(zip(price.by, values, strict=True)), 'usd': usd(amount)})},\n"
        yield "]\n"


def _lines(values: Mapping[str, Any]) -> str:
    return "".join(f"{name} = {_value(value)}\n" for name, value in values.items())


def _inline(values: Mapping[str, Any]) -> str:
    return f"{{ {', '.join(f'{name} = {_value(value)}' for name, value in values.items())} }}"


def _value(value: Any) -> str:
    # JSON's texts are TOML's, but for one control character.
    text = json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
    return text.replace("\x7f", "\\u007f")
