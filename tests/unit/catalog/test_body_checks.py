"""What the checker says of bodies: the same with and without the gate, and never milder than the schema."""

import json
import sys
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from batchgen.catalog import (
    BodyChecker,
    BodyProblem,
    Model,
    Parameter,
    load_catalog,
    outputs_of,
    price_of,
    request_schema,
)
from batchgen.core.digest import canonical_json

CATALOG = load_catalog()
MODELS = list(CATALOG.models.values())
T2V, EDIT, T2I = "centaurus-1.0-text-to-video", "hera-1.0-image-edit", "hera-1.0-text-to-image"
I2V = "hera-1.0-image-to-video"
NO_PLACE = "a local path cannot be sent without `run.assets`, as in s3://BUCKET/PREFIX"
ZEUS, ZEUS480 = "zeus-1.0-image-to-video", "zeus-1.0-image-to-video-480p"
PICTURE = "https://example.com/a.jpg"


def base(model: str) -> dict[str, Any]:
    pictures: dict[str, Any] = {EDIT: {"images": [PICTURE]}, ZEUS: {"image": PICTURE}, ZEUS480: {"image": PICTURE}}
    return {"model": model, "prompt": "A kite", **pictures.get(model, {})}


@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        (T2V, {"duration": 20}, "`duration` must be a whole number from 2 to 15, not 20"),
        (T2V, {"duration": 1}, "`duration` must be a whole number from 2 to 15, not 1"),
        (T2V, {"duration": True}, "`duration` must be a whole number from 2 to 15, not true"),
        (T2V, {"duration": 5.0}, "`duration` must be a whole number from 2 to 15, not 5.0"),
        (T2V, {"duration": "5"}, '`duration` must be a whole number from 2 to 15, not the text "5"'),
        (T2V, {"duration": None}, "`duration` must be a whole number from 2 to 15, not null"),
        (T2V, {"duration": [5]}, "`duration` must be a whole number from 2 to 15, not a list"),
        (T2V, {"duration": {"s": 5}}, "`duration` must be a whole number from 2 to 15, not a map"),
        (T2V, {"duration": [10**5000]}, "`duration` must be a whole number from 2 to 15, not a list"),
        (T2V, {"seed": 10**5000}, "`seed` must be a whole number that fits in 64 bits"),
        (T2V, {"duration": 10**5000}, "`duration` must be a whole number from 2 to 15, not a number of that size"),
        (ZEUS, {"duration": 6}, "`duration` must be one of 5, 8, not 6"),
        (ZEUS480, {"duration": 8}, "`duration` must be 5, not 8"),
        (
            T2V,
            {"aspect_ratio": "16x9"},
            "`aspect_ratio` must be one of 16:9, 9:16, 1:1, 4:3, 3:4, not 16x9; did you mean 16:9?",
        ),
        (T2V, {"resolution": "1080P"}, "`resolution` must be one of 720p, 1080p, not 1080P; did you mean 1080p?"),
        (T2V, {"resolution": 720}, "`resolution` must be one of 720p, 1080p, not 720"),
        (T2V, {"resolution": "720p\ud83c"}, "`resolution` must be one of 720p, 1080p, not 720p ; did you mean 720p?"),
        (T2V, {"resolution": ""}, '`resolution` must be one of 720p, 1080p, not the text ""'),
        (
            T2V,
            {"enable_prompt_expansion": "yes"},
            '`enable_prompt_expansion` must be true or false, not the text "yes"',
        ),
        (T2V, {"enable_prompt_expansion": 1}, "`enable_prompt_expansion` must be true or false, not 1"),
        (T2V, {"seed": 1.5}, "`seed` must be a whole number, not 1.5"),
        (T2V, {"seed": True}, "`seed` must be a whole number, not true"),
        (T2V, {"seed": 2**63}, "`seed` must be a whole number that fits in 64 bits"),
        (T2V, {"prompt": ""}, "`prompt` is empty"),
        (T2V, {"prompt": " \t\n\u2003"}, "`prompt` is empty"),
        (T2V, {"prompt": 7}, "`prompt` must be text, not 7"),
        (T2V, {"prompt": "a" * 2617}, "`prompt` must have at most 2,500 characters, not 2,617"),
        (
            T2V,
            {"prompt": "a\ud83c"},
            "`prompt` contains half of a surrogate pair (\\ud800 to \\udfff), which is not a character",
        ),
        (T2V, {"negative_prompt": False}, "`negative_prompt` must be text, not false"),
        (
            T2V,
            {"aspect_ration": "1:1"},
            f"`aspect_ration` is not a parameter of {T2V}; did you mean `aspect_ratio`?",
        ),
        (T2V, {"num_images": 2}, f"`num_images` is not a parameter of {T2V}; {T2I} takes it"),
        (
            T2I,
            {"shot": 1},
            f"`shot` is not a parameter of {T2I}; it takes prompt, aspect_ratio, resolution and num_images",
        ),
        (T2I, {3: 1}, f"`3` is not a parameter of {T2I}; it takes prompt, aspect_ratio, resolution and num_images"),
        (
            T2I,
            {"enable_prompt_expansion": True},
            f"`enable_prompt_expansion` is not a parameter of {T2I}; {T2V}, {I2V}, {EDIT} and {ZEUS480} take it",
        ),
        (EDIT, {"image": PICTURE}, f"`image` is not a parameter of {EDIT}; did you mean `images`?"),
        (EDIT, {"images": []}, "`images` must be a list of 1 to 3 public http(s) URLs, not of 0"),
        (EDIT, {"images": [PICTURE] * 4}, "`images` must be a list of 1 to 3 public http(s) URLs, not of 4"),
        (EDIT, {"images": PICTURE}, "`images` must be a list of 1 to 3 public http(s) URLs, not a single value"),
        (EDIT, {"images": 5}, "`images` must be a list of 1 to 3 public http(s) URLs, not 5"),
        (EDIT, {"images": [PICTURE, "b.jpg"]}, f"`images[1]` must be a public http(s) URL; {NO_PLACE}"),
        (ZEUS, {"image": "./a.jpg"}, f"`image` must be a public http(s) URL; {NO_PLACE}"),
        (ZEUS, {"image": "C:\\a.jpg"}, f"`image` must be a public http(s) URL; {NO_PLACE}"),
        (ZEUS, {"image": "file:///a.jpg"}, f"`image` must be a public http(s) URL; {NO_PLACE}"),
        (
            ZEUS,
            {"image": "DATA:image/png;base64,AA"},
            "`image` must be a public http(s) URL; a data URI cannot be sent",
        ),
        (ZEUS, {"image": "s3://bucket/a.jpg"}, "`image` must be a public http(s) URL; s3:// cannot be fetched"),
        (ZEUS, {"image": "HTTPS://a.example/"}, "`image` must be a public http(s) URL; write its scheme in lower case"),
        (ZEUS, {"image": "https:///a.jpg"}, "`image` must be a public http(s) URL; its host is missing or invalid"),
        (ZEUS, {"image": "http://[::1/a"}, "`image` must be a public http(s) URL; its host is missing or invalid"),
        (ZEUS, {"image": "http://a:99999/"}, "`image` must be a public http(s) URL; its host is missing or invalid"),
        (ZEUS, {"image": " "}, "`image` is empty"),
        (ZEUS, {"image": None}, "`image` must be a public http(s) URL, not null"),
        (ZEUS, {"model": "x"}, f"`model` must be {ZEUS}, not x"),
    ],
)
def test_message(model: str, changes: dict[Any, Any], message: str) -> None:
    problems = BodyChecker(CATALOG).problems(model, {**base(model), **changes})
    assert [problem.message for problem in problems] == [message]


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        (T2V, {"seed": 0}),
        (T2V, {"seed": -(2**63)}),
        (T2V, {"negative_prompt": ""}),
        (T2V, {"prompt": "🎨" * 2500}),
        (T2V, {"duration": 2}),
        (T2V, {"duration": 15}),
        (ZEUS, {"seed": -1}),
        (ZEUS, {"image": "http://127.0.0.1:8018/v1/files/a?n=1"}),
        (ZEUS, {"image": "http://localhost:65535/a.png"}),
        (ZEUS, {"image": "https://münchen.example/ä.jpg"}),
        (ZEUS, {"image": "http://[::1]:80/a"}),
        (EDIT, {"images": [PICTURE] * 3}),
    ],
)
def test_fine(model: str, changes: dict[str, Any]) -> None:
    assert BodyChecker(CATALOG).problems(model, {**base(model), **changes}) == ()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("hera-text-to-image", f"hera-text-to-image is not a known model; did you mean {T2I}?"),
        ("xyzzy", "xyzzy is not a known model; `batchgen models` lists them"),
        ("\x1b[31m", " [31m is not a known model; `batchgen models` lists them"),
        ("", 'the text "" is not a known model; `batchgen models` lists them'),
        (None, "`model` must be a model's id, not null"),
        (["a"], "`model` must be a model's id, not a list"),
    ],
)
def test_unknown_model(model: object, message: str) -> None:
    (problem,) = BodyChecker(CATALOG).problems(model, {})
    assert (problem.path, problem.message) == (("model",), message)


def test_every_problem_at_once_in_the_order_of_the_body_with_what_is_missing_last() -> None:
    body = {"images": ["a.jpg", PICTURE, ""], "sed": 1, "enable_prompt_expansion": "no", "negative_prompt": 3}
    problems = BodyChecker(CATALOG).problems(EDIT, body)
    assert {problem.path: problem.message for problem in problems} == {
        ("images", 0): f"`images[0]` must be a public http(s) URL; {NO_PLACE}",
        ("images", 2): "`images[2]` is empty",
        ("negative_prompt",): "`negative_prompt` must be text, not 3",
        ("sed",): f"`sed` is not a parameter of {EDIT}; did you mean `seed`?",
        ("enable_prompt_expansion",): '`enable_prompt_expansion` must be true or false, not the text "no"',
        ("model",): f"`model` is missing; {EDIT} needs it",
        ("prompt",): f"`prompt` is missing; {EDIT} needs it",
    }
    assert [problem.path[0] for problem in problems][-2:] == ["model", "prompt"]


# ---- remembering -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gate", [True, False])
def test_verdicts_are_not_confused_between_equal_values_of_different_types(*, gate: bool) -> None:
    checker = BodyChecker(CATALOG, gate=gate)

    def fine(**changes: Any) -> bool:
        return not checker.problems(T2I, base(T2I) | changes)

    assert fine(num_images=1)
    assert not fine(num_images=True)
    assert not fine(num_images=1.0)
    assert not fine(num_images=Decimal(1))
    assert fine(num_images=1)


def test_a_repeated_parameter_set_is_judged_once_and_its_prompts_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    checker = BodyChecker(CATALOG)
    of_model = checker._checkers[T2V]
    judged = []
    judge = of_model._judge

    def counted(body: Mapping[str, Any]) -> tuple[BodyProblem, ...]:
        judged.append(body)
        return judge(body)

    monkeypatch.setattr(of_model, "_judge", counted)
    for n in range(50):
        assert checker.problems(T2V, base(T2V) | {"prompt": f"Kite {n}", "seed": n, "duration": 9}) == ()
        (empty,) = checker.problems(T2V, base(T2V) | {"prompt": " " * n, "seed": n, "duration": 9})
        assert empty.path == ("prompt",)
        (long,) = checker.problems(T2V, base(T2V) | {"duration": 99})
        assert long.path == ("duration",)
    assert len(judged) == 2


def test_what_is_remembered_is_bounded() -> None:
    checker = BodyChecker(CATALOG)
    for n in range(4200):
        assert checker.problems(T2I, base(T2I) | {"num_images": 10 + n})
    assert len(checker._checkers[T2I]._verdicts) <= 4096


# ---- generated bodies --------------------------------------------------------------------------------------------

# Without half surrogates, which are no JSON, and without the few characters that Python's and ECMA's \s disagree on.
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cf"]), max_size=40)
URLS = st.sampled_from([PICTURE, "http://127.0.0.1:9/a?n=2", "https://bücher.example/x", "http://[::1]/"])


def values(parameter: Parameter) -> st.SearchStrategy[Any]:
    """Values that the parameter admits."""
    if parameter.options:
        return st.sampled_from(parameter.options)
    match parameter.type:
        case "boolean":
            return st.booleans()
        case "integer":
            low, high = parameter.minimum, parameter.maximum
            return st.integers(-(2**63) if low is None else low, 2**63 - 1 if high is None else high)
        case "url":
            return URLS
        case "urls":
            return st.lists(URLS, min_size=parameter.min_items or 0, max_size=parameter.max_items)
    return TEXTS.map(lambda text: f"{text}.") if parameter.required else TEXTS


@st.composite
def valid_bodies(draw: st.DrawFn) -> tuple[Model, dict[str, Any]]:
    model = draw(st.sampled_from(MODELS))
    taken = [p for p in model.parameters if p.required or draw(st.booleans())]
    return model, {"model": model.id, **{p.name: draw(values(p)) for p in draw(st.permutations(taken))}}


ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        [5.0, "5", "720p", "16:9", "1k", "true", "", " ", PICTURE, "data:,", "a.jpg", "http://", "a" * 2501]
    ),
    TEXTS,
    st.lists(URLS | TEXTS, max_size=4),
    st.dictionaries(TEXTS, st.integers(), max_size=2),
)
NAMES = st.sampled_from(sorted({p.name for model in MODELS for p in model.parameters} | {"model", "promt", "x"}))


@st.composite
def spoilt_bodies(draw: st.DrawFn) -> tuple[Model, dict[str, Any]]:
    model, body = draw(valid_bodies())
    body |= draw(st.dictionaries(NAMES, ANYTHING, max_size=3))
    for name in draw(st.lists(NAMES, max_size=1)):
        body.pop(name, None)
    return model, body


GATED, PLAIN = BodyChecker(CATALOG), BodyChecker(CATALOG, gate=False)
SCHEMAS = {model.id: Draft7Validator(request_schema(model)) for model in MODELS}


@settings(deadline=None)
@given(valid_bodies())
def test_a_valid_body_passes_and_has_a_price(case: tuple[Model, dict[str, Any]]) -> None:
    model, body = case
    assert GATED.problems(model.id, body) == ()
    SCHEMAS[model.id].validate(body)
    price = price_of(model, body)
    assert isinstance(price, Decimal)
    assert price > 0
    assert outputs_of(model, body) >= 1
    assert price_of(model, json.loads(canonical_json(body))) == price


@pytest.mark.thorough
@settings(deadline=None, max_examples=300)
@given(spoilt_bodies())
def test_the_verdict_is_the_same_with_and_without_the_gate_and_never_milder_than_the_schema(
    case: tuple[Model, dict[str, Any]],
) -> None:
    model, body = case
    problems = GATED.problems(model.id, body)
    assert problems == PLAIN.problems(model.id, body) == BodyChecker(CATALOG).problems(model.id, body)
    faults = {error.absolute_path[0] for error in SCHEMAS[model.id].iter_errors(body) if error.absolute_path}
    assert faults <= {problem.path[0] for problem in problems}
    if problems:
        assert all(problem.message and "\n" not in problem.message for problem in problems)
    else:
        SCHEMAS[model.id].validate(body)
        assert price_of(model, body) > 0
        canonical_json(body).encode()


@settings(deadline=None, max_examples=300)
@given(spoilt_bodies())
def test_both_schema_engines_give_the_same_verdict(case: tuple[Model, dict[str, Any]]) -> None:
    engine = pytest.importorskip("jsonschema_rs", reason="the extra `fast` is not installed")
    model, body = case
    # As the checker uses it; jsonschema passes over formats by itself.
    validator = engine.Draft7Validator(request_schema(model), validate_formats=False)
    assert validator.is_valid(body) == SCHEMAS[model.id].is_valid(body)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_request_schemas_are_valid_and_closed(model: Model) -> None:
    schema = request_schema(model)
    Draft7Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    assert schema["properties"]["model"]["const"] == model.id
    assert "default" not in json.dumps(schema)


def test_without_the_extra_the_checker_works_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema_rs", None)  # importing it then raises ImportError
    checker = BodyChecker(CATALOG)
    assert checker.problems(T2I, base(T2I)) == ()
    assert [problem.path for problem in checker.problems(T2I, base(T2I) | {"num_images": 10})] == [("num_images",)]
