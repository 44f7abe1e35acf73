"""Every table has one owner, and no other module writes its name in SQL: so imports show who depends on it."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest
from support.running import ROOT

from batchgen import item_table

PACKAGE = ROOT / "batchgen"
OWNERS = ("journal", "item_table")
"""Rooms that own tables as a whole; elsewhere each module has its own."""
_MADE = re.compile(r"CREATE (TEMP )?TABLE (?:IF NOT EXISTS )?(temp\.|page\.)?(\w+)")
_NAMED = re.compile(
    r"\b(?:FROM|JOIN|INTO|UPDATE|TABLE|TABLE IF NOT EXISTS)\s+(?:\w+\.)?(?!(?:IF|OF|SET)\b)(\w+)\b(?!\.)"
)
_WITH = re.compile(r"\b(\w+) AS (?:MATERIALIZED )?\($", re.MULTILINE)
_WITH_INLINE = re.compile(r"\b(\w+) AS (?:MATERIALIZED)?\s*\(\s*SELECT")
_OF_SQLITE = {"json_each", "sqlite_master", "sqlite_schema"}


def texts_of(path: Path) -> list[str]:
    """The texts of a module, without docstrings; of one with values in it, the parts between them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings
    ]


def modules() -> list[str]:
    return sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def owner_of(module: str) -> str:
    room = module.split("/", maxsplit=1)[0].removesuffix(".py")
    return room if room in OWNERS else module


def tables_by_owner() -> dict[str, set[str]]:
    """By room or module, the tables that its SQL makes."""
    made = defaultdict(set)
    for module in modules():
        for text in texts_of(PACKAGE / module):
            made[owner_of(module)] |= {name for _, _, name in _MADE.findall(text)}
    # These are made under a name that is put together.
    made["item_table"].add(item_table.TO_BUY.split(".")[1])
    return made


MADE = tables_by_owner()


@pytest.mark.parametrize("module", modules())
def test_a_module_names_its_own_tables_only(module: str) -> None:
    texts = texts_of(PACKAGE / module)
    defined = {name for text in texts for pattern in (_WITH, _WITH_INLINE) for name in pattern.findall(text)}
    named = {name for text in texts for name in _NAMED.findall(text)}
    assert named - defined - _OF_SQLITE <= MADE[owner_of(module)]


def test_the_tables_of_the_journal_are_made_in_its_schema() -> None:
    made = defaultdict(set)
    for module in modules():
        for text in texts_of(PACKAGE / module):
            made[module] |= {name for *temporary, name in _MADE.findall(text) if not any(temporary)}
    tables = {"item", "attempt", "output", "meta", "vouched", "move", "dependency", "delivered"}
    assert made["journal/schema.py"] == tables
    assert [module for module, names in made.items() if module.startswith("journal/") and names] == [
        "journal/schema.py"
    ]


def test_the_names_of_the_item_table_are_written_by_its_owner_alone() -> None:
    # Its `item` is not the journal's: where both are at hand, it is the one of this schema.
    name = item_table.REQUESTED.split(".")[0]
    written = re.compile(rf"\b{name}\.\w+")
    assert [m for m in modules() for text in texts_of(PACKAGE / m) if written.search(text)] == []
