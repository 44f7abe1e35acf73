"""The house: sizes of folders, modules and functions; documents that are named exist; every room is on the map."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from support.running import ROOT

PACKAGE = ROOT / "batchgen"
TOP, FOLDER, FLAT_TESTS = 8, 16, 10
MODULE, FUNCTION = 400, 60
MAP = ROOT / "docs" / "architecture.md"
TEXTS = [
    path
    for folder in ("batchgen", "benchmarks", "docs", "manifests", "schemas", "tests")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".md", ".toml", ".yaml", ".json")
] + [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "pyproject.toml")]


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def test_few_modules_lie_at_the_top() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= TOP


def test_no_folder_holds_too_many_files() -> None:
    count = Counter(path.parent for path in sources("batchgen", "tests"))
    assert [f"{folder.relative_to(ROOT)}: {files}" for folder, files in count.items() if files > FOLDER] == []


def test_few_tests_lie_flat() -> None:
    assert len(list((ROOT / "tests").glob("*.py"))) <= FLAT_TESTS


def test_modules_are_short() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in sources("batchgen")}
    assert [f"{path.relative_to(ROOT)}: {lines}" for path, lines in lengths.items() if lines > MODULE] == []


def test_functions_are_short() -> None:
    long = []
    for path in sources("batchgen"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > FUNCTION:
                    long.append(f"{path.relative_to(ROOT)}: {node.name} has {lines}")
    assert long == []


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_documents_that_are_named_are_here(path: Path) -> None:
    """A reader must be able to open what a text refers to."""
    text = path.read_text(encoding="utf-8", errors="replace")
    named = set(re.findall(r"(?<![\w/.-])((?:docs/)?[A-Za-z][\w-]*\.md)\b", text))
    places = (ROOT, ROOT / "docs", path.parent)
    assert [name for name in sorted(named) if not any((place / name).is_file() for place in places)] == []
    elsewhere = re.compile(r"\bDESIGN\b|\bPERFORMANCE\b|API reference, section|\.\./shared")
    assert path == Path(__file__) or not elsewhere.search(text)


def named_modules() -> list[str]:
    return sorted(set(re.findall(r"`batchgen/([\w/]+(?:\.py|\.toml|/))(?:::\w+)?`", MAP.read_text(encoding="utf-8"))))


def test_the_map_names_modules_that_exist() -> None:
    named = named_modules()
    assert len(named) > 40
    assert [name for name in named if not (PACKAGE / name).exists()] == []


def test_the_map_names_symbols_that_exist() -> None:
    """`Name` in `module.py`: written as `module.py::Name` in the table of seams and the route."""
    found = re.findall(r"`batchgen/([\w/]+\.py)::(\w+)`", MAP.read_text(encoding="utf-8"))
    assert len(found) > 15

    def defines(module: str, name: str) -> bool:
        text = (PACKAGE / module).read_text(encoding="utf-8")
        return re.search(rf"^\s*(?:async )?(?:def|class) {name}\b", text, re.MULTILINE) is not None

    assert [f"{module}::{name}" for module, name in found if not defines(module, name)] == []


def test_every_room_is_on_the_map() -> None:
    rooms = {f"{path.name}/" for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    rooms |= {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py"}
    text = MAP.read_text(encoding="utf-8")
    assert [room for room in sorted(rooms) if f"`{room}`" not in text and f"`batchgen/{room}`" not in text] == []


def test_the_hosted_checks_call_targets_that_exist() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]
    matrix = jobs["test"]["strategy"]["matrix"]
    called = {*matrix["make"], *(entry["make"] for entry in matrix["include"])}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [name for name in sorted(called) if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []
    assert called >= {"test", "check", "test-oldest", "test-fast"}
