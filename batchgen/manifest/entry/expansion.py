"""Expands one entry of `items` that has variables or multipliers: rows, then matrix, then seeds or repeat.

If no id is given, one is made from the request's prompt and digest (without the seed that `seeds` adds). In texts,
`${id}` is the id without the suffix from `seeds` or `repeat`, so that `repeat` buys the same request.
Columns of a row and variables of a matrix win over the built-in `${row}` and `${id}`. An empty cell leaves the
parameter to the defaults; `null` in the manifest or in a .jsonl row leaves it out.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from batchgen.catalog import BodyProblem, Model
from batchgen.core.digest import canonical_json, digest_of
from batchgen.core.text import plural, printable
from batchgen.manifest.entry.compiled_entry import CompiledEntry, EntryValue, ManifestContext, ModelEntry
from batchgen.manifest.entry.entry_spec import EntrySpec
from batchgen.manifest.entry.row_lines import RowsError
from batchgen.manifest.entry.rows_file import CannotOpenError, Rows, open_rows
from batchgen.manifest.entry.sampling import Sample
from batchgen.manifest.entry.value_makers import INVALID, UNSET
from batchgen.manifest.item.builder import TOO_MANY_ITEMS
from batchgen.manifest.item.ids import ID, ID_RULE, fit, generated_id
from batchgen.manifest.item.references import take_references
from batchgen.manifest.item.request import MAX_PRIORITY, ItemRequest, Tags
from batchgen.manifest.template import FillError, Variables
from batchgen.manifest.yaml.nodes import List
from batchgen.manifest.yaml.problems import BrokenOffError, Mark
from batchgen.manifest.yaml.scalars import text_of, whole


def _source_of(path: Path, folder: Path) -> str:
    """Return the name of a rows file in the ledger: relative to the manifest's folder if it is below that folder."""
    try:
        return path.relative_to(folder).as_posix()
    except ValueError:
        return path.as_posix()


def _reason(error: FillError | KeyError) -> str:
    """Return why a value could not be made; a KeyError is a name that this row (.jsonl) does not have."""
    return str(error) if isinstance(error, FillError) else f"this row has no `{printable(str(error.args[0]), 60)}`"


def _shown(combination: Mapping[str, Any]) -> str:
    """Return the values of a matrix, as shown in a message."""
    return printable(", ".join(f"{name}={text_of(value)}" for name, value in combination.items()), 200)


_Visit = Callable[[dict[str, Any], str, str], None]
"""Takes the variables of one item, its source, and its values of the matrix as shown in a message."""


class _BadItemError(Exception):
    """A value cannot be made; its problem is noted."""


class Expansion:
    """One entry of `items` on its way to requests."""

    def __init__(self, context: ManifestContext, entry_spec: EntrySpec) -> None:
        self._context = context
        self._problems = context.problems
        self._entry_spec = entry_spec
        self._source = f"{context.manifest.name}:{entry_spec.mark.line + 1}"
        self._row: tuple[str, int] | None = None
        """File and line of the current row."""
        self._unmade: set[str] = set()
        """Variables and parameters of the current item that cannot be made; the reason is noted."""

    def run(self) -> None:
        """Expand the entry. Raises BrokenOffError beyond the limit on items."""
        if self._entry_spec.broken:
            self._judge_alone()
        elif self._entry_spec.sample is None:
            self._go_through(self._one)
        else:
            sample = Sample(self._entry_spec.sample)
            self._go_through(partial(self._look_at, sample))
            if self._entry_spec.broken:
                return  # judged as a whole: its rows cannot be read
            if sample.seen < self._entry_spec.sample and self._entry_spec.sample_mark is not None:
                count = plural(sample.seen, "item")
                self._problems.warn(self._entry_spec.sample_mark, f"there are only {count} to draw a sample from")
            self._go_through(partial(self._one_of, sample))

    def _go_through(self, visit: _Visit) -> None:
        """Visit the variables of each item that rows and matrix make."""
        written = self._entry_spec.rows
        if written is None:
            self._compiled = CompiledEntry(self._context, self._entry_spec, None)
            self._expand({}, self._source, visit)
        else:
            self._read_rows(self._context.manifest.parent / written.value, written.mark, visit)

    def _judge_alone(self) -> None:
        """Note what is wrong with an entry, except for its variables, which are unknown."""
        self._entry_spec.broken = True
        self._compiled = CompiledEntry(self._context, self._entry_spec, None)
        self._one({}, self._source)

    def _read_rows(self, path: Path, mark: Mark, visit: _Visit) -> None:
        try:
            with open_rows(path, self._problems) as rows:
                self._compiled = CompiledEntry(self._context, self._entry_spec, rows)
                self._expand_rows(rows, path, mark, visit)
        except CannotOpenError as error:
            self._problems.at(mark, str(error))
            self._judge_alone()
        except RowsError:
            # Its problem is noted; everything else can still be checked.
            self._row = None
            self._judge_alone()

    def _expand_rows(self, rows: Rows, path: Path, mark: Mark, visit: _Visit) -> None:
        shown, source = str(path), _source_of(path, self._context.manifest.parent)
        before = len(self._problems)
        number = 0
        for line, row in rows.rows:
            number += 1
            self._row = (shown, line)
            if rows.columns is None:
                self._check_keys(row)
            self._expand({"row": number, **row}, f"{source}:{line}", visit)
            if number == self._entry_spec.limit:
                return
        if number == 0 and len(self._problems) == before:
            self._problems.at(mark, f"{printable(shown)} has no rows")

    def _check_keys(self, row: Variables) -> None:
        """Refuse a key of a row that is a variable of the matrix too: columns are compared before any row is read."""
        for name in row.keys() & self._entry_spec.matrix_marks.keys():
            self._note_of_item(f"`{printable(name, 60)}` is also a variable of the matrix; give one another name")

    # ---- for each item --------------------------------------------------------------------------------------------

    def _expand(self, row: Variables, source: str, visit: _Visit) -> None:
        nothing = True
        for combination in self._entry_spec.combinations():
            nothing = False
            visit({**row, **combination}, source, _shown(combination))
        if nothing:
            self._problems.at(self._entry_spec.mark, "`exclude` leaves nothing of this matrix")

    def _look_at(self, sample: Sample, variables: dict[str, Any], _source: str, _combination: str) -> None:
        name = self._name(variables)
        if name is not None:
            sample.see(name)

    def _one_of(self, sample: Sample, variables: dict[str, Any], source: str, combination: str) -> None:
        """Build one item if it is in the sample; what cannot be named is built too, for its problems."""
        name = self._name(dict(variables))
        if name is None or sample.takes(name, clashes=self._entry_spec.id is not None):
            self._one(variables, source, combination)

    def _name(self, variables: dict[str, Any]) -> str | None:
        """Return the id of one item, given or made; None if it cannot be made, which is noted."""
        self._unmade.clear()
        self._add_tags(self._compiled.early_tags, {}, variables)
        if self._entry_spec.id is not None:
            return self._make_id(variables)
        body = self._body(self._compiled.prepare(self._model(variables)), variables)
        take_references(body)
        return None if self._unmade else generated_id(body.get("prompt"), digest_of(canonical_json(body)))

    def _one(self, variables: dict[str, Any], source: str, combination: str = "") -> None:
        """Build one item, or note everything that is wrong with it."""
        entry_spec, compiled, builder = self._entry_spec, self._compiled, self._context.builder
        self._unmade.clear()
        used = compiled.used.text(variables)  # before those are added that every item has
        tags: dict[str, str] = {}
        self._add_tags(compiled.early_tags, tags, variables)
        item_id = self._make_id(variables)
        if item_id is not None:
            variables.setdefault("id", item_id)
        elif entry_spec.id is not None:
            self._unmade.add("id")
        self._add_tags(compiled.late_tags, tags, variables)
        model = self._model(variables)
        model_entry = compiled.prepare(model)
        body = self._body(model_entry, variables)
        references = take_references(body)
        self._context.note_tags(tags, entry_spec.mark)
        priority = self._priority(variables)
        request = ItemRequest(
            item_id, model, body, Tags.of(tags), source, combination, entry_spec.redo_of, references, priority,
            expect=compiled.expect, variables=used,
        )  # fmt: skip
        if entry_spec.seeds is not None and model.seed is None:
            message = f"{model.id} takes no seed; `repeat` buys the same request several times"
            self._problems.at(entry_spec.seeds_mark, message)
            problems: Iterable[BodyProblem] = builder.refuse(request, entry_spec.copies())
        elif self._unmade or entry_spec.broken or entry_spec.copies_refused:
            problems = builder.refuse(request, () if entry_spec.copies_refused else entry_spec.copies())
        elif entry_spec.seeds is None and entry_spec.repeat is None:
            problems = builder.add(request)
        else:
            problems = builder.add_copies(request, entry_spec.copies(), seeds=entry_spec.seeds is not None)
        for problem in problems:
            self._note_problem(problem, model_entry)

    def _add_tags(self, values: Mapping[str, EntryValue], tags: dict[str, str], variables: dict[str, Any]) -> None:
        for name, entry_value in values.items():
            try:
                value = self._value((entry_value,), variables)
                text = text_of(None if value is UNSET else value)
                text.encode()
            except _BadItemError:
                self._unmade.add(f"tags.{name}")
                continue
            except (TypeError, UnicodeEncodeError) as error:
                half = isinstance(error, UnicodeError)
                reason = "contains half of a surrogate pair" if half else f"cannot be {error}"
                self._note(entry_value, f"the tag `{name}` {reason}")
                self._unmade.add(f"tags.{name}")
                continue
            if entry_value.maker is not None and "\0" in text:
                self._note(entry_value, f"the tag `{name}` contains the character U+0000")
                self._unmade.add(f"tags.{name}")
                continue
            variables[f"tags.{name}"] = text
            if value is not None and value is not UNSET:
                tags[name] = text

    def _make_id(self, variables: Variables) -> str | None:
        """Return the id; None if there is none, or if it cannot be made, which is noted."""
        written, template = self._entry_spec.id, self._compiled.id
        if written is None or template is None:
            return None
        entry_value = EntryValue(written, None, None, self._compiled.id_of_row)
        try:
            made = template.fill(variables, fit, "an id")
        except (FillError, KeyError) as error:
            self._note_unmade(entry_value, error)
            return None
        if not ID.fullmatch(made):
            self._note(entry_value, f"`{printable(made, 120)}` {ID_RULE}")
            return None
        return made

    def _model(self, variables: Variables) -> Model:
        """Return the model, or a substitute for an unknown one; the reason is noted."""
        entry_value, model_id = self._compiled.model, None
        if entry_value is not None:
            try:
                model_id = self._value((entry_value,), variables)
                model = self._context.catalog.model(model_id)
                if model is not None:
                    return model
                fault = "this item has no model" if model_id is UNSET else self._context.builder.model_fault(model_id)
                self._note(entry_value, fault)
            except _BadItemError:
                model_id = None
        self._unmade.add("model")
        return self._context.unknown_model(model_id)

    def _priority(self, variables: Variables) -> int:
        entry_value = self._compiled.priority
        if entry_value is None:
            return 0
        try:
            value = self._value((entry_value,), variables)
        except _BadItemError:
            self._unmade.add("priority")
            return 0
        number = 0 if value is UNSET or value is None else whole(value)
        if number is None or abs(number) > MAX_PRIORITY:
            self._note(entry_value, f"`priority` must be a whole number from -{MAX_PRIORITY:,} to {MAX_PRIORITY:,}")
            return 0
        return number

    def _body(self, model_entry: ModelEntry, variables: Variables) -> dict[str, Any]:
        """Return the body without the values that cannot be made, which are noted."""
        body = dict(model_entry.constants)
        for name, layers in model_entry.made:
            try:
                value = self._value(layers, variables)
            except _BadItemError:
                self._unmade.add(name)
                continue
            if value is not UNSET and value is not None:
                body[name] = value
        return body

    def _value(self, layers: Iterable[EntryValue], variables: Variables) -> Any:
        """Return the first layer's value that exists. Raises _BadItemError."""
        for entry_value in layers:
            if entry_value.constant is INVALID:
                raise _BadItemError
            if entry_value.maker is None:
                return entry_value.constant
            try:
                value = entry_value.maker(variables)
            except (FillError, KeyError) as error:
                self._note_unmade(entry_value, error)
                raise _BadItemError from error
            if entry_value.gaps:
                self._warn_of_gaps(entry_value, variables, value)
            if value is not UNSET:
                return value
        return UNSET

    def _warn_of_gaps(self, entry_value: EntryValue, variables: Variables, value: Any) -> None:
        for name in entry_value.gaps:
            put_in = variables[name]
            if self._row is not None and (put_in is None or (type(put_in) is str and not put_in.strip())):
                left = printable(value, 60)
                message = f'`${{{printable(name, 60)}}}` is empty in this row, which leaves "{left}"'
                self._problems.warn_in_file(*self._row, message)

    def _note_unmade(self, entry_value: EntryValue, error: FillError | KeyError) -> None:
        """Note why a value cannot be made, unless it only depends on another one that cannot."""
        if isinstance(error, FillError) or not (self._entry_spec.broken or error.args[0] in self._unmade):
            self._note(entry_value, _reason(error))

    def _note_problem(self, problem: BodyProblem, model_entry: ModelEntry) -> None:
        """Note a problem where the parameter is written; if the parameter is missing, where the item is.

        Raises BrokenOffError if nothing more should be read.
        """
        if not problem.path:
            self._note_of_item(problem.message)
            if problem is TOO_MANY_ITEMS:
                raise BrokenOffError(problem.message)
            return
        name = str(problem.path[0])
        entry_value = model_entry.values.get(name)
        if entry_value is None:
            # The missing value may be in the part that cannot be read.
            if not self._entry_spec.broken:
                self._problems.at(self._entry_spec.mark, problem.message)
        elif entry_value.constant is INVALID or name in self._unmade:
            return
        elif entry_value.of_row or model_entry.model.parameter(name) is None:
            self._note(entry_value, problem.message, key=True)
        elif len(problem.path) > 1 and isinstance(entry_value.written.value, List):
            self._problems.at(entry_value.written.value.mark(int(problem.path[1])), problem.message)
        else:
            self._note(entry_value, entry_value.written.problem(problem.message))

    def _note_of_item(self, message: str) -> None:
        """Note a problem of the item as a whole, at its row, or at its entry if it has no row."""
        if self._row is None:
            self._problems.at(self._entry_spec.mark, message)
        else:
            self._problems.in_file(*self._row, message)

    def _note(self, entry_value: EntryValue, message: str, *, key: bool = False) -> None:
        if entry_value.of_row and self._row is not None:
            self._problems.in_file(*self._row, message)
        else:
            self._problems.at(entry_value.written.key_mark if key else entry_value.written.mark, message)
