"""Every example in `manifests/` beside this file: what the valid ones make, and where the invalid ones are at fault.

An invalid example says what it expects in comments, `# expect: LINE:COLUMN: part of the message`, with a file before
the line where it is not the manifest itself. All of its problems are expected, and nothing else.
"""

import json
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from batchgen.catalog import BodyChecker, load_catalog, price_of, reproducible
from batchgen.core.digest import canonical_json, digest_of, filled
from batchgen.core.errors import ManifestError
from batchgen.manifest import load_manifest
from batchgen.manifest.entry.fast_path import FastPath
from batchgen.manifest.yaml.document import Document, PureParser
from batchgen.manifest.yaml.problems import Problems

HERE = Path(__file__).parent / "manifests"
ROOT = HERE.parents[3]
VALID = sorted((HERE / "valid").glob("*.yaml"))
INVALID = sorted((HERE / "invalid").glob("*.yaml"))
FOR_USERS = sorted((ROOT / "manifests").glob("*.yaml"))
CATALOG = load_catalog()
SCHEMA = Draft7Validator(json.loads((ROOT / "schemas" / "manifest.schema.json").read_text(encoding="utf-8")))
_EXPECTED = re.compile(r"# expect: (?:(?P<file>[^ :]+):)?(?P<line>\d+):(?P<column>\d+): (?P<message>.*)")


def staged(manifest: Path, stage: Path) -> list[dict[str, Any]]:
    """The items that a manifest makes, in order."""
    load_manifest(manifest, stage, CATALOG)
    columns = "id, digest, model, body, tags, path, source, estimated, inputs, expect"
    with closing(sqlite3.connect(stage)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute(f"SELECT {columns} FROM item ORDER BY position")]


def document(path: Path) -> dict[str, Any]:
    """A manifest as plain values, as an editor's schema engine sees it."""
    problems = Problems(path)
    with path.open("rb") as file:
        entries = Document(path, file, problems).entries("items")
        whole = {
            key: [item for item, _ in value] if isinstance(value, Iterator) else value for key, _, value, _ in entries
        }
    assert not len(problems)
    plain: dict[str, Any] = json.loads(json.dumps(whole))
    return plain


def test_there_are_examples() -> None:
    assert len(VALID) >= 10
    assert len(INVALID) >= 20
    assert {path.name for path in FOR_USERS} >= {"quickstart.yaml", "catalogue.yaml"}


@pytest.mark.parametrize("manifest", VALID, ids=lambda path: path.stem)
def test_a_valid_example_makes_what_is_written_beside_it(manifest: Path, tmp_path: Path) -> None:
    expected = json.loads(manifest.with_suffix(".expected.json").read_text(encoding="utf-8"))
    made = [
        {
            "id": item["id"],
            "body": json.loads(item["body"]),
            "tags": json.loads(item["tags"]),
            "path": item["path"],
            "source": item["source"],
            **({"inputs": json.loads(item["inputs"])} if item["inputs"] != "[]" else {}),
            **({"expect": json.loads(item["expect"])} if item["expect"] is not None else {}),
        }
        for item in staged(manifest, tmp_path / "stage")
    ]
    assert made == expected


@pytest.mark.parametrize("manifest", [*VALID, *FOR_USERS], ids=lambda path: path.stem)
def test_what_is_staged_is_consistent(manifest: Path, tmp_path: Path) -> None:
    check = BodyChecker(CATALOG, gate=False)
    unseeded: Counter[str] = Counter()
    for item in staged(manifest, tmp_path / "stage"):
        body = json.loads(item["body"])
        assert item["body"] == canonical_json(body)
        assert item["digest"] == digest_of(item["body"])
        assert body["model"] == item["model"]
        addresses = {place: "https://example.com/a.png" for place, *_ in json.loads(item["inputs"])}
        assert check.problems(item["model"], json.loads(filled(item["body"], addresses))) == ()
        model = CATALOG.model(item["model"])
        assert model is not None
        unseeded[model.id] += not reproducible(model, body)
        assert item["estimated"] == format(price_of(model, body), "f")
        assert list(json.loads(item["tags"])) == sorted(json.loads(item["tags"]))
    found = load_manifest(manifest, tmp_path / "stage", CATALOG).unseeded
    assert {model: count for model, count, _ in found} == +unseeded


@pytest.mark.parametrize("manifest", [*VALID, *FOR_USERS], ids=lambda path: path.stem)
def test_plain_items_are_made_as_all_others_are(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The short cut for plain items must not make another id or digest: that would buy everything again."""
    short = staged(manifest, tmp_path / "short")
    monkeypatch.setattr(FastPath, "add", lambda self, item: False)
    assert staged(manifest, tmp_path / "long") == short


@pytest.mark.parametrize("manifest", [*VALID, *FOR_USERS], ids=lambda path: path.stem)
def test_the_schema_admits_it(manifest: Path) -> None:
    assert [error.message for error in SCHEMA.iter_errors(document(manifest))] == []


@pytest.mark.parametrize("manifest", [*VALID, *FOR_USERS], ids=lambda path: path.stem)
def test_without_libyaml_it_is_the_same(manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = staged(manifest, tmp_path / "fast")
    monkeypatch.setattr("batchgen.manifest.yaml.document.default_parser", lambda: PureParser)
    assert staged(manifest, tmp_path / "pure") == fast


def expectations(manifest: Path) -> list[tuple[str, int, int, str]]:
    text = manifest.read_bytes().decode(errors="replace")
    return [
        (found["file"] or manifest.name, int(found["line"]), int(found["column"]), found["message"].strip())
        for found in _EXPECTED.finditer(text)
    ]


@pytest.mark.parametrize("manifest", INVALID, ids=lambda path: path.stem)
def test_an_invalid_example_is_refused_for_what_it_says(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(manifest.parent, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    with pytest.raises(ManifestError) as caught:
        load_manifest(Path(manifest.name), tmp_path / "stage", CATALOG)
    found = [(p.file, p.line, max(p.column, 1), p.message) for p in caught.value.problems]
    expected = expectations(manifest)
    assert expected
    unexpected = [problem for problem in found if not any(agrees(wanted, problem) for wanted in expected)]
    missing = [wanted for wanted in expected if not any(agrees(wanted, problem) for problem in found)]
    assert (missing, unexpected) == ([], [])
    assert len(found) == len(expected)
    for problem in caught.value.problems:
        line = (tmp_path / "copy" / problem.file).read_bytes().decode(errors="replace").splitlines()[problem.line - 1 :]
        assert problem.quoted == (line[0].removeprefix("\ufeff") if line else "")


def agrees(wanted: tuple[str, int, int, str], found: tuple[str, int, int, str]) -> bool:
    return wanted[:3] == found[:3] and wanted[3] in found[3]


# What only the program can tell: ids that clash, rows, variables, texts of the YAML itself.
SCHEMA_SEES = {"header", "version-missing", "items-is-no-list", "parameters", "images", "models", "bad-default"}


@pytest.mark.parametrize("name", sorted(SCHEMA_SEES))
def test_the_schema_refuses_what_it_can_see(name: str) -> None:
    assert list(SCHEMA.iter_errors(document(HERE / "invalid" / f"{name}.yaml")))
