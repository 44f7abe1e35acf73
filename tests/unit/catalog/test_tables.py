"""The parameter tables: what they hold, and what they refuse to hold."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.catalog import BodyChecker, Model, load_catalog, price_of, read_catalog, schema_files
from batchgen.catalog.reference import Reference, read_reference
from batchgen.catalog.tables_file import SHIPPED

CATALOG = load_catalog()
OUR_PAGE = Path(__file__).with_name("reference.txt")
"""What the provider publishes of its models, written down by this project."""
PUBLISHED_PAGE = Path(__file__).parents[4] / "shared" / "api" / "reference.txt"
"""The page itself, where somebody has put it beside the repository."""

PAGES = pytest.mark.parametrize(
    "page",
    [
        OUR_PAGE,
        pytest.param(
            PUBLISHED_PAGE,
            marks=pytest.mark.skipif(not PUBLISHED_PAGE.exists(), reason="no published page beside the repository"),
        ),
    ],
    ids=["our page", "published page"],
)

TABLE = """
version = "9"
[[models]]
id = "new-1.0"
title = "New 1.0"
family = "New"
endpoint = "/v1/images/generations"
output = "image"
description = "A model that is nothing but data."
parameters = [
  {{ name = "prompt", type = "string", required = true, max_length = 10, description = "Words." }},
  {{ name = "size", type = "string", options = ["s", "l"], {default} description = "Size." }},
  {{ name = "count", type = "integer", {bounds} default = 1, description = "How many." }},
]
[models.price]
unit = "image"
times = "count"
by = ["size"]
amounts = [{amounts}]
"""
AMOUNTS = '{ size = "s", usd = "0.01" }, { size = "l", usd = "0.02" }'


def table(
    *,
    default: str = 'default = "s",',
    bounds: str = "minimum = 1, maximum = 4,",
    amounts: str = AMOUNTS,
    **replace: str,
) -> str:
    text = TABLE.format(default=default, bounds=bounds, amounts=amounts)
    for old, new in replace.items():
        assert old in text
        text = text.replace(old, new)
    return text


def test_a_new_model_is_a_change_of_data_only() -> None:
    catalog = read_catalog(table())
    model = catalog.models["new-1.0"]
    checker = BodyChecker(catalog)
    body = {"model": "new-1.0", "prompt": "A kite", "size": "l", "count": 3}
    assert checker.problems("new-1.0", body) == ()
    assert price_of(model, body) == Decimal("0.06")
    assert price_of(model, {}) == Decimal("0.01")
    assert [
        problem.path for problem in checker.problems("new-1.0", body | {"prompt": "A kite of paper", "count": 5})
    ] == [
        ("prompt",),
        ("count",),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (table(amounts='{ size = "s", usd = "0.01" }'), "does not cover"),
        (table(amounts=AMOUNTS + ', { size = "xl", usd = "0.03" }'), "does not cover"),
        (table(amounts='{ size = "s", usd = 0.01 }, { size = "l", usd = "0.02" }'), "positive amount in quotes"),
        (table(amounts='{ size = "s", usd = "-0.01" }, { size = "l", usd = "0.02" }'), "positive amount in quotes"),
        (table(amounts='{ size = "s", usd = "0,01" }, { size = "l", usd = "0.02" }'), "positive amount in quotes"),
        (table(amounts='{ sise = "s", usd = "0.01" }'), "fields sise, usd"),
        (table(default=""), "no options or no default"),
        (table(default='default = "m",'), "the default 'm' is not a value that it may have"),
        (table(bounds=""), "no bounds"),
        (table(bounds="minimum = 1, maximun = 4,"), "maximun"),
        (table(string="strin"), "unknown type 'strin'"),
        (table(integer="string"), "the default 1 is not of its type"),
        (table(**{"default = 1, ": ""}), "integer with a default"),
        (table(title="titel"), "titel"),
        (table(**{'output = "image"': 'output = "sound"'}), "unknown output 'sound'"),
        (table(**{'unit = "image"': 'unit = "hour"'}), "unknown unit 'hour'"),
        (table(**{'["s", "l"]': "[1, 2]"}), "options that are not of its type"),
        (table(**{'name = "count"': 'name = "size"'}), "is defined twice"),
        (table() + table().partition('version = "9"')[2], "same id"),
        (table() + "\n[prices]\na = 1", "unknown tables: prices"),
    ],
)
def test_a_dangerous_slip_in_the_data_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        read_catalog(text)


VALUE = re.compile(r'= ("[^"]*"|\[[^\[\]]*\]|-?\d+|true|false)')
SPOTS = [spot.span(1) for spot in VALUE.finditer(SHIPPED.read_text("utf-8"))]
LITERALS = [
    "1", "-1", "0", '"x"', '""', "true", "[]", '["a"]', "[1]", "[true]", "[[1]]", "{}", "{a=1}", "1.5", "inf", "nan",
    "[{}]", "2020-01-01", '"unknown"', "9" * 30, '[{usd="1"}]', '"prompt"', '["prompt"]', '"\\u0000"', '"9e999"',
]  # fmt: skip


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(SPOTS), st.sampled_from(LITERALS)), min_size=1, max_size=2))
def test_tables_with_any_other_value_are_refused_or_usable(changes: list[tuple[tuple[int, int], str]]) -> None:
    text = SHIPPED.read_text("utf-8")
    for (start, end), literal in sorted(changes, reverse=True):
        text = text[:start] + literal + text[end:]
    try:
        catalog = read_catalog(text)
    except ValueError:
        return
    assert schema_files(catalog)
    for model in catalog.models.values():
        required = {p.name: (p.options or (p.minimum or 1,))[0] for p in model.parameters if p.required}
        assert (price_of(model, required) is None) == (model.price is None)


def test_lookups() -> None:
    assert CATALOG.version == "1"
    assert len(CATALOG.models) == 7
    assert CATALOG.model("hera-1.0") is None
    assert CATALOG.model(["hera-1.0-image-edit"]) is None
    assert CATALOG.suggest_model("hera-1.0-text-2-image") == "hera-1.0-text-to-image"
    assert CATALOG.suggest_model("Zeus-1.0-Image-To-Video") == "zeus-1.0-image-to-video"
    assert CATALOG.suggest_model("midsummer") is None
    assert CATALOG.models_with("num_images") == ["hera-1.0-text-to-image"]
    assert CATALOG.models_with("aspect_ratio") == ["centaurus-1.0-text-to-video", "hera-1.0-text-to-image"]
    assert CATALOG.models["hera-1.0-text-to-image"].seed is None
    zeus_seed = CATALOG.models["zeus-1.0-image-to-video"].seed
    assert zeus_seed is not None
    assert zeus_seed.random == -1


def test_the_tables_are_read_without_heavy_imports() -> None:
    code = (
        "import sys; from batchgen.catalog import *; BodyChecker(load_catalog());"
        "print([name for name in ('jsonschema', 'jsonschema_rs', 'yaml', 'aiohttp', 'tqdm') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---- the published reference -------------------------------------------------------------------------------------


@cache
def published(page: Path) -> Reference:
    return read_reference(page.read_text(encoding="utf-8"), page.name)


@PAGES
def test_the_tables_say_what_the_reference_says(page: Path) -> None:
    assert list(CATALOG.models) == list(published(page).models)
    for model in CATALOG.models.values():
        told = published(page).models[model.id]
        assert told.unknown_price is None
        assert without_descriptions(model) == without_descriptions(told.model)


def without_descriptions(model: Model) -> Model:
    """What the tables and the page have in common; the order of the parameters as well."""
    parameters = tuple(replace(p, description="", unit="", example=None) for p in model.parameters)
    return replace(model, title="", description="", parameters=parameters)


@PAGES
@pytest.mark.parametrize("model", CATALOG.models.values(), ids=lambda model: model.id)
def test_the_examples_of_the_reference_are_valid(page: Path, model: Model) -> None:
    section = page.read_text(encoding="utf-8").partition(f"- Model id: `{model.id}`")[2]
    text = section.partition("Example request body: ")[2]
    body, _ = json.JSONDecoder().raw_decode(text)
    assert body["model"] == model.id
    assert BodyChecker(CATALOG).problems(model.id, body) == ()
