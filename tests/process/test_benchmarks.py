"""The benchmarks start, measure, and print their table; what they measure is no matter of tests."""

import subprocess
import sys

import pytest
from support.running import ROOT, environment

from benchmarks.__main__ import PARTS
from benchmarks.items import ours, script
from benchmarks.manifests import rows, write_rows, write_yaml
from benchmarks.measure import serving
from benchmarks.table import Row, as_table


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (Row("a", "1 s", "2 s", 0.5, most=0.5), "met"),
        (Row("a", "1 s", "2 s", 0.6, most=0.5), "missed by 20%"),
        (Row("a", "1 s", "2 s", 12.0, least=12), "met"),
        (Row("a", "1 s", "2 s", 9.0, least=12), "missed by 25%"),
        (Row("a", "1 s", "2 s", 3.0, most=0), "missed"),
        (Row("a", "1 s", "2 s", 0.6, most=0.5, why="it rained"), "missed by 20%: it rained"),
        (Row("a", "1 s", "2 s", 0.5), ""),
        (Row("a", "1 s", "not installed", None, most=0.5), ""),
    ],
)
def test_a_row_says_whether_its_goal_is_met(row: Row, verdict: str) -> None:
    assert row.verdict == verdict


def test_the_table_is_markdown() -> None:
    lines = as_table([Row("speed", "1 s", "the other: 2 s", 0.5, most=0.65)]).splitlines()
    assert [len(line) for line in lines] == [len(lines[0])] * 3
    assert [cell.strip() for cell in lines[2].strip("|").split("|")] == [
        "speed", "≤ 0.65", "0.5", "met", "1 s", "the other: 2 s",
    ]  # fmt: skip


def test_rows_are_the_same_every_time_and_differ_from_each_other() -> None:
    made = list(rows(50))
    assert made == list(rows(60))[:50]
    assert len({row["Product"] for row in made}) == 50


@pytest.mark.parametrize("writer", ["yaml", "csv", "jsonl"])
def test_its_manifests_are_valid(writer: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("manifests")
    path = write_yaml(folder, 20) if writer == "yaml" else write_rows(folder, 20, writer)
    command = [sys.executable, "-m", "batchgen", "validate", str(path)]
    result = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout
    assert "20 items" in result.stdout


@pytest.mark.parametrize("part", ["startup", "polling", "waiting"])
def test_a_part_runs(part: str) -> None:
    assert part in PARTS
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--tiny", part],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "| what" in result.stdout


def test_a_whole_run_is_measured_beside_the_plain_script(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("run")
    manifest = write_yaml(folder, 5)
    with serving(polls=1) as base:
        sides = [
            script(folder, manifest, base, 0.1, 5),
            ours(folder, manifest, base, 0.1, 5),
            ours(folder, manifest, base, 0.1, 5, fast=False),
        ]
    assert all(usage.code == 0 and usage.cpu > 0 for usage in sides)
    assert len(list(folder.rglob("*.png"))) == 15
