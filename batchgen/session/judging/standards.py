"""What files are judged by, from the parameter tables."""

import json

from batchgen.catalog import Catalog
from batchgen.core.records import Item
from batchgen.judging.checks import Ordered
from batchgen.judging.look import can_decode
from batchgen.scheduler.judging.judgement import Standards

_COMPARED = ("resolution", "aspect_ratio", "duration")


def standards_of(catalog: Catalog) -> Standards:
    """Return what files are judged by: what a request says of them, or else the model's default."""

    def ordered(item: Item, scale: str | None) -> Ordered:
        model = catalog.models.get(item.model)
        if model is None:
            return Ordered()
        body = json.loads(item.body)
        known = {name: parameter.default for name in _COMPARED if (parameter := model.parameter(name)) is not None}
        return Ordered.of({name: body.get(name, default) for name, default in known.items()}, scale)

    kinds = {model.id: model.output for model in catalog.models.values()}
    return Standards(ordered, kinds, decodes=can_decode())
