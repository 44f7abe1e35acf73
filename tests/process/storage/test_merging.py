"""Runs whose outputs are in an object store become one: the store copies, and nothing is bought or lost."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from support.running import FAST, Simulated, batchgen, simulator
from support.storage.objects import bucket

from batchgen.store import Address
from batchgen.store.remote import connect

ITEMS = 12
MANIFEST = f"""version: 1
name: spring
defaults: {{model: hera-1.0-text-to-image}}
items:
{"".join(f"  - {{id: mug-{n}, prompt: Mug number {n}}}{chr(10)}" for n in range(ITEMS))}"""


@pytest.fixture
def api() -> Iterator[Simulated]:
    with simulator("--speed", 100) as running:
        yield running


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "job.yaml").write_text(MANIFEST, encoding="utf-8")
    return tmp_path


def shard(here: Path, api: Simulated, output: object, index: int, *more: object) -> Path:
    ended = batchgen(
        "run", "job.yaml", "--base-url", api.url, "--output", output, "--state", here / "state",
        "--shard", f"{index}/2", *FAST, *more, cwd=here,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return here / "state" / f"spring.{index}-of-2"


def names(place: Address) -> set[str]:
    return {found["path"] for page in obstore.list(connect(place)) for found in page}


def test_shards_in_an_object_store_become_one_run(here: Path, api: Simulated) -> None:
    with bucket() as place:
        shards = [shard(here, api, f"{place}/runs", index) for index in range(2)]
        shutil.rmtree(shards[1])  # as a pod's disk goes: its journal is made anew
        shard(here, api, f"{place}/runs", 1)
        assert len(api.jobs()) == ITEMS
        before = names(place)
        into = here / "state" / "spring"
        merged = batchgen("merge", *shards, "--into", into, cwd=here)
        assert merged.returncode == 0, merged.stderr
        assert "12 files placed" in merged.stdout
        after = names(place)
        assert before <= after
        files = {f"runs/spring/files/mug-{n}.png" for n in range(ITEMS)}
        papers = {f"runs/spring/{name}" for name in ("ledger.csv", "summary.json", "report.html", "run.json")}
        assert after - before == files | papers
        assert "12 files" in batchgen("verify", into, "--deep", cwd=here).stdout
        again = batchgen("merge", *shards, "--into", into, cwd=here)
        assert again.returncode == 0, again.stderr
        assert names(place) == after

        going_on = ("run", "job.yaml", "--base-url", api.url, "--output", f"{place}/runs", "--state", here / "state")
        whole = batchgen(*going_on, *FAST, cwd=here)
        assert (whole.returncode, json.loads(whole.stdout)["done"]) == (0, ITEMS), whole.stderr
        assert len(api.jobs()) == ITEMS


def test_a_merge_that_was_cut_off_is_repeated(here: Path, api: Simulated) -> None:
    """What it has copied is known again by its checksum; what is in the way is named, and nothing is overwritten."""
    with bucket() as place:
        shards = [shard(here, api, f"{place}/runs", index) for index in range(2)]
        into, store = here / "state" / "spring", connect(place.below("runs"))
        index = int("runs/spring.1-of-2/files/mug-0.png" in names(place))
        obstore.copy(store, f"spring.{index}-of-2/files/mug-0.png", "spring/files/mug-0.png")
        obstore.put(store, "spring/files/mug-1.png", b"something else")
        refused = batchgen("merge", *shards, "--into", into, cwd=here)
        assert refused.returncode == 6
        assert "spring/files/mug-1.png holds other bytes" in refused.stderr
        assert not into.exists()
        assert bytes(obstore.get(store, "spring/files/mug-1.png").bytes()) == b"something else"
        obstore.delete(store, "spring/files/mug-1.png")
        merged = batchgen("merge", *shards, "--into", into, "--json", cwd=here)
        assert merged.returncode == 0, merged.stderr
        files = json.loads(merged.stdout)["files"]
        assert (files["linked"], files["missing"], files["copied"] + files["already_there"]) == (0, 0, ITEMS)
        assert files["copied"] >= 1 <= files["already_there"]


def test_what_cannot_be_merged_is_refused_before_anything_is_copied(here: Path, api: Simulated) -> None:
    with bucket() as place:
        first = shard(here, api, f"{place}/runs", 0)
        elsewhere = shard(here, api, f"{place}/others", 1)
        before = names(place)
        refused = batchgen("merge", first, elsewhere, "--into", here / "state" / "all", cwd=here)
        assert refused.returncode == 2
        assert f"in {place}/others/spring.1-of-2" in refused.stderr
        store = connect(place.below("runs"))
        obstore.put(store, "all/run.json", b'{"run_id": "another"}')
        taken = batchgen("merge", first, "--into", here / "state" / "all", cwd=here)
        assert taken.returncode == 6
        assert "holds the outputs of another run folder" in taken.stderr
        assert names(place) - before == {"runs/all/run.json"}
