"""Every table has one owner: whoever names it in SQL imports the owner, so that imports show who depends on it."""

import ast
import re
from pathlib import Path

import pytest
from support.running import ROOT

from batchgen import item_table
from batchgen.journal import schema

PACKAGE = ROOT / "batchgen"
_NAMED = r"\b(?:FROM|JOIN|INTO|UPDATE|TABLE IF NOT EXISTS|TABLE)\s+(?:\w+\.)?({})\b"


def tables_of(ddl: str) -> set[str]:
    return set(re.findall(r"CREATE TABLE (\w+)", ddl))


JOURNAL = tables_of(schema.SCHEMA)
REQUESTED = {"item", "combination", "skipped", "redo", "to_buy"}
OWNERS = {"batchgen.journal": JOURNAL, "batchgen.item_table": REQUESTED}
OTHERS = {"batchgen/simulator/books.py", "batchgen/session/register.py"}
"""Owners of databases of their own, whose tables no other module names."""


def texts_of(path: Path) -> list[str]:
    """The texts of a module that may be SQL, with what is put into them left out; no docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]


def named_in(path: Path, tables: set[str]) -> set[str]:
    pattern = _NAMED.format("|".join(sorted(tables)))
    return {name for text in texts_of(path) for name in re.findall(pattern, text)}


def imports_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}


def modules() -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("module", [m for m in modules() if m not in OTHERS])
def test_a_module_that_names_a_table_imports_its_owner(module: str) -> None:
    own = module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    imported = {own, *imports_of(ROOT / module)}
    for table in named_in(ROOT / module, JOURNAL | REQUESTED):
        owners = [owner for owner, tables in OWNERS.items() if table in tables]
        assert any(name == owner or name.startswith(f"{owner}.") for name in imported for owner in owners), table


def test_the_names_of_the_item_table_are_written_by_its_owner_alone() -> None:
    schema_name = item_table.REQUESTED.split(".")[0]
    written = re.compile(rf"\b{schema_name}\.\w+")
    found = [m for m in modules() for text in texts_of(ROOT / m) if written.search(text)]
    assert found == []


def test_the_owner_makes_the_tables_that_are_guarded_here() -> None:
    ddl = "\n".join(texts_of(PACKAGE / "item_table.py"))
    assert tables_of(ddl) >= REQUESTED - {"to_buy"}
    assert {"item", "attempt", "output", "meta", "vouched", "move"} == JOURNAL
