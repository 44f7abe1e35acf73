"""The manifest schema as an editor applies it, and that both engines read it alike."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jsonschema import Draft7Validator

from batchgen.catalog import load_catalog, manifest_schema
from batchgen.settings import SETTINGS

CATALOG = load_catalog()
SCHEMA = manifest_schema(CATALOG)
VALIDATOR = Draft7Validator(SCHEMA)
PICTURE = "https://example.com/a.jpg"

FINE: dict[str, Any] = {
    "version": 1,
    "name": "autumn-2025",
    "description": "Everything that a manifest can hold",
    "run": {
        "concurrency": 16,
        "max_cost": 250.00,
        "budget": "60.00",
        "path": "${tags.client}/${id}",
        "poll_min": 0.5,
        "endpoint": "model",
        "submit": "poll",
    },
    "tags": {"client": "pier-shop", "season": 3},
    "defaults": {"model": "hera-1.0-text-to-image", "resolution": "2k", "negative_prompt": "noisy"},
    "model_defaults": {"zeus-1.0-image-to-video": {"resolution": "720p"}, "hera-1.0-text-to-image": {"num_images": 2}},
    "items": [
        {"id": "cup", "prompt": "A cup", "aspect_ratio": "16:9", "num_images": 3, "tags": {"sku": "C-1"}},
        {"model": "zeus-1.0-image-to-video", "image": "${items.cup.output.3}", "prompt": "It turns", "duration": 8},
        {
            "id": "${fruit}-${ratio}",
            "matrix": {"fruit": ["plum", "pear"], "ratio": ["3:4", "21:9"], "count": [1, 2]},
            "exclude": [{"fruit": "pear", "ratio": "3:4"}],
            "prompt": "A ${fruit}",
            "aspect_ratio": "${ratio}",
            "num_images": "${count}",
        },
        {"model": "centaurus-1.0-text-to-video", "prompt": "Surf", "seeds": 4, "enable_prompt_expansion": "${row}"},
        {"model": "centaurus-1.0-text-to-video", "prompt": "Surf", "seeds": [1, -2]},
        {"prompt": "A cup", "repeat": 3},
        {"rows": "prompts/Cups.CSV", "id": "${SKU}", "prompt": "${Product}", "tags": {"line": "${Line}"}, "limit": 500},
        {"model": "hera-1.0-image-edit", "prompt": "Bluer", "images": [PICTURE, "${items.cup.output}"]},
        {"model": "hera-1.0-image-edit", "prompt": "Bluer", "images": "${Pictures}"},
        {"model": "${Model}", "prompt": "A cup", "duration": 5, "num_images": 2},
        {"params": {"prompt": "A cup", "num_images": 2}},
    ],
}


def faults(manifest: dict[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
    return [(tuple(error.absolute_path), error.message) for error in VALIDATOR.iter_errors(manifest)]


def test_the_schema_is_one() -> None:
    Draft7Validator.check_schema(SCHEMA)


def test_what_a_manifest_can_hold_is_admitted() -> None:
    assert faults(FINE) == []


def one_item(item: dict[str, Any], **top: Any) -> dict[str, Any]:
    return {"version": 1, "name": "n", "items": [item], **top}


HERA = {"model": "hera-1.0-text-to-image", "prompt": "A cup"}
ZEUS = {"model": "zeus-1.0-image-to-video", "prompt": "It turns", "image": PICTURE}


@pytest.mark.parametrize(
    ("manifest", "path", "says"),
    [
        (one_item(HERA | {"num_images": 10}), ("num_images",), "10"),
        (one_item(HERA | {"num_images": True}), ("num_images",), "True"),
        (one_item(HERA | {"aspect_ratio": "16x9"}), ("aspect_ratio",), "16x9"),
        (one_item(HERA | {"aspect_ration": "1:1"}), (), "'aspect_ration' was unexpected"),
        (one_item(HERA | {"seed": 1}), (), "'seed' was unexpected"),
        (one_item(HERA | {"params": {"seed": 1}}), ("params",), "'seed' was unexpected"),
        (one_item(HERA | {"prompt": " "}), ("prompt",), "' '"),
        (one_item(HERA | {"prompt": "a" * 2501}), ("prompt",), "aaa"),
        (one_item(HERA | {"model": "hera"}), ("model",), "'hera'"),
        (one_item(HERA | {"seeds": 0}), ("seeds",), "0"),
        (one_item(HERA | {"repeat": 1.5}), ("repeat",), "1.5"),
        (one_item(HERA | {"rows": "cups.xlsx"}), ("rows",), "cups.xlsx"),
        (one_item(HERA | {"limit": 0}), ("limit",), "0"),
        (one_item(HERA | {"id": "a b"}), ("id",), "a b"),
        (one_item(HERA | {"tags": {"1st": "x"}}), ("tags",), "1st"),
        (one_item(HERA | {"tags": {"x": ["y"]}}), ("tags", "x"), "y"),
        (one_item(HERA | {"matrix": {"colour": []}}), ("matrix", "colour"), "[]"),
        (one_item(ZEUS | {"image": "ftp://host/a.jpg"}), ("image",), "a.jpg"),
        (one_item(ZEUS | {"image": "data:image/png;base64,AA"}), ("image",), "data:"),
        (one_item(ZEUS | {"duration": 6}), ("duration",), "6"),
        (one_item({"model": "zeus-1.0-image-to-video", "prompt": "It turns"}), (), "'image' is a required property"),
        (one_item({"model": "hera-1.0-text-to-image"}), (), "'prompt' is a required property"),
        (one_item({"prompt": "A cup"}), (), "'model' is a required property"),
        # Judged by the default model:
        (
            one_item({"prompt": "A cup", "duration": 5}, defaults={"model": HERA["model"]}),
            (),
            "'duration' was unexpected",
        ),
        (one_item({"prompt": "A cup"}, defaults={"model": ZEUS["model"]}), (), "'image' is a required property"),
    ],
)
def test_a_fault_of_an_item_is_found_where_it_is(manifest: dict[str, Any], path: tuple[str, ...], says: str) -> None:
    found = faults(manifest)
    assert found
    assert {where for where, _ in found} == {("items", 0, *path)}
    assert any(says in message for _, message in found)


@pytest.mark.parametrize(
    "manifest",
    [
        one_item({"model": "zeus-1.0-image-to-video", "prompt": "It turns"}, defaults={"image": PICTURE}),
        one_item(
            {"model": "zeus-1.0-image-to-video", "prompt": "x"},
            model_defaults={"zeus-1.0-image-to-video": {"image": PICTURE}},
        ),
        one_item({"id": "a"}, defaults={"model": "hera-1.0-text-to-image", "prompt": "A cup"}),
        one_item({"model": "hera-1.0-text-to-image", "prompt": "A cup"}, defaults={"duration": 5, "seed": 7}),
    ],
)
def test_what_an_item_needs_may_come_from_the_defaults(manifest: dict[str, Any]) -> None:
    assert faults(manifest) == []


@pytest.mark.parametrize(
    ("spoil", "path"),
    [
        (lambda m: m.pop("version"), ()),
        (lambda m: m.pop("name"), ()),
        (lambda m: m.pop("items"), ()),
        (lambda m: m.update(itmes=[]), ()),
        (lambda m: m.update(items=[]), ("items",)),
        (lambda m: m.update(version=2), ("version",)),
        (lambda m: m.update(version="1"), ("version",)),
        (lambda m: m.update(name="Spring Catalogue"), ("name",)),
        (lambda m: m.update(name="a" * 65), ("name",)),
        (lambda m: m["run"].update(concurency=3), ("run",)),
        (lambda m: m["run"].update(concurrency=0), ("run", "concurrency")),
        (lambda m: m["run"].update(max_cost=-1), ("run", "max_cost")),
        (lambda m: m["run"].update(max_cost="1,5"), ("run", "max_cost")),
        (lambda m: m["run"].update(submit="push"), ("run", "submit")),
        (lambda m: m["defaults"].update(model="hera"), ("defaults", "model")),
        (lambda m: m["defaults"].update(promt="x"), ("defaults",)),
        (lambda m: m["defaults"].update(resolution="4k"), ("defaults", "resolution")),
        (lambda m: m["defaults"].update(duration=16), ("defaults", "duration")),
        (lambda m: m["model_defaults"].update({"hera": {}}), ("model_defaults",)),
        (
            lambda m: m["model_defaults"]["zeus-1.0-image-to-video"].update(resolution="1080p"),
            ("model_defaults", "zeus-1.0-image-to-video", "resolution"),
        ),
    ],
)
def test_a_fault_of_the_head_is_found_where_it_is(spoil: Callable[[Any], object], path: tuple[str, ...]) -> None:
    manifest = copy.deepcopy(FINE)
    spoil(manifest)
    assert {where for where, _ in faults(manifest)} == {path}


def test_both_engines_read_it_alike() -> None:
    engine = pytest.importorskip("jsonschema_rs", reason="the extra `fast` is not installed")
    validator = engine.Draft7Validator(SCHEMA)
    assert validator.is_valid(FINE)
    assert not validator.is_valid(one_item(HERA | {"num_images": 10}))
    assert not validator.is_valid(one_item({"prompt": "A cup"}, defaults={"model": ZEUS["model"]}))


def test_the_settings_and_the_models_are_all_there() -> None:
    assert set(SCHEMA["properties"]["run"]["properties"]) == {
        "bought",
        "assets",
        *(setting.name for setting in SETTINGS),
    }
    assert set(SCHEMA["properties"]["model_defaults"]["properties"]) == set(CATALOG.models)
    assert all(setting["description"] for setting in SCHEMA["properties"]["run"]["properties"].values())


def test_editors_are_given_descriptions_and_never_a_default_to_fill_in() -> None:
    parameters = SCHEMA["definitions"]["hera-1.0-text-to-image.parameters"]["properties"]
    assert all(parameter["description"] for parameter in parameters.values())
    assert "Default: 1:1." in parameters["aspect_ratio"]["description"]
    keywords = json.dumps(SCHEMA)
    assert '"default":' not in keywords
    assert '"oneOf":' not in keywords


def hints(model: str, parameter: str) -> Any:
    return SCHEMA["definitions"][f"{model}.parameters"]["properties"][parameter]


def test_a_parameter_that_sets_the_price_says_so() -> None:
    resolution = hints("centaurus-1.0-text-to-video", "resolution")
    assert resolution["description"].endswith("Default: 720p. Price: $0.20/second at 720p; $0.30/second at 1080p.")
    assert resolution["markdownDescription"] == (
        "How large the output is.\n\nDefault: `720p`\n\nPrice:\n\n- $0.20/second at 720p\n- $0.30/second at 1080p"
    )
    assert resolution["anyOf"][0]["markdownEnumDescriptions"] == ["the default; $0.20/second", "$0.30/second"]
    assert "Price: $0.056/image" in hints("hera-1.0-text-to-image", "num_images")["markdownDescription"]
    assert "Price" not in hints("hera-1.0-text-to-image", "resolution")["description"]


def test_a_model_says_what_it_does_and_costs() -> None:
    known = SCHEMA["definitions"]["item"]["properties"]["model"]["anyOf"][0]
    notes = dict(zip(known["enum"], known["markdownEnumDescriptions"], strict=True))
    assert notes["hera-1.0-image-edit"].endswith("makes one image. Price: $0.07/run.")


def test_where_any_model_may_take_a_parameter_each_is_listed() -> None:
    resolution = hints("any-model", "resolution")
    assert "- `hera-1.0-text-to-image`: one of 1k, 2k; default 1k" in resolution["markdownDescription"]
    known = resolution["anyOf"][0]
    assert known["markdownEnumDescriptions"][known["enum"].index("480p")] == "zeus-1.0-image-to-video"


def keys(schema: Any) -> Iterator[tuple[str, Any]]:
    """Every key of a manifest that the schema describes, with its schema."""
    if isinstance(schema, dict):
        for name, entry in schema.get("properties", {}).items():
            if isinstance(entry, dict) and "description" in entry:
                yield name, entry
        for entry in schema.values():
            yield from keys(entry)
    elif isinstance(schema, list):
        for entry in schema:
            yield from keys(entry)


def test_a_key_is_titled_as_it_is_written_and_its_kinds_of_value_differ() -> None:
    found = list(keys(SCHEMA))
    assert len(found) > 60
    for name, schema in found:
        assert schema["title"] == name
        titles = [
            kind.get("title") for kind in schema.get("anyOf", ()) if "$ref" not in kind and kind != {"type": "null"}
        ]
        assert not titles or len(titles) == 1 or len(set(titles)) > 1, name
        assert all(title is None or title.split(":")[0] == name for title in titles)
