"""The models on a page: each with its facts, its parameters and its price."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import get_args

from batchgen.catalog.reference.details import names_only, parameter_of
from batchgen.catalog.reference.page import Fault, Page, Place, Span
from batchgen.catalog.reference.pricing import UnknownPriceError, price_rule
from batchgen.catalog.reference.rows import PARAMETERS, Row, parameter_rows
from batchgen.catalog.reference.table import HEAD
from batchgen.catalog.tables import Model, Output, Parameter
from batchgen.catalog.tables_file import ENDPOINT, MODEL_ID
from batchgen.core.text import printable

_MODEL = re.compile(r"(?:^|[\n\f]|(?<=\s))(?:[-*•]\s)?(?:\*\*)?Model\sid(?:\*\*)?:(?:\*\*)?\s`?([^\s`]+)`?(?=\s|$)")
_MODELS_HEADING = re.compile(r"#{1,6}\s(?:[0-9]+\.\s)?Models(?=\s|$)")
_HEADING = re.compile(r"#{1,6}\s")
_BULLET = re.compile(r"(?:(?<=\s)|^)[-*•]\s")
_LABEL = re.compile(r"(?:\*\*)?([A-Z][A-Za-z\s]{0,30})(?:\*\*)?:(?:\*\*)?(?:\s|$)")
_FACTS = ("Family", "Endpoint", "Output", "Pricing")
_SHOWN = 60
_LONGEST_TITLE = 100


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """What a page says of one model, in the terms of the tables; descriptions are the page's own."""

    model: Model
    places: Mapping[str, Place]
    """By fact ("Model id", "Pricing", …) and by parameter: where the page says it."""
    unknown_price: str | None
    """Why the price is not known; None if it is."""


@dataclass(frozen=True, slots=True)
class Reference:
    """The models of one page, in its order."""

    models: Mapping[str, PublishedModel]
    complete: bool
    """Whether it is the page of all models, so that one that it lacks is gone; else it is the page of one model."""


def models_on(page: Page, faults: list[Fault]) -> Reference:
    """Return the models on a page; what cannot be read is added to `faults`."""
    heads = list(_MODEL.finditer(page.text))
    if not heads:
        faults.append(Fault(0, "no model was found: expected `- Model id: …` and what follows it"))
    models: dict[str, PublishedModel] = {}
    begin = [_section_start(page, head, heads[n - 1].end() if n else 0) for n, head in enumerate(heads)]
    for n, head in enumerate(heads):
        end = begin[n + 1] if n + 1 < len(heads) else len(page.text)
        model_id = head[1]
        if MODEL_ID.fullmatch(model_id) is None:
            faults.append(Fault(head.start(1), f"{printable(model_id, _SHOWN)!r} is not a valid model id"))
        elif model_id in models:
            faults.append(Fault(head.start(1), f"the model {model_id} is here twice"))
        else:
            published = _model(page, head, Span(begin[n], end), faults)
            if published is not None:
                models[model_id] = published
    complete = len(heads) > 1 or _MODELS_HEADING.search(page.text) is not None
    return Reference(MappingProxyType(models), complete)


def _section_start(page: Page, head: re.Match[str], after: int) -> int:
    """Return where a model's section begins: at the last heading before its id, else at the id itself."""
    found = head.start()
    for heading in _HEADING.finditer(page.text, after, head.start()):
        found = heading.start()
    return found


def _model(page: Page, head: re.Match[str], section: Span, faults: list[Fault]) -> PublishedModel | None:
    noted = len(faults)
    model_id = head[1]
    rest = Span(head.end(), section.end)
    facts, description = _facts(page, Span(head.end(), _parameters_start(page, rest)), faults)
    places = {name: page.place(span.start) for name, span in facts.items()}
    places["Model id"] = page.place(head.start(1))
    missing = [name for name in ("Family", "Endpoint", "Output") if name not in facts]
    faults += [Fault(head.start(1), f"{model_id}: {name} is missing") for name in missing]
    parameters = _parameters(page, model_id, rest, faults, places)
    if len(faults) > noted:
        return None
    endpoint = page.folded(facts["Endpoint"]).replace("`", "")
    output = page.folded(facts["Output"]).replace("`", "")
    if not endpoint.startswith("POST ") or ENDPOINT.fullmatch(endpoint[5:]) is None:
        shown = repr(printable(endpoint, _SHOWN))
        faults.append(Fault(facts["Endpoint"].start, f"{model_id}: expected POST and a path, got {shown}"))
    kind = next((known for known in get_args(Output) if known == output), None)
    if kind is None:
        shown = repr(printable(output, _SHOWN))
        faults.append(Fault(facts["Output"].start, f"{model_id}: expected image or video, got {shown}"))
        return None
    title = _title(page, section.start, head.start()) or model_id
    family = page.folded(facts["Family"])
    model = Model(model_id, title, family, endpoint[5:], kind, description, parameters, price=None)
    return _priced(page, model, facts.get("Pricing"), places)


def _priced(page: Page, model: Model, rule: Span | None, places: Mapping[str, Place]) -> PublishedModel:
    unknown: str | None = None
    try:
        if rule is None:
            raise UnknownPriceError("it is not said")
        if "$" in model.description:
            raise UnknownPriceError("the description names an amount as well")
        price = price_rule(page.folded(rule), model)
        model = replace(model, price=price, outputs=price.times if price.unit == "image" else None)
    except UnknownPriceError as error:
        unknown = str(error)
    return PublishedModel(model, MappingProxyType(dict(places)), unknown)


def _parameters_start(page: Page, rest: Span) -> int:
    starts = [found.start() for what in (PARAMETERS, HEAD) if (found := what.search(page.text, rest.start, rest.end))]
    return min(starts, default=rest.end)


def _facts(page: Page, span: Span, faults: list[Fault]) -> tuple[dict[str, Span], str]:
    """Return the labelled facts of a model by label, and what else is said of it, which is its description."""
    facts: dict[str, Span] = {}
    described = []
    for piece in page.pieces(span, _BULLET):
        label = _LABEL.match(page.text, piece.start, piece.end)
        name = " ".join(label[1].split()) if label is not None else ""
        if label is None:
            described.append(page.folded(piece))
        elif name not in _FACTS or name in facts:
            fault = "is here twice" if name in facts else "is not known"
            faults.append(Fault(piece.start, f"the fact {name!r} {fault}"))
        else:
            facts[name] = page.trimmed(label.end(), piece.end)
    return facts, " ".join(filter(None, described))


def _parameters(
    page: Page, model_id: str, section: Span, faults: list[Fault], places: dict[str, Place]
) -> tuple[Parameter, ...]:
    parameters: dict[str, Parameter] = {}
    noted = len(faults)
    rows = parameter_rows(page, section, faults)
    for row in rows:
        if row.name in places:
            faults.append(Fault(row.at, f"the parameter {printable(row.name, _SHOWN)} is here twice"))
        elif row.name == "model":
            _check_model_row(page, row, model_id, faults)
        elif (parameter := parameter_of(page, row, faults)) is not None:
            parameters[row.name] = parameter
            places[row.name] = page.place(row.at)
    if not rows and len(faults) == noted:
        faults.append(Fault(section.start, f"{model_id}: the list of parameters is empty"))
    return tuple(parameters.values())


def _check_model_row(page: Page, row: Row, model_id: str, faults: list[Fault]) -> None:
    if not names_only(page, row, model_id):
        faults.append(Fault(row.at, f"expected model to be a required string with the one option {model_id}"))


def _title(page: Page, start: int, end: int) -> str:
    """Return the heading of a section; empty if it has none, or none that could be told from the text behind it."""
    heading = _HEADING.match(page.text, start, end)
    if heading is None:
        return ""
    title = page.folded(Span(heading.end(), end)).removesuffix(" -")
    return title if len(title) <= _LONGEST_TITLE else ""
