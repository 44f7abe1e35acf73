"""Each manifest in manifests/ runs against the simulator as it stands, and those with a lock are held to it."""

import json
import shutil
from pathlib import Path

import pytest
from support.running import FAST, ROOT, batchgen, simulator, summary_of

EXAMPLES = sorted(path.name for path in (ROOT / "manifests").glob("*.yaml"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_against_the_simulator(tmp_path: Path, name: str) -> None:
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests")
    locked = ["--locked"] if (tmp_path / "manifests" / f"{name}.lock.json").exists() else []
    plan = json.loads(batchgen("plan", f"manifests/{name}", "--json", cwd=tmp_path).stdout)
    with simulator("--speed", 500, "--media", "tiny", marked=True) as api:
        run = batchgen("run", f"manifests/{name}", "--base-url", api.url, *locked, *FAST, cwd=tmp_path)
        assert run.returncode == (3 if plan["waiting"] else 0), run.stderr
        summary = summary_of(run)
    assert (summary["items"], summary["done"]) == (plan["items"], plan["new"])
    assert summary["net_usd"] == plan["estimated_usd"]


PARTS = ("${items.teapot.output.2}", "${items.lantern.picked}", "- {dish: soup, served:", "rows: ", "include: ")


def test_there_is_an_example_of_each_part() -> None:
    texts = [(ROOT / "manifests" / name).read_text(encoding="utf-8") for name in EXAMPLES]
    assert [part for part in PARTS if not any(part in text for text in texts)] == []
    assert any((ROOT / "manifests" / f"{name}.lock.json").exists() for name in EXAMPLES)
