"""The report of a run, by `run` at its end and by `batchgen report`."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.running import batchgen

MANIFEST = """\
version: 1
name: job
run: {max_cost: 5.00}
items:
  - {id: mug, model: hera-1.0-text-to-image, prompt: A mug, num_images: 2}
  - {id: spin, model: zeus-1.0-image-to-video, image: "${items.mug.output.2}", prompt: It turns}
  - {id: later, model: zeus-1.0-image-to-video, image: "${items.mug.picked}", prompt: It turns back}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "job.yaml").write_text(MANIFEST, encoding="utf-8")
    return tmp_path


def data_of(run: Path) -> Any:
    text = (run / "report.html").read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="overview">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_a_run_writes_it_at_its_end_and_the_command_again(folder: Path) -> None:
    done = batchgen("run", "job.yaml", "--simulate", cwd=folder)
    run = folder / "output" / "job.simulated"
    assert done.returncode == 3, done.stderr
    assert f"report   {run / 'report.html'}\n" in done.stdout
    overview = data_of(run)
    assert (overview["running"], overview["stopped_because"], overview["exit_code"]) == (False, "waiting_for_pick", 3)
    assert overview["simulated"]
    assert overview["money"]["max_cost_usd"] == "5.00"
    assert (overview["counts"], overview["outputs"]) == ({"pending": 1, "done": 2}, 3)
    assert overview["waiting"]["items"] == 1
    assert str(folder) not in (run / "report.html").read_text(encoding="utf-8")
    for thumbnail in (run / "thumbs").rglob("*.webp"):
        thumbnail.unlink()
    again = batchgen("report", "job.yaml", "--json", cwd=folder)
    assert json.loads(again.stdout) == {
        "format_version": 1, "report": str(run / "report.html"), "shown": 3, "items": 3,
        "thumbnails": {"made": 3, "there": 0, "failed": {}},
    }  # fmt: skip
    assert len(list((run / "thumbs").rglob("*.webp"))) == 3
    verified = batchgen("verify", "job.yaml", cwd=folder)
    assert verified.returncode == 0, "files of a report are nobody's outputs"


def test_none_is_written_where_none_is_wanted(folder: Path) -> None:
    done = batchgen("run", "job.yaml", "--simulate", "--report", "none", cwd=folder)
    run = folder / "output" / "job.simulated"
    assert done.returncode == 3, done.stderr
    assert "report" not in done.stdout
    assert not (run / "report.html").exists()
    assert not (run / "thumbs").exists()
    page = batchgen("report", "job.yaml", "--no-thumbnails", cwd=folder)
    assert page.stdout == f"report {run / 'report.html'}\n"
    assert not (run / "thumbs").exists()


def test_a_report_that_cannot_be_written_changes_nothing_else(folder: Path) -> None:
    run = folder / "output" / "job.simulated"
    (run / "report.html").mkdir(parents=True)
    (folder / "job.yaml").write_text(MANIFEST.rpartition("  - {id: later")[0], encoding="utf-8")
    done = batchgen("run", "job.yaml", "--simulate", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^report   not written: .*report\.html", done.stdout, re.MULTILINE)
    assert "the report was not written" in (run / "batchgen.log").read_text(encoding="utf-8")
