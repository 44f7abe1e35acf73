"""Pages of the documentation are played as they stand; see `support.readers.playing`."""

from pathlib import Path

import pytest
from support.readers.playing import check_page
from support.running import ROOT


@pytest.mark.parametrize("page", ["month.md", "cookbook.md"])
def test_the_page_is_what_the_commands_print(tmp_path: Path, page: str) -> None:
    check_page(ROOT / "docs" / page, tmp_path)
