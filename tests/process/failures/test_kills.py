"""A run that is killed at any moment, beside an API that fails and is killed as well: nothing is paid for twice."""

import random
import shutil
import signal
from pathlib import Path

import pytest
from soak import LENIENT, Api, Round, audit, play, start_under_strace, write_manifest
from support.running import FAST, batchgen


def test_kills_at_random_moments_lose_nothing_and_buy_nothing_twice(tmp_path: Path) -> None:
    played = play(2, tmp_path, kills=3, items=60, strace=False)
    print(played)
    assert not played.wrong
    assert played.kills


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize(("syscall", "when"), [("connect", 3), ("rename", 2), ("fsync", 12)])
def test_kills_at_what_makes_things_durable_or_costs_money(tmp_path: Path, syscall: str, when: int) -> None:
    """Between an intent and its request, and before the last step of a download."""
    write_manifest(tmp_path / "job.yaml", 8, random.Random(0))
    api = Api(tmp_path / "books.sqlite3", 1, "--speed", 1000)
    try:
        options = ("run", "job.yaml", "--base-url", api.url, "--concurrency", 2, *FAST)
        killed = start_under_strace(options, tmp_path, syscall, when)
        killed.communicate(timeout=60)
        assert killed.returncode == -signal.SIGKILL
        last = batchgen(*options, cwd=tmp_path, **LENIENT)
        assert last.returncode in (0, 4), last.stderr
        played = Round(1, 8)
        audit(played, tmp_path / "output" / "job", api)
        assert not played.wrong
    finally:
        api.end(signal.SIGTERM)
