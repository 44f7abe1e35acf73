"""Paths on a page are names alone."""

from pathlib import Path

import pytest

from batchgen.page.folders import command_without_folders, text_without_folders


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("batchgen run '/home/ann/my jobs/night 2.yaml' --retry failed", "batchgen run 'night 2.yaml' --retry failed"),
        ("batchgen run MANIFEST --output /srv/out --run night", "batchgen run MANIFEST --output out --run night"),
        ("batchgen run jobs/night.yaml --only 'a*'", "batchgen run jobs/night.yaml --only 'a*'"),
        ("batchgen run a.yaml --base-url http://[::1]:9/v1/", "batchgen run a.yaml --base-url 'http://[::1]:9/v1/'"),
        ("batchgen run /home/ann/a.yaml --only 'cut in the mid…", "batchgen run a.yaml --only 'cut in the mid…"),
    ],
)  # fmt: skip
def test_a_command_names_what_it_is_about(command: str, shown: str) -> None:
    assert command_without_folders(command) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cannot write /home/ann/my jobs/out/night/ledger.csv: full", "cannot write night/ledger.csv: full"),
        ("/home/ann/my jobs/out/night was deleted", "night was deleted"),
        ("too few bytes on the disk of /mnt/other/folder, it seems", "too few bytes on the disk of folder, it seems"),
        ("no answer from https://api18.dev/v1/x: 3/4", "no answer from https://api18.dev/v1/x: 3/4"),
        ("max_cost and/or budget", "max_cost and/or budget"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_text_keeps_its_sense(text: str, shown: str) -> None:
    assert text_without_folders(text, Path("/home/ann/my jobs/out/night")) == shown
