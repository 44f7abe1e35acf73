"""What differs between a published page and the tables. Descriptions, titles, units and examples are no difference."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from batchgen.catalog.hints import shown
from batchgen.catalog.prices import price_json, price_text
from batchgen.catalog.reference import Place, PublishedModel, Reference
from batchgen.catalog.tables import Catalog, Model, Parameter


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference; `before` is what the tables say, `after` what the page says, as plain JSON values."""

    model: str
    parameter: str | None
    """None: it is about the model itself."""
    kind: Literal["added", "gone", "changed"]
    what: str
    """What has changed, in the words of the tables; empty if all of it was added or is gone."""
    before: Any
    after: Any
    text: str
    """For people, without model and parameter."""
    place: Place | None
    """Where the page says it; None for what the page does not say."""


def differences(tables: Catalog, page: Reference) -> list[Difference]:
    """Return what differs, in the page's order, and behind it what is gone.

    The page of one model says nothing of the others.
    """
    found = [one for told in page.models.values() for one in _model(tables.model(told.model.id), told)]
    if page.complete:
        found += [
            Difference(model_id, None, "gone", "", None, None, "the model is gone", None)
            for model_id in tables.models
            if model_id not in page.models
        ]
    return found


def _model(known: Model | None, told: PublishedModel) -> Iterator[Difference]:
    model, places = told.model, told.places
    if known is None:
        text = f"a new model, {model.output}, {price_text(model)}"
        yield Difference(model.id, None, "added", "", None, None, text, places["Model id"])
        return
    for what, label in (("family", "Family"), ("endpoint", "Endpoint"), ("output", "Output")):
        before, after = getattr(known, what), getattr(model, what)
        if before != after:
            text = f"{what}: {before} → {after}"
            yield Difference(model.id, None, "changed", what, before, after, text, places[label])
    if _price(known) != _price(model):
        text = f"price: {price_text(known)} → {price_text(model)}"
        place = places.get("Pricing", places["Model id"])
        before, after = price_json(known.price), price_json(model.price)
        yield Difference(model.id, None, "changed", "price", before, after, text, place)
    for parameter in model.parameters:
        yield from _parameter(model.id, known.parameter(parameter.name), parameter, places[parameter.name])
    for parameter in known.parameters:
        if model.parameter(parameter.name) is None:
            yield Difference(model.id, parameter.name, "gone", "", None, None, "the parameter is gone", None)


def _price(model: Model) -> object:
    """Return a price so that equal ones are equal, in whatever order they name their parameters and amounts."""
    price = model.price
    if price is None:
        return None
    amounts = {frozenset(zip(price.by, values, strict=True)): usd for values, usd in price.amounts.items()}
    return price.unit, price.times, amounts


_ASPECTS: tuple[tuple[str, Callable[[Parameter], Any]], ...] = (
    ("type", lambda p: p.type),
    ("required", lambda p: p.required),
    ("options", lambda p: list(p.options) or None),
    ("range", lambda p: None if p.minimum is None and p.maximum is None else [p.minimum, p.maximum]),
    ("default", lambda p: p.default),
    ("max_length", lambda p: p.max_length),
    ("items", lambda p: None if p.min_items is None and p.max_items is None else [p.min_items, p.max_items]),
    ("formats", lambda p: list(p.formats) or None),
    ("max_megabytes", lambda p: p.max_megabytes),
    ("random", lambda p: p.random),
)


def _parameter(model: str, known: Parameter | None, told: Parameter, place: Place) -> Iterator[Difference]:
    if known is None:
        need = "required" if told.required else "optional"
        text = f"a new parameter, {need}: {told.expected()}"
        yield Difference(model, told.name, "added", "", None, None, text, place)
        return
    for what, aspect in _ASPECTS:
        before, after = aspect(known), aspect(told)
        # With their types, because True == 1.
        if (type(before), before) != (type(after), after):
            text = f"{what.replace('_', ' ')}: {_shown(what, before)} → {_shown(what, after)}"
            yield Difference(model, told.name, "changed", what, before, after, text, place)


def _shown(what: str, value: Any) -> str:
    if value is None:
        return "none"
    if what in ("range", "items"):
        return " to ".join(str(end) for end in value if end is not None)
    return ", ".join(map(shown, value)) if isinstance(value, list) else shown(value)
