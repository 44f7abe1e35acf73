"""Expands the entries of `items` into requests: the plain ones at once, all others by way of a blueprint."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchgen.catalog import BodyProblem, Catalog
from batchgen.manifest.entry.compiled_entry import Context, Shared
from batchgen.manifest.entry.entry_spec import EXPANDING, read_entry_spec
from batchgen.manifest.entry.expansion import Expansion
from batchgen.manifest.entry.header import Header, tag_fault
from batchgen.manifest.entry.template import has_variables, may_have_variables
from batchgen.manifest.item.builder import ItemBuilder, ItemRequest, Tags
from batchgen.manifest.item.ids import ID
from batchgen.manifest.yaml.nodes import List, Map
from batchgen.manifest.yaml.problems import BrokenOffError, Mark, Problems
from batchgen.manifest.yaml.scalars import fitting, plain_value, text_of


@dataclass(slots=True)
class _PlainPlace:
    """The places of an item that is written out in the manifest."""

    item: Map
    shared: Shared
    problems: Problems

    def of_body(self, problem: BodyProblem) -> None:
        name = str(problem.path[0])
        message = problem.message
        if name in self.item.events:
            if self.shared.model.parameter(name) is None and name != "model":
                mark = self.item.key_mark(name)
            elif len(problem.path) > 1 and isinstance(self.item[name], List):
                mark = self.item[name].mark(problem.path[1])
            else:
                mark = self.item.value_mark(name)
        elif name in self.shared.layers:
            written = self.shared.layers[name][0]
            mark, message = written.mark, written.problem(message)
        else:
            mark = self.item.mark
        self.problems.at(mark, message)

    def of_item(self, message: str) -> BrokenOffError:
        return self.problems.broken_off(self.item.mark, message)


class Expander:
    """Takes the entries of `items` one by one."""

    def __init__(
        self, header: Header, catalog: Catalog, problems: Problems, builder: ItemBuilder, manifest: Path
    ) -> None:
        self._context = Context(header, catalog, problems, builder, manifest)
        self._problems = problems
        self._builder = builder
        self._source = f"{manifest.name}:"
        self._default_model = header.defaults.get("model") if header.defaults is not None else None
        self._constant: dict[str, tuple[Shared, dict[str, Any]]] = {}
        self._tags = self._constant_tags(header.tags or {})
        builder.tag_names.update(name for name, value in (header.tags or {}).items() if value is not None)

    def add(self, item: Any, mark: Mark) -> None:
        """Expand, check and stage one entry. Raises BrokenOffError past the bound on items."""
        if type(item) is not Map:
            self._problems.at(mark, "an item is a map, as in `- prompt: A striped deck chair`")
        elif not self._add_plain(item):
            Expansion(self._context, read_entry_spec(item, self._problems)).run()

    def _add_plain(self, item: Map) -> bool:
        """Stage an item without variables or anything to multiply by; False where it is not of this kind."""
        known = self._constants_of(item.get("model", self._default_model))
        if known is None or not EXPANDING.isdisjoint(item):
            return False
        shared, constants = known
        body = {**constants, **item}
        for key, value in item.items():
            kind = type(value)
            if kind is str:
                if "${" in value or "{{" in value:
                    return False
            elif kind is List and not has_variables(value):
                body[key] = plain_value(value)
            elif kind is not int and kind is not bool and key != "tags":
                return False
        item_id = item.get("id")
        tags = self._tags_of(item)
        if tags is None or not (item_id is None or (type(item_id) is str and ID.fullmatch(item_id))):
            return False
        body.pop("id", None)
        body.pop("tags", None)
        body["model"] = shared.model.id
        request = ItemRequest(item_id, shared.model, body, tags, f"{self._source}{item.mark.line + 1}")
        self._builder.take(request, _PlainPlace(item, shared, self._problems))
        return True

    def _constants_of(self, model_id: Any) -> tuple[Shared, dict[str, Any]] | None:
        """Return the defaults of a model; None where there is no such model, or one of them is built from variables."""
        if type(model_id) is not str:
            return None
        known = self._constant.get(model_id)
        if known is None:
            model = self._context.catalog.model(model_id)
            if model is None:
                return None
            shared = self._context.shared(model)
            values = {name: layers[0].value for name, layers in shared.layers.items()}
            if any(map(may_have_variables, values.values())):
                return None
            kinds = {parameter.name: parameter.type for parameter in model.parameters}
            constants = {name: fitting(value, kinds[name]) for name, value in values.items() if value is not None}
            known = self._constant[model_id] = (shared, constants)
        return known

    def _tags_of(self, item: Map) -> Tags | None:
        """Return the tags of an item; None where they have variables or faults."""
        own = item.get("tags")
        if own is None or self._tags is None:
            return self._tags
        if type(own) is not Map:
            return None
        values = dict(self._tags.values)
        for name, value in own.items():
            if value is None:
                values.pop(name, None)
            elif tag_fault(name, value) is not None or (type(value) is str and "${" in value):
                return None
            else:
                values[name] = text_of(value)
        self._context.note_tags(values, item.mark)
        return Tags.of(values)

    def _constant_tags(self, tags: Mapping[str, Any]) -> Tags | None:
        if any(map(has_variables, tags.values())) or any(isinstance(value, dict | list) for value in tags.values()):
            return None
        return Tags.of({name: text_of(value) for name, value in tags.items() if value is not None})
