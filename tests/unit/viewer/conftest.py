"""A viewer of a small run, and those who ask it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from support.viewing import Asking, asking, opened, run_folder

from batchgen.viewer import Viewer


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return run_folder(tmp_path)


@pytest.fixture
async def viewer(run: Path) -> AsyncIterator[Viewer]:
    async with Viewer(run, port=0) as viewer:
        yield viewer


@pytest.fixture
async def stranger(viewer: Viewer) -> AsyncIterator[Asking]:
    async with asking(viewer) as stranger:
        yield stranger


@pytest.fixture
async def ask(viewer: Viewer) -> AsyncIterator[Asking]:
    async with opened(viewer) as ask:
        yield ask
