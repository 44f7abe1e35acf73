"""Checks requests whose model is unknown, so that a wrong model does not hide other problems."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from batchgen.catalog import BodyProblem, Catalog, Model, nearest
from batchgen.core.text import printable


class AnyModel:
    """All models of the catalogue taken together."""

    def __init__(
        self,
        catalog: Catalog,
        check: Callable[[str, Mapping[str, Any]], tuple[BodyProblem, ...]],
        own_keys: Iterable[str] = (),
    ) -> None:
        """`check` (model, body) returns what is wrong with a body for a known model.

        `own_keys` are suggested for mistyped names, too.
        """
        self._check = check
        self._own_keys = tuple(own_keys)
        self._models = tuple(catalog.models.values())
        self._parameters = {parameter.name: parameter for model in self._models for parameter in model.parameters}

    def model(self, model_id: str) -> Model:
        """Return a substitute for a model that is not in the catalogue: it takes every parameter of any model."""
        return replace(self._models[0], id=model_id, parameters=tuple(self._parameters.values()), outputs=None)

    def problems(self, body: Mapping[str, Any]) -> list[BodyProblem]:
        """Return what is wrong with `body` whichever model it is for; the model itself is not checked."""
        found: list[BodyProblem] = []
        for name, value in body.items():
            if name in self._parameters:
                found += self._agreed(name, value)
            elif name != "model":
                found.append(BodyProblem((name,), unknown_parameter(name, (*self._parameters, *self._own_keys))))
        for name in self._parameters.keys() - body.keys():
            if all((known := model.parameter(name)) is not None and known.required for model in self._models):
                found.append(BodyProblem((name,), f"`{printable(name, 60)}` is missing; every model needs it"))
        return found

    def _agreed(self, name: str, value: Any) -> tuple[BodyProblem, ...]:
        """Return the problem that all models which take the parameter find in its value, if it is the same for all."""
        verdicts = {
            tuple(
                problem
                for problem in self._check(model.id, {"model": model.id, name: value})
                if problem.path[0] == name
            )
            for model in self._models
            if model.parameter(name) is not None
        }
        return verdicts.pop() if len(verdicts) == 1 else ()


def unknown_parameter(name: str, known: Iterable[str]) -> str:
    """Return what is wrong with a parameter that is not among the `known` ones of all models."""
    near = nearest(name, (*known, "model"))
    hint = f"did you mean `{near}`?" if near else "`batchgen models` lists what they take"
    return f"`{printable(name, 60)}` is not a parameter of any model; {hint}"
