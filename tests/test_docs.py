"""What the documentation names exists, and what is made from the program is complete."""

import ast
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from support.running import ROOT

from batchgen.cli.root import COMMANDS
from batchgen.core.errors import OutsideError, RunFolderError, UsageError, exit_code_of
from batchgen.core.records import State
from batchgen.ledger import COLUMNS
from batchgen.policy.stopping import Stop
from batchgen.settings import SETTINGS
from batchgen.standing.exit_codes import EXIT_CODES

NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8"))


def test_promises_name_tests() -> None:
    assert len(NAMED) > 40


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda value: str(value).removeprefix("tests/"))
def test_each_named_test_exists(file: str, name: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    assert re.search(rf"^\s*(async )?def {name or 'test_'}", text, re.MULTILINE)


# ---- what is made from the program -------------------------------------------------------------------------------

DOCS = ROOT / "docs"


def generators() -> Any:
    """The extension that fills pages, which needs no Sphinx for that."""
    spec = spec_from_file_location("generated", DOCS / "_ext" / "generated.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES = [page for page in sorted(DOCS.rglob("*.md")) if "<!-- generated:" in page.read_text(encoding="utf-8")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_generated_parts_are_put_in(page: Path) -> None:
    text = generators().filled(page.read_text(encoding="utf-8"))
    assert "<!-- generated:" not in text


def test_each_generated_part_has_its_place_and_is_not_empty() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for name, part in generators().PARTS.items():
        assert f"<!-- generated: {name} -->" in text
        assert len(part().splitlines()) > 2


def test_references_name_all_there_is() -> None:
    parts = {name: part() for name, part in generators().PARTS.items()}
    assert all(f"| `{column}` |" in parts["ledger-columns"] for column in COLUMNS)
    assert all(f"| `{state}` |" in parts["states"] for state in State)
    assert all(f"## batchgen {command}\n" in parts["commands"] for command in COMMANDS)
    assert all(f"`{setting.variable}`" in parts["settings"] for setting in SETTINGS)


def test_every_exit_code_is_explained() -> None:
    explained = {known.code for known in EXIT_CODES}
    errors = (UsageError(), OutsideError(), RunFolderError(), RuntimeError(), KeyboardInterrupt())
    assert {stop.exit_code for stop in Stop} | {exit_code_of(error) for error in errors} <= explained
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    listed = set(map(int, re.findall(r"^\| (\d+) \|", page, re.MULTILINE)))
    assert listed == explained - {10}  # which one option of `plan` has, and its row of the table of commands tells


def test_the_cures_quote_messages_that_there_are() -> None:
    page = (DOCS / "reference/errors.md").read_text(encoding="utf-8").partition("## Errors and their cures")[2]
    cells = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
    quoted = [words for cell in cells for words in re.findall(r"`([^`]+)`", cell) if not words.startswith("FILE:")]
    texts = "\n".join(_texts(path) for path in sorted((ROOT / "batchgen").rglob("*.py")))
    assert len(quoted) >= 10
    assert [words for words in quoted if words.strip() not in texts] == []


def _texts(path: Path) -> str:
    """The constant texts of a module, with what is put in left out."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return "\n".join(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
