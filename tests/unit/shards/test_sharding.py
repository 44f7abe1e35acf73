"""A manifest divided among shards: each item is in exactly one, chains stay together, and nobody moves."""

import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bought import MODEL

from batchgen.catalog import load_catalog
from batchgen.cli.boundary import guarded
from batchgen.core.errors import ManifestError, UsageError
from batchgen.session.prepare import PreparedRun, prepare
from batchgen.session.request import RunRequest
from batchgen.shards import Shard, shard_number

EDITOR = "hera-1.0-image-edit"


def manifest_of(folder: Path, *items: str, run: str = "") -> Path:
    path = folder / "job.yaml"
    lines = "".join(f"  - {{{item}}}\n" for item in items)
    path.write_text(f"version: 1\nname: job\n{run}defaults: {{model: {MODEL}}}\nitems:\n{lines}", encoding="utf-8")
    return path


def plain(*names: str) -> list[str]:
    return [f"id: {name}, prompt: A {name}" for name in names]


def ids_of(ready: PreparedRun) -> list[str]:
    with closing(sqlite3.connect(ready.item_table)) as db:
        return [name for (name,) in db.execute("SELECT id FROM item ORDER BY position")]


def shards_of(manifest: Path, count: int, **more: object) -> list[list[str]]:
    """The ids of each shard."""
    found = []
    for index in range(count):
        request = RunRequest(manifest, {}, load_catalog(), shard=Shard(index, count), **more)  # type: ignore[arg-type]
        with prepare(request) as ready:
            found.append(ids_of(ready))
            assert ready.plan().items == len(found[-1])
    return found


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_each_item_is_in_one_shard(tmp_path: Path, count: int) -> None:
    names = [f"item-{number}" for number in range(40)]
    shards = shards_of(manifest_of(tmp_path, *plain(*names), "prompt: Waves, id: waves, repeat: 5"), count)
    assert sorted(name for shard in shards for name in shard) == sorted([*names, *(f"waves~{n}" for n in range(1, 6))])
    for index, shard in enumerate(shards):
        assert [shard_number(name, count) for name in shard] == [index] * len(shard)


@given(names=st.sets(st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True), min_size=1), count=st.integers(1, 50))
def test_nobody_moves_because_another_item_was_added(names: set[str], count: int) -> None:
    """The number comes from the id and the count, and from nothing else."""
    before = {name: shard_number(name, count) for name in names}
    assert {name: shard_number(name, count) for name in sorted(names | {"added"})} | before == {
        **before,
        "added": shard_number("added", count),
    }


def test_added_items_move_nobody(tmp_path: Path) -> None:
    names = [f"item-{number}" for number in range(20)]
    before = shards_of(manifest_of(tmp_path, *plain(*names)), 3)
    after = shards_of(manifest_of(tmp_path, *plain("added", *names, "another", "a-third")), 3)
    for old, new in zip(before, after, strict=True):
        assert [name for name in new if name in names] == old


def chain(name: str, *sources: str) -> str:
    images = ", ".join(f'"${{items.{source}.output}}"' for source in sources)
    return f"id: {name}, model: {EDITOR}, prompt: Turn it, images: [{images}]"


def test_a_chain_goes_where_its_root_goes(tmp_path: Path) -> None:
    roots = [f"root-{number}" for number in range(12)]
    links = [chain(f"b-{root}", root) for root in roots] + [chain(f"c-{root}", f"b-{root}") for root in roots]
    links += [chain(f"d-{root}", f"b-{root}", root) for root in roots]
    shards = shards_of(manifest_of(tmp_path, *links, *plain(*roots)), 4)
    assert sum(map(len, shards)) == 48
    for index, shard in enumerate(shards):
        assert {shard_number(name[2:] if name[1] == "-" else name, 4) for name in shard} <= {index}
    assert len([shard for shard in shards if shard]) > 1


def test_sources_in_different_shards_are_an_error_where_they_are_written(tmp_path: Path) -> None:
    here, there = (next(f"r{n}" for n in range(99) if shard_number(f"r{n}", 2) == shard) for shard in (1, 0))
    manifest = manifest_of(tmp_path, *plain(here, there), chain("a", here), chain("torn", "a", there))
    with prepare(RunRequest(manifest, {}, load_catalog())) as ready:
        assert ready.plan().items == 4
    for index in (0, 1):
        request = RunRequest(manifest, {}, load_catalog(), shard=Shard(index, 2))
        with pytest.raises(ManifestError) as raised, prepare(request):
            pass
        (problem,) = raised.value.problems
        assert re.fullmatch(r".*job.yaml:8:\d+", problem.place)
        assert f"it goes with its first source to shard 1, but `{there}` is in shard 0" in problem.message


def test_a_selection_may_be_of_other_shards_and_a_typo_may_not(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, *plain("mug", "cup"))
    for index in range(3):
        request = RunRequest(manifest, {}, load_catalog(), only=("mug",), shard=Shard(index, 3))
        with prepare(request) as ready:
            assert ready.plan().items == (index == shard_number("mug", 3))
        with prepare(replace(request, only=("mgu",))) as ready, pytest.raises(UsageError, match="no item of"):
            ready.plan()


def test_a_shard_has_a_run_folder_and_limits_of_its_own(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, *plain("mug"), run="run: {max_cost: 10, budget: 1, concurrency: 9}\n")

    def prepared(name: str | None = None, *, simulate: bool = False) -> tuple[str, str, str, int]:
        request = RunRequest(manifest, {}, load_catalog(), name=name, simulate=simulate, shard=Shard(0, 4))
        with prepare(request) as ready:
            assert (ready.whole.max_cost, ready.whole.concurrency) == (10, 9)
            settings = ready.settings
            return ready.folder.name, str(settings.max_cost), str(settings.budget), settings.concurrency

    assert prepared() == ("job.0-of-4", "2.50", "0.25", 3)
    assert prepared("other")[0] == "other.0-of-4"
    assert prepared(simulate=True)[0] == "job.0-of-4.simulated"


def test_under_a_lock_a_shard_may_spend_what_its_own_items_cost(tmp_path: Path) -> None:
    several = "id: many, prompt: A pan, num_images: 3"
    manifest = manifest_of(tmp_path, *plain("mug", "cup", "jug", "pot", "vase"), several)
    assert guarded(["lock", str(manifest)]) == 0
    caps, costs = [], []
    for index in range(3):
        request = RunRequest(manifest, {}, load_catalog(), shard=Shard(index, 3), locked=True)
        with prepare(request) as ready:
            caps.append(ready.settings.max_cost)
            costs.append(ready.plan().estimated)
    assert caps == costs
    with prepare(RunRequest(manifest, {}, load_catalog(), locked=True)) as ready:
        assert sum(cost for cost in costs if cost is not None) == ready.settings.max_cost
