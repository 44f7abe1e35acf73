"""Checks request bodies against the tables, many of them and fast, and says in plain words what is wrong.

The verdict is the request schema's. In a batch the prompts differ and the other parameters repeat, so a body is taken
apart: values of which there is no end (texts, URLs, seeds) are each checked by hand, and the rest is judged by the
schema once, with stand-ins for those values, and remembered.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from batchgen.catalog.schemas import request_schema, shown
from batchgen.catalog.tables import Catalog, Model, Parameter, nearest
from batchgen.text import printable

Path = tuple[str | int, ...]

_SHOWN = 60
_REMEMBERED = 4096
"""Parameter sets kept; a manifest rarely has more, and a memory that is full starts afresh."""

_SCALARS = frozenset({str, int, bool})
_BLANK = re.compile(r"[\s\x00-\x1f\x7f]")
_CERTAINLY_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::[1-9][0-9]{0,3})?(?:/[!-~]*)?")
_SEED_LIMIT = 2**63
_STAND_INS: dict[str, Any] = {
    "string": "text",
    "integer": 0,
    "url": "https://example.com/",
    "urls": ["https://example.com/"],
}


@dataclass(frozen=True, slots=True)
class BodyProblem:
    """One fault of a body: where it is (`("images", 0)`), and one clear sentence without its end mark."""

    path: Path
    message: str


@dataclass(slots=True)
class _Rules:
    """What is known of one model before the first body comes."""

    model: Model
    known: frozenset[str]
    free: dict[str, Callable[[Any], tuple[BodyProblem, ...]]]
    """Checks of the values of which there is no end."""
    stand_ins: dict[str, Any]
    verdicts: dict[tuple[Any, ...], tuple[BodyProblem, ...]]


class BodyChecker:
    """Checks the bodies of one run. Built once; not for several threads at a time."""

    def __init__(self, catalog: Catalog, *, gate: bool = True) -> None:
        """`gate` lets jsonschema-rs, where installed, wave valid parameters through; the verdicts are the same."""
        self._catalog = catalog
        self._rules = {model.id: _rules(model) for model in catalog.models.values()}
        self._gate = gate
        self._accepts: dict[str, Callable[[Any], bool] | None] = {}
        self._faults: dict[str, Any] = {}

    def problems(self, model_id: object, body: Mapping[str, Any]) -> tuple[BodyProblem, ...]:
        """Return everything that is wrong with `body`, which holds `model` too; what it lacks comes last."""
        rules = self._rules.get(model_id) if isinstance(model_id, str) else None
        if rules is None:
            return (self._unknown_model(model_id),)
        found: tuple[BodyProblem, ...] = ()
        key: list[Any] = []
        plain = True
        free, known = rules.free, rules.known
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
            return found + self._judge(rules, body, plain=False)
        remembered = tuple(key)
        verdict = rules.verdicts.get(remembered)
        if verdict is None:
            if len(rules.verdicts) >= _REMEMBERED:
                rules.verdicts.clear()
            verdict = rules.verdicts[remembered] = self._judge(rules, body, plain=True)
        return found + verdict

    def _judge(self, rules: _Rules, body: Mapping[str, Any], *, plain: bool) -> tuple[BodyProblem, ...]:
        """Return what is wrong apart from the free values, which stand-ins replace."""
        probe = {name: rules.stand_ins.get(name, value) for name, value in body.items()}
        if plain and rules.known.issuperset(probe):
            accepts = self._gate_of(rules.model)
            if accepts is not None and accepts(probe):
                return ()
        present = {name: self._explain(rules.model, name, body[name]) for name in self._at_fault(rules.model, probe)}
        missing = [
            _problem(parameter.name, f"is missing; {rules.model.id} needs it")
            for parameter in rules.model.parameters
            if parameter.required and parameter.name not in body
        ]
        if "model" not in body:
            missing.insert(0, _problem("model", "is missing"))
        return (*(present[name] for name in body if name in present), *missing)

    def _at_fault(self, model: Model, probe: dict[str, Any]) -> set[str]:
        """Return the names of the parameters that the schema refuses."""
        faults = self._faults.get(model.id)
        if faults is None:
            faults = self._faults[model.id] = _validator(model).iter_errors
        names = set(probe) - self._rules[model.id].known
        return names | {error.absolute_path[0] for error in faults(probe) if error.absolute_path}

    def _gate_of(self, model: Model) -> Callable[[Any], bool] | None:
        if model.id not in self._accepts:
            self._accepts[model.id] = _gate(model) if self._gate else None
        return self._accepts[model.id]

    def _explain(self, model: Model, name: str, value: object) -> BodyProblem:
        if name == "model":
            return _problem(name, f"must be {model.id}, not {_shown(value, quoted=False)}")
        parameter = model.parameter(name)
        return self._unknown_parameter(model, name) if parameter is None else _wrong(parameter, value)

    def _unknown_model(self, model_id: object) -> BodyProblem:
        if not isinstance(model_id, str):
            return _problem("model", f"must be a model's id, not {_shown(model_id)}")
        near = self._catalog.suggest_model(model_id)
        hint = f"did you mean {near}?" if near is not None else "`batchgen models` lists them"
        return BodyProblem(("model",), f"{_shown(model_id, quoted=False)} is not a known model; {hint}")

    def _unknown_parameter(self, model: Model, name: str) -> BodyProblem:
        near = nearest(str(name), (parameter.name for parameter in model.parameters), cutoff=0.8)
        takers = self._catalog.models_with(name)
        if near is not None:
            hint = f"did you mean `{near}`?"
        elif takers:
            hint = f"{_listed(takers)} {'takes' if len(takers) == 1 else 'take'} it"
        else:
            hint = f"it takes {_listed([parameter.name for parameter in model.parameters])}"
        return _problem(name, f"is not a parameter of {model.id}; {hint}")


def _rules(model: Model) -> _Rules:
    free: dict[str, Callable[[Any], tuple[BodyProblem, ...]]] = {}
    stand_ins: dict[str, Any] = {}
    for parameter in model.parameters:
        check = _free_check(parameter)
        if check is not None:
            free[parameter.name] = check
            stand_ins[parameter.name] = _STAND_INS[parameter.type]
            if parameter.type == "urls":
                stand_ins[parameter.name] = _STAND_INS["urls"] * (parameter.min_items or 1)
    known = frozenset({"model", *(parameter.name for parameter in model.parameters)})
    return _Rules(model=model, known=known, free=free, stand_ins=stand_ins, verdicts={})


def _free_check(parameter: Parameter) -> Callable[[Any], tuple[BodyProblem, ...]] | None:
    """Return the check of a parameter whose values have no end; None where the schema judges it."""
    if parameter.options:
        return None
    match parameter.type:
        case "string":
            return partial(_check_text, parameter, parameter.max_length, int(parameter.required))
        case "url":
            return partial(_check_url, (parameter.name,))
        case "urls":
            return partial(_check_urls, parameter)
        case "integer" if parameter.minimum is None and parameter.maximum is None:
            return partial(_check_integer, parameter)
    return None


def _check_text(parameter: Parameter, limit: int | None, least: int, value: object) -> tuple[BodyProblem, ...]:
    if type(value) is not str:
        return (_wrong(parameter, value),)
    if least and (not value or value.isspace()):
        return (_problem(parameter.name, "is empty"),)
    if limit is not None and len(value) > limit:
        message = f"has {len(value):,} characters, at most {limit:,} are allowed"
        return (_problem(parameter.name, message),)
    if not value.isascii() and not _encodable(value):
        return (_problem(parameter.name, "holds half of a surrogate pair (\\ud800 to \\udfff), which is no character"),)
    return ()


def _check_integer(parameter: Parameter, value: object) -> tuple[BodyProblem, ...]:
    if type(value) is not int:
        return (_wrong(parameter, value),)
    # Python's integers have no end; those of whoever reads the JSON do (RFC 8259, section 6).
    if not -_SEED_LIMIT <= value < _SEED_LIMIT:
        return (_problem(parameter.name, "must be a whole number that fits in 64 bits"),)
    return ()


def _check_urls(parameter: Parameter, value: object) -> tuple[BodyProblem, ...]:
    if type(value) is not list:
        return (_wrong(parameter, value),)
    least, most = parameter.min_items or 0, parameter.max_items or len(value)
    faults = [problem for n, url in enumerate(value[:most]) for problem in _check_url((parameter.name, n), url)]
    if not least <= len(value) <= most:
        faults.insert(0, _problem(parameter.name, f"must be {parameter.expected()}, not of {len(value)}"))
    return tuple(faults)


def _check_url(path: Path, value: object) -> tuple[BodyProblem, ...]:
    # Most URLs are plain, and a pattern is several times cheaper than taking one apart.
    if type(value) is str and _CERTAINLY_URL.fullmatch(value):
        return ()
    fault = _url_fault(value)
    if fault is None:
        return ()
    name = str(path[0]) if len(path) == 1 else f"{path[0]}[{path[1]}]"
    return (BodyProblem(path, f"`{name}` {fault}"),)


def _url_fault(value: object) -> str | None:
    """Return why a value is no URL that the provider could fetch (API reference, section 10). Loopback hosts are fine:
    the simulator hands them out."""
    wanted = "must be a public http(s) URL"
    if type(value) is not str:
        return f"{wanted}, not {_shown(value)}"
    if not value.strip():
        return "is empty"
    scheme = value[:8].lower()
    if scheme.startswith("data:"):
        return f"{wanted}; a data URI cannot be sent"
    if not scheme.startswith(("http://", "https://")):
        foreign = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", value)
        if foreign is not None and foreign[1].lower() != "file":
            return f"{wanted}; {foreign[1]}:// cannot be fetched"
        return f"{wanted}; a local path cannot be sent"
    if not value.startswith(("http://", "https://")):
        return f"{wanted}; write its scheme in lower case"
    if _BLANK.search(value):
        return f"{wanted}; it holds a blank or a control character, which a URL writes as %20 and the like"
    if not _encodable(value):
        return f"{wanted}; it holds half of a surrogate pair, which is no character"
    return None if _has_host(value) else f"{wanted}; it names no host"


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _wrong(parameter: Parameter, value: object) -> BodyProblem:
    """Return the sentence on a value of another type or beyond its limits."""
    if parameter.type == "urls" and type(value) is str:
        return _problem(parameter.name, f"must be {parameter.expected()}, not a single one")
    texts = bool(parameter.options) and parameter.type == "string"
    near = nearest(shown(value), parameter.options) if parameter.options and len(parameter.options) > 1 else None
    hint = f"; did you mean {near}?" if near is not None else ""
    return _problem(parameter.name, f"must be {parameter.expected()}, not {_shown(value, quoted=not texts)}{hint}")


def _problem(name: str, message: str) -> BodyProblem:
    return BodyProblem((name,), f"`{printable(str(name), _SHOWN)}` {message}")


def _shown(value: object, *, quoted: bool = True) -> str:
    if isinstance(value, str):
        text = printable(value, _SHOWN)
        return f'the text "{text}"' if quoted or not value.strip() else text
    if value is None:
        return "null"
    if isinstance(value, bool | int | float):
        # A number of thousands of digits cannot even be written out in decimals.
        return "a number of that size" if type(value) is int and abs(value) >= 10**30 else shown(value)
    if isinstance(value, list | tuple):
        return "a list"
    return "a map" if isinstance(value, Mapping) else f"a {type(value).__name__}"


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _validator(model: Model) -> Any:
    from jsonschema import Draft7Validator  # noqa: PLC0415 - heavy, and needed only for what a gate refuses
    from jsonschema.validators import extend  # noqa: PLC0415 - as above

    # Draft 7 counts 5.0 as an integer; sent as it stands, it would be another request than 5.
    strict = Draft7Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    return extend(Draft7Validator, type_checker=strict)(request_schema(model))  # type: ignore[no-untyped-call]  # their stubs


def _gate(model: Model) -> Callable[[Any], bool] | None:
    try:
        import jsonschema_rs  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    accepts: Callable[[Any], bool] = jsonschema_rs.Draft7Validator(request_schema(model)).is_valid
    return accepts
