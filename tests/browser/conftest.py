"""One Chromium and one run for all tests in a browser. `make browser-test` installs what they need."""

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.browser.mixed import MixedRun, mixed_run
from support.browser.viewing import viewer

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from support.browser.pages import Watched

WANTED = "BROWSER_TESTS" in os.environ
"""Whether it is a fault if they cannot run."""
if find_spec("playwright") is None and not WANTED:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    from support.browser.pages import INSTALL, chromium, opened_browser

    if chromium() is None and not WANTED:
        pytest.skip(f"there is no Chromium; {INSTALL}")
    with opened_browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MixedRun]:
    """A run of 200 items that has ended, with its report; its simulator still answers. Read it, and change nothing."""
    with mixed_run(tmp_path_factory.mktemp("mixed")) as run:
        made = run.batchgen("report", run.folder)
        assert made.returncode == 0, made.stderr
        yield run


@pytest.fixture(scope="session")
def report(mixed: MixedRun) -> str:
    """The address of its report on disk."""
    return (mixed.folder / "report.html").as_uri()


@pytest.fixture(scope="session")
def view(mixed: MixedRun) -> Iterator[str]:
    """The first address of a viewer of it."""
    with viewer(mixed.folder) as address:
        yield address


@pytest.fixture
def watched(browser: "Browser") -> "Iterator[Watched]":
    """A page in a browser of its own. That it does nothing wrong is a part of each test."""
    from support.browser.pages import opened_page

    with opened_page(browser) as page:
        yield page
        assert page.wrong == []


@pytest.fixture
def copied(mixed: MixedRun, tmp_path: Path) -> Path:
    """The run folder once more, to be picked in; its pictures are links."""
    folder = tmp_path / mixed.folder.name
    shutil.copytree(mixed.folder, folder, copy_function=_linked)
    return folder


def _linked(source: str, target: str) -> None:
    if Path(source).suffix in (".png", ".mp4", ".webp"):
        os.link(source, target)
    else:
        shutil.copy2(source, target)


@pytest.fixture
def picking(copied: Path) -> Iterator[tuple[str, Path]]:
    """The first address of a viewer of the copy, and the copy."""
    with viewer(copied) as address:
        yield address, copied
