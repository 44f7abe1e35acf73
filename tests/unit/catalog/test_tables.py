"""The parameter tables: what they hold, and what they refuse to hold."""

import json
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batchgen.catalog import BodyChecker, Model, load_catalog, price_of, read_catalog
from batchgen.core.text import usd

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
        (table(default='default = "m",'), "no options or no default"),
        (table(bounds=""), "no bounds"),
        (table(bounds="minimum = 1, maximun = 4,"), "maximun"),
        (table(string="strin"), "unknown type 'strin'"),
        (table(integer="string"), "integer with a default"),
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


def sections(page: Path) -> dict[str, str]:
    """The page's section of each model, by id."""
    parts = page.read_text(encoding="utf-8").split("- Model id: `")[1:]
    return {part.partition("`")[0]: part for part in parts}


def documented_parameters(section: str) -> dict[str, dict[str, Any]]:
    """What the reference says of each parameter, in the terms of the tables."""
    bullets = section.partition("Parameters:")[2].partition("Example request body")[0].split("- `")[1:]
    documented = {}
    for bullet in bullets:
        name, kind, rest = (part.strip() for part in bullet.split("·", 2))
        options = re.search(r"Options: (.*?)\.(?: |$)", rest)
        default = re.search(r"Default: (.*?)\.(?: |$)", rest)
        length = re.search(r"Max (\d+) characters", rest)
        span = re.fullmatch(r"(\d+)–(\d+)", options[1]) if options else None
        documented[name.rstrip("`")] = {
            "type": {"string (URL)": "url", "string[] (URLs)": "urls"}.get(kind, kind),
            "required": rest.startswith("REQUIRED"),
            "options": tuple(options[1].split(", ")) if options and not span else (),
            "range": (int(span[1]), int(span[2])) if span else (None, None),
            "default": default[1] if default else None,
            "max_length": int(length[1]) if length else None,
            "pictures": "JPEG/PNG/WEBP/BMP, max 10MB" in rest,
        }
    documented.pop("model")
    return documented


def tabled_parameters(model: Model) -> dict[str, dict[str, Any]]:
    return {
        p.name: {
            "type": p.type,
            "required": p.required,
            "options": tuple(map(str, p.options)),
            "range": (p.minimum, p.maximum),
            "default": None if p.default is None else json.dumps(p.default).strip('"'),
            "max_length": p.max_length,
            "pictures": p.formats == ("JPEG", "PNG", "WEBP", "BMP") and p.max_megabytes == 10,
        }
        for p in model.parameters
    }


@PAGES
@pytest.mark.parametrize("model", CATALOG.models.values(), ids=lambda model: model.id)
def test_the_tables_say_what_the_reference_says(page: Path, model: Model) -> None:
    section = sections(page)[model.id]
    assert tabled_parameters(model) == documented_parameters(section)
    assert list(tabled_parameters(model)) == list(documented_parameters(section))
    assert f"- Family: {model.family} " in section
    assert f"- Endpoint: POST {model.endpoint} " in section
    assert f"- Output: {model.output} " in section


@PAGES
def test_the_tables_lack_no_model_of_the_reference(page: Path) -> None:
    assert list(CATALOG.models) == list(sections(page))


@PAGES
@pytest.mark.parametrize("model", CATALOG.models.values(), ids=lambda model: model.id)
def test_the_tables_hold_every_price_of_the_reference_and_no_other(page: Path, model: Model) -> None:
    line = sections(page)[model.id].partition("- Pricing: ")[2].partition(" - ")[0]
    documented = sorted(Decimal(amount) for amount in re.findall(r"\$([0-9.]+)", line))
    assert documented == sorted(model.price.amounts.values())
    for values, amount in model.price.amounts.items():
        if model.price.unit == "second":
            assert f"${usd(amount)}/s @ {values[0]}" in line
        elif values:
            assert f"${usd(amount)} ({values[0]}, {values[1]}s)" in line


@PAGES
@pytest.mark.parametrize("model", CATALOG.models.values(), ids=lambda model: model.id)
def test_the_examples_of_the_reference_are_valid(page: Path, model: Model) -> None:
    text = sections(page)[model.id].partition("Example request body: ")[2]
    body, _ = json.JSONDecoder().raw_decode(text)
    assert body["model"] == model.id
    assert BodyChecker(CATALOG).problems(model.id, body) == ()
