"""Run folders of one manifest, merged: nothing is bought twice, and all commands go on in the merged folder."""

import csv
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from support.running import FAST, Simulated, batchgen, simulator, start, summary_of

MANIFEST = """
version: 1
name: job
defaults: {model: hera-1.0-text-to-image}
items:
  - {id: "red-${n}", prompt: "Red mug ${n} of NAME", matrix: {n: [1, 2, 3, 4]}, tags: {part: a}}
  - {id: "blue-${n}", prompt: "Blue mug ${n} of NAME", matrix: {n: [1, 2, 3, 4]}, tags: {part: b}, num_images: 2}
"""


@pytest.fixture(scope="module")
def api() -> Iterator[Simulated]:
    with simulator("--speed", 1000, "--media", "tiny") as api:
        yield api


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "job.yaml").write_text(MANIFEST.replace("NAME", tmp_path.name), encoding="utf-8")
    (tmp_path / "output").mkdir()
    return tmp_path


def part(name: str, *, api: Simulated) -> tuple[object, ...]:
    return ("run", "job.yaml", "--base-url", api.url, *FAST, "--run", name, "--only", f"tag:part={name}", "--buy-again")


def run(place: Path, api: Simulated, *more: object) -> subprocess.CompletedProcess[str]:
    return batchgen("run", "job.yaml", "--base-url", api.url, *FAST, *more, cwd=place)


def merge(place: Path, *more: object) -> subprocess.CompletedProcess[str]:
    return batchgen("merge", "a", "b", "--into", "all", *more, cwd=place)


def jobs(api: Simulated, place: Path) -> int:
    """How many jobs the account paid for, each of them once."""
    bodies = [job["body"] for job in api.jobs() if place.name in job["body"]]
    assert len(set(bodies)) == len(bodies), "a request was paid for twice"
    return len(bodies)


def rows(*ledgers: Path) -> list[dict[str, str]]:
    found = []
    for ledger in ledgers:
        with ledger.open(encoding="utf-8", newline="") as lines:
            found += [{k: v for k, v in row.items() if k != "run"} for row in csv.DictReader(lines)]
    return sorted(found, key=lambda row: row["item_id"])


def test_merged_runs_are_one_run_with_one_ledger(place: Path, api: Simulated) -> None:
    for name in ("a", "b"):
        assert batchgen(*part(name, api=api), cwd=place).returncode == 0
    output = place / "output"
    kept = batchgen("picks", "b", "--keep", "blue-2@2", cwd=place)
    assert kept.returncode == 0, kept.stderr
    done = merge(place, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["files"] == {"linked": 12, "copied": 0, "already_there": 0, "missing": 0}
    assert (told["summary"]["done"], told["summary"]["charged_usd"]) == (8, "0.672")
    assert rows(output / "all" / "ledger.csv") == rows(output / "a" / "ledger.csv", output / "b" / "ledger.csv")
    assert (output / "all" / "files" / "red-1.png").samefile(output / "a" / "files" / "red-1.png")
    for command in ("verify", "status", "check", "report"):
        assert batchgen(command, "all", cwd=place).returncode == 0
    assert batchgen("ledger", "--check", "all", "a", "b", cwd=place).returncode == 0
    assert "keep" in batchgen("picks", "all", cwd=place).stdout

    again = run(place, api, "--run", "all")
    assert (again.returncode, summary_of(again)["done"]) == (0, 8)
    assert jobs(api, place) == 8
    acting = ("collect", "a"), ("picks", "a", "--keep", "red-1"), ("merge", "a", "--into", "c")
    for command in (part("a", api=api), *acting):
        refused = batchgen(*command, cwd=place)
        assert refused.returncode == 6, refused.stderr
        assert f"was merged into {output}/all" in refused.stderr
    assert f"merged into {output}/all" in batchgen("status", "a", cwd=place).stdout
    assert jobs(api, place) == 8
    assert "nothing new in 2 run folders" in merge(place).stdout


def test_shards_become_the_run_of_the_manifest(place: Path, api: Simulated) -> None:
    for shard in range(3):
        assert run(place, api, "--shard", f"{shard}/3").returncode == 0
    done = batchgen("merge", *(f"job.{shard}-of-3" for shard in range(3)), "--into", "job", cwd=place)
    assert done.returncode == 0, done.stderr
    whole = run(place, api)
    assert (whole.returncode, summary_of(whole)["done"], jobs(api, place)) == (0, 8, 8)
    refused = run(place, api, "--shard", "0/3")
    assert refused.returncode == 6
    assert f"was merged into {place}/output/job" in refused.stderr
    planned = batchgen("plan", "job.yaml", "--shard", "0/3", cwd=place)
    assert planned.returncode == 6
    assert f"was merged into {place}/output/job" in planned.stderr


def test_costs_over_several_runs_count_each_purchase_once(place: Path, api: Simulated) -> None:
    for name in ("a", "b"):
        assert batchgen(*part(name, api=api), cwd=place).returncode == 0
    assert merge(place).returncode == 0
    output = place / "output"
    for books in (("a", "b", "all"), [output / name / "ledger.csv" for name in ("a", "b", "all")]):
        report = batchgen("ledger", *books, "--format", "json", cwd=place)
        assert "2 runs left out: merged into another one that is given" in report.stderr
        assert Decimal(json.loads(report.stdout)["total"]["net_usd"]) == Decimal("0.672")
    assert Decimal(json.loads(batchgen("ledger", "a", "--format", "json", cwd=place).stdout)["total"]["net_usd"]) > 0


def test_the_months_budget_counts_each_purchase_once(place: Path, api: Simulated) -> None:
    (place / "batchgen.toml").write_text("[budget]\nmonth = 0.90\n", encoding="utf-8")
    for name in ("a", "b"):
        assert batchgen(*part(name, api=api), cwd=place).returncode == 0
    assert merge(place).returncode == 0
    new = (place / "job.yaml").read_text(encoding="utf-8").replace("4]}, tags: {part: a}", "4, 5, 6]}, tags: {part: a}")
    (place / "job.yaml").write_text(new, encoding="utf-8")
    shutil.rmtree(place / "output" / "b")
    bought = run(place, api, "--run", "all")
    assert bought.returncode == 0, bought.stderr
    assert "gone still counts" not in bought.stderr
    (place / "job.yaml").write_text(new.replace("5, 6]", "5, 6, 7, 8, 9, 10]"), encoding="utf-8")
    stopped = summary_of(run(place, api, "--run", "all"))
    assert (stopped["stopped_because"], stopped["charged_usd"]) == ("month", "0.896")


def test_a_new_run_hears_of_merged_purchases_once(place: Path, api: Simulated) -> None:
    register = {"BATCHGEN_REGISTER": str(place / "register.sqlite3")}
    for name in ("a", "b"):
        assert batchgen(*part(name, api=api), cwd=place, **register).returncode == 0
    assert batchgen("merge", "a", "b", "--into", "all", cwd=place, **register).returncode == 0
    for _ in range(2):  # while the closed folders are there, and once they are gone
        asked = batchgen("run", "job.yaml", "--base-url", api.url, *FAST, "--run", "new", cwd=place, **register)
        assert asked.returncode == 2
        assert f"8 items of new ($0.672 in all) were already bought in {place}/output/all" in asked.stderr
        assert "/output/a" not in asked.stderr.replace("/output/all", "")
        for name in ("a", "b"):
            shutil.rmtree(place / "output" / name, ignore_errors=True)
    assert jobs(api, place) == 8


def test_a_copy_without_the_mark_buys_nothing_beside_the_merged_run(place: Path, api: Simulated) -> None:
    """Such as a backup, or a run folder that was made anew from its receipts."""
    for name in ("a", "b"):
        assert batchgen(*part(name, api=api), cwd=place).returncode == 0
    assert merge(place).returncode == 0
    (place / "output" / "a" / "merged.json").unlink()
    text = (place / "job.yaml").read_text(encoding="utf-8").replace("4]}, tags: {part: a}", "4, 5]}, tags: {part: a}")
    (place / "job.yaml").write_text(text, encoding="utf-8")
    refused = run(place, api, "--run", "a", "--only", "tag:part=a")
    assert refused.returncode == 6, refused.stderr
    assert f"was merged into {place}/output/all" in refused.stderr
    assert jobs(api, place) == 8


def test_jobs_in_flight_and_doubts_go_on_in_the_merged_folder(place: Path) -> None:
    with simulator("--speed", 0.5, "--media", "tiny", "--fault", "lost_answer=0.3", "--seed", 4) as api:
        for name in ("a", "b"):
            process = start(*part(name, api=api), cwd=place)
            while jobs(api, place) < (4 if name == "a" else 8) and process.poll() is None:
                time.sleep(0.02)
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        assert jobs(api, place) == 8
        assert merge(place).returncode == 0
        status = json.loads(batchgen("status", "all", "--json", cwd=place).stdout)
        assert status["processing"] + status["submitting"] + status["in_doubt"] == 8
        assert status["processing"]
        state = {job["id"]: job["body"] for job in api.jobs()}
        ended = run(place, api, "--run", "all", "--poll-max", "1")
        told = summary_of(ended)
        assert told["done"] + told["in_doubt"] == 8
        assert told["in_doubt"] == ended.returncode / 4 * told["in_doubt"]
        for doubt in json.loads(batchgen("status", "all", "--json", cwd=place).stdout)["doubts"]:
            named = doubt["item_id"].replace("-", " mug ").capitalize()
            (job,) = [id_ for id_, body in state.items() if f"{named} of" in body]
            settled = batchgen("resolve", "all", doubt["item_id"], "--job-id", job, "--base-url", api.url, cwd=place)
            assert settled.returncode == 0, settled.stderr
        assert batchgen("collect", "all", "--base-url", api.url, *FAST[:4], cwd=place).returncode == 0
        assert jobs(api, place) == 8
        assert batchgen("verify", "all", cwd=place).returncode == 0


def test_a_run_that_goes_on_is_not_merged(place: Path) -> None:
    with simulator("--speed", 0.1, "--media", "tiny") as api:
        process = start(*part("a", api=api), cwd=place)
        while not jobs(api, place) and process.poll() is None:
            time.sleep(0.02)
        refused = batchgen("merge", "a", "--into", "all", cwd=place)
        assert refused.returncode == 6
        assert f"a is in use by another batchgen (process {process.pid}" in refused.stderr
        assert not (place / "output" / "all").exists()
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_simulated_runs_are_merged_with_their_providers_books(place: Path) -> None:
    """Equal requests in two folders had one job id each time, since their simulators do not know of each other."""
    text = "version: 1\nname: job\nitems:\n  - {id: cup, prompt: A cup, model: hera-1.0-text-to-image, repeat: 4}\n"
    (place / "job.yaml").write_text(text, encoding="utf-8")
    for name, glob in (("a", "cup~[12]"), ("b", "cup~[34]")):
        words = ("run", "job.yaml", "--simulate", "--run", name, "--only", glob, "--quiet", "--yes")
        assert batchgen(*words, "--max-new", 1, cwd=place).returncode == 3
    done = merge(place)
    assert done.returncode == 0, done.stderr
    last = batchgen("run", "job.yaml", "--simulate", "--run", "all", "--json", "--quiet", cwd=place)
    assert (last.returncode, summary_of(last)["done"]) == (0, 4)
    assert batchgen("verify", "all", "--refetch", cwd=place).returncode == 0


def test_a_killed_command_can_be_repeated(place: Path, api: Simulated) -> None:
    for name in ("a", "b"):
        assert batchgen(*part(name, api=api), cwd=place).returncode == 0
    process = start("merge", "a", "b", "--into", "all", cwd=place)
    while not (place / "output" / "all" / "files").exists() and process.poll() is None:
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert merge(place).returncode == 0
    assert batchgen("ledger", "--check", "all", cwd=place).returncode == 0
    assert (run(place, api, "--run", "all").returncode, jobs(api, place)) == (0, 8)
