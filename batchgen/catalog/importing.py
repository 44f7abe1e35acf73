"""New tables from a published page: what the page says, and beyond that what the present tables know."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from types import MappingProxyType

from batchgen.catalog.reference import Reference
from batchgen.catalog.tables import Catalog, Model, Parameter
from batchgen.catalog.tables_text import models_text
from batchgen.core.text import printable

_LONGEST = 500


def imported(page: Reference, present: Catalog) -> Catalog:
    """Return tables that say what the page says.

    Titles, descriptions, units and examples of the present tables are kept; a new model takes them from parameters of
    the same name. The page of one model leaves the others as they are. The version is made of the content.
    """
    told = {model_id: _merged(one.model, present) for model_id, one in page.models.items()}
    models = told if page.complete else {**present.models, **told}
    digest = hashlib.sha256(models_text(models.values()).encode()).hexdigest()
    return Catalog(f"imported-{digest[:12]}", MappingProxyType(models))


def _merged(told: Model, present: Catalog) -> Model:
    known = present.model(told.id)
    parameters = tuple(_with_words(parameter, _known(parameter, known, present)) for parameter in told.parameters)
    model = replace(told, parameters=parameters, family=printable(told.family, _LONGEST))
    if known is None:
        return replace(model, title=printable(told.title, _LONGEST), description=printable(told.description, _LONGEST))
    outputs = told.outputs
    if outputs is None and known.outputs is not None and told.price is None:
        # The price would have said it; where that cannot be read, what was counted before still is.
        counted = told.parameter(known.outputs)
        outputs = known.outputs if counted is not None and counted.type == "integer" else None
    return replace(model, title=known.title, description=known.description, outputs=outputs)


def _known(told: Parameter, model: Model | None, present: Catalog) -> Parameter | None:
    """Return what the present tables know of such a parameter: of the model itself, else of the first that has it."""
    models: Iterable[Model] = [*([model] if model is not None else []), *present.models.values()]
    found = (parameter for model in models if (parameter := model.parameter(told.name)) is not None)
    return next((parameter for parameter in found if parameter.type == told.type), None)


def _with_words(told: Parameter, known: Parameter | None) -> Parameter:
    if known is None:
        return replace(told, description=printable(told.description, _LONGEST))
    example = known.example if told.options == () or known.example in told.options else None
    return replace(told, description=known.description, unit=known.unit, example=example)
