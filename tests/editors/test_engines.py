"""Other engines of JSON Schema say of a manifest what ours says: ajv in strict mode, and check-jsonschema."""

import json
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from support.running import ROOT, batchgen

HERE = Path(__file__).parent
SCHEMAS = ROOT / "schemas"
SCHEMA = SCHEMAS / "manifest.schema.json"
TESTED = ROOT / "tests" / "unit" / "manifest" / "manifests"
UNJOINED = {"minified.yaml", "plain.yaml"}
"""Have characters as JSON's pairs of surrogates; the reader of check-jsonschema leaves them apart, and its engine ends
with an error then."""
RIGHT = [
    *sorted((ROOT / "manifests").glob("*.yaml")),
    *(path for path in sorted((TESTED / "valid").glob("*.yaml")) if path.name not in UNJOINED),
]
WRONG = sorted((HERE / "wrong").glob("*.yaml"))
UNREADABLE = {
    path.name
    for path in (TESTED / "invalid").glob("*.yaml")
    if path.stem.startswith(("braces", "colon", "duplicate", "flow-", "latin1", "merge-", "nul", "open-", "quotes-"))
    or path.stem in ("control", "tab", "tags-and-aliases", "two-documents")
}
"""Are no YAML: what becomes of them says nothing of a schema."""
JUDGED = [path for path in sorted((TESTED / "invalid").glob("*.yaml")) if path.name not in UNREADABLE]
"""Manifests that batchgen refuses; some of them only because of what the program knows."""


def by_ajv(packages: Path, files: list[Path], schema: Path = SCHEMA) -> dict[str, list[str]]:
    """Return what ajv finds wrong, by file."""
    done = subprocess.run(
        ["node", HERE / "strict.cjs", schema, *files],
        cwd=packages, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def by_check_jsonschema(files: list[Path], *options: str) -> set[str]:
    """Return which files check-jsonschema refuses."""
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "-o", "json", *options, *map(str, files)],
        capture_output=True, text=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    told = json.loads(done.stdout)
    assert told.get("parse_errors", []) == []
    return {error["filename"] for error in told.get("errors", [])}


def test_right_manifests_are_right_for_all(packages: Path) -> None:
    assert {path: found for path, found in by_ajv(packages, RIGHT).items() if found} == {}
    assert by_check_jsonschema(RIGHT, "--schemafile", str(SCHEMA)) == set()


def test_wrong_manifests_are_wrong_for_all(packages: Path) -> None:
    assert WRONG
    assert [path for path, found in by_ajv(packages, WRONG).items() if not found] == []
    assert by_check_jsonschema(WRONG, "--schemafile", str(SCHEMA)) == set(map(str, WRONG))
    for path in WRONG:
        assert batchgen("validate", path, cwd=ROOT).returncode == 2, path


def test_the_engines_agree(packages: Path) -> None:
    by_one = {path for path, found in by_ajv(packages, JUDGED).items() if found}
    assert 10 < len(by_one) < len(JUDGED), "some are refused by the schema, and some by the program alone"
    assert by_check_jsonschema(JUDGED, "--schemafile", str(SCHEMA)) == by_one


@pytest.mark.parametrize("path", sorted(SCHEMAS.glob("**/*.schema.json")), ids=lambda path: path.name)
def test_a_schema_is_clean_for_a_strict_engine(packages: Path, path: Path) -> None:
    assert by_ajv(packages, [], path) == {}


def test_schemas_are_schemas() -> None:
    assert by_check_jsonschema(sorted(SCHEMAS.glob("**/*.schema.json")), "--check-metaschema") == set()


def test_what_schemastore_is_given_passes_its_own_checks(packages: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, HERE / "schemastore.py", tmp_path], check=True, timeout=60)
    schema = tmp_path / "src" / "schemas" / "json" / "batchgen.json"
    assert json.loads(schema.read_text(encoding="utf-8"))["$id"].endswith("/batchgen.json")
    right, wrong = ([*(tmp_path / "src" / name / "batchgen").iterdir()] for name in ("test", "negative_test"))
    assert len(right) >= 5
    assert len(wrong) >= 5
    assert {path: found for path, found in by_ajv(packages, right, schema).items() if found} == {}
    assert all(by_ajv(packages, wrong, schema).values())
    entries = json.loads((tmp_path / "entries.json").read_text(encoding="utf-8"))
    entry = entries["src/api/json/catalog.json"]
    assert set(entry) == {"name", "description", "fileMatch", "url"}
    assert any(fnmatch("spring.batchgen.yaml", pattern) for pattern in entry["fileMatch"])
    assert not any(fnmatch("docker-compose.yaml", pattern) for pattern in entry["fileMatch"])
