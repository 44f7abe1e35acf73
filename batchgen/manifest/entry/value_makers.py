"""Makes parameter values from the manifest's texts and the variables of an item."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from batchgen.catalog import nearest
from batchgen.core.text import printable
from batchgen.manifest.entry.entry_spec import LocatedValue
from batchgen.manifest.item.ids import COPY_ID, fit
from batchgen.manifest.item.references import FORMS, Reference, looks_like_reference, read_reference
from batchgen.manifest.template import FillError, Template, Variables, has_variables, parse_template, suspicion
from batchgen.manifest.yaml.nodes import List
from batchgen.manifest.yaml.problems import Mark, Problems
from batchgen.manifest.yaml.scalars import fitting

Maker = Callable[[Variables], Any]
"""Returns a value from the variables. Raises FillError, or KeyError for a variable that the row lacks."""


class _Unset:
    """The value of an empty cell: the parameter is left to the defaults."""


class _Invalid:
    """Marks a value that cannot be made; its problem is noted, and no other one is needed."""


UNSET = _Unset()
INVALID = _Invalid()
TAG = "tag"
"""The kind of a value that is a tag, not a parameter."""
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class VariableScope:
    """The variables that a text may name."""

    names: frozenset[str]
    cells: frozenset[str] = frozenset()
    """Those that are cells of a table: text that is converted to its parameter's type."""
    of_row: frozenset[str] = frozenset()
    """Those that differ from row to row."""
    open: bool = False
    """Whether a row may have more, which are known only when it is read (.jsonl)."""
    hints: tuple[tuple[str, str], ...] = ()
    """Names that have a meaning, but not here, and why."""

    def with_names(self, names: Iterable[str], hints: Iterable[tuple[str, str]] = ()) -> "VariableScope":
        """Return this scope with more names and hints."""
        return VariableScope(self.names | set(names), self.cells, self.of_row, self.open, (*self.hints, *hints))

    def varies(self, name: str) -> bool:
        """Return whether a variable comes from the row."""
        return name in self.of_row or (self.open and name not in self.names and not name.startswith("items."))

    def check(self, template: Template, mark: Mark, problems: Problems, what: str = "") -> bool:
        """Return whether every variable of `template` is known; note the ones that are not."""
        unknown = [name for name in template.names if not self._knows(name)]
        for name in unknown:
            problems.at(mark, f"`${{{printable(name, 60)}}}` {self._reason(name)}{what}")
        return not unknown

    def _knows(self, name: str) -> bool:
        if name in self.names:
            return True
        return self.open and bool(name) and not name.startswith(("tags.", "items."))

    def _reason(self, name: str) -> str:
        if name in dict(self.hints):
            return dict(self.hints)[name]
        near = nearest(name, self.names)
        if near is not None:
            return f"is unknown here; did you mean `${{{near}}}`?"
        known = ", ".join(f"${{{known}}}" for known in sorted(self.names)[:20])
        return f"is unknown here; the variables are {known}" if known else "is unknown: this item has no variables"


def value_maker(
    written: LocatedValue, kind: str | None, scope: VariableScope, problems: Problems, what: str
) -> tuple[Maker | None, Any]:
    """Return what makes a value of type `kind` (None: no such parameter), or (None, value) if it is a constant.

    Unknown variables are noted, with `what` after the message, and make the value INVALID.
    """
    value, mark = written.value, written.mark
    if kind == TAG and isinstance(value, dict | list):
        # Noted when the tags were read.
        return None, INVALID
    if type(value) is str and kind is not None and looks_like_reference(value):
        return _reference_maker(written, kind, scope, problems, what)
    # A tag ends up as text, and keeps the spelling of a number.
    plain = _as_it_is if kind == TAG else partial(fitting, kind=kind)
    if type(value) is str and (meant := suspicion(value, scope.names)) is not None:
        problems.warn(mark, meant)
    if not has_variables(value):
        return None, plain(value)
    if isinstance(value, list):
        entry_kind = "url" if kind == "urls" else kind
        marks = [value.mark(n) if isinstance(value, List) else mark for n in range(len(value))]
        entries = [replace(written, value=entry, mark=at) for entry, at in zip(value, marks, strict=True)]
        return _list_maker([value_maker(entry, entry_kind, scope, problems, what) for entry in entries])
    template = parse_template(value)
    if not template.names:
        return None, template.fill({})
    if not scope.check(template, mark, problems, what):
        return None, INVALID
    name = template.single
    if name is None:
        return template.fill, None
    if name in scope.cells:
        return _cell_maker(name, kind), None
    return (lambda variables: plain(variables[name])), None


def _reference_maker(
    written: LocatedValue, kind: str, scope: VariableScope, problems: Problems, what: str
) -> tuple[Maker | None, Any]:
    """Return what makes a reference to another item's output; a list may consist of one reference alone."""
    found = read_reference(written.value)
    if found is None:
        problems.at(written.mark, f"a reference to another item stands alone, as {FORMS} with N from 1{what}")
        return None, INVALID
    if kind not in ("url", "urls"):
        problems.at(written.mark, f"a reference to another item's output can only be used as a picture's address{what}")
        return None, INVALID
    template, output = parse_template(found[0]), found[1]
    if not scope.check(template, written.mark, problems, what):
        return None, INVALID
    mark = None if any(map(scope.varies, template.names)) else written.mark

    def make(variables: Variables) -> Any:
        item_id = template.fill(variables, fit, "an id")
        if not COPY_ID.fullmatch(item_id):
            raise FillError(f"`{printable(item_id, 120)}` cannot be the id of an item")
        reference = Reference(item_id, output, mark)
        return [reference] if kind == "urls" else reference

    return make, None


def _as_it_is(value: Any) -> Any:
    return value


def _cell_maker(name: str, kind: str | None) -> Maker:
    def make(variables: Variables) -> Any:
        text: str = variables[name]
        if not text or text.isspace():
            return UNSET
        match kind:
            case "integer" if _INTEGER.fullmatch(text.strip()):
                return int(text)
            case "boolean" if text.strip().lower() in ("true", "false"):
                return text.strip().lower() == "true"
            case "urls":
                return [part.strip() for part in text.split("|") if part.strip()]
        return text

    return make


def _list_maker(makers: list[tuple[Maker | None, Any]]) -> tuple[Maker | None, Any]:
    if any(constant is INVALID for _, constant in makers):
        return None, INVALID
    if all(maker is None for maker, _ in makers):
        return None, [constant for _, constant in makers]

    def make(variables: Variables) -> Any:
        made = [constant if maker is None else maker(variables) for maker, constant in makers]
        return [entry for entry in made if entry is not UNSET] or UNSET

    return make, None
