"""Checks many request bodies against the tables quickly, and says in plain words what is wrong.

The verdict is that of the request schema. In a batch the prompts differ and the other parameters repeat, so a body is
split: values without a fixed list (texts, URLs, seeds) are checked one by one in Python; the rest is checked against
the schema once, with placeholders for those values, and the verdict is remembered.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

from batchgen.catalog.request_schemas import request_schema
from batchgen.catalog.tables import Catalog, Model, Parameter, nearest
from batchgen.catalog.value_checks import (
    BodyProblem,
    Check,
    check_of,
    is_encodable,
    is_huge,
    problem,
    shown_value,
    wrong,
)

_REMEMBERED = 4096
"""Parameter sets kept for a model; a manifest rarely has more, and a full cache is emptied."""

_SCALARS = frozenset({str, int, bool})


class BodyChecker:
    """Checks the bodies of one run. Built once; remembers verdicts; not thread-safe."""

    def __init__(self, catalog: Catalog, *, gate: bool = True, beside: Iterable[str] = ()) -> None:
        """With `gate`, jsonschema-rs, if installed, passes valid parameters quickly; the verdicts are the same.

        `beside` are names that stand beside the parameters where bodies are written: suggested for mistyped ones.
        """
        self._catalog = catalog
        near = tuple(beside)
        self._checkers = {
            model.id: _ModelChecker(catalog, model, gate=gate, beside=near) for model in catalog.models.values()
        }

    def problems(self, model_id: object, body: Mapping[str, Any]) -> tuple[BodyProblem, ...]:
        """Return everything that is wrong with `body`, which includes `model`; empty if it may be sent."""
        checker = self._checkers.get(model_id) if isinstance(model_id, str) else None
        return (self._unknown_model(model_id),) if checker is None else checker.problems(body)

    @cached_property
    def open_parameters(self) -> frozenset[str]:
        """Return the parameters that take any number of values, in every model that has them."""
        checkers = self._checkers.values()
        everywhere = {name for checker in checkers for name in checker.open_checks}
        return frozenset(everywhere.difference(*(checker.listed for checker in checkers)))

    def open_checks(self, model_id: str) -> Mapping[str, Check]:
        """Return the parameters of a known model that take any number of values, and what checks each of these.

        If a body is without problems, so is every other one that differs from it only in such values, as long as their
        checks find none.
        """
        return self._checkers[model_id].open_checks

    def _unknown_model(self, model_id: object) -> BodyProblem:
        if not isinstance(model_id, str):
            return problem("model", f"must be a model's id, not {shown_value(model_id)}")
        near = self._catalog.suggest_model(model_id)
        hint = f"did you mean {near}?" if near is not None else "`batchgen models` lists them"
        return BodyProblem(("model",), f"{shown_value(model_id, quoted=False)} is not a known model; {hint}")


class _ModelChecker:
    """Checks the bodies of one model."""

    def __init__(self, catalog: Catalog, model: Model, *, gate: bool, beside: tuple[str, ...]) -> None:
        self._catalog = catalog
        self._beside = beside
        self._model = model
        self._use_gate = gate
        self._known = frozenset({"model", *(parameter.name for parameter in model.parameters)})
        checks = {parameter.name: check_of(parameter) for parameter in model.parameters}
        self.open_checks: Mapping[str, Check] = {name: check for name, check in checks.items() if check is not None}
        self.listed = self._known - self.open_checks.keys()
        """What is judged by the schema."""
        self._stand_ins = {p.name: _stand_in(p) for p in model.parameters if p.name in self.open_checks}
        self._verdicts: dict[tuple[Any, ...], tuple[BodyProblem, ...]] = {}

    def problems(self, body: Mapping[str, Any]) -> tuple[BodyProblem, ...]:
        found: tuple[BodyProblem, ...] = ()
        key: list[Any] = []
        plain = True
        free, known = self.open_checks, self._known
        for name, value in body.items():
            check = free.get(name)
            if check is not None:
                found += check(value)
                key.append(name)
            elif name not in known:
                key.append(name)
            else:
                # With the type, because True == 1 == 1.0.
                kind = type(value)
                plain = plain and kind in _SCALARS
                key.append((name, kind, value))
        if not plain:
            return found + self._judge(body)
        remembered = tuple(key)
        verdict = self._verdicts.get(remembered)
        if verdict is None:
            if len(self._verdicts) >= _REMEMBERED:
                self._verdicts.clear()
            verdict = self._verdicts[remembered] = self._judge(body)
        return found + verdict

    def _judge(self, body: Mapping[str, Any]) -> tuple[BodyProblem, ...]:
        """Return what is wrong apart from the free values."""
        probe = {name: self._stand_ins.get(name, _judgeable(value)) for name, value in body.items()}
        if self._gate is not None and self._known.issuperset(probe) and self._gate(probe):
            return ()
        faults = {error.absolute_path[0] for error in self._errors(probe) if error.absolute_path}
        present = [self._explain(name, body[name]) for name in body if name in faults or name not in self._known]
        required = ["model", *(parameter.name for parameter in self._model.parameters if parameter.required)]
        missing = [problem(name, f"is missing; {self._model.id} needs it") for name in required if name not in body]
        return (*present, *missing)

    def _explain(self, name: str, value: object) -> BodyProblem:
        parameter = self._model.parameter(name)
        if parameter is not None:
            return wrong(parameter, value)
        if name == "model":
            return problem(name, f"must be {self._model.id}, not {shown_value(value, quoted=False)}")
        near = nearest(str(name), (known.name for known in self._model.parameters), cutoff=0.8)
        takers = self._catalog.models_with(name)
        if near is None and not takers:
            near = nearest(str(name), self._beside, cutoff=0.7)
        if near is not None:
            hint = f"did you mean `{near}`?"
        elif takers:
            hint = f"{_listed(takers)} {'takes' if len(takers) == 1 else 'take'} it"
        else:
            hint = f"it takes {_listed([known.name for known in self._model.parameters])}"
        return problem(name, f"is not a parameter of {self._model.id}; {hint}")

    @cached_property
    def _gate(self) -> Callable[[Any], bool] | None:
        if not self._use_gate:
            return None
        try:
            import jsonschema_rs
        except ImportError:
            return None
        # Formats are only annotations in Draft 7, and the other engine ignores them as well.
        gate = jsonschema_rs.Draft7Validator(request_schema(self._model), validate_formats=False)
        accepts: Callable[[Any], bool] = gate.is_valid
        return accepts

    @cached_property
    def _errors(self) -> Callable[[Any], Any]:
        # Imported here because it is heavy, and needed only for what the gate does not pass.
        from jsonschema import Draft7Validator

        return Draft7Validator(request_schema(self._model)).iter_errors


def _judgeable(value: object) -> object:
    """Return `value`, or None if no parameter admits it and the schema's engine must not see it.

    Draft 7 accepts 5.0 as an integer, but sent as it is, it would be another request than 5. A number with thousands
    of digits makes jsonschema raise, since it writes each value into its message; half a surrogate pair makes
    jsonschema-rs raise.
    """
    if type(value) is str:
        return value if is_encodable(value) else None
    return value if type(value) in _SCALARS and not is_huge(value) else None


def _stand_in(parameter: Parameter) -> object:
    """Return a value that is certainly valid, for checking the others."""
    match parameter.type:
        case "integer":
            return 0
        case "url":
            return "https://example.com/"
        case "urls":
            return ["https://example.com/"] * (parameter.min_items or 1)
    return "text"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
