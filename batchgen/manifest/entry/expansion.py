"""Expands one entry of `items` that has variables or something to multiply by: rows, then matrix, then seeds or repeat.

Where an id is not given, prompt and digest of the request make one (without the seed that `seeds` adds). In
texts `${id}` is the id without what `seeds` or `repeat` put behind it, so that `repeat` buys the same request.
Columns of a row and variables of a matrix win over the built-in `${row}` and `${id}`. An empty cell leaves the
parameter to the defaults; `null` in the manifest or in a .jsonl row leaves it out.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from batchgen.catalog import BodyProblem, Model
from batchgen.core.text import printable
from batchgen.manifest.entry.compiled_entry import Compiled, Context, Prepared, Slot
from batchgen.manifest.entry.entry_spec import EntrySpec
from batchgen.manifest.entry.filling import ABSENT, NOTED
from batchgen.manifest.entry.row_lines import RowsError
from batchgen.manifest.entry.rows_file import CannotOpenError, Rows, open_rows
from batchgen.manifest.entry.template import FillError, Variables
from batchgen.manifest.item.builder import ItemRequest, Tags
from batchgen.manifest.item.ids import ID, ID_RULE, fit
from batchgen.manifest.yaml.nodes import List
from batchgen.manifest.yaml.problems import BrokenOffError, Mark
from batchgen.manifest.yaml.scalars import text_of


def _source_of(path: Path, folder: Path) -> str:
    """Return a rows file as the ledger names it: relative to the manifest's folder where it lies below it."""
    try:
        return path.relative_to(folder).as_posix()
    except ValueError:
        return path.as_posix()


def _reason(error: FillError | KeyError) -> str:
    """Return why a value could not be made; a KeyError is a name that this row (.jsonl) has not."""
    return str(error) if isinstance(error, FillError) else f"this row has no `{printable(str(error.args[0]), 60)}`"


def _shown(combination: Mapping[str, Any]) -> str:
    """Return the values of a matrix for a message."""
    return printable(", ".join(f"{name}={text_of(value)}" for name, value in combination.items()), 200)


class _BadItemError(Exception):
    """A value cannot be made; its problem is noted."""


class Expansion:
    """One entry of `items` on its way to requests."""

    def __init__(self, context: Context, entry_spec: EntrySpec) -> None:
        self._context = context
        self._problems = context.problems
        self._entry_spec = entry_spec
        self._source = f"{context.manifest.name}:{entry_spec.mark.line + 1}"
        self._row: tuple[str, int] | None = None
        """File and line of the row at hand."""
        self._unmade: set[str] = set()
        """Variables and parameters of the item at hand that cannot be made; why is noted."""

    def run(self) -> None:
        """Expand the entry. Raises BrokenOffError past the bound on items."""
        written = self._entry_spec.rows
        if self._entry_spec.broken:
            self._judge_alone()
        elif written is None:
            self._compiled = Compiled(self._context, self._entry_spec, None)
            self._expand({}, self._source)
        else:
            self._read_rows(self._context.manifest.parent / written.value, written.mark)

    def _judge_alone(self) -> None:
        """Note what is wrong with an entry apart from its variables, which are not known."""
        self._entry_spec.broken = True
        self._compiled = Compiled(self._context, self._entry_spec, None)
        self._one({}, self._source)

    def _read_rows(self, path: Path, mark: Mark) -> None:
        try:
            with open_rows(path, self._problems) as rows:
                self._compiled = Compiled(self._context, self._entry_spec, rows)
                self._expand_rows(rows, path, mark)
        except CannotOpenError as error:
            self._problems.at(mark, str(error))
            self._judge_alone()
        except RowsError:
            # Its problem is noted; all else can still be checked.
            self._row = None
            self._judge_alone()

    def _expand_rows(self, rows: Rows, path: Path, mark: Mark) -> None:
        shown, source = str(path), _source_of(path, self._context.manifest.parent)
        before = len(self._problems)
        number = 0
        for line, row in rows.rows:
            number += 1
            self._row = (shown, line)
            self._expand({"row": number, **row}, f"{source}:{line}")
            if number == self._entry_spec.limit:
                return
        if number == 0 and len(self._problems) == before:
            self._problems.at(mark, f"{printable(shown)} has no rows")

    # ---- for each item --------------------------------------------------------------------------------------------

    def _expand(self, row: Variables, source: str) -> None:
        nothing = True
        for combination in self._entry_spec.combinations():
            nothing = False
            self._one({**row, **combination}, source, _shown(combination))
        if nothing:
            self._problems.at(self._entry_spec.mark, "`exclude` leaves nothing of this matrix")

    def _one(self, variables: dict[str, Any], source: str, combination: str = "") -> None:
        """Make and take one item, or note everything that is wrong with it."""
        entry_spec, compiled, builder = self._entry_spec, self._compiled, self._context.builder
        self._unmade.clear()
        tags: dict[str, str] = {}
        self._add_tags(compiled.early_tags, tags, variables)
        item_id = self._make_id(variables)
        if item_id is not None:
            variables.setdefault("id", item_id)
        elif entry_spec.id is not None:
            self._unmade.add("id")
        self._add_tags(compiled.late_tags, tags, variables)
        model = self._model(variables)
        prepared = compiled.prepare(model)
        body = self._body(prepared, variables)
        self._context.note_tags(tags, entry_spec.mark)
        request = ItemRequest(item_id, model, body, Tags.of(tags), source, combination, entry_spec.redo_of)
        place = _Place(self, prepared)
        if entry_spec.seeds is not None and model.seed is None:
            message = f"{model.id} takes no seed; `repeat` buys the same request several times"
            self._problems.at(entry_spec.seeds_mark, message)
            builder.refuse(request, entry_spec.copies(), place)
        elif self._unmade or entry_spec.broken or entry_spec.copies_refused:
            builder.refuse(request, () if entry_spec.copies_refused else entry_spec.copies(), place)
        elif entry_spec.seeds is None and entry_spec.repeat is None:
            builder.take(request, place)
        else:
            builder.take_copies(request, entry_spec.copies(), place, seeds=entry_spec.seeds is not None)

    def _add_tags(self, slots: Mapping[str, Slot], tags: dict[str, str], variables: dict[str, Any]) -> None:
        for name, slot in slots.items():
            try:
                value = self._value((slot,), variables)
                text = text_of(None if value is ABSENT else value)
                text.encode()
            except _BadItemError:
                self._unmade.add(f"tags.{name}")
                continue
            except (TypeError, UnicodeEncodeError) as error:
                reason = "holds half of a surrogate pair" if isinstance(error, UnicodeError) else f"cannot be {error}"
                self._note(slot, f"the tag `{name}` {reason}")
                self._unmade.add(f"tags.{name}")
                continue
            if slot.maker is not None and "\0" in text:
                self._note(slot, f"the tag `{name}` holds the character U+0000")
                self._unmade.add(f"tags.{name}")
                continue
            variables[f"tags.{name}"] = text
            if value is not None and value is not ABSENT:
                tags[name] = text

    def _make_id(self, variables: Variables) -> str | None:
        """Return the id; None where there is none, or none can be made, which is noted."""
        written, template = self._entry_spec.id, self._compiled.id
        if written is None or template is None:
            return None
        slot = Slot(written, None, None, self._compiled.id_of_row)
        try:
            made = template.fill(variables, fit, "an id")
        except (FillError, KeyError) as error:
            self._note_unmade(slot, error)
            return None
        if not ID.fullmatch(made):
            self._note(slot, f"`{printable(made, 120)}` {ID_RULE}")
            return None
        return made

    def _model(self, variables: Variables) -> Model:
        """Return the model, or what stands in for one that is not known; why is noted."""
        slot, model_id = self._compiled.model, None
        if slot is not None:
            try:
                model_id = self._value((slot,), variables)
                model = self._context.catalog.model(model_id)
                if model is not None:
                    return model
                fault = "this item has no model" if model_id is ABSENT else self._context.builder.model_fault(model_id)
                self._note(slot, fault)
            except _BadItemError:
                model_id = None
        self._unmade.add("model")
        return self._context.unknown_model(model_id)

    def _body(self, prepared: Prepared, variables: Variables) -> dict[str, Any]:
        """Return the body without what cannot be made, which is noted."""
        body = dict(prepared.constants)
        for name, layers in prepared.made:
            try:
                value = self._value(layers, variables)
            except _BadItemError:
                self._unmade.add(name)
                continue
            if value is not ABSENT and value is not None:
                body[name] = value
        return body

    def _value(self, layers: Iterable[Slot], variables: Variables) -> Any:
        """Return the first value that is there. Raises _BadItemError."""
        for slot in layers:
            if slot.constant is NOTED:
                raise _BadItemError
            if slot.maker is None:
                return slot.constant
            try:
                value = slot.maker(variables)
            except (FillError, KeyError) as error:
                self._note_unmade(slot, error)
                raise _BadItemError from error
            if slot.gaps:
                self._warn_of_gaps(slot, variables, value)
            if value is not ABSENT:
                return value
        return ABSENT

    def _warn_of_gaps(self, slot: Slot, variables: Variables, value: Any) -> None:
        for name in slot.gaps:
            put_in = variables[name]
            if self._row is not None and (put_in is None or (type(put_in) is str and not put_in.strip())):
                left = printable(value, 60)
                message = f'`${{{printable(name, 60)}}}` is empty in this row, which leaves "{left}"'
                self._problems.warn_in_file(*self._row, message)

    def _note_unmade(self, slot: Slot, error: FillError | KeyError) -> None:
        """Note why a value cannot be made, but not that it needs another one that cannot."""
        if isinstance(error, FillError) or not (self._entry_spec.broken or error.args[0] in self._unmade):
            self._note(slot, _reason(error))

    def note_in_body(self, problem: BodyProblem, prepared: Prepared) -> None:
        """Note a problem of a body where the parameter is written; of one that is missing, where the item is."""
        name = str(problem.path[0])
        slot = prepared.slots.get(name)
        if slot is None:
            # What is missing may stand in the part that cannot be read.
            if not self._entry_spec.broken:
                self._problems.at(self._entry_spec.mark, problem.message)
        elif slot.constant is NOTED or name in self._unmade:
            return
        elif slot.of_row or prepared.model.parameter(name) is None:
            self._note(slot, problem.message, key=True)
        elif len(problem.path) > 1 and isinstance(slot.written.value, List):
            self._problems.at(slot.written.value.mark(int(problem.path[1])), problem.message)
        else:
            self._note(slot, slot.written.problem(problem.message))

    def note_of_item(self, message: str) -> BrokenOffError:
        """Note a problem of the item's row, or of its entry where it has no row; return what ends the reading."""
        if self._row is None:
            return self._problems.broken_off(self._entry_spec.mark, message)
        self._problems.in_file(*self._row, message)
        return BrokenOffError(message)

    def _note(self, slot: Slot, message: str, *, key: bool = False) -> None:
        if slot.of_row and self._row is not None:
            self._problems.in_file(*self._row, message)
        else:
            self._problems.at(slot.written.key_mark if key else slot.written.mark, message)


class _Place:
    """The places of the item at hand."""

    def __init__(self, expansion: Expansion, prepared: Prepared) -> None:
        self._expansion = expansion
        self._prepared = prepared

    def of_body(self, problem: BodyProblem) -> None:
        """Note a problem where the parameter is written; of one that is missing, where the item is."""
        self._expansion.note_in_body(problem, self._prepared)

    def of_item(self, message: str) -> BrokenOffError:
        """Note a problem of the item's row, or of its entry."""
        return self._expansion.note_of_item(message)
