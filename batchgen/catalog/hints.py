"""What the tables say of a model or a parameter, as sentences: for people, for schemas, and as Markdown for editors."""

import re
from collections.abc import Sequence

from batchgen.catalog.prices import price_text, priced_by, rates
from batchgen.catalog.tables import Model, Parameter

_MARKUP = re.compile(r"[\\`*_{}\[\]<>~]")
"""What Markdown may read as markup within a line (CommonMark 0.31, "Inlines")."""


def describe(parameter: Parameter) -> str:
    """Return a parameter's description with its limits and default, as plain sentences."""
    # As text: an editor that filled in a default would change the request, and with it the digest.
    default = [] if parameter.default is None else [f"Default: {shown(parameter.default)}."]
    return " ".join([*_limits(parameter), *default])


def described(model: Model, parameter: Parameter) -> str:
    """Return what `describe` does, with the price where the parameter sets it."""
    return " ".join(filter(None, (describe(parameter), _price(model, parameter))))


def as_markdown(model: Model, parameter: Parameter) -> str:
    """Return what `described` does, as Markdown: a paragraph for each thing, and a list of more prices than one."""
    paragraphs = [escaped(" ".join(_limits(parameter)))]
    if parameter.default is not None:
        paragraphs.append(f"Default: `{shown(parameter.default)}`")
    if _price(model, parameter):
        found = rates(model)
        listed = "".join(f"\n- {escaped(rate)}" for rate in found)
        paragraphs.append(f"Price: {escaped(found[0])}" if len(found) == 1 else f"Price:\n{listed}")
    return "\n\n".join(filter(None, paragraphs))


def about(model: Model) -> str:
    """Return what a model does and what it costs, as plain sentences."""
    return f"{model.description} Price: {price_text(model)}."


def about_option(model: Model, parameter: Parameter, option: str | int) -> str:
    """Return what a choice of a parameter costs and whether it is the default; empty if neither is to be said."""
    sets_price = model.price is not None and parameter.name in model.price.by
    found = rates(model, {parameter.name: option}) if sets_price else []
    default = ["the default"] if option == parameter.default else []
    return "; ".join([*default, *found])


def in_several(takers: Sequence[tuple[Model, Parameter]]) -> str:
    """Return what several models make of a parameter of the same name, as Markdown: a line for each of them."""
    lines = "".join(f"\n- `{model.id}`: {escaped(_in_one(model, parameter))}" for model, parameter in takers)
    return f"{escaped(takers[0][1].description)}\n{lines}"


def escaped(text: str) -> str:
    """Return plain text as Markdown that shows it."""
    return _MARKUP.sub(r"\\\g<0>", text)


def shown(value: object) -> str:
    """Return a value as written in YAML."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _limits(parameter: Parameter) -> list[str]:
    sentences = [parameter.description] if parameter.description else []
    if parameter.max_length is not None:
        sentences.append(f"At most {parameter.max_length:,} characters.")
    if parameter.formats:
        size = f" of up to {parameter.max_megabytes} MB" if parameter.max_megabytes is not None else ""
        sentences.append(f"{', '.join(parameter.formats)}{size}.")
    if parameter.random is not None:
        sentences.append(f"{parameter.random} picks a random one.")
    return sentences


def _price(model: Model, parameter: Parameter) -> str:
    return f"Price: {price_text(model)}." if model.price and parameter.name in priced_by(model) else ""


def _in_one(model: Model, parameter: Parameter) -> str:
    need = ["required"] if parameter.required else []
    default = [] if parameter.default is None else [f"default {shown(parameter.default)}"]
    priced = rates(model) if parameter.name in priced_by(model) else []
    return "; ".join([parameter.expected(), *need, *default, *priced])
