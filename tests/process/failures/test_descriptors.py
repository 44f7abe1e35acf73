"""Few file descriptors make a run slow, and break nothing."""

import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.rawserver import answering, http, raw_server
from support.running import COMMAND, FAST, KEY, environment, limited, simulator, summary_of
from support.worlds import count, run_clean, world_of

from batchgen.api import NotSent, OutputError, Unavailable
from batchgen.client.http import HttpApi
from batchgen.core.descriptors import PLENTY, none_left, shares
from batchgen.core.errors import DescriptorsError
from batchgen.core.records import State
from batchgen.download import Memory, fetch
from batchgen.journal import open_for_reading
from batchgen.scheduler import fetcher
from batchgen.store import LocalDisk
from batchgen.virtual import make_items


@contextmanager
def none_to_spare() -> Iterator[None]:
    """No descriptor is left while the block runs."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    handles = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(64, handles[0] + 1), before[1]))
    try:
        try:
            while True:
                handles.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            yield
    finally:
        for handle in handles:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize("limit", [0, 20, 64, 100, 256, 1024])
def test_what_is_under_way_fits(limit: int) -> None:
    found = shares(limit)
    assert min(found.posts, found.polls, found.downloads, found.syncing) >= 1
    needed = found.posts + found.polls + 3 * found.downloads + found.syncing
    assert needed <= max(6, limit - 48)


def test_with_plenty_only_the_settings_bound() -> None:
    plenty = shares(65_536)
    assert (plenty.polls, plenty.syncing) == (PLENTY.polls, PLENTY.syncing)
    assert plenty.posts > 10_000
    assert plenty.downloads > 1_000


def test_a_run_with_few_descriptors_brings_everything_in(tmp_path: Path) -> None:
    items = "".join(f"  - {{id: mug-{n}, prompt: Mug {n}, num_images: 2}}\n" for n in range(14))
    text = f"version: 1\nname: job\ndefaults: {{model: hera-1.0-text-to-image}}\nitems:\n{items}"
    (tmp_path / "job.yaml").write_text(text, encoding="utf-8")

    few = limited(resource.RLIMIT_NOFILE, 36, 36)
    with simulator("--speed", "100", "--media", "tiny") as api:
        result = subprocess.run(
            [*few, COMMAND, "run", "job.yaml", "--base-url", api.url, *FAST, "--concurrency", "40"],
            env=environment(API18_KEY=KEY, BATCHGEN_DOWNLOADS="40"), cwd=tmp_path,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        assert len(api.jobs()) == 14
    assert summary_of(result)["done"] == 14
    assert len(list((tmp_path / "output" / "job" / "files").glob("*.png"))) == 28
    log = (tmp_path / "output" / "job" / "batchgen.log").read_text(encoding="utf-8")
    assert "open files" not in log, "what is under way fits"


def test_the_soft_limit_is_raised() -> None:
    code = "from batchgen.core.descriptors import raise_limit; print(raise_limit())"
    command = [*limited(resource.RLIMIT_NOFILE, 40, 70), sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "70\n"


async def test_what_finds_none_left_is_later_and_names_the_cure(tmp_path: Path) -> None:
    async def not_in_the_way(path: str) -> None:
        raise AssertionError(path)

    (tmp_path / "files").mkdir()
    (tmp_path / "journal.sqlite3").touch()
    async with raw_server(answering(http(202))) as server:
        api = HttpApi(server.url, "api18_0123456789abcdef")
        try:
            with none_to_spare():
                assert none_left()
                answer, polled = await api.submit("{}", "/v1/generate", wait=False), await api.poll("job-1")
                with pytest.raises(OutputError) as no_answer:
                    await fetch(
                        api, f"{server.url}/f", LocalDisk(tmp_path), "mug", 1,
                        kind=None, move_aside=not_in_the_way, offload=asyncio.to_thread, memory=Memory(),
                    )  # fmt: skip
                with pytest.raises(DescriptorsError) as no_file:
                    LocalDisk(tmp_path).stage("mug").write(b"bytes that have arrived")
                with pytest.raises(DescriptorsError) as no_journal:
                    open_for_reading(tmp_path / "journal.sqlite3")
            assert not none_left()
        finally:
            await api.aclose()
        assert server.connections == 0
    assert isinstance(answer, NotSent)
    assert isinstance(polled, Unavailable)
    for told in (answer.reason, polled.reason, str(no_answer.value), str(no_file.value), str(no_journal.value)):
        assert "ulimit -n" in told


def test_an_output_that_finds_none_left_is_fetched_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, failures = fetcher.fetch, 3

    async def scarce(*args: Any, **more: Any) -> Any:
        nonlocal failures
        if failures:
            failures -= 1
            raise DescriptorsError("cannot open mug.part")
        return await real(*args, **more)

    monkeypatch.setattr(fetcher, "fetch", scarce)
    world = world_of(tmp_path, make_items(5))
    outcome = run_clean(world)
    assert (count(outcome, State.DONE), outcome.exit_code) == (5, 0)
