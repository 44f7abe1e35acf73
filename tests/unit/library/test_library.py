"""batchgen from Python: values, errors, and what a notebook shows."""

import ast
import doctest
import importlib
import subprocess
import sys
import traceback
from contextlib import chdir
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.running import ROOT

import batchgen
from batchgen.catalog.tables_file import SHIPPED
from batchgen.ledger.columns import COLUMNS
from batchgen.library.html import table
from batchgen.library.keywords import options_of
from batchgen.library.summaries import RunSummary
from batchgen.plan import Plan, plan_json, row_json
from batchgen.session.summary import Summary, summary_json

MODEL = "hera-1.0-text-to-image"
MUG = {"model": MODEL, "prompt": "A mug"}
LIBRARY = ROOT / "batchgen" / "library"


@pytest.mark.parametrize("module", sorted(path.stem for path in LIBRARY.glob("*.py")))
def test_the_examples_in_the_documentation_are_true(module: str, tmp_path: Path) -> None:
    name = "batchgen.library" if module == "__init__" else f"batchgen.library.{module}"
    with chdir(tmp_path):
        assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    assert len(doctest.DocTestFinder().find(importlib.import_module("batchgen.library.manifest").load)[0].examples) >= 5


def test_all_of_it_is_offered_by_the_package() -> None:
    assert all(getattr(batchgen, name) is not None for name in batchgen.__all__)
    offered = {name for names in batchgen._HOMES.values() for name in names}
    assert set(batchgen.__all__) == {*offered, "__version__"}
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        batchgen.nothing  # noqa: B018 - the attribute is the test


def test_importing_it_loads_nothing() -> None:
    code = "import sys, batchgen; print(*sorted(name for name in sys.modules if name.startswith('batchgen.')))"
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.split() == ["batchgen.core", "batchgen.core.version"]


def test_it_neither_prints_nor_touches_signals() -> None:
    for path in LIBRARY.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names} | {
            node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
        }
        assert not names & {"print", "input"}
        assert not imported & {"signal", "click"}


def test_the_plan_has_what_the_command_shows(tmp_path: Path) -> None:
    manifest = batchgen.load([{"id": "mug", **MUG}, {"id": "pot", **MUG, "num_images": 2}], name="x")
    plan = manifest.plan(output=tmp_path)
    assert (plan.items, plan.new, plan.to_buy, plan.estimated_usd) == (2, 2, 2, Decimal("0.168"))
    shown = set(plan_json(Plan("x", {}, 0, Decimal(0), {}))) - {"format_version"}
    assert shown <= {field.name for field in fields(plan)}
    assert [row.id for row in plan.rows] == ["mug", "pot"]
    rows = plan.rows
    assert next(rows).id == "mug"
    rows.close()  # type: ignore[attr-defined]  # it is a generator: stopping early leaves nothing behind
    assert str(plan).startswith("x: 2 items")


def test_a_summary_has_the_attributes_of_the_file() -> None:
    assert Summary.__dataclass_fields__
    names = {field.name for field in fields(RunSummary)}
    example = ast.parse(Path(str(summary_json.__code__.co_filename)).read_text(encoding="utf-8"))
    keys = {
        node.value
        for function in ast.walk(example)
        if isinstance(function, ast.FunctionDef) and function.name == "summary_json"
        for node in ast.walk(function)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier()
    }
    assert keys - {"format_version"} <= names
    assert names - keys == {
        "folder", "text", "done", "failed", "rejected", "lost", "in_doubt", "skipped", "failures",
        "other_failures", "repair", "repair_lost", "flagged", "flags", "unjudged_files",
    }  # fmt: skip


@pytest.mark.parametrize("wrong", ["mug", 3, None])
def test_items_must_be_dicts(wrong: Any) -> None:
    with pytest.raises(TypeError, match="item 2 must be a dict, got "):
        batchgen.load([MUG, wrong], name="x")


def test_a_row_has_the_attributes_of_plan_items(tmp_path: Path) -> None:
    with chdir(tmp_path):
        plan = batchgen.load([{"id": "mug", **MUG}], name="mugs").plan(output="output")
    (row,) = plan.rows
    assert set(row_json(row)) <= {field.name for field in fields(row)}


@pytest.mark.parametrize(
    ("items", "message"),
    [([], "`items` is empty"), ([{"prompt": ""}], "`prompt` is empty"), ([{"id": 1, **MUG}], "`id` must be text")],
)
def test_faults_of_items_are_told(items: list[dict[str, object]], message: str) -> None:
    with pytest.raises(batchgen.ManifestError) as caught:
        batchgen.load(items, name="x")
    assert any(message in problem.message for problem in caught.value.problems)
    assert message in "".join(traceback.format_exception(caught.value))


def test_items_need_a_name() -> None:
    with pytest.raises(TypeError, match="needs a name"):
        batchgen.load([MUG])


def test_what_notebooks_show_is_escaped() -> None:
    assert table("<b>", [("<script>", "\x1b[1m&")]) == (
        "<table><caption>&lt;b&gt;</caption><tr><td>&lt;script&gt;</td><td> [1m&amp;</td></tr></table>"
    )


def test_a_folder_that_is_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(batchgen.RunFolderError, match="is not a run folder"):
        batchgen.open_run(tmp_path)


@pytest.mark.parametrize("word", ["Adopt", "buy ", "", "adopted", True])
def test_what_becomes_of_renamed_items_is_one_of_two_words(tmp_path: Path, word: Any) -> None:
    manifest = batchgen.load([MUG], name="x")
    with pytest.raises(batchgen.UsageError, match="renamed must be adopt or buy, got "):
        manifest.plan(output=tmp_path, renamed=word)
    with pytest.raises(batchgen.UsageError, match="renamed must be adopt or buy, got "):
        manifest.run(output=tmp_path, simulate=True, renamed=word)


def test_the_address_in_the_environment_counts_as_for_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHGEN_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("BATCHGEN_PROXY", "http://proxy.example:3128")
    manifest = batchgen.load([MUG], name="x")
    access = manifest._access(options_of({}))
    assert (access.base_url, access.proxy, access.base_url_is_default) == (
        "http://127.0.0.1:9", "http://proxy.example:3128", True,
    )  # fmt: skip
    given = manifest._access(options_of({"base_url": "https://api.example", "proxy": "http://other.example:1"}))
    assert (given.base_url, given.proxy, given.base_url_is_default) == (
        "https://api.example", "http://other.example:1", False,
    )  # fmt: skip
    monkeypatch.setenv("BATCHGEN_BASE_URL", "")
    assert manifest._access(options_of({})).base_url is None


def test_a_manifest_keeps_the_tables_that_it_was_loaded_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "tables.toml"
    other.write_text(SHIPPED.read_text(encoding="utf-8").replace(MODEL, "other-1.0"), encoding="utf-8")
    items = [{"model": "other-1.0", "prompt": "A mug"}]
    assert batchgen.load(items, name="x", catalog=other).plan(output=tmp_path).to_buy == 1
    with pytest.raises(batchgen.ManifestError, match=r"other-1\.0"):
        batchgen.load(items, name="x")
    monkeypatch.setenv("BATCHGEN_CATALOG", str(other))
    plan = batchgen.load(items, name="x").plan(output=tmp_path)
    assert [row.model for row in plan.rows] == ["other-1.0"]
    with pytest.raises(batchgen.ManifestError, match=r"other-1\.0"):
        batchgen.load(items, name="x").plan(output=tmp_path, catalog=SHIPPED)


def test_an_entry_has_every_column_of_the_ledger() -> None:
    assert {field.name for field in fields(batchgen.LedgerEntry)} == {*COLUMNS, "tags"}
