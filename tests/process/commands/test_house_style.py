"""What a manifest with an included house style, choices of maps, a sample and priorities buys, and in which order."""

import csv
import json
import shutil
from pathlib import Path

from support.running import FAST, ROOT, batchgen, simulator, summary_of

MENU = ("soup-1-1", "rice-1-1", "rice-3-4")
"""Those of `manifests/menu.yaml` that have a priority; they cost as much as its other two."""


def bought(folder: Path) -> set[str]:
    with (folder / "output" / "menu" / "ledger.csv").open(encoding="utf-8", newline="") as lines:
        return {row["item_id"] for row in csv.DictReader(lines) if row["attempt"] != "0"}


def test_a_cap_leaves_the_least_urgent_items_which_the_next_run_buys(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "manifests", tmp_path / "jobs")
    manifest = tmp_path / "jobs" / "menu.yaml"
    text = manifest.read_text(encoding="utf-8")
    head, rest = text.split("items:\n")
    dishes, products = rest.split("  # Two of the products")
    # The urgent ones stand last.
    manifest.write_text(f"{head}items:\n  # Two of the products{products}{dishes}", encoding="utf-8")
    plan = json.loads(batchgen("plan", manifest, "--json", "--output", "output", cwd=tmp_path).stdout)
    (model,) = plan["by_model"]
    assert (plan["items"], model["items"], plan["estimated_usd"]) == (5, 5, "0.28")
    with simulator("--speed", 500, "--media", "tiny") as api:
        run = ("run", manifest, "--base-url", api.url, *FAST, "--output", "output")
        first = batchgen(*run, "--max-cost", "0.17", cwd=tmp_path)
        assert (first.returncode, summary_of(first)["stopped_because"]) == (3, "max_cost"), first.stderr
        assert bought(tmp_path) == set(MENU)
        assert batchgen(*run, "--max-cost", "1", cwd=tmp_path).returncode == 0
        bodies = [json.loads(job["body"]) for job in api.jobs()]
        assert api.account()["duplicates"] == 0
    assert len(bodies) == 5
    # From the house style; that it has a default which this model lacks, `plan` says.
    assert [body["resolution"] for body in bodies] == ["2k"] * 5
