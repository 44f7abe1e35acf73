"""batchgen from Python against the simulator: runs in threads, in loops, stopped early, and in a notebook."""

import asyncio
import csv
import importlib
import os
import threading
from decimal import Decimal
from pathlib import Path

import pytest
from support.running import KEY, ROOT, simulator

import batchgen

ITEMS = [{"id": f"mug-{n}", "model": "hera-1.0-text-to-image", "prompt": f"Mug {n}"} for n in range(6)]


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("API18_KEY", raising=False)
    monkeypatch.chdir(tmp_path)


def test_a_run_returns_what_it_came_to_and_the_folder_tells_the_rest(tmp_path: Path) -> None:
    manifest = batchgen.load(ITEMS, name="mugs")
    with simulator("--speed", 500, "--media", "tiny") as api:
        options = {"output": tmp_path, "base_url": api.url, "key": KEY}
        with pytest.raises(batchgen.ConsentNeeded, match=r"6 items will cost \$0\.336"):
            manifest.run(**options)
        with pytest.raises(batchgen.UsageError, match="no API key"):
            manifest.run(output=tmp_path, base_url=api.url, max_cost="1")
        summary = manifest.run(**options, max_cost=Decimal("1.00"))
        assert (summary.done, summary.net_usd, summary.exit_code, summary.run) == (6, Decimal("0.336"), 0, "mugs")
        assert KEY not in repr(summary) + repr(manifest) + summary._repr_html_()
        # In another thread, and inside a running loop, which a call from another thread does not hold up.
        found: list[batchgen.RunSummary] = []
        thread = threading.Thread(target=lambda: found.append(manifest.run(**options, yes=True)))
        thread.start()
        thread.join()
        assert found[0].done == 6

        async def inside() -> batchgen.RunSummary:
            return manifest.run(**options, yes=True)

        assert asyncio.run(inside()).done == 6
        assert api.account()["accepted"] == 6
    run = batchgen.open_run(tmp_path / "mugs")
    entries = list(run.ledger())
    assert sum((entry.net_usd for entry in entries), Decimal(0)) == summary.net_usd
    assert (entries[0].item_id, entries[0].prompt, entries[0].params) == ("mug-0", "Mug 0", {})
    assert entries[0].files == (tmp_path / "mugs" / "files" / "mug-0.png",)
    assert [file.path.is_file() for file in run.files()] == [True] * 6


def test_results_come_as_items_end_and_leaving_early_stops_the_run(tmp_path: Path) -> None:
    manifest = batchgen.load(ITEMS, name="mugs")

    async def first_of(api_url: str) -> str:
        async with manifest.results(
            output=tmp_path / "first", base_url=api_url, key=KEY, max_cost="1", concurrency=1, buy_again=True
        ) as results:
            async for _ in results:
                break
        reason = results.summary.stopped_because
        assert reason is not None
        return reason

    with simulator("--speed", 500, "--media", "tiny", "--fault", "failed=0.3") as api:
        found = asyncio.run(collected(manifest, api.url, tmp_path))
        assert {result.id for result in found} == {f"mug-{n}" for n in range(6)}
        states = {result.state.value for result in found}
        assert states <= {"done", "failed"}
        assert all(result.files and result.files[0].is_file() for result in found if result.state == "done")
        assert all(result.refunded_usd == -result.charged_usd for result in found if result.state == "failed")
        assert asyncio.run(first_of(api.url)) == "interrupted"


def test_letting_go_of_the_results_stops_the_run_and_leaves_a_finished_handle_alone(tmp_path: Path) -> None:
    manifest = batchgen.load(ITEMS, name="mugs")

    async def main(url: str) -> None:
        # Read before the loop ends, which would stop the run too.
        stop = batchgen.StopHandle()
        async for _ in manifest.results(output=tmp_path, base_url=url, key=KEY, max_cost="1", concurrency=1, stop=stop):
            break
        assert stop.stop_requested
        finished = batchgen.StopHandle()
        async for _ in manifest.results(output=tmp_path / "other", simulate=True, stop=finished):
            pass
        assert not finished.stop_requested

    with simulator("--speed", 500, "--media", "tiny") as api:
        asyncio.run(main(api.url))
        assert api.account()["accepted"] < len(ITEMS)


def test_what_another_run_folder_shows_as_bought_is_left_out(tmp_path: Path) -> None:
    manifest = batchgen.load(ITEMS[:2], name="mugs")
    assert manifest.run(output=tmp_path, simulate=True).done == 2
    other = batchgen.load(ITEMS[:3], name="other")
    plan = other.plan(output=tmp_path, simulate=True, skip_bought=tmp_path / "mugs.simulated")
    assert (plan.items, plan.to_buy) == (1, 1)


def test_entries_say_what_the_ledger_says(tmp_path: Path) -> None:
    summary = batchgen.load([{**ITEMS[0], "num_images": 2}], name="mugs").run(output=tmp_path, simulate=True)
    (entry,) = batchgen.open_run(summary.folder).ledger()
    with (summary.folder / "ledger.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    same = ("run", "item_id", "state", "account", "job_id", "bytes", "polls", "inference_ms", "catalog_version")
    assert {name: row[name] for name in same} == {name: str(getattr(entry, name)) for name in same}
    assert row["sha256"].split(";") == list(entry.sha256)
    assert [summary.folder / path for path in row["files"].split(";")] == list(entry.files)
    assert len(entry.files) == 2
    assert row["expires_at"] == f"{entry.expires_at:%Y-%m-%dT%H:%M:%SZ}"
    assert (row["flags"], row["simulated"]) == (";".join(entry.flags), "true")


async def collected(manifest: batchgen.Manifest, url: str, folder: Path) -> list[batchgen.ItemResult]:
    results = manifest.results(output=folder / "all", base_url=url, key=KEY, max_cost="1")
    return [result async for result in results]


def test_an_awaited_run_leaves_the_loop_free_and_a_stop_handle_stops_it(tmp_path: Path) -> None:
    manifest = batchgen.load(ITEMS, name="mugs")

    async def main(url: str) -> tuple[int, str | None]:
        stop, turns = batchgen.StopHandle(), 0
        running = asyncio.ensure_future(
            manifest.arun(output=tmp_path, base_url=url, key=KEY, max_cost="1", concurrency=1, stop=stop)
        )
        while not running.done():
            turns += 1
            await asyncio.sleep(0.05)
            if turns == 5:
                stop.stop()
        return turns, running.result().stopped_because

    with simulator("--speed", 1, "--media", "tiny") as api:
        turns, reason = asyncio.run(main(api.url))
    assert turns >= 5
    assert reason == "interrupted"


def test_the_example_notebook_runs(tmp_path: Path) -> None:
    nbclient, nbformat = importlib.import_module("nbclient"), importlib.import_module("nbformat")
    notebook = nbformat.read(ROOT / "docs" / "notebooks" / "first-run.ipynb", as_version=4)
    environment = {**os.environ, "BATCHGEN_REGISTER": "", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    client = nbclient.NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute(env=environment)
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("text/html" in output.get("data", {}) for output in shown)
    assert (tmp_path / "output").is_dir()
