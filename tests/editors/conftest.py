"""The language server and the engines that editors and hooks use. `make editor-test` installs what they need."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.editors.language_server import Editor, editor
from support.running import ROOT

PACKAGES = ROOT / "build" / "editors"
WANTED = "EDITOR_TESTS" in os.environ
"""Whether it is a fault if they cannot run."""
if not WANTED and not (find_spec("check_jsonschema") and find_spec("pre_commit") and PACKAGES.is_dir()):
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def packages() -> Path:
    """The folder where npm installed what `package.json` names."""
    return PACKAGES


@pytest.fixture(scope="module")
def opened() -> Iterator[Editor]:
    """An editor that has the project open."""
    with editor(PACKAGES, ROOT) as started:
        yield started
