"""The shards of one manifest, bought one by one: together they are the whole run, and nothing is bought twice."""

import json
from pathlib import Path

import pytest
from support.running import FAST, Simulated, batchgen, simulator, start

from batchgen.shards import shard_number

MODEL = "hera-1.0-text-to-image"


def manifest_of(folder: Path, *items: str, run: str = "{max_cost: 9}") -> None:
    lines = "".join(f"  - {{{item}}}\n" for item in items)
    (folder / "job.yaml").write_text(
        f"version: 1\nname: job\nrun: {run}\ndefaults: {{model: {MODEL}}}\nitems:\n{lines}", encoding="utf-8"
    )


def plain(*names: str) -> list[str]:
    return [f"id: {name}, prompt: A {name}" for name in names]


def run_shard(folder: Path, api: Simulated, shard: str, *options: object, **more: str) -> tuple[int, str]:
    result = batchgen("run", "job.yaml", "--base-url", api.url, "--shard", shard, *options, *FAST, cwd=folder, **more)
    return result.returncode, result.stderr


def test_the_shards_are_the_whole_run(tmp_path: Path) -> None:
    manifest_of(tmp_path, *plain(*(f"mug-{number}" for number in range(9))), "id: cup, prompt: A cup, repeat: 4")
    with simulator("--speed", 1000, "--media", "tiny") as api:
        for index in range(3):
            array = {"AWS_BATCH_JOB_ARRAY_INDEX": str(index), "AWS_BATCH_JOB_ARRAY_SIZE": "3"}
            assert run_shard(tmp_path, api, "auto", **array)[0] == 0
        assert api.account()["accepted"] == 13
        assert run_shard(tmp_path, api, "1/3")[0] == 0
        assert api.account()["accepted"] == 13
    output = tmp_path / "output"
    assert sorted(folder.name for folder in output.glob("job*")) == [f"job.{index}-of-3" for index in range(3)]
    assert len(list(output.glob("*/files/*.png"))) == 13


def test_shards_that_run_at_the_same_time_do_not_disturb_each_other(tmp_path: Path) -> None:
    manifest_of(tmp_path, *plain(*(f"mug-{number}" for number in range(12))))
    with simulator("--speed", 100, "--media", "tiny") as api:
        words = ("run", "job.yaml", "--base-url", api.url, *FAST)
        shards = [start(*words, "--shard", f"{index}/3", cwd=tmp_path) for index in range(3)]
        for shard in shards:
            _, errors = shard.communicate(timeout=120)
            assert shard.returncode == 0, errors
        assert api.account()["accepted"] == 12


def test_variables_without_the_flag_do_nothing(tmp_path: Path) -> None:
    manifest_of(tmp_path, *plain("mug", "cup"))
    array = {"AWS_BATCH_JOB_ARRAY_INDEX": "0", "AWS_BATCH_JOB_ARRAY_SIZE": "2"}
    plan = batchgen("plan", "job.yaml", "--json", cwd=tmp_path, **array)
    assert (json.loads(plan.stdout)["items"], json.loads(plan.stdout)["name"]) == (2, "job")


def test_a_plan_shows_what_its_shard_would_buy(tmp_path: Path) -> None:
    names = [f"mug-{number}" for number in range(10)]
    manifest_of(tmp_path, *plain(*names))
    plan = json.loads(batchgen("plan", "job.yaml", "--shard", "1/3", "--items", "--json", cwd=tmp_path).stdout)
    assert [row["id"] for row in plan["rows"]] == [name for name in names if shard_number(name, 3) == 1]
    assert plan["name"] == "job.1-of-3"


def test_a_shard_without_items_has_nothing_to_do(tmp_path: Path) -> None:
    manifest_of(tmp_path, *plain("mug"))
    empty = 1 - shard_number("mug", 2)
    with simulator("--speed", 1000, "--media", "tiny") as api:
        assert run_shard(tmp_path, api, f"{empty}/2")[0] == 0
        assert api.account()["accepted"] == 0


def test_a_shard_can_be_tried_with_pretend_money(tmp_path: Path) -> None:
    manifest_of(tmp_path, *plain("mug", "cup", "jug"))
    for index in (0, 1):
        result = batchgen("run", "job.yaml", "--shard", f"{index}/2", "--simulate", *FAST, cwd=tmp_path, key=None)
        assert result.returncode == 0, result.stderr
    other = batchgen("run", "job.yaml", "--shard", "0/3", "--simulate", *FAST, cwd=tmp_path, key=None)
    assert other.returncode == 6
    output = tmp_path / "output"
    assert sorted(path.name for path in output.glob("job*")) == [f"job.{index}-of-2.simulated" for index in (0, 1)]
    assert len(list(output.glob("*/files/*.png"))) == 3


def test_what_would_give_a_shard_no_job_in_flight_is_refused(tmp_path: Path) -> None:
    manifest_of(tmp_path, *plain("mug"), run="{max_cost: 9, concurrency: 3}")
    with simulator() as api:
        code, errors = run_shard(tmp_path, api, "0/4")
        assert (code, api.account()["accepted"]) == (2, 0)
    assert "concurrency is 3 for all 4 shards together" in errors


@pytest.mark.parametrize("started", [False, True])
def test_an_item_that_another_shard_has_bought_under_another_id_is_asked_about(
    tmp_path: Path, *, started: bool
) -> None:
    """Renaming an item may move it to another shard, whose run folder does not know its purchase."""
    here, there = (next(f"m{n}" for n in range(99) if shard_number(f"m{n}", 2) == index) for index in (0, 1))
    other = next(f"o{n}" for n in range(99) if shard_number(f"o{n}", 2) == 1)
    manifest_of(tmp_path, f"id: {here}, prompt: The same mug", f"id: {other}, prompt: Another")
    with simulator("--speed", 1000, "--media", "tiny") as api:
        assert run_shard(tmp_path, api, "0/2")[0] == 0
        if started:
            assert run_shard(tmp_path, api, "1/2")[0] == 0
        bought = api.account()["accepted"]
        manifest_of(tmp_path, f"id: {there}, prompt: The same mug", f"id: {other}, prompt: Another")
        code, errors = run_shard(tmp_path, api, "1/2")
        assert (code, api.account()["accepted"]) == (2, bought)
    assert f"were already bought in {tmp_path}/output/job.0-of-2" in errors
