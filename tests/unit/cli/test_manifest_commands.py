"""`batchgen validate`, `batchgen init`, and what `batchgen lock` prints."""

import json
import re
from pathlib import Path

import pytest

from batchgen.catalog import load_catalog, schema_files
from batchgen.cli.boundary import guarded
from batchgen.cli.manifests.validate import _data, _property
from batchgen.manifest import load_manifest

GOOD = "version: 1\nname: m\nitems:\n  - {model: hera-1.0-text-to-image, prompt: x, num_images: 3, repeat: 2}\n"
BAD = "version: 1\nname: m\nitems:\n  - {model: hera-1.0-text-to-image, prompt: '', num_images: 10}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "good.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "bad, 100%.yaml").write_text(BAD, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_good_manifest_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["validate", "good.yaml"]) == 0
    assert capsys.readouterr() == ("good.yaml: 2 items, estimated 0.336 USD\n", "")


def test_every_manifest_is_reported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["validate", "bad, 100%.yaml", "none.yaml", "good.yaml"]) == 2
    out = capsys.readouterr().out
    line = "  - {model: hera-1.0-text-to-image, prompt: '', num_images: 10}"
    assert out.splitlines() == [
        "bad, 100%.yaml:4:45: `prompt` is empty",
        f"    {line}",
        f"    {' ' * 44}^",
        "bad, 100%.yaml:4:61: `num_images` must be a whole number from 1 to 9, not 10",
        f"    {line}",
        f"    {' ' * 60}^",
        "bad, 100%.yaml: 2 problems in the manifest",
        "there is no manifest none.yaml; `batchgen init` writes one to start from",
        "good.yaml: 2 items, estimated 0.336 USD",
    ]


def test_a_folder_is_no_manifest_and_is_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["validate", str(tmp_path)]) == 2
    assert capsys.readouterr().out == f"{tmp_path} is a folder; name a manifest\n"


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("hera", "did you mean hera-1.0-image-to-video, hera-1.0-image-edit or hera-1.0-text-to-image?"),
        ("Zeus-1.0", "did you mean zeus-1.0-image-to-video or zeus-1.0-image-to-video-480p?"),
        ("480p", "did you mean zeus-1.0-image-to-video-480p?"),
        ("hera-1.0-text-2-image", "did you mean hera-1.0-text-to-image?"),
        ("a", "`batchgen models` lists them"),
        ("  ", "`batchgen models` lists them"),
    ],
)
def test_a_part_of_the_name_of_a_model_suggests_those_that_have_it(
    word: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded(["models", word]) == 2
    assert capsys.readouterr().err == f"error: there is no model {word!r}; {hint}\n"


def test_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["validate", "--format", "json", "bad, 100%.yaml", "good.yaml"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert report["format_version"] == 1
    bad, good = report["manifests"]
    assert good == {
        "manifest": "good.yaml",
        "valid": True,
        "items": 2,
        "estimated_usd": "0.336",
        "problems": [],
        "more": 0,
        "warnings": [],
        "more_warnings": 0,
    }
    assert (bad["valid"], bad["items"], bad["estimated_usd"]) == (False, 0, "0.00")
    assert bad["problems"][0] == {
        "file": "bad, 100%.yaml",
        "line": 4,
        "column": 45,
        "message": "`prompt` is empty",
    }


def test_github(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["validate", "--format", "github", "bad, 100%.yaml", "good.yaml"]) == 2
    assert capsys.readouterr().out.splitlines() == [
        "::error file=bad%2C 100%25.yaml,line=4,col=45::`prompt` is empty",
        "::error file=bad%2C 100%25.yaml,line=4,col=61::`num_images` must be a whole number from 1 to 9, not 10",
        "good.yaml: 2 items, estimated 0.336 USD",
    ]


def test_workflow_commands_are_escaped() -> None:
    assert _data("50% a\r\nb::c") == "50%25 a%0D%0Ab::c"
    assert _property("a:b,c%") == "a%3Ab%2Cc%25"


def test_long_lines_are_cut_around_the_place(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("long.yaml").write_text(GOOD.replace("num_images: 3", f"negative_prompt: {'x' * 300}"), encoding="utf-8")
    guarded(["validate", "long.yaml"])
    _, quoted, caret = capsys.readouterr().out.splitlines()[:3]
    assert len(quoted) < 130
    assert quoted[caret.index("^") :].startswith("negative_prompt")


# ---- init --------------------------------------------------------------------------------------------------------


def test_the_starter_is_valid_and_its_editor_line_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert guarded(["init"]) == 0
    assert guarded(["validate", "manifest.yaml"]) == 0
    assert re.fullmatch(r"manifest\.yaml: \d+ items, estimated \d+\.\d+ USD", capsys.readouterr().out.splitlines()[-1])
    schema = editor_schema(tmp_path / "manifest.yaml")
    assert schema == tmp_path / "manifest.schema.json"
    assert schema.read_text(encoding="utf-8") == schema_files(load_catalog())["manifest.schema.json"]


def editor_schema(manifest: Path) -> Path:
    first = manifest.read_text(encoding="utf-8").splitlines()[0]
    found = re.fullmatch(r"# yaml-language-server: \$schema=(.+)", first)
    assert found is not None
    return (manifest.parent / found[1]).resolve()


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_schema_that_lies_above_is_used(depth: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "manifest.schema.json").write_text("{}", encoding="utf-8")
    deep = tmp_path.joinpath(*["deep"] * depth)
    deep.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path)
    assert guarded(["init", str(deep.relative_to(tmp_path) / "m.yaml")]) == 0
    assert editor_schema(deep / "m.yaml") == tmp_path / "schemas" / "manifest.schema.json"
    assert not (deep / "manifest.schema.json").exists()
    assert load_manifest(deep / "m.yaml", tmp_path / "stage", load_catalog()).items > 3


def test_nothing_is_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["init", "good.yaml"]) == 2
    assert "good.yaml exists" in capsys.readouterr().err
    assert Path("good.yaml").read_text(encoding="utf-8") == GOOD
    Path("manifest.schema.json").write_text("mine", encoding="utf-8")
    Path("dangling.yaml").symlink_to("elsewhere.yaml")
    assert guarded(["init", "dangling.yaml"]) == 2
    assert guarded(["init", "new.yaml"]) == 0
    assert Path("manifest.schema.json").read_text(encoding="utf-8") == "mine"
    assert guarded(["init", "no/folder/m.yaml"]) == 2


def test_the_starter_reminds_of_law_and_consent(folder: Path) -> None:
    guarded(["init", "new.yaml"])
    text = Path("new.yaml").read_text(encoding="utf-8")
    assert "lawful" in text
    assert "given their consent" in text


def test_a_lock_of_one_item_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "one.yaml").write_text(GOOD.replace(", repeat: 2", ""), encoding="utf-8")
    assert guarded(["lock", "one.yaml"]) == 0
    assert capsys.readouterr() == ("one.yaml.lock.json: 1 item for $0.168\n", "")


def test_the_suffix_that_editors_know_is_no_part_of_the_name(folder: Path) -> None:
    assert guarded(["init", "spring.batchgen.yaml"]) == 0
    assert load_manifest(folder / "spring.batchgen.yaml", folder / "table", load_catalog()).name == "spring"
