"""`batchgen schema`, `batchgen models`, and the files that are checked in."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from batchgen.catalog import Model, load_catalog, price_of, schema_files
from batchgen.cli.boundary import guarded

CATALOG = load_catalog()
CHECKED_IN = Path(__file__).parents[3] / "schemas"


def test_the_files_checked_in_are_what_the_tables_say() -> None:
    assert guarded(["schema", "--check", "--output", str(CHECKED_IN)]) == 0, "run `batchgen schema` and commit"


def test_schema_writes_what_check_then_accepts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new" / "schemas"
    assert guarded(["schema", "--output", str(folder)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == [f"wrote {folder / name}" for name in schema_files(CATALOG)]
    assert len(printed) == 1 + len(CATALOG.models)
    for name, text in schema_files(CATALOG).items():
        assert (folder / name).read_text(encoding="utf-8") == text
        assert text.endswith("}\n")
        assert json.loads(text)["$id"].startswith("urn:batchgen:schema:")
    assert guarded(["schema", "--check", "--output", str(folder)]) == 0
    assert capsys.readouterr().out == ""


def test_check_names_what_differs_is_missing_or_is_surplus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["schema", "--output", str(tmp_path)]) == 0
    capsys.readouterr()
    (tmp_path / "manifest.schema.json").write_text("{}\n", encoding="utf-8")
    (tmp_path / "models" / "hera-1.0-image-edit.schema.json").unlink()
    (tmp_path / "models" / "apollo-1.0.schema.json").write_text("{}\n", encoding="utf-8")
    assert guarded(["schema", "--check", "--output", str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}/manifest.schema.json differs from the catalogue",
        f"{tmp_path}/models/hera-1.0-image-edit.schema.json is missing",
        f"{tmp_path}/models/apollo-1.0.schema.json belongs to no model of the catalogue",
    ]
    assert guarded(["schema", "--output", str(tmp_path)]) == 0
    assert "apollo-1.0.schema.json belongs to no model of the catalogue" in capsys.readouterr().err
    assert (tmp_path / "models" / "apollo-1.0.schema.json").exists()


def test_check_of_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert guarded(["schema", "--check", "--output", str(tmp_path / "none")]) == 1
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ([], "manifest.schema.json"),
        (["manifest"], "manifest.schema.json"),
        (["hera-1.0-image-edit"], "models/hera-1.0-image-edit.schema.json"),
    ],
)
def test_one_schema_is_printed_and_nothing_written(
    words: list[str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert guarded(["schema", "--print", *words]) == 0
    assert capsys.readouterr().out == schema_files(CATALOG)[name]
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_printed_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["schema", "--print", "hera-1.0-image-edti"]) == 2
    assert "did you mean hera-1.0-image-edit?" in capsys.readouterr().err
    assert guarded(["schema", "--print", "--check"]) == 2
    assert "--print and --check exclude each other" in capsys.readouterr().err


def test_models_lists_every_model_with_its_prices(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["models"]) == 0
    rows = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()[1:]}
    assert set(rows) == set(CATALOG.models)
    assert rows["hera-1.0-text-to-image"].endswith("$0.056/image")
    assert rows["centaurus-1.0-image-to-video"].endswith("image, prompt   $0.28/second at 720p; $0.56/second at 1080p")
    assert "$0.96/run at 720p, 8 s" in rows["zeus-1.0-image-to-video"]


@pytest.mark.parametrize("model", CATALOG.models.values(), ids=lambda model: model.id)
def test_a_model_is_shown_whole(model: Model, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["models", model.id]) == 0
    page = capsys.readouterr().out
    for parameter in model.parameters:
        assert f"\n{parameter.name}: {parameter.description}" in page
        assert all(str(option) in page for option in parameter.options)
    assert f"POST {model.endpoint}\n" in page


def test_the_price_examples_of_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["models", "hera-1.0-image-to-video"]) == 0
    page = capsys.readouterr().out
    for line in ("720p, 5 s: 1.00 USD", "720p, 15 s: 3.00 USD", "1080p, 10 s: 3.00 USD", "1080p, 15 s: 4.50 USD"):
        assert f"\n  {line}\n" in page


def test_models_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["models", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["format_version"], answer["tables"]) == (1, "1")
    assert [model["id"] for model in answer["models"]] == list(CATALOG.models)
    for shown in answer["models"]:
        for row in shown["price"]["amounts"]:
            amount = Decimal(row.pop("usd"))
            count = {shown["price"]["times"]: 1} if shown["price"]["times"] else {}
            assert price_of(CATALOG.models[shown["id"]], {**row, **count}) == amount


def test_one_model_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["models", "zeus-1.0-image-to-video", "--json"]) == 0
    model = json.loads(capsys.readouterr().out)["model"]
    assert model["price"]["amounts"][3] == {"resolution": "720p", "duration": 8, "usd": "0.96"}
    assert model["parameters"][-1]["default"] == -1


def test_an_unknown_model_is_a_usage_error_with_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["models", "zeus-image-to-video"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "there is no model 'zeus-image-to-video'; did you mean zeus-1.0-image-to-video?" in captured.err
