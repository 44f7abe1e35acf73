"""Compiles an entry of `items` with its header and the columns of its rows: every template is parsed once, and
every variable that it names is checked.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchgen.catalog import Catalog, Model
from batchgen.core.text import printable
from batchgen.manifest.entry.entry_spec import EntrySpec, LocatedValue, Origin
from batchgen.manifest.entry.expectations import expect_text
from batchgen.manifest.entry.header import Header
from batchgen.manifest.entry.rows_file import Rows
from batchgen.manifest.entry.used_variables import UsedVariables
from batchgen.manifest.entry.value_makers import INVALID, TAG, Maker, VariableScope, value_maker
from batchgen.manifest.item.builder import ItemBuilder
from batchgen.manifest.item.request import MAX_TAGS
from batchgen.manifest.template import Template, names_in, parse_template
from batchgen.manifest.yaml.nodes import Map
from batchgen.manifest.yaml.problems import Mark, Problems


@dataclass(frozen=True, slots=True)
class ModelDefaults:
    """What the header says about one model: the defaults of each parameter, the model's own first."""

    model: Model
    layers: Mapping[str, tuple[LocatedValue, ...]]


class ManifestContext:
    """What all entries of a manifest have in common."""

    def __init__(
        self, header: Header, catalog: Catalog, problems: Problems, builder: ItemBuilder, manifest: Path
    ) -> None:
        self.header = header
        self.catalog = catalog
        self.problems = problems
        self.builder = builder
        self.manifest = manifest
        self._shared: dict[str, ModelDefaults] = {}

    def unknown_model(self, model_id: object) -> Model:
        """Return a substitute for a model that is not in the catalogue, so that its items can still be checked."""
        # Those without defaults are all alike; a rows file may name any number of them.
        known = isinstance(model_id, str) and model_id in self.header.model_defaults
        return self.builder.any_model.model(str(model_id) if known else "")

    def shared(self, model: Model) -> ModelDefaults:
        """Return the defaults for one model."""
        known = self._shared.get(model.id)
        if known is None:
            layers: dict[str, tuple[LocatedValue, ...]] = {}
            own = written_of(self.header.model_defaults.get(model.id), "model_defaults")
            for given in (own, written_of(self.header.defaults, "defaults")):
                for name, written in given.items():
                    if model.parameter(name) is not None:
                        layers[name] = (*layers.get(name, ()), written)
            known = self._shared[model.id] = ModelDefaults(model, layers)
        return known

    def note_tags(self, names: Iterable[str], mark: Mark) -> None:
        """Remember the names of tags. Raises BrokenOffError where there are too many."""
        known = self.builder.tag_names
        if known.issuperset(names):
            return
        known.update(names)
        if len(known) > MAX_TAGS:
            raise self.problems.broken_off(
                mark, f"there are more than {MAX_TAGS} different tags; each becomes a column of the ledger"
            )


@dataclass(frozen=True, slots=True)
class EntryValue:
    """One value of the items that will be built: a constant, or the function that makes it."""

    written: LocatedValue
    maker: Maker | None
    constant: Any
    of_row: bool
    """Whether it depends on the row, so that its problems belong to the row."""
    gaps: tuple[str, ...] = ()
    """The row's variables that are only part of a text; if they are empty, they leave a gap in it."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """What an entry requests from one model."""

    model: Model
    constants: Mapping[str, Any]
    made: tuple[tuple[str, tuple[EntryValue, ...]], ...]
    """Parameters that are made for each item, each with its layers; the first layer with a value counts."""
    values: Mapping[str, EntryValue]
    """The first layer of every parameter."""


class CompiledEntry:
    """An entry of `items`, ready to be expanded. Problems of its templates are noted."""

    def __init__(self, context: ManifestContext, entry_spec: EntrySpec, rows: Rows | None) -> None:
        self._context = context
        self._entry_spec = entry_spec
        self._problems = context.problems
        self._prepared: dict[str, ModelEntry] = {}
        scope = self._variables(rows)
        used = self._used_names(rows)
        self._check_matrix_is_used(used)
        self.used = UsedVariables(name for name in used if self._sets(name, scope, rows))
        """Of the variables that matrix and rows set."""
        tags = {
            name: written
            for name, written in {**written_of(context.header.tags, "tags"), **entry_spec.tags}.items()
            if written.value is not None
        }
        # A column or variable named `id` does not refer to the item's own id.
        late = {name for name, written in tags.items() if "id" in names_in(written.value) and "id" not in scope.names}
        no_id = [("id", "needs an `id`, but this item has none")] if entry_spec.id is None else []
        with_id = scope.with_names(() if no_id else ("id",), no_id)
        made = {name: self._entry_value(written, TAG, with_id) for name, written in tags.items()}
        self.early_tags = {name: value for name, value in made.items() if name not in late}
        """Tags that the id may refer to."""
        self.late_tags = {name: value for name, value in made.items() if name in late}
        """Tags that refer to the id."""
        self.id = self._id_template(scope, self.early_tags, late)
        """None if there is no id, or if it was refused."""
        self.id_of_row = self.id is not None and any(map(scope.varies, self.id.names))
        self._scope = with_id.with_names(f"tags.{name}" for name in tags)
        written = entry_spec.priority
        self.priority = None if written is None else self._entry_value(written, "integer", self._scope)
        """None if it has none."""
        own = entry_spec.expect
        self.expect = None if own is None else expect_text(context.header.expect, own)
        """The checks of its items as they are stored; None: there are none."""
        self.model = self._model_value()
        """None if there is no model; the problem is noted."""

    def prepare(self, model: Model) -> ModelEntry:
        """Return what the entry requests from a model: its own parameters, the model's defaults, the general ones."""
        known = self._prepared.get(model.id)
        if known is None:
            known = self._prepared[model.id] = self._prepare(model)
        return known

    def _prepare(self, model: Model) -> ModelEntry:
        shared = self._context.shared(model).layers
        constants: dict[str, Any] = {"model": model.id}
        made: list[tuple[str, tuple[EntryValue, ...]]] = []
        values: dict[str, EntryValue] = {}
        own = {name: (written,) for name, written in self._entry_spec.params.items() if name != "model"}
        for name in {**own, **shared}:
            parameter = model.parameter(name)
            kind = parameter.type if parameter is not None else None
            layers = tuple(
                self._entry_value(written, kind, self._scope) for written in (*own.get(name, ()), *shared.get(name, ()))
            )
            values[name] = layers[0]
            if layers[0].maker is not None:
                made.append((name, layers))
            elif layers[0].constant is not None and layers[0].constant is not INVALID:
                constants[name] = layers[0].constant
        return ModelEntry(model, constants, tuple(made), values)

    def _variables(self, rows: Rows | None) -> VariableScope:
        """Return the variables of rows and matrix."""
        matrix = self._entry_spec.matrix_marks
        if rows is None:
            return VariableScope(frozenset(matrix), open=self._entry_spec.broken)
        columns = frozenset(rows.columns or ())
        for name in sorted(columns & matrix.keys()):
            message = f"`{printable(name, 60)}` is already a column of the rows; give the variable another name"
            self._problems.at(self._entry_spec.matrix_marks[name], message)
        of_row = columns | {"row"}
        cells = columns - matrix.keys() if rows.cells else frozenset[str]()
        return VariableScope(of_row | matrix.keys(), cells=cells, of_row=of_row, open=rows.columns is None)

    def _used_names(self, rows: Rows | None) -> AbstractSet[str]:
        """Return the names of all variables that the entry names, or the header for it; none if it sets none."""
        header, entry_spec = self._context.header, self._entry_spec
        if (rows is None and not entry_spec.matrix_marks) or entry_spec.broken:
            return frozenset()
        values = [written.value for written in (*entry_spec.params.values(), *entry_spec.tags.values())]
        values += [entry_spec.id.value] if entry_spec.id is not None else []
        for shared in (header.tags, header.defaults, *header.model_defaults.values()):
            values += (shared or {}).values()
        return names_in(values)

    def _sets(self, name: str, scope: VariableScope, rows: Rows | None) -> bool:
        """Return whether matrix or rows may set a variable of this name; `row` alone every row has."""
        if name == "row" and name not in self._entry_spec.matrix_marks:
            return rows is not None and name in (rows.columns or ())
        return name in scope.names or (scope.open and not name.startswith(("tags.", "items.")))

    def _check_matrix_is_used(self, used: AbstractSet[str]) -> None:
        """Refuse a variable that is never used: the same request would be bought once for each of its values."""
        for name, mark in self._entry_spec.matrix_marks.items():
            if name not in used and not self._entry_spec.broken:
                shown = printable(name, 60)
                self._problems.at(mark, f"the variable `{shown}` is not used; write `${{{shown}}}` where it belongs")

    def _id_template(self, scope: VariableScope, early: Iterable[str], late: Iterable[str]) -> Template | None:
        written = self._entry_spec.id
        if written is None or self._entry_spec.id_refused:
            return None
        hints = [("id", "cannot be used in the id itself")]
        hints += [(f"tags.{name}", "is built from the id itself") for name in late]
        template = parse_template(written.value)
        known = scope.with_names((f"tags.{name}" for name in early), hints)
        return template if known.check(template, written.mark, self._problems) else None

    def _model_value(self) -> EntryValue | None:
        written = self._entry_spec.params.get("model") or written_of(self._context.header.defaults, "defaults").get(
            "model"
        )
        if written is None or written.value is None:
            if not (self._context.header.defaults_refused or self._entry_spec.broken):
                self._problems.at(self._entry_spec.mark, "this item has no model; set `model` here or in `defaults`")
            return None
        return self._entry_value(written, "string", self._scope)

    def _entry_value(self, written: LocatedValue, kind: str | None, scope: VariableScope) -> EntryValue:
        what = "" if written.origin == "item" else f" (for the item on line {self._entry_spec.mark.line + 1})"
        maker, constant = value_maker(written, kind, scope, self._problems, what)
        of_row = maker is not None and any(map(scope.varies, names_in(written.value)))
        gaps: tuple[str, ...] = ()
        if maker is not None and kind != TAG and isinstance(written.value, str):
            template = parse_template(written.value)
            if template.single is None:
                gaps = tuple(name for name in template.names if name != "row" and scope.varies(name))
        return EntryValue(written, maker, constant, of_row, gaps)


def written_of(values: Map | None, origin: Origin) -> dict[str, LocatedValue]:
    """Return the entries of a map in the header with their places; none if there is no map."""
    if values is None:
        return {}
    marks = {name: (values.key_mark(name), values.value_mark(name)) for name in values}
    return {name: LocatedValue(value, *marks[name], origin) for name, value in values.items()}
