"""Takes one entry of `items` apart: what multiplies it, and the templates of its id, tags, model and parameters."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

from batchgen.catalog import nearest
from batchgen.core.text import printable
from batchgen.manifest.entry.expectations import EXPECT, read_checks
from batchgen.manifest.entry.header import check_tags
from batchgen.manifest.item.ids import COPY_ID, ID, ID_RULE
from batchgen.manifest.item.request import MAX_ITEMS, MAX_PRIORITY, RedoOf
from batchgen.manifest.template import composed, has_variables, names_in
from batchgen.manifest.yaml.nodes import List, Map
from batchgen.manifest.yaml.problems import Mark, Problems
from batchgen.manifest.yaml.scalars import text_of, whole
from batchgen.settings import RUN_NAME

EXPANDING = frozenset(
    {"matrix", "exclude", "seeds", "repeat", "rows", "limit", "params", "redo_of", "sample", "priority"}
)
OWN = EXPANDING | {"id", "tags", EXPECT}
Origin = Literal["item", "tags", "model_defaults", "defaults"]


@dataclass(frozen=True, slots=True)
class LocatedValue:
    """A value as written in the manifest."""

    value: Any
    key_mark: Mark
    mark: Mark
    origin: Origin = "item"
    """The part of the manifest that it is in; `tags` are those of the header."""

    def problem(self, message: str) -> str:
        """Return a message about this value of a request, with what to do if it is a default for all models."""
        hint = "; parameters that only some models take belong in `model_defaults`" if self.origin == "defaults" else ""
        return f"{message}{hint}"


@dataclass(frozen=True, slots=True)
class Axis:
    """One list of a matrix: each choice sets one variable, or several if the list has maps."""

    variables: tuple[str, ...]
    choices: tuple[Mapping[str, Any], ...]

    def admits(self, values: Mapping[str, Any]) -> bool:
        """Return whether any choice sets all of these variables to these values."""
        return any(_matches(values, choice) for choice in self.choices)


@dataclass(slots=True)
class EntrySpec:
    """An entry of `items`, checked as far as it can be without its rows and its model."""

    mark: Mark
    id: LocatedValue | None = None
    id_refused: bool = False
    """Its items are only checked; it is already noted that no valid id can be made."""
    tags: dict[str, LocatedValue] = field(default_factory=dict)
    params: dict[str, LocatedValue] = field(default_factory=dict)
    """Includes `model` if the entry has one."""
    axes: list[Axis] = field(default_factory=list)
    matrix_marks: dict[str, Mark] = field(default_factory=dict)
    """The variables of the matrix, and where each is written."""
    exclude: list[Map] = field(default_factory=list)
    seeds: int | list[int] | None = None
    seeds_mark: Mark | None = None
    repeat: int | None = None
    rows: LocatedValue | None = None
    limit: int | None = None
    sample: int | None = None
    sample_mark: Mark | None = None
    priority: LocatedValue | None = None
    redo_of: RedoOf | None = None
    expect: Mapping[str, Any] | None = field(default_factory=dict)
    """Its own checks, None for those that it turns off; None: `expect` is null, which turns all of them off."""
    copies_refused: bool = False
    """`seeds` or `repeat` has a fault, which is noted, so the suffixes of the ids are unknown."""
    broken: bool = False
    """`rows`, `matrix` or `params` has a fault, which is noted, so the variables and parameters are unknown."""

    @property
    def multiplies(self) -> bool:
        """Whether rows or a matrix multiply it."""
        return self.rows is not None or math.prod(len(axis.choices) for axis in self.axes) > 1

    def combinations(self) -> Iterator[dict[str, Any]]:
        """Yield each combination of the matrix that is not excluded; one empty combination if there is no matrix."""
        for choices in product(*(axis.choices for axis in self.axes)):
            combination = {name: value for choice in choices for name, value in choice.items()}
            if not any(_matches(entry, combination) for entry in self.exclude):
                yield combination

    def copies(self) -> Iterator[tuple[str, int | None]]:
        """Yield the id suffix of each copy, and its seed: None if it is derived or there is none."""
        if isinstance(self.seeds, list):
            for seed in self.seeds:
                yield f"~{seed}", seed
        elif (count := self.seeds or self.repeat) is not None:
            for n in range(1, count + 1):
                yield f"~{n}", None
        else:
            yield "", None


def _matches(entry: Mapping[str, Any], combination: Mapping[str, Any]) -> bool:
    return all(_same(combination[composed(name)], value) for name, value in entry.items())


def _same(one: Any, other: Any) -> bool:
    # True == 1 in Python, but not in a manifest.
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def read_entry_spec(item: Map, problems: Problems) -> EntrySpec:
    """Return the parts of an entry of `items`; anything wrong is noted and left out."""
    entry_spec = EntrySpec(item.mark)
    for key, value in item.items():
        written = LocatedValue(value, item.key_mark(key), item.value_mark(key))
        if key not in OWN:
            entry_spec.params[key] = written
        elif key == EXPECT:
            entry_spec.expect = None if value is None else read_checks(value, written.mark, problems)
        elif value is not None:
            before = problems.noted
            _READERS[key](entry_spec, written, problems)
            entry_spec.broken |= problems.noted > before and key in ("rows", "matrix", "params")
            entry_spec.copies_refused |= problems.noted > before and key in ("seeds", "repeat")
    if not entry_spec.broken:
        _check_exclude(entry_spec, problems)
    _check_together(item, entry_spec, problems)
    return entry_spec


def _read_id(entry_spec: EntrySpec, written: LocatedValue, problems: Problems) -> None:
    value = written.value
    entry_spec.id = written
    if not isinstance(value, str):
        entry_spec.id_refused = True
        problems.at(written.mark, f"`id` must be text; put it in quotes{_as_text(value)}")
    elif "${" not in value and not ID.fullmatch(value):
        entry_spec.id_refused = True
        problems.at(written.mark, f"`{printable(value, 60)}` {ID_RULE}")


def _as_text(value: Any) -> str:
    return "" if isinstance(value, dict | list) else f': "{printable(text_of(value), 60)}"'


def _read_tags(entry_spec: EntrySpec, written: LocatedValue, problems: Problems) -> None:
    tags = written.value
    if not isinstance(tags, Map):
        problems.at(written.mark, "`tags` must be a map, as in {client: harbour-cafe}")
        return
    check_tags(tags, problems)
    entry_spec.tags = {
        name: LocatedValue(value, tags.key_mark(name), tags.value_mark(name)) for name, value in tags.items()
    }


def _read_params(entry_spec: EntrySpec, written: LocatedValue, problems: Problems) -> None:
    params = written.value
    if not isinstance(params, Map):
        problems.at(written.mark, "`params` must be a map of parameters")
        return
    for name, value in params.items():
        entry_spec.params[name] = LocatedValue(value, params.key_mark(name), params.value_mark(name))


def _read_matrix(entry_spec: EntrySpec, written: LocatedValue, problems: Problems) -> None:
    matrix = written.value
    if not isinstance(matrix, Map) or not matrix:
        problems.at(written.mark, "`matrix` must be a map of variables, each with a list of values")
        return
    for written_name, values in matrix.items():
        mark, key_mark = matrix.value_mark(written_name), matrix.key_mark(written_name)
        if not isinstance(values, List) or not values:
            problems.at(mark, f"`{printable(written_name, 60)}` must be a list of at least one value")
        elif any(isinstance(value, Map) for value in values):
            _read_maps(entry_spec, written_name, values, problems)
        elif (odd := _first_odd(values)) is not None:
            problems.at(values.mark(odd), f"a value of `{printable(written_name, 60)}` must be {_SCALAR}")
        elif (name := _variable(entry_spec, written_name, key_mark, problems)) is not None:
            entry_spec.axes.append(Axis((name,), tuple({name: value} for value in values)))
    if math.prod(len(axis.choices) for axis in entry_spec.axes) > MAX_ITEMS:
        problems.at(written.mark, f"this matrix makes more than {MAX_ITEMS:,} items")


_SCALAR = "text, a number, true or false"


def _read_maps(entry_spec: EntrySpec, axis: str, values: List, problems: Problems) -> None:
    """Read a list of maps: each of them is one choice, which sets the same variables."""
    before, shown = problems.noted, printable(axis, 60)
    first = next(value for value in values if isinstance(value, Map))
    names = {
        written: name
        for written in first
        if (name := _variable(entry_spec, written, first.key_mark(written), problems)) is not None
    }
    if not first:
        problems.at(first.mark, f"a map of `{shown}` must set at least one variable")
    choices = []
    for n, value in enumerate(values):
        if not isinstance(value, Map):
            problems.at(values.mark(n), f"`{shown}` lists maps, so this must be a map too")
        elif value.keys() != first.keys():
            expected = ", ".join(printable(name, 60) for name in first)
            problems.at(values.mark(n), f"every map of `{shown}` must set the same variables: {expected}")
        else:
            for written, entry in value.items():
                if entry is None or isinstance(entry, dict | list):
                    problems.at(value.value_mark(written), f"a value of `{printable(written, 60)}` must be {_SCALAR}")
            choices.append({names[written]: entry for written, entry in value.items() if written in names})
    if problems.noted == before:
        entry_spec.axes.append(Axis(tuple(names.values()), tuple(choices)))


def _variable(entry_spec: EntrySpec, written: str, mark: Mark, problems: Problems) -> str | None:
    """Return the name of a new variable of the matrix; None if it cannot be one, which is noted."""
    name = composed(written)
    shown = printable(name, 60)
    if name in entry_spec.matrix_marks:
        problems.at(mark, f"two variables are named `{shown}`")
    elif not name or name != name.strip() or set(name) & set("{}") or name.startswith(("tags.", "items.")):
        problems.at(mark, f"`{shown}` is not a valid name for a variable")
    else:
        entry_spec.matrix_marks[name] = mark
        return name
    return None


def _first_odd(values: List) -> int | None:
    return next((n for n, value in enumerate(values) if value is None or isinstance(value, dict | list)), None)


def _read_exclude(entry_spec: EntrySpec, written: LocatedValue, problems: Problems) -> None:
    if not isinstance(written.value, List):
        problems.at(written.mark, "`exclude` must be a list of maps, as in [{colour: red}]")
        return
    for n, entry in enumerate(written.value):
        if isinstance(entry, Map) and entry:
            entry_spec.exclude.append(entry)
        else:
            problems.at(written.value.mark(n), "an entry of `exclude` must be a map of variables and values")


def _check_exclude(entry_spec: EntrySpec, problems: Problems) -> None:
    """Refuse an exclusion that can never match, since the items it was meant to exclude would be bought."""
    entry_spec.exclude = [entry for entry in entry_spec.exclude if _can_match(entry, entry_spec, problems)]


def _can_match(entry: Map, entry_spec: EntrySpec, problems: Problems) -> bool:
    before = problems.noted
    of_axis = {name: axis for axis in entry_spec.axes for name in axis.variables}
    by_axis: dict[tuple[str, ...], dict[str, Any]] = {}
    for written, value in entry.items():
        name = composed(written)
        axis = of_axis.get(name)
        if axis is None:
            near = nearest(name, of_axis)
            hint = f"did you mean `{near}`?" if near else "it is not a variable of the matrix"
            problems.at(entry.key_mark(written), f"`{printable(name, 60)}` excludes nothing; {hint}")
        elif not axis.admits({name: value}):
            problems.at(entry.value_mark(written), f"this value excludes nothing: `{name}` never has it")
        else:
            values = by_axis.setdefault(axis.variables, {})
            values[name] = value
            if not axis.admits(values):
                problems.at(entry.value_mark(written), "this excludes nothing: no choice has all of these values")
    return problems.noted == before


def _read_seeds(entry_spec: EntrySpec, written: LocatedValue, problems: Problems) -> None:
    seeds = written.value
    entry_spec.seeds_mark = written.key_mark
    if isinstance(seeds, List):
        numbers = [number for seed in seeds if (number := whole(seed)) is not None]
        if not numbers or len(numbers) < len(seeds):
            problems.at(written.mark, "`seeds` must be a number of items, or a list of whole numbers")
        elif (twice := _first_repeated(numbers)) is not None:
            problems.at(seeds.mark(twice), f"the seed {numbers[twice]} is already in this list")
        else:
            entry_spec.seeds = numbers
    else:
        entry_spec.seeds = _count("seeds", written, problems)


def _first_repeated(values: Sequence[Any]) -> int | None:
    seen: set[Any] = set()
    for n, value in enumerate(values):
        if value in seen:
            return n
        seen.add(value)
    return None


def _read_repeat(entry_spec: EntrySpec, written: LocatedValue, problems: Problems) -> None:
    entry_spec.repeat = _count("repeat", written, problems)


def _read_limit(entry_spec: EntrySpec, written: LocatedValue, problems: Problems) -> None:
    entry_spec.limit = _count("limit", written, problems)


def _read_sample(entry_spec: EntrySpec, written: LocatedValue, problems: Problems) -> None:
    entry_spec.sample, entry_spec.sample_mark = _count("sample", written, problems), written.mark


def _read_priority(entry_spec: EntrySpec, written: LocatedValue, problems: Problems) -> None:
    if has_variables(written.value) or ((number := whole(written.value)) is not None and abs(number) <= MAX_PRIORITY):
        entry_spec.priority = written
    else:
        problems.at(written.mark, f"`priority` must be a whole number from -{MAX_PRIORITY:,} to {MAX_PRIORITY:,}")


def _count(key: str, written: LocatedValue, problems: Problems) -> int | None:
    number = whole(written.value)
    if number is not None and 1 <= number <= MAX_ITEMS:
        return number
    problems.at(written.mark, f"`{key}` must be a whole number from 1 to {MAX_ITEMS:,}")
    return None


def _read_redo_of(entry_spec: EntrySpec, written: LocatedValue, problems: Problems) -> None:
    value = written.value
    if not isinstance(value, Map) or set(value) != set(RedoOf._fields):
        problems.at(written.mark, "`redo_of` must name the purchase to repeat, as in {run: spring, item: mug}")
        return
    for name, form in (("run", RUN_NAME), ("item", COPY_ID)):
        if not isinstance(value[name], str) or not form.fullmatch(value[name]):
            problems.at(value.value_mark(name), f"`redo_of` must name the {name} as it was bought, without variables")
            return
    entry_spec.redo_of = RedoOf(value["run"], value["item"])


def _read_rows(entry_spec: EntrySpec, written: LocatedValue, problems: Problems) -> None:
    if isinstance(written.value, str) and written.value:
        entry_spec.rows = written
    else:
        problems.at(written.mark, "`rows` must be the path of a file, relative to the manifest")


_READERS = {
    "id": _read_id,
    "tags": _read_tags,
    "params": _read_params,
    "matrix": _read_matrix,
    "exclude": _read_exclude,
    "seeds": _read_seeds,
    "repeat": _read_repeat,
    "limit": _read_limit,
    "rows": _read_rows,
    "redo_of": _read_redo_of,
    "sample": _read_sample,
    "priority": _read_priority,
}


def _check_together(item: Map, entry_spec: EntrySpec, problems: Problems) -> None:
    """Note where the keys of an entry contradict each other."""
    if item.get("seeds") is not None and item.get("repeat") is not None:
        problems.at(item.key_mark("repeat"), "`seeds` and `repeat` cannot be used together; use one of them")
        entry_spec.copies_refused = True
    if entry_spec.seeds_mark is not None and entry_spec.params.get("seed") is not None:
        problems.at(entry_spec.params["seed"].key_mark, "`seed` and `seeds` cannot be used together; use one of them")
    if item.get("exclude") is not None and item.get("matrix") is None:
        problems.at(item.key_mark("exclude"), "`exclude` needs a `matrix`")
    if item.get("sample") is not None and item.get("rows") is None and item.get("matrix") is None:
        problems.at(item.key_mark("sample"), "`sample` needs `rows` or a `matrix`")
    if item.get("limit") is not None and item.get("rows") is None:
        problems.at(item.key_mark("limit"), "`limit` needs `rows`")
    for name in item.get("params") or ():
        if isinstance(item["params"], Map) and name in item and name not in OWN:
            problems.at(item["params"].key_mark(name), f"`{printable(name, 60)}` is also set in the item; remove one")
    if entry_spec.id is not None and isinstance(entry_spec.id.value, str) and entry_spec.multiplies:
        _check_id_varies(entry_spec, entry_spec.id.value, entry_spec.id.mark, problems)


def _check_id_varies(entry_spec: EntrySpec, item_id: str, mark: Mark, problems: Problems) -> None:
    if not names_in(item_id):
        example = f"{printable(item_id, 60)}-${{{next(iter(entry_spec.matrix_marks), 'row')}}}"
        problems.at(mark, f"all items made here would have the same id; put a variable in it, as in `{example}`")
        entry_spec.id_refused = True
