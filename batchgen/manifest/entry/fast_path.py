"""The fast path of expansion: entries of `items` that are written out, without variables and copies.

`expansion`, which handles all other entries, would make the same items from these, only more slowly.
"""

from collections.abc import Mapping
from typing import Any

from batchgen.catalog import BodyProblem
from batchgen.manifest.entry.compiled_entry import ManifestContext, ModelDefaults
from batchgen.manifest.entry.entry_spec import EXPANDING
from batchgen.manifest.entry.expectations import EXPECT, expect_text
from batchgen.manifest.entry.header import tag_fault
from batchgen.manifest.entry.recipe import Recipe
from batchgen.manifest.item.builder import TOO_MANY_ITEMS
from batchgen.manifest.item.ids import ID
from batchgen.manifest.item.request import ItemRequest, Tags
from batchgen.manifest.template import has_variables, may_have_variables
from batchgen.manifest.yaml.nodes import List, Map
from batchgen.manifest.yaml.problems import Mark
from batchgen.manifest.yaml.scalars import fitting, plain_value, text_of
from batchgen.manifest.yaml.shapes import Alike, Shape


class FastPath:
    """Handles the entries of `items` that are written out; nearly every manifest is full of them."""

    def __init__(self, context: ManifestContext) -> None:
        self._context = context
        self._problems = context.problems
        self._builder = context.builder
        self._source = f"{context.manifest.name}:"
        header = context.header
        self._default_model = header.defaults.get("model") if header.defaults is not None else None
        self._constant: dict[str, tuple[ModelDefaults, dict[str, Any]]] = {}
        self._recipes: dict[Shape, Recipe] = {}
        self._tags = self._constant_tags(header.tags or {})
        self._expect = expect_text(header.expect)

    def add(self, item: Map) -> bool:
        """Build an item without variables or anything to multiply by; False if the entry is not of this kind.

        Raises BrokenOffError beyond the limit on items.
        """
        made = self._request(item)
        if made is None:
            return False
        self._add(*made, item)
        return True

    def add_alike(self, alike: Alike) -> bool:
        """Build an item of an entry that has a known shape, as `add` would of its map; False if it should do so."""
        recipe = self._recipes.get(alike.shape)
        if recipe is None:
            recipe = self._recipes[alike.shape] = Recipe(alike.shape, self._builder.open_parameters)
        texts = alike.match.groups()
        fixed = recipe.fixed(texts)
        if fixed not in recipe.series:
            return self._begin_series(recipe, fixed, alike.map())
        series = recipe.series[fixed]
        tags = self._tags_of_alike(recipe, texts, alike)
        item_id = recipe.id(texts)
        if series is None or tags is None or not _may_be_id(item_id):
            return False
        return self._builder.add_to(series, item_id, recipe.values(texts), tags, f"{self._source}{alike.line + 1}")

    def _begin_series(self, recipe: Recipe, fixed: tuple[str, ...], item: Map) -> bool:
        made = self._request(item)
        if made is None:
            recipe.series[fixed] = None
            return False
        if self._add(*made, item):
            recipe.series[fixed] = self._builder.series(made[0], recipe.varying)
        return True

    def _request(self, item: Map) -> tuple[ItemRequest, ModelDefaults] | None:
        """Return what an entry asks for, and the defaults in it; None if it is not written out."""
        known = self._constants_of(item.get("model", self._default_model))
        if known is None or EXPECT in item or not EXPANDING.isdisjoint(item):
            return None
        shared, constants = known
        body = {**constants, **item}
        for key, value in item.items():
            kind = type(value)
            if kind is str:
                if "${" in value or "{{" in value:
                    return None
            elif kind is List and not has_variables(value):
                body[key] = plain_value(value)
            elif kind is not int and kind is not bool and key != "tags":
                return None
        item_id = item.get("id")
        tags = self._tags_of(item)
        if tags is None or not _may_be_id(item_id):
            return None
        body.pop("id", None)
        body.pop("tags", None)
        body["model"] = shared.model.id
        source = f"{self._source}{item.mark.line + 1}"
        return ItemRequest(item_id, shared.model, body, tags, source, expect=self._expect), shared

    def _add(self, request: ItemRequest, shared: ModelDefaults, item: Map) -> bool:
        """Add the item of a request; return whether it has no problems, and note those that it has."""
        problems = tuple(self._builder.add(request))
        for problem in problems:
            self._note(problem, item, shared)
        return not problems

    def _note(self, problem: BodyProblem, item: Map, shared: ModelDefaults) -> None:
        """Note a problem where the parameter is written; if the parameter is missing, where the item is."""
        if problem is TOO_MANY_ITEMS:
            raise self._problems.broken_off(item.mark, problem.message)
        name, message = str(problem.path[0]) if problem.path else None, problem.message
        if name is None:
            mark = item.mark
        elif name in item.events:
            if shared.model.parameter(name) is None and name != "model":
                mark = item.key_mark(name)
            elif len(problem.path) > 1 and isinstance(item[name], List):
                mark = item[name].mark(int(problem.path[1]))
            else:
                mark = item.value_mark(name)
        elif name in shared.layers:
            written = shared.layers[name][0]
            mark, message = written.mark, written.problem(message)
        else:
            mark = item.mark
        self._problems.at(mark, message)

    def _constants_of(self, model_id: Any) -> tuple[ModelDefaults, dict[str, Any]] | None:
        """Return the defaults for a model; None if there is no such model, or if a default is built from variables."""
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
        """Return the tags of an item; None if they have variables or faults."""
        own = item.get("tags")
        if own is None or self._tags is None:
            return self._tags
        return self._with_own(own, item.mark) if type(own) is Map else None

    def _tags_of_alike(self, recipe: Recipe, texts: tuple[str, ...], mark: Mark) -> Tags | None:
        key = recipe.tag_texts(texts)
        if not key or self._tags is None:
            return self._tags
        tags = recipe.known_tags.get(key)
        if tags is None:
            tags = self._with_own(recipe.tags(texts), mark)
            if tags is not None:
                recipe.known_tags[key] = tags
        return tags

    def _with_own(self, own: Mapping[str, Any], mark: Mark) -> Tags | None:
        assert self._tags is not None  # noqa: S101 - for mypy: the callers have looked
        values = dict(self._tags.values)
        for name, value in own.items():
            if value is None:
                values.pop(name, None)
            elif tag_fault(name, value) is not None or (type(value) is str and "${" in value):
                return None
            else:
                values[name] = text_of(value)
        self._context.note_tags(values, mark)
        return Tags.of(values)

    def _constant_tags(self, tags: Mapping[str, Any]) -> Tags | None:
        if any(map(has_variables, tags.values())) or any(isinstance(value, dict | list) for value in tags.values()):
            return None
        return Tags.of({name: text_of(value) for name, value in tags.items() if value is not None})


def _may_be_id(value: Any) -> bool:
    return value is None or (type(value) is str and ID.fullmatch(value) is not None)
