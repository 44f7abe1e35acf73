"""Workers on other machines, which do not see the run folder: outputs go to an object store, or nothing is bought."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import obstore
import pytest
from support.engine.clusters import scheduler, worker
from support.running import FAST, KEY, Simulated, batchgen, simulator, summary_of
from support.storage.objects import bucket

from batchgen.engine.cluster.address import DaskEngine
from batchgen.store.remote import connect

MANIFEST = """version: 1
name: spring
defaults: {model: hera-1.0-text-to-image}
items:
  - {id: mug, prompt: A mug, num_images: 2}
  - {id: jug, prompt: A jug}
"""
ELSEWHERE = {"DASK_DISTRIBUTED__WORKER__PRELOAD": '["support.engine.elsewhere"]'}


@pytest.fixture
def api() -> Iterator[Simulated]:
    with simulator("--speed", 60) as running:
        yield running


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[DaskEngine]:
    with scheduler(tmp_path) as (_, engine):
        yield engine


@pytest.fixture
def here(tmp_path: Path) -> Path:
    items = "".join(f"  - {{id: i{n}, prompt: A bowl no. {n}}}\n" for n in range(30))
    (tmp_path / "job.yaml").write_text(MANIFEST + items, encoding="utf-8")
    (tmp_path / "temporary").mkdir()
    return tmp_path


def run(here: Path, api: Simulated, engine: DaskEngine, *more: object) -> tuple[int, dict[str, Any], str]:
    words = ("run", "job.yaml", "--base-url", api.url, "--engine", str(engine), "--concurrency", 12, *FAST, *more)
    ended = batchgen(*words, cwd=here)
    return ended.returncode, summary_of(ended), ended.stderr


def test_what_they_download_goes_to_the_store_and_all_is_in_the_run_s_books(
    here: Path, api: Simulated, engine: DaskEngine
) -> None:
    with bucket() as place, worker(engine, here, threads=2, API18_KEY=KEY, TMPDIR=str(here / "temporary"), **ELSEWHERE):
        code, summary, said = run(here, api, engine, "--output", f"{place}/runs")
        assert (code, summary["done"]) == (0, 32), said
        assert len(api.jobs()) == 32
        found = [found["path"] for page in obstore.list(connect(place.below("runs/spring/files"))) for found in page]
        assert len(found) == 33
        folder = here / "output" / "spring"
        log = (folder / "batchgen.log").read_text(encoding="utf-8")
        assert log.count(" was accepted as job ") == 32
        assert "buys up to" in log
        assert KEY not in log
        assert not (folder / "workers").exists()
        assert list((here / "temporary").glob("batchgen-*")) == []
        checked = batchgen("verify", folder, "--deep", cwd=here)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        code, summary, _ = run(here, api, engine, "--output", f"{place}/runs")
        assert (code, summary["done"], len(api.jobs())) == (0, 32, 32)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"API18_KEY": KEY} | ELSEWHERE, "workers on other machines need outputs in an object store"),
        ({"API18_KEY": "api18_fedcba9876543210"}, "has the key of another account"),
        ({}, "has no key"),
    ],
    ids=["no store", "another account", "no key"],
)
def test_workers_that_cannot_buy_end_the_run_and_say_why(
    here: Path, api: Simulated, engine: DaskEngine, more: dict[str, str], why: str
) -> None:
    with worker(engine, here, **more):
        code, summary, _ = run(here, api, engine)
    assert code == 5
    assert summary["stopped_because"] == "engine"
    assert why in batchgen("status", "spring", cwd=here).stdout
    assert api.jobs() == []
    assert "workers" not in [path.name for path in (here / "output" / "spring").iterdir()]
