"""What is well-formed and most likely not meant: told with its place, and refused with --strict."""

import json
from pathlib import Path

import pytest

from batchgen.catalog import load_catalog
from batchgen.cli.boundary import guarded
from batchgen.core.errors import ManifestError
from batchgen.manifest import format_warnings, load_manifest

CATALOG = load_catalog()
HEAD = "version: 1\nname: n\ndefaults: {model: hera-1.0-text-to-image}\n"


def warnings(folder: Path, items: str, head: str = HEAD) -> list[str]:
    """The warnings of a manifest as `file:line:column: message`; strict, they are its problems."""
    manifest = folder / "m.yaml"
    manifest.write_text(f"{head}items:\n{items}", encoding="utf-8")
    shown = load_manifest(manifest, folder / "stage", CATALOG).warnings.shown
    if shown:
        with pytest.raises(ManifestError) as refused:
            load_manifest(manifest, folder / "stage", CATALOG, strict=True)
        assert refused.value.problems == shown
    return [f"{Path(p.file).name}:{p.line}:{p.column}: {p.message}" for p in shown]


@pytest.mark.parametrize(
    ("items", "place"),
    [
        ("  - prompt: A cup #1 on a table", "5:13: `#1 on a table`"),
        ("  - prompt: A cup # on a table", "5:13: `# on a table`"),
        ("  - prompt: A cup  #1", "5:13: `#1`"),
        ("  - prompt: A cup\n      and more #1", "5:13: `#1`"),
        ("  - prompt: &a A cup #1\n  - prompt: *a", "5:13: `#1`"),
        ("  - params:\n      prompt: A cup #1", "6:15: `#1`"),
        ("  - prompt: A ${c} cup\n    matrix:\n      c:\n        - blue #00f", "8:11: `#00f`"),
        ("  - prompt: A cup\n    tags:\n      sku: M #1", "7:12: `#1`"),
    ],
)
def test_a_text_cut_by_a_comment(items: str, place: str, tmp_path: Path) -> None:
    (warned,) = warnings(tmp_path, items + "\n")
    assert warned == f"m.yaml:{place} is a YAML comment, not part of this text; put the whole text in quotes"


def test_a_text_cut_by_a_comment_in_what_an_included_file_supplies(tmp_path: Path) -> None:
    style = "defaults:\n  negative_prompt: no #1 cups\nitems:\n  - prompt: not taken over #2\n"
    (tmp_path / "style.yaml").write_text(style, encoding="utf-8")
    (warned,) = warnings(tmp_path, "  - prompt: A cup\n", head=f"{HEAD}include: [style.yaml]\n")
    assert warned.startswith("style.yaml:2:20: `#1 cups` is a YAML comment")


@pytest.mark.parametrize(
    "items",
    [
        "  - prompt: A cup  # warm",
        "  - prompt: A cup\t# warm",
        '  - prompt: "A cup #1" #1',
        "  - prompt: >  #1\n      A cup #1",
        "  - prompt: A cup#1",
        "  - prompt: A cup\n    # num_images: 2",
        "  - prompt: A cup\n    num_images: 2 #two",
        "  - prompt: A ${c} cup\n    matrix:\n      c:\n        - blue # like the sea\n        - red",
        "  - prompt: A cup\n    tags: {client: acme} #the client",
        "  - id: cup #1\n    prompt: A cup",
    ],
)
def test_a_comment_that_is_meant(items: str, tmp_path: Path) -> None:
    assert warnings(tmp_path, items + "\n") == []


def test_a_default_that_a_comment_cuts(tmp_path: Path) -> None:
    head = "version: 1\nname: n\ndefaults:\n  model: hera-1.0-text-to-image #1\n  prompt: A cup #1\n"
    assert [text.split(" ")[0] for text in warnings(tmp_path, "  - num_images: 2\n", head)] == ["m.yaml:5:11:"]


def test_an_empty_cell_in_a_template(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("sku,Product,Look\na,Cup,\nb,,\nc, ,\n", encoding="utf-8")
    rows = "  - rows: r.csv\n    id: ${sku}\n    prompt: Foto von ${Product}\n    aspect_ratio: ${Look}\n"
    assert warnings(tmp_path, rows) == [
        'r.csv:3:0: `${Product}` is empty in this row, which leaves "Foto von "',
        'r.csv:4:0: `${Product}` is empty in this row, which leaves "Foto von  "',
    ]
    (tmp_path / "r.jsonl").write_text('{"a":"x"}\n{"a":null}\n{"a":""}\n', encoding="utf-8")
    warned = warnings(tmp_path, "  - rows: r.jsonl\n    prompt: Foto von ${a}\n")
    assert [text.split(" ")[0] for text in warned] == ["r.jsonl:2:0:", "r.jsonl:3:0:"]


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        ('"{{id}} cup"', "`{{id}}` is sent unchanged; a variable is written `${id}`"),
        ('"A {{ anything }}"', "`{{ anything }}` is sent unchanged; a variable is written `${anything}`"),
        ('"A ${{id}}"', "`${{id}}` is sent unchanged; a variable is written `${id}`"),
        ("${id cup", "`${id` is sent unchanged: a variable's brace closes after its name, as in `${name}`"),
        ("A {colour} ${colour}", "`{colour}` is sent unchanged; a variable is written `${colour}`"),
        ("A $colour ${colour}", "`$colour` is sent unchanged; a variable is written `${colour}`"),
    ],
)
def test_what_looks_like_a_variable(prompt: str, says: str, tmp_path: Path) -> None:
    matrix = "    matrix: {colour: [red]}\n" if "colour" in prompt else ""
    assert warnings(tmp_path, f"  - id: x\n    prompt: {prompt}\n{matrix}") == [f"m.yaml:6:13: {says}"]


def test_what_looks_like_a_variable_in_defaults(tmp_path: Path) -> None:
    head = HEAD.replace("text-to-image", 'text-to-image, prompt: "A {{thing}}"')
    assert len(warnings(tmp_path, "  - num_images: 2\n  - num_images: 3\n", head)) == 1


@pytest.mark.parametrize("prompt", ["It costs $5", "a {set} of cups", "$${id}", "'{\"json\": 1}'", "$id"])
def test_what_is_no_variable_by_any_form(prompt: str, tmp_path: Path) -> None:
    assert warnings(tmp_path, f"  - prompt: {prompt}\n") == []


def test_one_name_in_two_forms_of_unicode_is_one(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("Gro\u0308sse\nA cup\n", encoding="utf-8")
    assert warnings(tmp_path, "  - rows: r.csv\n    prompt: ${Gr\u00f6sse}\n") == []
    assert warnings(tmp_path, "  - prompt: A ${e\u0301}\n    matrix: {\u00e9: [cup]}\n") == []


def test_they_are_bounded(tmp_path: Path) -> None:
    manifest = tmp_path / "m.yaml"
    manifest.write_text(f"{HEAD}items:\n" + "  - prompt: A cup #1\n" * 250, encoding="utf-8")
    found = load_manifest(manifest, tmp_path / "stage", CATALOG).warnings
    assert (len(found.shown), found.more) == (100, 150)
    assert format_warnings(found, 10).splitlines()[-1] == "… and 240 more warnings"


@pytest.fixture
def cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("m.yaml").write_text(f"{HEAD}items:\n  - prompt: A cup #1\n", encoding="utf-8")
    return "m.yaml:5:13: warning: `#1` is a YAML comment, not part of this text; put the whole text in quotes\n"


def test_validate_tells_them_in_each_format(cut: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(["validate", "m.yaml"]) == 0
    assert capsys.readouterr().out.startswith(cut)
    assert guarded(["validate", "m.yaml", "--format", "github"]) == 0
    assert capsys.readouterr().out.startswith("::warning file=m.yaml,line=5,col=13::`#1` is a YAML comment")
    assert guarded(["validate", "m.yaml", "--format", "json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)["manifests"]
    assert (report["valid"], len(report["warnings"]), report["problems"]) == (True, 1, [])
    assert guarded(["validate", "m.yaml", "--strict", "--format", "json"]) == 2
    (report,) = json.loads(capsys.readouterr().out)["manifests"]
    assert (report["valid"], len(report["warnings"]), len(report["problems"])) == (False, 0, 1)


@pytest.mark.parametrize("command", [["plan"], ["run", "--simulate", "--max-new", "0"]])
def test_plan_and_run_tell_them_first(command: list[str], cut: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded([*command, "m.yaml", "--strict"]) == 2
    assert capsys.readouterr().err.startswith(cut.replace("warning: ", ""))
    assert not Path("output").exists()
    assert guarded([*command, "m.yaml"]) in (0, 3)
    told = capsys.readouterr().err.splitlines(keepends=True)
    assert next(line for line in told if not line.startswith("run folder ")) == cut
