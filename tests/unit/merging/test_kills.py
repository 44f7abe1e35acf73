"""A merge that is killed at any step leaves nothing that could be bought twice, and is repeated to the same end."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bought import Buyer, journal_of
from support.folders import killed_merges
from support.folders.merging import deliver, mugs
from support.running import environment


def make_parts(place: Path) -> None:
    items = mugs(6)
    for number, mine in enumerate((items[:3], items[3:])):
        with journal_of(place / f"part-{number}", mine) as journal:
            buyer = Buyer(journal)
            deliver(buyer, mine[0].id, outputs=2)
            buyer.accept(mine[1].id)


MEMORY = Path("/dev/shm")  # noqa: S108 - a disk in memory, on Linux, where syncs take no time


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="merges-", dir=MEMORY if MEMORY.is_dir() else None) as place:
        yield Path(place)


@pytest.mark.parametrize(("how", "every"), [("link", "1"), ("copy", "10")])
def test_kills_at_every_step_of_a_merge(place: Path, how: str, every: str) -> None:
    make_parts(place)
    killed = subprocess.run(
        [sys.executable, killed_merges.__file__, str(place), every, *(["--copy"] * (how == "copy"))],
        env=environment(), capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert killed.returncode == 0, killed.stderr
    assert int(killed.stdout.split()[0]) > 20
