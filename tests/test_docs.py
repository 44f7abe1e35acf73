"""What the documentation names exists, and what is made from the program is complete."""

import ast
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.running import ROOT

import batchgen
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


def test_every_public_name_is_on_the_page_about_python() -> None:
    page = (DOCS / "reference/python.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\.\. auto\w+:: batchgen\.(\w+)$", page, re.MULTILINE)
    assert sorted(shown) == sorted(set(batchgen.__all__) - {"__version__"})


# ---- links to other sites ----------------------------------------------------------------------------------------

HOSTS = {
    "focus.finops.org": "the FOCUS specification, by those who keep it",
    "hc-ping.com": "Healthchecks, as an example of a service that is pinged; its own documentation has the address so",
    "pre-commit.com": "the tool that runs hooks before a commit, by its makers",
}
"""Sites that pages may name, each with the reason; `make linkcheck` asks them whether the pages are there."""
ADDRESS = re.compile(r"\b([a-z][a-z0-9+.-]*)://([^\s)\]}>\"'`|,]+)")


def addresses() -> list[tuple[str, str]]:
    """Every address in README and documentation with the page that it is on."""
    pages = [*ROOT.glob("*.md"), *(page for form in ("md", "ipynb", "yml") for page in DOCS.rglob(f"*.{form}"))]
    return [
        (page.name, f"{found[1]}://{found[2]}")
        for page in pages
        for found in ADDRESS.finditer(page.read_text(encoding="utf-8"))
    ]


def test_addresses_of_other_sites_are_known_and_safe() -> None:
    hosts = set()
    for page, address in addresses():
        parts = urlsplit(address)
        host = parts.hostname or ""
        assert "@" not in parts.netloc, f"{page}: {address}"
        if parts.scheme in ("dask", "dask+tls", "tcp"):  # an engine of the user's own
            assert host == "host" or host.endswith(".example"), f"{page}: {address}"
            continue
        if host in ("127.0.0.1", "localhost") or host.endswith((".example", ".invalid")):  # this machine, and RFC 2606
            assert parts.scheme in ("http", "https"), f"{page}: {address}"
            continue
        if parts.scheme in ("s3", "gs", "az"):  # a place in an object store, and no site
            continue
        assert parts.scheme == "https", f"{page}: {address}"
        assert host in HOSTS, f"{page}: {address}"
        hosts.add(host)
    assert hosts == set(HOSTS), "a host that no page names any more"
