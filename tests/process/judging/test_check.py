"""`expect`, `batchgen check` and `max_flagged` through the installed command."""

import csv
import json
from pathlib import Path

from support.running import FAST, ROOT, batchgen, installed, simulator, summary_of

MANIFEST = """\
version: 1
name: judged
defaults: {{model: hera-1.0-text-to-image, expect: {expect}}}
items:
  - {{id: "mug-${{n}}", matrix: {{n: [1, 2, 3, 4, 5, 6, 7, 8]}}, prompt: "Mug ${{n}}", tags: {{shelf: "${{n}}"}}}}
"""


def write(folder: Path, expect: str) -> None:
    (folder / "judged.yaml").write_text(MANIFEST.format(expect=expect), encoding="utf-8")


def flags(folder: Path) -> list[str]:
    with (folder / "output" / "judged" / "ledger.csv").open(encoding="utf-8", newline="") as file:
        return [row["flags"] for row in csv.DictReader(file)]


def test_what_is_expected_later_is_judged_and_buys_nothing(tmp_path: Path) -> None:
    write(tmp_path, "{blank: false}")
    with simulator("--speed", 400) as api:
        arguments = ("run", "judged.yaml", "--base-url", api.url, *FAST)
        first = installed(*arguments, cwd=tmp_path)
        assert (first.returncode, summary_of(first)["flagged"]) == (0, 0), first.stderr
        write(tmp_path, "{min_side: 5000}")
        again = installed(*arguments, cwd=tmp_path)
        summary = summary_of(again)
        assert (again.returncode, summary["flagged"], summary["flags"]) == (0, 8, {"small": 8})
        assert summary["net_usd"] == summary_of(first)["net_usd"]
        assert api.account()["accepted"] == 8
    assert flags(tmp_path) == ["small"] * 8
    found = installed("check", "judged", "--only", "tag:shelf=3", "--all", "--json", cwd=tmp_path, key=None)
    told = json.loads(found.stdout)
    assert (found.returncode, told["judged_files"], told["flagged"], told["unjudged_files"]) == (1, 1, 1, 0)
    assert told["files"] == [{"item_id": "mug-3", "output": 1, "file": "files/mug-3.png", "flags": ["small"]}]
    status = installed("status", "judged", cwd=tmp_path, key=None)
    assert "8 items flagged: small 8" in status.stdout
    listed = installed("check", "judged.yaml", cwd=tmp_path, key=None)
    assert (listed.returncode, len(listed.stdout.splitlines())) == (1, 9)
    assert listed.stdout.endswith("judged: 0 files judged now; 8 items flagged: small 8\n")


def test_max_flagged_stops_buying(tmp_path: Path) -> None:
    write(tmp_path, "{min_side: 5000}")
    with simulator("--speed", 400) as api:
        arguments = ("--base-url", api.url, *FAST, "--concurrency", 1)
        stopped = batchgen("run", "judged.yaml", *arguments, "--max-flagged", 2, cwd=tmp_path)
        summary = summary_of(stopped)
        assert (stopped.returncode, summary["stopped_because"]) == (3, "max_flagged"), stopped.stderr
        assert 2 <= summary["done"] == api.account()["accepted"] < 8
        assert summary["pending"] == 8 - summary["done"]
        rest = batchgen("run", "judged.yaml", *arguments, cwd=tmp_path, BATCHGEN_MAX_FLAGGED="90%")
        assert (rest.returncode, summary_of(rest)["flagged"]) == (0, 8), "a share says nothing before 20 were judged"


def test_a_good_run_of_the_example_is_clean(tmp_path: Path) -> None:
    text = (ROOT / "manifests" / "judged.yaml").read_text(encoding="utf-8")
    (tmp_path / "judged.yaml").write_text(text, encoding="utf-8")
    with simulator("--speed", 400) as api:
        done = batchgen("run", "judged.yaml", "--base-url", api.url, *FAST, cwd=tmp_path)
    assert (done.returncode, summary_of(done)["flagged"]) == (0, 0), done.stderr
    clean = batchgen("check", "judged", cwd=tmp_path, key=None)
    assert (clean.returncode, clean.stdout) == (0, "judged: 0 files judged now; nothing is flagged\n")
