"""Leases of real processes: two of one shard, one that is killed, and a run folder that is gone with its pod."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.running import FAST, Simulated, batchgen, simulator, start, summary_of
from support.storage.objects import bucket

from batchgen.lease import LeaseRecord, ProcessName, SharedFolder
from batchgen.store import Address
from batchgen.store.remote import connect

MODEL = "hera-1.0-text-to-image"
ITEMS = 24


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = "".join(f"  - {{id: mug-{number}, prompt: Mug {number}}}\n" for number in range(ITEMS))
    (tmp_path / "job.yaml").write_text(
        f"version: 1\nname: job\nrun: {{max_cost: 9}}\ndefaults: {{model: {MODEL}}}\nitems:\n{lines}", encoding="utf-8"
    )
    return tmp_path


@pytest.fixture
def api() -> Iterator[Simulated]:
    with simulator("--speed", 40, "--media", "tiny") as simulated:
        yield simulated


def words(api: Simulated, *options: object, shard: str = "0/1") -> tuple[object, ...]:
    return ("run", "job.yaml", "--base-url", api.url, "--shard", shard, *options, *FAST)


def killed(api: Simulated, folder: Path, *options: object, after: int) -> subprocess.Popen[str]:
    """A run that was killed once the API had accepted so many of its jobs."""
    process = start(*words(api, "--concurrency", 2, *options), cwd=folder)
    while api.account()["accepted"] < after and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    return process


def remove(folder: Path) -> None:
    """Delete a run folder, in which the process that makes thumbnails may still be writing."""
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)


def bought_twice(api: Simulated) -> list[str]:
    """The requests that were accepted more than once."""
    return [digest for digest, count in Counter(str(job["digest"]) for job in api.jobs()).items() if count > 1]


def record_of(place: Path) -> dict[str, Any]:
    newest = max((place / "job" / "0-of-1" / "lease").glob("*.json"))
    return dict(json.loads(newest.read_text(encoding="utf-8")))


def test_a_second_process_of_one_shard_is_refused_while_the_first_lives(folder: Path, api: Simulated) -> None:
    owner = start(*words(api, "--concurrency", 1, "--lease", "leases"), cwd=folder)
    try:
        while api.account()["accepted"] < 1 and owner.poll() is None:
            time.sleep(0.01)
        second = batchgen(*words(api, "--lease", "leases", "--output", "elsewhere"), cwd=folder)
    finally:
        owner.kill()
        owner.communicate()
    assert second.returncode == 6, second.stderr
    assert f"is held by process {owner.pid} on" in second.stderr
    assert "is in use by another batchgen" in second.stderr
    assert not (folder / "elsewhere" / "job.0-of-1").exists()
    assert bought_twice(api) == []


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody tells when a process began")
def test_a_process_that_was_killed_on_this_host_is_followed_at_once(folder: Path, api: Simulated) -> None:
    killed(api, folder, after=3)
    began = time.monotonic()
    result = batchgen(*words(api), cwd=folder)
    assert time.monotonic() - began < 25
    assert "it is taken over if no heartbeat comes" not in result.stderr
    assert result.returncode in (0, 4), result.stderr
    assert bought_twice(api) == []
    assert len(api.jobs()) + summary_of(result)["in_doubt"] >= ITEMS
    record = record_of(folder / "output" / ".shards")
    assert (record["generation"], record["receipts"], record["released"]) == (2, 2, True)


def test_a_start_that_waits_for_a_lease_says_so_and_can_be_interrupted(folder: Path, api: Simulated) -> None:
    """Its holder was on another machine, and nobody knows what became of it."""
    elsewhere = ProcessName("node-7", 1, "another-boot", "pid:[1]", "99")
    record = LeaseRecord(1, elsewhere, "2026-11-27T03:00:00Z")
    assert SharedFolder(folder / "leases").create("job/0-of-1/lease", record.encoded()) is not None
    waiting = start(*words(api, "--lease", "leases"), cwd=folder)
    assert waiting.stderr is not None
    line = waiting.stderr.readline()
    while "is taken over if no heartbeat comes for 30 s" not in line:
        assert line, "it ended"
        line = waiting.stderr.readline()
    assert "is held by process 1 on node-7, since 2026-11-27T03:00:00Z" in line
    waiting.send_signal(signal.SIGTERM)
    waiting.communicate(timeout=20)
    assert waiting.returncode == 130
    assert api.account()["accepted"] == 0
    assert record_of(folder / "leases")["generation"] == 1


def test_a_lease_without_a_shard_is_a_mistake(folder: Path, api: Simulated) -> None:
    result = batchgen("run", "job.yaml", "--base-url", api.url, "--lease", "leases", *FAST, cwd=folder)
    assert (result.returncode, api.account()["accepted"]) == (2, 0)
    assert "--lease is for a shard: give --shard I/N too" in result.stderr


@pytest.mark.parametrize("lease", [None, "leases"])
def test_a_run_folder_that_is_gone_is_made_anew_and_nothing_is_bought_twice(
    folder: Path, api: Simulated, lease: str | None
) -> None:
    """The state of a killed pod is deleted between two starts, twice in a row."""
    place = () if lease is None else ("--lease", lease)
    for accepted in (4, 9):
        killed(api, folder, *place, after=accepted)
        remove(folder / "output" / "job.0-of-1")
    result = batchgen(*words(api, *place), cwd=folder)
    assert result.returncode in (0, 4), result.stderr
    assert "had no journal: it was made anew from the receipts beside the lease" in result.stderr
    assert bought_twice(api) == []
    summary = summary_of(result)
    assert summary["done"] + summary["in_doubt"] == ITEMS
    assert len(api.jobs()) <= ITEMS
    assert len(list((folder / "output" / "job.0-of-1" / "files").glob("*.png"))) == summary["done"]


def test_without_run_folder_and_receipts_nothing_is_bought(folder: Path, api: Simulated) -> None:
    killed(api, folder, "--lease", "leases", after=4)
    remove(folder / "output" / "job.0-of-1")
    for path in (folder / "leases").rglob("receipts-*"):
        path.unlink()
    before = api.account()["accepted"]
    result = batchgen(*words(api, "--lease", "leases"), cwd=folder)
    assert (result.returncode, api.account()["accepted"]) == (6, before)
    assert "the receipts of this shard are gone from" in result.stderr
    assert "Nothing was bought" in result.stderr


def test_a_lease_under_which_nothing_was_bought_needs_no_receipts(folder: Path, api: Simulated) -> None:
    """A start that was refused for want of consent, say."""
    refused = batchgen("run", "job.yaml", "--base-url", api.url, "--shard", "0/1", "--max-cost", "x", cwd=folder)
    assert refused.returncode == 2
    manifest = (folder / "job.yaml").read_text(encoding="utf-8")
    (folder / "job.yaml").write_text(manifest.replace("run: {max_cost: 9}\n", ""), encoding="utf-8")
    refused = batchgen("run", "job.yaml", "--base-url", api.url, "--shard", "0/1", cwd=folder)
    assert refused.returncode == 2
    assert record_of(folder / "output" / ".shards")["receipts"] == 0
    assert batchgen(*words(api), cwd=folder).returncode == 0


def test_an_older_run_folder_takes_over_what_it_lacks(folder: Path, api: Simulated) -> None:
    """A volume that was put back to a snapshot."""
    state = folder / "output" / "job.0-of-1"
    killed(api, folder, "--lease", "leases", after=3)
    shutil.copytree(state, folder / "snapshot")
    killed(api, folder, "--lease", "leases", after=8)
    remove(state)
    shutil.copytree(folder / "snapshot", state)
    result = batchgen(*words(api, "--lease", "leases"), cwd=folder)
    assert result.returncode in (0, 4), result.stderr
    assert "receipts.jsonl knew more about" in result.stderr
    assert bought_twice(api) == []
    assert summary_of(result)["done"] + summary_of(result)["in_doubt"] == ITEMS


@pytest.mark.parametrize("elsewhere", [False, True])
def test_another_number_of_shards_is_refused(folder: Path, api: Simulated, *, elsewhere: bool) -> None:
    """By the lease where the run folders are elsewhere, and by the names of the run folders where the lease is."""
    assert batchgen(*words(api, "--max-new", 2, shard="1/2"), cwd=folder).returncode == 3
    before = api.account()["accepted"]
    options = ("--output", "other", "--lease", "output/.shards") if elsewhere else ("--lease", "other")
    result = batchgen(*words(api, *options, shard="0/3"), cwd=folder)
    assert (result.returncode, api.account()["accepted"]) == (6, before)
    assert "go on with --shard I/2" in result.stderr
    again = batchgen(*words(api, shard="1/2"), cwd=folder)
    assert again.returncode == 0


def test_a_run_that_was_merged_is_divided_anew_and_what_was_bought_is_asked_about(folder: Path, api: Simulated) -> None:
    for index in (0, 1):
        assert batchgen(*words(api, shard=f"{index}/2"), cwd=folder).returncode == 0
    merged = batchgen("merge", "output/job.0-of-2", "output/job.1-of-2", "--into", "output/job", cwd=folder)
    assert merged.returncode == 0, merged.stderr
    asked = batchgen(*words(api, shard="0/3"), cwd=folder)
    assert (asked.returncode, len(api.jobs())) == (2, ITEMS)
    assert f"were already bought in {folder}/output/job" in asked.stderr
    for index in range(3):
        result = batchgen(*words(api, "--skip-bought", "output/job", shard=f"{index}/3"), cwd=folder)
        assert (result.returncode, len(api.jobs())) == (0, ITEMS)
    back = batchgen(*words(api, shard="0/2"), cwd=folder)
    assert (back.returncode, len(api.jobs())) == (6, ITEMS)


def test_outputs_and_leases_in_an_object_store(folder: Path, api: Simulated) -> None:
    """A pod whose disk is gone: what is in the bucket already is not fetched again, and nothing is bought twice."""
    with bucket() as address:
        place = ("--output", str(address.below("studio")), "--state", "state")
        assert batchgen(*words(api, *place, "--max-new", 5), cwd=folder).returncode == 3
        shutil.rmtree(folder / "state")
        second = batchgen(*words(api, *place), cwd=folder)
        assert second.returncode == 0, second.stderr
        assert "made anew from the receipts beside the lease, which know 5 items" in second.stderr
        assert summary_of(second)["done"] == ITEMS
        objects = object_names(address.below("studio"))
    assert len([name for name in objects if name.startswith("job.0-of-1/files/")]) == ITEMS
    assert ".shards/job/0-of-1/lease" in objects
    assert bought_twice(api) == []
    assert len(api.jobs()) == ITEMS


def object_names(address: Address) -> list[str]:
    import obstore

    return [found["path"] for batch in obstore.list(connect(address)) for found in batch]


def test_leases_in_an_object_store(folder: Path, api: Simulated) -> None:
    """The run folder is deleted between two starts; the lease and the receipts are objects."""
    with bucket() as address:
        place = ("--lease", str(address.below("leases")))
        first = batchgen(*words(api, *place, "--max-new", 5), cwd=folder)
        assert first.returncode == 3, first.stderr
        shutil.rmtree(folder / "output" / "job.0-of-1")
        second = batchgen(*words(api, *place), cwd=folder)
        assert second.returncode == 0, second.stderr
        assert (
            "had no journal: it was made anew from the receipts beside the lease, which know 5 items" in second.stderr
        )
        assert summary_of(second)["done"] == ITEMS
    assert bought_twice(api) == []
    assert len(api.jobs()) == ITEMS
